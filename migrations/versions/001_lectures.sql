-- Lectures: one row per recording and course, and the trigger function that every table with `updated_at` shares.

-- Writers never set updated_at themselves, so none can forget it. now() is the transaction's time: every row that
-- one transaction touches carries the same moment.
CREATE FUNCTION set_updated_at() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    NEW.updated_at = now();
    RETURN NEW;
END;
$$;

-- In the order a lecture meets them. `failed` and `completed` are the ends.
CREATE TYPE lecture_status AS ENUM ('pending', 'downloading', 'completed', 'failed');

CREATE TABLE lectures (
    -- Made by the database, so that producers in any language get the same kind of id.
    id uuid NOT NULL DEFAULT gen_random_uuid() PRIMARY KEY,
    -- No foreign key: a lecture may arrive before its course is known here, and outlives it.
    course_id uuid NOT NULL,
    -- From the viewer URL. NULLs never conflict, so a row without it is never taken for another recording.
    panopto_session_id text,
    -- The page a person opens: kept for deep links into the recording.
    panopto_url text NOT NULL,
    -- What the download reads; the empty string until it is resolved.
    stream_url text NOT NULL,
    title text,
    -- Logical key, never a path: `audio/{id}.m4a`.
    audio_storage_key text,
    -- Logical key: `transcripts/{id}.json`.
    transcript_storage_key text,
    -- Of the stored audio, as ffprobe measured it, rounded down.
    duration_seconds integer,
    status lecture_status NOT NULL DEFAULT 'pending',
    -- Short and for a person: at most 500 characters, which the program enforces.
    error_message text,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    -- The same recording submitted twice for a course is one lecture, whoever wins the race.
    CONSTRAINT uq_lectures_course_id_panopto_session_id UNIQUE (course_id, panopto_session_id)
);

-- Lists by course. Much narrower than the unique index above, which carries a 36-character text.
CREATE INDEX idx_lectures_course_id ON lectures (course_id);

CREATE TRIGGER trg_lectures_updated_at BEFORE UPDATE ON lectures
    FOR EACH ROW EXECUTE FUNCTION set_updated_at();
