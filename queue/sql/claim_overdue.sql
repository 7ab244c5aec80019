-- claim_overdue
WITH paused AS MATERIALIZED (
    SELECT ARRAY(SELECT name::text FROM queue.queues WHERE paused_at IS NOT NULL) AS queues
), wanted AS MATERIALIZED (
    SELECT w.kind, w.free, paused.queues AS paused
      FROM unnest($3::text[], $4::text[], $5::integer[]) AS w (kind, queue, free)
     CROSS JOIN paused
     WHERE queue <> ALL (paused.queues) AND EXISTS (SELECT FROM queue.workers WHERE id = $1)
), overdue AS MATERIALIZED (
    SELECT due.place, wanted.free, row_number() OVER (PARTITION BY wanted.kind ORDER BY due.give_up_at) AS turn
      FROM wanted
     CROSS JOIN unnest($6::text[]) AS open_group (group_key)
     CROSS JOIN LATERAL (
           SELECT job.ctid AS place, give_up_at FROM queue.jobs AS job
            WHERE job.group_key = open_group.group_key AND job.kind = wanted.kind AND give_up_at <= now()
              AND state = 'available' AND group_key IS NOT NULL AND queue <> ALL (wanted.paused)
            ORDER BY give_up_at
            LIMIT wanted.free
              FOR UPDATE SKIP LOCKED
     ) AS due
)
UPDATE queue.jobs AS job
   SET state = 'running', lease = gen_random_uuid(), worker_id = $1, worker = $2,
       attempt = attempt + (attempt < 2147483647)::integer, attempted_at = now(), progress = NULL
 WHERE ctid = ANY (ARRAY(SELECT place FROM overdue WHERE turn <= free))
RETURNING job.id, job.kind::text, job.args, job.subject, job.lease, job.priority, job.run_at, job.attempt,
          job.errors, job.crashes, job.max_attempts, job.checkpoint,
          job.attempted_at, job.created_at, job.group_key::text,
          COALESCE((SELECT message FROM queue.breakers AS breaker WHERE breaker.group_key = job.group_key), ''),
          ({spent}) AS spent
