-- A circuit breaker per group: while what a group leans on is down, its jobs wait and one probe at a time asks for it.

-- One row per group in trouble; a success takes it away. Read by the claim, written last in an attempt's own transaction.
CREATE TABLE queue.breakers (
    group_key text COLLATE "C" PRIMARY KEY,
    failures  queue.counter NOT NULL,    -- that blamed the group, one after another, until it opened
    failed_at timestamptz NOT NULL,      -- the latest of them, probes included
    opened_at timestamptz,               -- NULL = it only counts
    probe_at  timestamptz,               -- the next probe goes from then on; a job of the group claimed since then is one
    probes    queue.counter NOT NULL DEFAULT 0,    -- that failed: each makes the next pause longer
    class     text NOT NULL,             -- of the latest failure, as in failed_attempts
    message   text NOT NULL,
    CONSTRAINT breakers_open_has_a_probe CHECK ((opened_at IS NULL) = (probe_at IS NULL)),
    CONSTRAINT breakers_probed_is_open CHECK (probes = 0 OR opened_at IS NOT NULL),
    CONSTRAINT breakers_told CHECK (class <> '' AND char_length(class) <= 60 AND char_length(message) <= 2000)
);

-- People: the open ones first.
CREATE INDEX breakers_opened ON queue.breakers (opened_at, group_key);
-- Prune.
CREATE INDEX breakers_failed ON queue.breakers (failed_at);

-- The claim: the groups that wait, and jobs of an open one whose time is over. Prune: whether a group has a job that waits.
--
-- This reads queue.jobs once, under a lock that keeps workers waiting meanwhile: about a second for a million jobs.
CREATE INDEX jobs_waiting_grouped ON queue.jobs (group_key, kind, give_up_at)
    WHERE state = 'available' AND group_key IS NOT NULL;
