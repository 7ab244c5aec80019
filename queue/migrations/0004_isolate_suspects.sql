-- Crashes. The first is only remembered: machines die. A second one in a row without progress makes the job a suspect
-- (crashes > 0), which runs alone in its process; from then on a crash counts if the job ran alone. Programs of the earlier
-- version leave these columns at their defaults.
ALTER TABLE queue.jobs
    ADD COLUMN crash_remembered boolean NOT NULL DEFAULT false,    -- the process of the last attempt died
    ADD COLUMN alone            boolean NOT NULL DEFAULT false,    -- the running attempt has its process to itself
    ADD COLUMN crashed_out      boolean NOT NULL DEFAULT false;    -- the process died when the job's time was up: no more runs

-- As before, and forgets crashes.
CREATE OR REPLACE FUNCTION queue.retry(job_id uuid) RETURNS text
LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    UPDATE queue.jobs AS job
       SET run_at = now(), state = 'available', lease = NULL, worker_id = NULL, finalized_at = NULL, reason = NULL,
           errors = CASE WHEN job.state = 'available' THEN job.errors ELSE 0 END,
           crashes = CASE WHEN job.state = 'available' THEN job.crashes ELSE 0 END,
           crash_remembered = job.state = 'available' AND job.crash_remembered,
           crashed_out = job.state = 'available' AND job.crashed_out,
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
