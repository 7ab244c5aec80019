-- What the schema document implies and 001 to 005 do not hold: the courses a user chose, and the owner of a
-- document as a foreign key.

CREATE TABLE user_courses (
    user_id uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    -- A choice means nothing without its course. The sync never deletes a course that somebody chose.
    course_id uuid NOT NULL REFERENCES courses (id) ON DELETE CASCADE,
    created_at timestamptz NOT NULL DEFAULT now(),
    -- Choosing twice is choosing once. Led by user_id: a user's courses.
    PRIMARY KEY (user_id, course_id)
);

-- The other way: whether anybody chose a course, and the cascade from courses.
CREATE INDEX idx_user_courses_course_id ON user_courses (course_id);

-- A user's documents go with the user; their files have no row then and are collected as orphans.
ALTER TABLE documents
    ADD CONSTRAINT fk_documents_owner_id FOREIGN KEY (owner_id) REFERENCES users (id) ON DELETE CASCADE;
