-- activity::count_minute
WITH due AS (
    UPDATE queue.counted_minutes
       SET until = greatest(until, date_trunc('minute', now()) - interval '2 days') + interval '1 minute'
     WHERE until <= now() - interval '90 seconds'
    RETURNING until - interval '1 minute' AS minute
), found AS (
    SELECT due.minute, ended.kind, ended.queue, ended.state::text AS event
      FROM due
     CROSS JOIN unnest('{completed,discarded,cancelled}'::queue.job_state[]) AS final (state)
     CROSS JOIN LATERAL (
           SELECT kind, queue, state FROM queue.jobs
            WHERE state = final.state AND finalized_at >= due.minute
              AND finalized_at < due.minute + interval '1 minute'
     ) AS ended
     UNION ALL
    SELECT due.minute, job.kind, job.queue, 'failed'
      FROM due
     CROSS JOIN LATERAL (
           SELECT job_id FROM queue.failed_attempts
            WHERE failed_at >= due.minute AND failed_at < due.minute + interval '1 minute'
            OFFSET 0
     ) AS attempts
     CROSS JOIN LATERAL (SELECT kind, queue FROM queue.jobs WHERE id = attempts.job_id OFFSET 0) AS job
), counted AS (
    INSERT INTO queue.minutes (minute, kind, queue, completed, discarded, cancelled, failed)
    SELECT minute, kind, queue,
           count(*) FILTER (WHERE event = 'completed'), count(*) FILTER (WHERE event = 'discarded'),
           count(*) FILTER (WHERE event = 'cancelled'), count(*) FILTER (WHERE event = 'failed')
      FROM found
     GROUP BY minute, kind, queue
    ON CONFLICT DO NOTHING -- the mark was set back by hand
)
SELECT minute FROM due
