-- inspect::count_of_subjects
SELECT least(counted.matching, $12) AS jobs, counted.matching > $12 OR counted.all >= $11 AS more
  FROM (SELECT count(*) FILTER (WHERE {matches}) AS matching, count(*) AS all
          FROM (
        {of_subjects}
               ) AS job) AS counted
