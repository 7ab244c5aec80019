-- A user's lectures, newest first: the list's pages walk this from where the last one ended.
CREATE INDEX idx_user_lectures_user_id_created_at ON user_lectures (user_id, created_at DESC, lecture_id DESC);
