-- inspect::count_waiting
-- A list that is as long as its limit may have been cut: one of a kind and a priority, of a kind's jobs with a group, or of
-- suspects. A kind with as many jobs in all counts as cut, too.
SELECT least(counted.matching, $12) AS jobs,
       counted.matching > $12 OR counted.of_kind >= CASE WHEN $1 IS NULL THEN $11 / 10 ELSE $11 END AS more
  FROM (SELECT COALESCE(sum(of_kind.matching), 0)::bigint AS matching, COALESCE(max(of_kind.all), 0) AS of_kind
          FROM (SELECT count(*) FILTER (WHERE id < coalesce($9, 'ffffffff-ffff-ffff-ffff-ffffffffffff'::uuid)
   AND id >= coalesce($10, '00000000-0000-0000-0000-000000000000'::uuid)
                         AND {matches}) AS matching, count(*) AS all
                  FROM (
        {waiting}
                       ) AS job GROUP BY kind) AS of_kind) AS counted
