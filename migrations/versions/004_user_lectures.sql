-- Who may see a lecture. A lecture that nobody is linked to is an orphan and is collected.

CREATE TABLE user_lectures (
    -- A user who goes takes the links along; the lectures stay until they are found to be orphans.
    user_id uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    lecture_id uuid NOT NULL REFERENCES lectures (id) ON DELETE CASCADE,
    created_at timestamptz NOT NULL DEFAULT now(),
    -- Linking twice is linking once. Led by user_id: a user's lectures.
    PRIMARY KEY (user_id, lecture_id)
);

-- The other way: a lecture's users, the count when one unlinks, and the cascade from lectures.
CREATE INDEX idx_user_lectures_lecture_id ON user_lectures (lecture_id);
