job.id, job.kind, job.queue, job.state, job.priority, job.args, job.subject, job.attempt, job.errors, job.crashes,
       job.max_attempts, job.max_crashes, job.created_at, job.run_at, job.give_up_at, job.attempted_at, job.finalized_at,
       job.worker, job.progress, job.reason, job.checkpoint, job.result
