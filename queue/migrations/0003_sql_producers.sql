-- Calls from plain SQL need no casts, and SQL can enqueue many jobs, cancel and retry.

-- A literal has no type yet. An overload for text makes PostgreSQL take one as text instead of refusing to choose between
-- json and jsonb. bigint accepts every type of integer; the column's domain checks the range.
DROP FUNCTION queue.enqueue(text, jsonb, uuid, text, text, text, smallint, interval, interval, integer, integer);

-- Enqueues a job, or finds the live one with the same unique key. It exists if and only if the caller's transaction commits.
-- It starts `delay` after `run_at`, which is now where it is missing. To start it at once, follow the commit with:
-- NOTIFY bedel_queue.
CREATE FUNCTION queue.enqueue(
    kind text,
    args jsonb,
    subject uuid DEFAULT NULL,
    unique_key text DEFAULT NULL,
    group_key text DEFAULT NULL,
    queue text DEFAULT 'default',
    priority bigint DEFAULT 2,
    delay interval DEFAULT '0 seconds',
    give_up_after interval DEFAULT '24 hours',
    max_attempts bigint DEFAULT 5,
    max_crashes bigint DEFAULT 3,
    run_at timestamptz DEFAULT NULL,
    OUT id uuid,
    OUT created boolean
)
LANGUAGE plpgsql VOLATILE AS $$
#variable_conflict use_column
DECLARE
    start timestamptz := coalesce(enqueue.run_at, now()) + enqueue.delay;
BEGIN
    LOOP
        INSERT INTO queue.jobs (kind, args, subject, unique_key, group_key, queue, priority, run_at, give_up_at,
                                give_up_after, max_attempts, max_crashes)
        VALUES (enqueue.kind, enqueue.args, enqueue.subject, enqueue.unique_key, enqueue.group_key, enqueue.queue,
                enqueue.priority, start, start + enqueue.give_up_after,
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

CREATE FUNCTION queue.enqueue(
    kind text,
    args json,
    subject uuid DEFAULT NULL,
    unique_key text DEFAULT NULL,
    group_key text DEFAULT NULL,
    queue text DEFAULT 'default',
    priority bigint DEFAULT 2,
    delay interval DEFAULT '0 seconds',
    give_up_after interval DEFAULT '24 hours',
    max_attempts bigint DEFAULT 5,
    max_crashes bigint DEFAULT 3,
    run_at timestamptz DEFAULT NULL,
    OUT id uuid,
    OUT created boolean
)
LANGUAGE sql VOLATILE AS $$
    SELECT done.id, done.created
      FROM queue.enqueue($1, $2::jsonb, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) AS done
$$;

CREATE FUNCTION queue.enqueue(
    kind text,
    args text,
    subject uuid DEFAULT NULL,
    unique_key text DEFAULT NULL,
    group_key text DEFAULT NULL,
    queue text DEFAULT 'default',
    priority bigint DEFAULT 2,
    delay interval DEFAULT '0 seconds',
    give_up_after interval DEFAULT '24 hours',
    max_attempts bigint DEFAULT 5,
    max_crashes bigint DEFAULT 3,
    run_at timestamptz DEFAULT NULL,
    OUT id uuid,
    OUT created boolean
)
LANGUAGE sql VOLATILE AS $$
    SELECT done.id, done.created
      FROM queue.enqueue($1, $2::jsonb, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) AS done
$$;

-- Enqueues an array of objects whose fields are named as the arguments of queue.enqueue and have its defaults. One row a job, in
-- the array's order. Unique keys are taken in their own order, so two calls cannot deadlock.
CREATE FUNCTION queue.enqueue_many(jobs jsonb, OUT place bigint, OUT id uuid, OUT created boolean)
RETURNS SETOF record
LANGUAGE plpgsql VOLATILE AS $$
#variable_conflict use_column
DECLARE
    stray text;
BEGIN
    SELECT field INTO stray
      FROM jsonb_array_elements(enqueue_many.jobs) AS job, jsonb_object_keys(job) AS field
     WHERE field NOT IN ('kind', 'args', 'subject', 'unique_key', 'group_key', 'queue', 'priority', 'delay',
                         'give_up_after', 'max_attempts', 'max_crashes', 'run_at')
     LIMIT 1;
    IF FOUND THEN
        RAISE invalid_parameter_value USING MESSAGE = format('a job has the unknown field "%s"', stray),
            HINT = 'The fields are the arguments of queue.enqueue.';
    END IF;
    RETURN QUERY
    SELECT job.place, done.id, done.created
      FROM (SELECT list.place, fields.*
              FROM jsonb_array_elements(enqueue_many.jobs) WITH ORDINALITY AS list (job, place)
             CROSS JOIN LATERAL jsonb_to_record(list.job) AS fields (
                   kind text, args jsonb, subject uuid, unique_key text, group_key text, queue text, priority bigint,
                   delay interval, give_up_after interval, max_attempts bigint, max_crashes bigint, run_at timestamptz)
             ORDER BY fields.unique_key, list.place) AS job
     CROSS JOIN LATERAL queue.enqueue(
           kind => job.kind, args => job.args, subject => job.subject, unique_key => job.unique_key,
           group_key => job.group_key, queue => coalesce(job.queue, 'default'), priority => coalesce(job.priority, 2),
           delay => coalesce(job.delay, '0 seconds'), give_up_after => coalesce(job.give_up_after, '24 hours'),
           max_attempts => coalesce(job.max_attempts, 5), max_crashes => coalesce(job.max_crashes, 3),
           run_at => job.run_at) AS done
     ORDER BY job.place;
END
$$;

CREATE FUNCTION queue.enqueue_many(jobs json, OUT place bigint, OUT id uuid, OUT created boolean)
RETURNS SETOF record
LANGUAGE sql VOLATILE AS $$ SELECT * FROM queue.enqueue_many($1::jsonb) $$;

CREATE FUNCTION queue.enqueue_many(jobs text, OUT place bigint, OUT id uuid, OUT created boolean)
RETURNS SETOF record
LANGUAGE sql VOLATILE AS $$ SELECT * FROM queue.enqueue_many($1::jsonb) $$;

-- Cancels a live job. False if it has ended or does not exist. No hook runs: hooks are Rust, and only the program runs them. To
-- stop a running attempt at once, follow the commit with: NOTIFY bedel_queue, 'cancelled'.
CREATE FUNCTION queue.cancel(job_id uuid, reason text DEFAULT 'cancelled') RETURNS boolean
LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    UPDATE queue.jobs AS job
       SET state = 'cancelled', finalized_at = now(), reason = cancel.reason, lease = NULL, worker_id = NULL
     WHERE job.id = cancel.job_id AND job.state IN ('available', 'running');
    RETURN FOUND;
END
$$;

-- Makes a waiting job due now; a discarded or cancelled one gets fresh budgets and its full time again. Returns `now`, or
-- `refused` if it is running or completed or another live job has its unique key, or `not_found`. To start it at once, follow the
-- commit with: NOTIFY bedel_queue.
CREATE FUNCTION queue.retry(job_id uuid) RETURNS text
LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    UPDATE queue.jobs AS job
       SET run_at = now(), state = 'available', lease = NULL, worker_id = NULL, finalized_at = NULL, reason = NULL,
           errors = CASE WHEN job.state = 'available' THEN job.errors ELSE 0 END,
           crashes = CASE WHEN job.state = 'available' THEN job.crashes ELSE 0 END,
           give_up_at = CASE WHEN job.state = 'available' THEN job.give_up_at
                             ELSE now() + LEAST(job.give_up_after, interval '1000 years') END
     WHERE job.id = retry.job_id
       AND job.state IN ('available', 'discarded', 'cancelled')
       AND NOT EXISTS (SELECT FROM queue.jobs AS other
                        WHERE other.unique_key = job.unique_key AND other.id <> job.id
                          AND other.state IN ('available', 'running'));
    IF FOUND THEN
        RETURN 'now';
    END IF;
    PERFORM FROM queue.jobs AS job WHERE job.id = retry.job_id;
    RETURN CASE WHEN FOUND THEN 'refused' ELSE 'not_found' END;
EXCEPTION
    -- Another job took the unique key between the check and the update.
    WHEN unique_violation THEN RETURN 'refused';
END
$$;
