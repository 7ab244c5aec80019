-- The durable job queue, in its own schema. `subject` is whatever the producer says.
--
--   available --claim--> running --complete--> completed
--       ^                  |  |
--       |  retry, wait,    |  +--discard-----> discarded
--       +--release, rescue-+  +--cancel------> cancelled   (an available job can be cancelled too)
CREATE SCHEMA IF NOT EXISTS queue;

CREATE TYPE queue.job_state AS ENUM ('available', 'running', 'completed', 'discarded', 'cancelled');

-- Ranges as types. PostgreSQL parses every CHECK constraint of a table again in each statement that writes it; with ranges as
-- constraints this took a quarter of the time of a claim of one job. A type's constraint is cached.
CREATE DOMAIN queue.priority AS smallint CONSTRAINT jobs_priority_range CHECK (VALUE BETWEEN 1 AND 4);
CREATE DOMAIN queue.fraction AS real CONSTRAINT jobs_progress_range CHECK (VALUE BETWEEN 0 AND 1);
CREATE DOMAIN queue.counter AS integer CONSTRAINT jobs_counters CHECK (VALUE >= 0);
CREATE DOMAIN queue.budget AS integer CONSTRAINT jobs_budgets CHECK (VALUE >= 1);
CREATE DOMAIN queue.patience AS interval CONSTRAINT jobs_time_to_wait CHECK (VALUE >= interval '0');

-- Ids sort by creation time (UUID version 7), so the primary key grows at one end only. Floating point costs half as much as
-- decimal arithmetic here.
CREATE FUNCTION queue.new_id() RETURNS uuid
LANGUAGE sql VOLATILE PARALLEL SAFE AS $$
    SELECT encode(
        set_bit(set_bit(
            overlay(uuid_send(gen_random_uuid())
                    PLACING substring(int8send((date_part('epoch', clock_timestamp()) * 1000)::bigint) FROM 3)
                    FROM 1 FOR 6),
            52, 1), 53, 1),
        'hex')::uuid
$$;

CREATE TABLE queue.jobs (
    id                  uuid PRIMARY KEY DEFAULT queue.new_id(),
    created_at          timestamptz NOT NULL DEFAULT now(),
    run_at              timestamptz NOT NULL DEFAULT now(),  -- not before; in the future = scheduled, retrying or waiting
    give_up_at          timestamptz NOT NULL,                -- waiting and retrying end here
    give_up_after       queue.patience NOT NULL,             -- the full time, for a retry by hand
    attempted_at        timestamptz,                         -- last claim
    finalized_at        timestamptz,                         -- set exactly in the three final states
    subject             uuid,                                -- the id of the thing the job works on
    lease               uuid,                                -- fresh at each claim: the fence of every write
    worker_id           uuid,                                -- the worker of the running attempt
    attempt             queue.counter NOT NULL DEFAULT 0,    -- claims; never decreases
    errors              queue.counter NOT NULL DEFAULT 0,    -- failed attempts, spent from max_attempts
    crashes             queue.counter NOT NULL DEFAULT 0,    -- counted crashes, spent from max_crashes
    max_attempts        queue.budget NOT NULL,
    max_crashes         queue.budget NOT NULL,
    progress            queue.fraction,                      -- 0 to 1, of the running attempt
    priority            queue.priority NOT NULL DEFAULT 2,   -- 1 first … 4 last
    state               queue.job_state NOT NULL DEFAULT 'available',
    checkpoint_advanced boolean NOT NULL DEFAULT false,      -- since the last crash: such a crash is not counted
    -- Names compare byte by byte (COLLATE "C"): claims, unique keys and groups need no locale.
    kind                text COLLATE "C" NOT NULL,
    queue               text COLLATE "C" NOT NULL DEFAULT 'default',
    unique_key          text COLLATE "C",                    -- at most one live job has it
    group_key           text COLLATE "C",                    -- the shared resource it uses, e.g. an upstream's host
    worker              text,                                -- name of the last worker, for people
    reason              text,                                -- why it waits or how it ended, for people
    args                jsonb NOT NULL,
    checkpoint          jsonb,                               -- where the next attempt resumes
    result              jsonb,
    -- The promises that SQL can check. A claim counts itself; an attempt spends at most one budget; only success has a
    -- result; an advanced checkpoint exists.
    CONSTRAINT jobs_running_has_an_owner CHECK
        (state <> 'running' OR (lease IS NOT NULL AND worker_id IS NOT NULL AND attempted_at IS NOT NULL)),
    CONSTRAINT jobs_available_has_no_owner CHECK (state <> 'available' OR (lease IS NULL AND worker_id IS NULL)),
    -- Two comparisons cost less to parse than a list of states.
    CONSTRAINT jobs_final_is_dated CHECK
        ((state = 'available' OR state = 'running') = (finalized_at IS NULL)),
    CONSTRAINT jobs_running_was_claimed CHECK (state <> 'running' OR attempt >= 1),
    CONSTRAINT jobs_spent_by_attempts CHECK (errors + crashes <= attempt),
    CONSTRAINT jobs_result_of_success CHECK (result IS NULL OR state = 'completed'),
    CONSTRAINT jobs_advanced_has_a_checkpoint CHECK (NOT checkpoint_advanced OR checkpoint IS NOT NULL)
)
-- Free space on each page for progress and checkpoint updates, which change no indexed column (HOT).
WITH (fillfactor = 85, autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.05);

-- Claim: ordinary jobs by kind, in order. Each is in exactly one of these two indexes.
CREATE INDEX jobs_claim ON queue.jobs (kind, priority, run_at)
    WHERE state = 'available' AND crashes = 0 AND group_key IS NULL;
CREATE INDEX jobs_claim_grouped ON queue.jobs (kind, group_key, priority, run_at)
    WHERE state = 'available' AND crashes = 0 AND group_key IS NOT NULL;
-- Claim: suspects, one at a time. Nearly always empty.
CREATE INDEX jobs_suspects ON queue.jobs (priority, run_at) WHERE state = 'available' AND crashes > 0;
-- Claim: running jobs per group, over the whole fleet.
CREATE INDEX jobs_running_grouped ON queue.jobs (group_key) WHERE state = 'running' AND group_key IS NOT NULL;
-- Claim: groups with waiting jobs, and overdue jobs of an open group. Prune: whether a group has a waiting job.
CREATE INDEX jobs_waiting_grouped ON queue.jobs (group_key, kind, give_up_at)
    WHERE state = 'available' AND group_key IS NOT NULL;
-- Heartbeat (rows running under this worker) and rescue (rows running under a dead worker).
CREATE INDEX jobs_running ON queue.jobs (worker_id) WHERE state = 'running';
-- Enqueue: no duplicates among live jobs.
CREATE UNIQUE INDEX jobs_unique_key ON queue.jobs (unique_key)
    WHERE unique_key IS NOT NULL AND state IN ('available', 'running');
-- The jobs of a subject, newest first: for cancel and for lists.
CREATE INDEX jobs_subject ON queue.jobs (subject, id) WHERE subject IS NOT NULL;
-- Prune.
CREATE INDEX jobs_final ON queue.jobs (state, finalized_at) WHERE finalized_at IS NOT NULL;

-- One row per failed attempt.
CREATE TABLE queue.failed_attempts (
    job_id    uuid NOT NULL,
    attempt   integer NOT NULL,
    failed_at timestamptz NOT NULL DEFAULT now(),
    worker    text,
    class     text NOT NULL,    -- a stable word, e.g. network, panic, crashed
    message   text NOT NULL,    -- for people; holds no secret
    PRIMARY KEY (job_id, attempt),
    CONSTRAINT failed_attempts_counted CHECK (attempt >= 1),
    CONSTRAINT failed_attempts_told
        CHECK (class <> '' AND char_length(class) <= 60 AND char_length(message) <= 2000)
);

-- Deletes the history of all jobs that one statement deletes. A foreign key would do that one by one, and would also check each
-- update of a job for a changed id.
CREATE FUNCTION queue.forget_attempts() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM queue.failed_attempts WHERE job_id = ANY (ARRAY(SELECT id FROM gone));
    RETURN NULL;
END
$$;
CREATE TRIGGER forget_attempts AFTER DELETE ON queue.jobs
    REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION queue.forget_attempts();

-- One narrow row per worker process. Each beat is a HOT update: only the key is indexed, and pages stay half empty.
CREATE TABLE queue.workers (
    id         uuid PRIMARY KEY,                    -- fresh at each process start
    started_at timestamptz NOT NULL DEFAULT now(),
    beat_at    timestamptz NOT NULL DEFAULT now(),  -- for people; no decision depends on it
    beat       bigint NOT NULL DEFAULT 0,           -- the counter that rescuers watch
    name       text NOT NULL                        -- host:pid
) WITH (fillfactor = 50);

-- Queues that were ever paused; the others have no row.
CREATE TABLE queue.queues (
    name       text COLLATE "C" PRIMARY KEY,
    paused_at  timestamptz,                          -- NULL = not paused
    changed_at timestamptz NOT NULL DEFAULT now()    -- last pause or resume
);

-- A circuit breaker per group: while the group's upstream is down, its jobs wait and one probe at a time tests it. One row per
-- group with failures; a success deletes it. The claim reads it; attempts write it last in their transaction.
CREATE TABLE queue.breakers (
    group_key text COLLATE "C" PRIMARY KEY,
    failures  queue.counter NOT NULL,    -- consecutive failures until it opened
    failed_at timestamptz NOT NULL,      -- the latest of them, probes included
    opened_at timestamptz,               -- NULL = it only counts
    probe_at  timestamptz,               -- earliest next probe; a job of the group claimed since then is one
    probes    queue.counter NOT NULL DEFAULT 0,    -- failed probes: each makes the next pause longer
    class     text NOT NULL,             -- of the latest failure, as in failed_attempts
    message   text NOT NULL,
    CONSTRAINT breakers_open_has_a_probe CHECK ((opened_at IS NULL) = (probe_at IS NULL)),
    CONSTRAINT breakers_probed_is_open CHECK (probes = 0 OR opened_at IS NOT NULL),
    CONSTRAINT breakers_told CHECK (class <> '' AND char_length(class) <= 60 AND char_length(message) <= 2000)
);
-- Operators: the open ones first.
CREATE INDEX breakers_opened ON queue.breakers (opened_at, group_key);
-- Prune.
CREATE INDEX breakers_failed ON queue.breakers (failed_at);

-- One row per cron job. The scheduler that moves last_tick forward by compare-and-set enqueues that tick.
CREATE TABLE queue.schedules (
    name          text PRIMARY KEY,
    cron          text NOT NULL,                      -- as last registered, for people
    registered_at timestamptz NOT NULL DEFAULT now(),
    last_tick     timestamptz NOT NULL,               -- UTC; the first registration starts now
    last_job      uuid,                               -- the job of the last enqueued tick
    skipped       bigint NOT NULL DEFAULT 0,          -- skipped ticks: the previous run was live, or the tick was missed
    last_skipped  timestamptz
);

-- Enqueues a job, or finds the live one with the same unique key. It exists if and only if the caller's transaction commits.
-- To start it at once, follow the commit with: NOTIFY bedel_queue.
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
