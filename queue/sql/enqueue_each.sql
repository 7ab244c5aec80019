-- enqueue
SELECT done.id, done.created
  FROM (SELECT * FROM unnest($1::text[], $2::jsonb[], $3::uuid[], $4::text[], $5::text[], $6::text[],
                             $7::smallint[], $8::float8[], $9::float8[], $10::integer[], $11::integer[])
          WITH ORDINALITY AS t (kind, args, subject, unique_key, group_key, queue,
                                priority, delay, give_up_after, max_attempts, max_crashes, place)
         ORDER BY unique_key, place) AS job
 CROSS JOIN LATERAL queue.enqueue(
       kind => job.kind, args => job.args, subject => job.subject, unique_key => job.unique_key,
       group_key => job.group_key, queue => job.queue, priority => job.priority,
       delay => make_interval(secs => job.delay), give_up_after => make_interval(secs => job.give_up_after),
       max_attempts => job.max_attempts, max_crashes => job.max_crashes) AS done
 ORDER BY job.place
