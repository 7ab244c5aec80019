-- inspect::list_of_subjects
SELECT {columns} FROM (
        {of_subjects}
     ) AS job
 WHERE {matches}
 ORDER BY id DESC LIMIT $12
