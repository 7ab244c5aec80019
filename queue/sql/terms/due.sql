job.run_at <= now() AND job.queue <> ALL (paused)
