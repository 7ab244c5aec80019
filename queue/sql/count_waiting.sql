-- inspect::count_waiting
SELECT least(counted.matching, $12) AS jobs, counted.matching > $12 OR counted.all >= $11 AS more
  FROM (SELECT count(*) FILTER (WHERE {matches}) AS matching, count(*) AS all
          FROM (
        {waiting}
               ) AS job) AS counted
