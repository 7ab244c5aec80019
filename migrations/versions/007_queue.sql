-- The durable job queue, in a schema of its own. It knows no lecture: `subject` is whatever the producer says.
--
--   available --claim--> running --complete--> completed
--       ^                  |  |
--       |  retry, wait,    |  +--discard-----> discarded
--       +--release, rescue-+  +--cancel------> cancelled   (an available job can be cancelled too)
CREATE SCHEMA queue;

CREATE TYPE queue.job_state AS ENUM ('available', 'running', 'completed', 'discarded', 'cancelled');

-- Ids sort by the time they were made (UUID version 7), so that the primary key grows at one end only.
CREATE FUNCTION queue.new_id() RETURNS uuid
LANGUAGE sql VOLATILE PARALLEL SAFE AS $$
    SELECT encode(
        set_bit(set_bit(
            overlay(uuid_send(gen_random_uuid())
                    PLACING substring(int8send((extract(epoch FROM clock_timestamp()) * 1000)::bigint) FROM 3)
                    FROM 1 FOR 6),
            52, 1), 53, 1),
        'hex')::uuid
$$;

CREATE TABLE queue.jobs (
    id                  uuid PRIMARY KEY DEFAULT queue.new_id(),
    created_at          timestamptz NOT NULL DEFAULT now(),
    run_at              timestamptz NOT NULL DEFAULT now(),  -- not before; in the future = scheduled, retrying or waiting
    give_up_at          timestamptz NOT NULL,                -- waiting and retrying end here
    give_up_after       interval NOT NULL,                   -- how much time that was, for a retry by hand
    attempted_at        timestamptz,                         -- last claim
    finalized_at        timestamptz,                         -- set exactly in the three final states
    subject             uuid,                                -- what the job is about
    lease               uuid,                                -- fresh at each claim: the fence of every write
    worker_id           uuid,                                -- whose heartbeat vouches for the running attempt
    attempt             integer NOT NULL DEFAULT 0,          -- claims; never goes down
    errors              integer NOT NULL DEFAULT 0,          -- failed attempts, spent from max_attempts
    crashes             integer NOT NULL DEFAULT 0,          -- counted crashes, spent from max_crashes
    max_attempts        integer NOT NULL,
    max_crashes         integer NOT NULL,
    progress            real,                                -- 0 to 1, of the running attempt
    priority            smallint NOT NULL DEFAULT 2,         -- 1 first … 4 last
    state               queue.job_state NOT NULL DEFAULT 'available',
    checkpoint_advanced boolean NOT NULL DEFAULT false,      -- since the last crash: such a crash is not counted
    kind                text NOT NULL,
    queue               text NOT NULL DEFAULT 'default',
    unique_key          text,                                -- at most one live job has it
    group_key           text,                                -- the shared thing it leans on, e.g. an upstream's host
    worker              text,                                -- name of the last worker, for people
    reason              text,                                -- why it waits or how it ended, for people
    args                jsonb NOT NULL,
    checkpoint          jsonb,                               -- what the next attempt goes on from
    result              jsonb,
    CONSTRAINT jobs_running_has_an_owner CHECK
        (state <> 'running' OR (lease IS NOT NULL AND worker_id IS NOT NULL AND attempted_at IS NOT NULL)),
    CONSTRAINT jobs_available_has_no_owner CHECK (state <> 'available' OR (lease IS NULL AND worker_id IS NULL)),
    CONSTRAINT jobs_final_is_dated CHECK
        ((state IN ('completed', 'discarded', 'cancelled')) = (finalized_at IS NOT NULL)),
    CONSTRAINT jobs_priority_range CHECK (priority BETWEEN 1 AND 4),
    CONSTRAINT jobs_progress_range CHECK (progress BETWEEN 0 AND 1),
    CONSTRAINT jobs_counters CHECK (attempt >= 0 AND errors >= 0 AND crashes >= 0),
    CONSTRAINT jobs_budgets CHECK (max_attempts >= 1 AND max_crashes >= 1)
)
-- Room on each page for progress and checkpoint updates, which touch no indexed column (HOT).
WITH (fillfactor = 85, autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.05);

-- The claim: ordinary jobs by kind, in order.
CREATE INDEX jobs_claim ON queue.jobs (kind, priority, run_at) WHERE state = 'available' AND crashes = 0;
-- The claim: suspects, one at a time. Nearly always empty.
CREATE INDEX jobs_suspects ON queue.jobs (priority, run_at) WHERE state = 'available' AND crashes > 0;
-- Heartbeat (rows running under me) and rescue (rows running under a dead worker).
CREATE INDEX jobs_running ON queue.jobs (worker_id) WHERE state = 'running';
-- Enqueue: no twice among live jobs.
CREATE UNIQUE INDEX jobs_unique_key ON queue.jobs (unique_key)
    WHERE unique_key IS NOT NULL AND state IN ('available', 'running');
-- The jobs of a subject, newest first: cancel, and a lecture's story.
CREATE INDEX jobs_subject ON queue.jobs (subject, id) WHERE subject IS NOT NULL;
-- Prune.
CREATE INDEX jobs_final ON queue.jobs (state, finalized_at) WHERE finalized_at IS NOT NULL;

-- One row per failed attempt; a job's story is one read.
CREATE TABLE queue.failed_attempts (
    job_id    uuid NOT NULL REFERENCES queue.jobs (id) ON DELETE CASCADE,
    attempt   integer NOT NULL,
    failed_at timestamptz NOT NULL DEFAULT now(),
    worker    text,
    class     text NOT NULL,    -- a stable word, e.g. network, timeout, crashed
    message   text NOT NULL,    -- for people; holds no secret
    PRIMARY KEY (job_id, attempt)
);

-- One narrow row per worker process. Each beat is a HOT update: nothing but the key is indexed and pages stay half empty.
CREATE TABLE queue.workers (
    id         uuid PRIMARY KEY,                    -- new at each process start
    started_at timestamptz NOT NULL DEFAULT now(),
    beat_at    timestamptz NOT NULL DEFAULT now(),  -- for people; nobody is judged by it
    beat       bigint NOT NULL DEFAULT 0,           -- the counter that rescuers watch
    name       text NOT NULL                        -- host:pid
) WITH (fillfactor = 50);

-- One row per cron job. Whoever moves last_tick forward by compare-and-set enqueues that tick.
CREATE TABLE queue.schedules (
    name         text PRIMARY KEY,
    cron         text NOT NULL,                       -- as last seen, for people
    registered_at timestamptz NOT NULL DEFAULT now(),
    last_tick    timestamptz NOT NULL,                -- UTC; the first registration starts now
    last_job     uuid,                                -- the job of the last tick that was enqueued
    skipped      bigint NOT NULL DEFAULT 0,           -- ticks that would have overlapped a live run
    last_skipped timestamptz
);

-- Enqueues a job, or finds the live one that has the same unique key. It exists if and only if the caller's transaction
-- commits. Producers that want it started at once follow the commit with: NOTIFY bedel_queue.
CREATE FUNCTION queue.enqueue(
    kind text,
    args jsonb,
    subject uuid DEFAULT NULL,
    unique_key text DEFAULT NULL,
    group_key text DEFAULT NULL,
    queue text DEFAULT 'default',
    priority smallint DEFAULT 2,
    delay interval DEFAULT '0 seconds',
    give_up_after interval DEFAULT '24 hours',
    max_attempts integer DEFAULT 5,
    max_crashes integer DEFAULT 3,
    OUT id uuid,
    OUT created boolean
)
LANGUAGE plpgsql VOLATILE AS $$
#variable_conflict use_column
BEGIN
    LOOP
        INSERT INTO queue.jobs (kind, args, subject, unique_key, group_key, queue, priority, run_at, give_up_at,
                                give_up_after, max_attempts, max_crashes)
        VALUES (enqueue.kind, enqueue.args, enqueue.subject, enqueue.unique_key, enqueue.group_key, enqueue.queue,
                enqueue.priority, now() + enqueue.delay, now() + enqueue.delay + enqueue.give_up_after,
                enqueue.give_up_after, enqueue.max_attempts, enqueue.max_crashes)
        ON CONFLICT (unique_key) WHERE unique_key IS NOT NULL AND state IN ('available', 'running') DO NOTHING
        RETURNING jobs.id INTO enqueue.id;
        IF FOUND THEN
            enqueue.created := true;
            RETURN;
        END IF;
        SELECT j.id INTO enqueue.id FROM queue.jobs AS j
         WHERE j.unique_key = enqueue.unique_key AND j.state IN ('available', 'running');
        IF FOUND THEN
            enqueue.created := false;
            RETURN;
        END IF;
        -- The live job ended between the two statements: try again.
    END LOOP;
END
$$;
