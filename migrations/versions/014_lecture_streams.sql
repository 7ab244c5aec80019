-- The streams that Panopto named for a lecture, best sound first, and when the session plays them. Replaced each
-- time Panopto is asked. The download reads them if the lecture's stream_url is one of them.
CREATE TABLE lecture_streams (
    lecture_id uuid NOT NULL REFERENCES lectures (id) ON DELETE CASCADE,
    position smallint NOT NULL,
    kind text NOT NULL, -- podcast, camera, audio, unknown or screen
    url text NOT NULL, -- may carry a signature, as lectures.stream_url
    -- [{"at": 10, "start": 0, "end": 30}]: the session plays the file's seconds start to end from its second `at` on. Empty: the
    -- whole file, from the session's start.
    spans jsonb NOT NULL,
    PRIMARY KEY (lecture_id, position)
);
