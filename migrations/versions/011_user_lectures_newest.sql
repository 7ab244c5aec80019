-- A user's lectures, newest first: each page of the list resumes this index where the last page ended.
CREATE INDEX idx_user_lectures_user_id_created_at ON user_lectures (user_id, created_at DESC, lecture_id DESC);
