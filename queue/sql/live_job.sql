-- inspect::live_job
SELECT {columns} FROM queue.jobs AS job
 WHERE subject = $1 AND state IN ('available', 'running')
 ORDER BY id DESC LIMIT 1
