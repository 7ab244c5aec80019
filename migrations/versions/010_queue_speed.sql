-- Ranges as types. PostgreSQL reads every CHECK constraint of a table anew in each statement that writes the table, which
-- cost a claim of one job a quarter of its work; a type's constraint is kept, and looked at where a value is assigned.
--
-- This writes queue.jobs anew, under a lock that keeps workers waiting meanwhile: ten to twenty seconds for a million jobs.
CREATE DOMAIN queue.priority AS smallint CONSTRAINT jobs_priority_range CHECK (VALUE BETWEEN 1 AND 4);
CREATE DOMAIN queue.fraction AS real CONSTRAINT jobs_progress_range CHECK (VALUE BETWEEN 0 AND 1);
CREATE DOMAIN queue.counter AS integer CONSTRAINT jobs_counters CHECK (VALUE >= 0);
CREATE DOMAIN queue.budget AS integer CONSTRAINT jobs_budgets CHECK (VALUE >= 1);
CREATE DOMAIN queue.patience AS interval CONSTRAINT jobs_time_to_wait CHECK (VALUE >= interval '0');

ALTER TABLE queue.jobs
    ALTER COLUMN priority TYPE queue.priority,
    ALTER COLUMN progress TYPE queue.fraction,
    ALTER COLUMN attempt TYPE queue.counter,
    ALTER COLUMN errors TYPE queue.counter,
    ALTER COLUMN crashes TYPE queue.counter,
    ALTER COLUMN max_attempts TYPE queue.budget,
    ALTER COLUMN max_crashes TYPE queue.budget,
    ALTER COLUMN give_up_after TYPE queue.patience,
    DROP CONSTRAINT jobs_priority_range,
    DROP CONSTRAINT jobs_progress_range,
    DROP CONSTRAINT jobs_counters,
    DROP CONSTRAINT jobs_budgets,
    DROP CONSTRAINT jobs_time_to_wait,
    -- As before; a list of states is dearer to read than two comparisons.
    DROP CONSTRAINT jobs_final_is_dated,
    ADD CONSTRAINT jobs_final_is_dated CHECK
        ((state = 'available' OR state = 'running') = (finalized_at IS NULL));

-- The story of a deleted job goes with it, for all jobs of a statement at once. A foreign key would do that one by one, and
-- look at each update of a job besides, to see that its id has not changed.
ALTER TABLE queue.failed_attempts DROP CONSTRAINT failed_attempts_job_id_fkey;
CREATE FUNCTION queue.forget_attempts() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM queue.failed_attempts WHERE job_id = ANY (ARRAY(SELECT id FROM gone));
    RETURN NULL;
END
$$;
CREATE TRIGGER forget_attempts AFTER DELETE ON queue.jobs
    REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION queue.forget_attempts();
