-- operate::retry
UPDATE queue.jobs AS job
   SET run_at = now(), state = 'available', lease = NULL, worker_id = NULL, finalized_at = NULL, reason = NULL,
       errors = CASE WHEN state = 'available' THEN errors ELSE 0 END,
       crashes = CASE WHEN state = 'available' THEN crashes ELSE 0 END,
       give_up_at = CASE WHEN state = 'available' THEN give_up_at ELSE now() + give_up_after END
 WHERE id = $1
   AND state IN ('available', 'discarded', 'cancelled')
   AND NOT EXISTS (SELECT FROM queue.jobs AS other
                    WHERE other.unique_key = job.unique_key AND other.id <> job.id
                      AND other.state IN ('available', 'running'))
