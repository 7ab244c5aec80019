-- no-transaction
-- Claim: suspects of a kind. Programs of the earlier version use jobs_suspects.
CREATE INDEX CONCURRENTLY jobs_suspects_of_kind ON queue.jobs (kind, priority, run_at)
    WHERE state = 'available' AND crashes > 0;
