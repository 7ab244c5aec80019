-- activity::count_minute
-- Counts at most $1 seconds, and never past the end of a minute. The first part of a minute replaces what was counted of it
-- before, so a mark that was set back to a minute's start counts nothing twice.
WITH next AS (
    SELECT until AS mark, greatest(until, date_trunc('minute', now()) - interval '2 days') AS first
      FROM queue.counted_minutes
     WHERE until <= now() - interval '90 seconds'
), due AS (
    UPDATE queue.counted_minutes
       SET until = least(next.first + make_interval(secs => $1), date_trunc('minute', next.first) + interval '1 minute')
      FROM next
     WHERE counted_minutes.until = next.mark
    RETURNING next.first, until AS past, date_trunc('minute', next.first) AS minute
), found AS (
    SELECT due.minute, ended.kind, ended.queue, ended.state::text AS event
      FROM due
     CROSS JOIN unnest('{completed,discarded,cancelled}'::queue.job_state[]) AS final (state)
     CROSS JOIN LATERAL (
           SELECT kind, queue, state FROM queue.jobs
            WHERE state = final.state AND finalized_at >= due.first AND finalized_at < due.past
     ) AS ended
     UNION ALL
    SELECT due.minute, job.kind, job.queue, 'failed'
      FROM due
     CROSS JOIN LATERAL (
           SELECT job_id FROM queue.failed_attempts
            WHERE failed_at >= due.first AND failed_at < due.past
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
    ON CONFLICT (minute, kind, queue) DO UPDATE
       SET (completed, discarded, cancelled, failed) = (
           SELECT kept.times * minutes.completed + excluded.completed, kept.times * minutes.discarded + excluded.discarded,
                  kept.times * minutes.cancelled + excluded.cancelled, kept.times * minutes.failed + excluded.failed
             FROM (SELECT (due.first > due.minute)::integer AS times FROM due) AS kept)
)
SELECT minute FROM due
