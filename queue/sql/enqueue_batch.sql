-- enqueue_many
WITH clock AS MATERIALIZED (
    SELECT (date_part('epoch', clock_timestamp()) * 1000)::bigint AS ms
), start AS MATERIALIZED (
    SELECT lpad(to_hex(ms), 12, '0') AS head FROM clock
), inserted AS (
    INSERT INTO queue.jobs (id, kind, args, subject, group_key, queue, priority, run_at, give_up_at,
                            give_up_after, max_attempts, max_crashes)
    SELECT (start.head || job.tail)::uuid, $5, job.args, job.subject, job.group_key, $6, $7,
           now() + make_interval(secs => $8) + (job.place - $12) * interval '1 microsecond',
           now() + make_interval(secs => $8 + $9), make_interval(secs => $9), $10, $11
      FROM start
     CROSS JOIN ROWS FROM (unnest($1::text[]), unnest($2::jsonb[]), unnest($3::uuid[]), unnest($4::text[]))
           WITH ORDINALITY AS job (tail, args, subject, group_key, place)
)
SELECT ms FROM clock
