-- no-transaction
-- The live jobs of a subject, for cancel_subject, pull_forward and live_job. jobs_subject also holds all that ended, and a
-- subject may have thousands of those. Jobs without a subject have no entry.
CREATE INDEX CONCURRENTLY jobs_subject_live ON queue.jobs (subject, id)
    WHERE subject IS NOT NULL AND state IN ('available', 'running');
