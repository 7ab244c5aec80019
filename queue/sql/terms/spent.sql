job.crashed_out OR job.crashes >= greatest(job.max_crashes, 2)
