-- claim
WITH RECURSIVE paused AS MATERIALIZED (
    SELECT ARRAY(SELECT name::text FROM queue.queues WHERE paused_at IS NOT NULL) AS queues
), wanted AS MATERIALIZED (
    SELECT w.*, paused.queues AS paused
      FROM unnest($4::text[], $5::text[], $6::integer[], $7::integer[],
                  $8::timestamptz[], $9::timestamptz[], $10::timestamptz[], $11::timestamptz[], $13::boolean[])
           AS w (kind, queue, free, group_limit, from_1, from_2, from_3, from_4, breaker)
     CROSS JOIN paused
     WHERE free > 0 AND queue <> ALL (paused.queues) AND EXISTS (SELECT FROM queue.workers WHERE id = $1)
), busy AS MATERIALIZED (
    SELECT group_key, count(*) AS running FROM queue.jobs
     WHERE state = 'running' AND group_key IS NOT NULL
     GROUP BY group_key
), suspect AS MATERIALIZED (
    SELECT job.ctid AS place, job.kind, job.group_key, ({spent}) AS spent
      FROM queue.jobs AS job JOIN wanted ON wanted.kind = job.kind
     WHERE {suspect} AND {due}
       -- A process with nothing else to do comes first.
       AND ($3 AND ($15 OR job.run_at <= now() - interval '5 seconds') OR {spent})
       AND (wanted.group_limit IS NULL OR job.group_key IS NULL
            OR wanted.group_limit > COALESCE((SELECT running FROM busy WHERE busy.group_key = job.group_key), 0))
       AND (NOT wanted.breaker OR ({spent})
            OR CASE WHEN NOT jsonb_exists($14::jsonb, job.group_key) THEN 0
                       ELSE COALESCE(($14::jsonb ->> job.group_key)::integer, 1) END > 0)
     ORDER BY job.priority, job.run_at
     LIMIT 1
       FOR UPDATE OF job SKIP LOCKED
), groups AS (
    SELECT wanted.kind, first.group_key
      FROM wanted
     CROSS JOIN LATERAL (
           SELECT group_key FROM queue.jobs AS job
            WHERE job.kind = wanted.kind AND {grouped}
            ORDER BY group_key LIMIT 1
     ) AS first
    UNION ALL
    SELECT groups.kind, next.group_key
      FROM groups
     CROSS JOIN LATERAL (
           SELECT group_key FROM queue.jobs AS job
            WHERE job.kind = groups.kind AND job.group_key > groups.group_key
              AND {grouped}
            ORDER BY group_key LIMIT 1
     ) AS next
), room AS MATERIALIZED (
    -- No number where there is no limit: LEAST passes over NULL.
    SELECT wanted.kind, wanted.paused, wanted.free, groups.group_key,
           LEAST(wanted.group_limit - COALESCE(busy.running, 0),
                 CASE WHEN NOT wanted.breaker THEN NULL
                      WHEN NOT jsonb_exists($14::jsonb, groups.group_key) THEN 0
                      ELSE ($14::jsonb ->> groups.group_key)::integer END)
                 - (SELECT count(*) FROM suspect WHERE suspect.group_key = groups.group_key) AS room
      FROM groups JOIN wanted USING (kind) LEFT JOIN busy USING (group_key)
), grouped AS MATERIALIZED (
    -- Kinds that share a group share its room: the limit holds for the first of all of them together.
    SELECT kind, place, priority, run_at
      FROM (SELECT room.kind, room.room, due.*,
                   row_number() OVER (PARTITION BY room.group_key ORDER BY due.priority, due.run_at, due.place) AS turn
              FROM room
             CROSS JOIN LATERAL (
                   SELECT found.place, found.priority, found.run_at
                     FROM (VALUES (1::smallint), (2::smallint), (3::smallint), (4::smallint)) AS p (priority)
                    CROSS JOIN LATERAL (
                          SELECT job.ctid AS place, priority, run_at FROM queue.jobs AS job
                           WHERE job.kind = room.kind AND job.group_key = room.group_key
                             AND job.priority = p.priority AND {grouped} AND {due}
                           ORDER BY run_at
                           LIMIT LEAST(room.free, room.room)
                             FOR UPDATE SKIP LOCKED
                    ) AS found
                    LIMIT LEAST(room.free, room.room)
             ) AS due
             WHERE room.room IS NULL OR room.room > 0) AS fits
     WHERE room IS NULL OR turn <= room
), chosen AS (
    SELECT due.place
      FROM wanted
     CROSS JOIN LATERAL (
           SELECT place
             FROM ((SELECT single.*
                     FROM (VALUES (1::smallint, from_1), (2::smallint, from_2),
                                  (3::smallint, from_3), (4::smallint, from_4)) AS p (priority, start)
                    CROSS JOIN LATERAL (
                          SELECT job.ctid AS place, priority, run_at FROM queue.jobs AS job
                           WHERE job.kind = wanted.kind AND job.priority = p.priority
                             AND {single}
                             AND {due} AND run_at >= COALESCE(p.start, '-infinity')
                           ORDER BY run_at
                           LIMIT wanted.free
                             FOR UPDATE SKIP LOCKED
                    ) AS single
                    LIMIT wanted.free)
                   UNION ALL
                   SELECT place, priority, run_at FROM grouped WHERE grouped.kind = wanted.kind) AS found
            ORDER BY priority, run_at
            -- A suspect gets no company.
            LIMIT CASE WHEN EXISTS (SELECT FROM suspect WHERE NOT spent) THEN 0
                       ELSE wanted.free - (SELECT count(*) FROM suspect WHERE suspect.kind = wanted.kind) END
     ) AS due
)
UPDATE queue.jobs AS job
   SET state = 'running', lease = ($12::uuid[])[number], worker_id = $1, worker = $2,
       attempt = attempt + (attempt < 2147483647)::integer, attempted_at = now(), progress = NULL,
       alone = $15 AND EXISTS (SELECT FROM suspect WHERE NOT spent)
  FROM unnest(ARRAY(SELECT place FROM suspect UNION ALL SELECT place FROM chosen))
       WITH ORDINALITY AS claimed (place, number)
 WHERE job.ctid = claimed.place
RETURNING job.id, job.kind::text, job.args, job.subject, job.lease, job.priority, job.run_at, job.attempt,
          job.errors, job.crashes, job.max_attempts, job.checkpoint,
          job.attempted_at, job.created_at, job.group_key::text, NULL::text AS group_error, ({spent}) AS spent
