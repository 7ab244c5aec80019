-- Two things that the schema document implies and 001 to 005 lack: the courses that a user chose, and a foreign key for a
-- document's owner.

CREATE TABLE user_courses (
    user_id uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    -- A choice is deleted with its course. The sync never deletes a course that a user chose.
    course_id uuid NOT NULL REFERENCES courses (id) ON DELETE CASCADE,
    created_at timestamptz NOT NULL DEFAULT now(),
    -- Choosing twice has no effect. user_id comes first: lists read a user's courses.
    PRIMARY KEY (user_id, course_id)
);

-- For the sync (did any user choose this course?) and for the cascade from courses.
CREATE INDEX idx_user_courses_course_id ON user_courses (course_id);

-- A user's documents are deleted with the user; their files are then orphans, and cleanup deletes them.
ALTER TABLE documents
    ADD CONSTRAINT fk_documents_owner_id FOREIGN KEY (owner_id) REFERENCES users (id) ON DELETE CASCADE;
