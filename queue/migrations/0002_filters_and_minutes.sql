-- Operators' lists of failed jobs, and counts per minute for charts. Nothing here is written when a job is enqueued, claimed
-- or completed.

-- Lists of the jobs that failed with a class, newest first.
CREATE INDEX failed_attempts_class ON queue.failed_attempts (class, job_id, attempt);
-- The count of a minute's failed attempts.
CREATE INDEX failed_attempts_failed_at ON queue.failed_attempts (failed_at);

-- Jobs that ended and attempts that failed in each minute. Minutes without any have no row.
CREATE TABLE queue.minutes (
    minute    timestamptz NOT NULL,                -- its start
    kind      text COLLATE "C" NOT NULL,
    queue     text COLLATE "C" NOT NULL,
    completed bigint NOT NULL,                     -- jobs, here and in the next two
    discarded bigint NOT NULL,
    cancelled bigint NOT NULL,
    failed    bigint NOT NULL,                     -- attempts
    PRIMARY KEY (minute, kind, queue)
);

-- One row: the minutes before `until` are counted. The process that moves it forward by compare-and-set writes that minute's rows
-- in the same transaction.
CREATE TABLE queue.counted_minutes (
    only_row boolean PRIMARY KEY DEFAULT true CONSTRAINT counted_minutes_one_row CHECK (only_row),
    until    timestamptz NOT NULL
);
INSERT INTO queue.counted_minutes (until) VALUES (date_trunc('minute', now()));
