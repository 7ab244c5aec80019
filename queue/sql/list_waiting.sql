-- inspect::list_waiting
SELECT job.* FROM (
        {waiting}
     ) AS job
 WHERE {matches}
 ORDER BY id DESC LIMIT $12
