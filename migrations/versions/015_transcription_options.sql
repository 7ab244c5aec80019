-- How lectures are transcribed. NULL: not set, so the next source counts: the user's defaults of the course, those of the
-- course, the worker's configuration.
CREATE TABLE lecture_options (
    lecture_id uuid NOT NULL PRIMARY KEY REFERENCES lectures (id) ON DELETE CASCADE,
    language text, -- a code, such as en
    -- Words to expect, the most important first.
    vocabulary text[] CHECK (cardinality(vocabulary) <= 200 AND array_position(vocabulary, NULL) IS NULL),
    engine text CHECK (engine IN ('embedded', 'openai', 'task')),
    model text
);

-- Options of lectures that are submitted later. A change never reaches a lecture that exists.
CREATE TABLE course_defaults (
    course_id uuid NOT NULL REFERENCES courses (id) ON DELETE CASCADE,
    user_id uuid REFERENCES users (id) ON DELETE CASCADE, -- NULL: for everybody
    language text,
    vocabulary text[] CHECK (cardinality(vocabulary) <= 200 AND array_position(vocabulary, NULL) IS NULL),
    engine text CHECK (engine IN ('embedded', 'openai', 'task')),
    model text
);

-- One row for everybody and one for each user. PostgreSQL before 15 knows no NULLS NOT DISTINCT.
CREATE UNIQUE INDEX idx_course_defaults_course_id_user_id
    ON course_defaults (course_id, coalesce(user_id, '00000000-0000-0000-0000-000000000000'::uuid));

-- The cascade from users.
CREATE INDEX idx_course_defaults_user_id ON course_defaults (user_id);
