-- inspect::list_newest
SELECT job.* FROM (
        {newest}
     ) AS job
 WHERE {matches}
 ORDER BY id DESC LIMIT $12
