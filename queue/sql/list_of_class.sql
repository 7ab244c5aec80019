-- inspect::list_of_class
SELECT {columns} FROM (
        {of_class}
     ) AS job
 WHERE {matches}
 ORDER BY failed_job DESC, failed_attempt DESC LIMIT $12
