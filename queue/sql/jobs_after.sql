-- inspect::after
SELECT {columns} FROM queue.jobs AS job WHERE subject = $1 AND id > $2 ORDER BY id LIMIT $3
