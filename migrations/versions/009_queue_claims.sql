-- What the claim needs to stay flat: limits per group, paused queues, comparisons that cost no locale.

-- Names are compared byte by byte: the claim, the unique keys and the groups never need a language's order.
ALTER TABLE queue.jobs
    ALTER COLUMN kind TYPE text COLLATE "C",
    ALTER COLUMN queue TYPE text COLLATE "C",
    ALTER COLUMN unique_key TYPE text COLLATE "C",
    ALTER COLUMN group_key TYPE text COLLATE "C";

-- The claim: ordinary jobs by kind, in order. A job stands in exactly one of these two.
DROP INDEX queue.jobs_claim;
CREATE INDEX jobs_claim ON queue.jobs (kind, priority, run_at)
    WHERE state = 'available' AND crashes = 0 AND group_key IS NULL;
CREATE INDEX jobs_claim_grouped ON queue.jobs (kind, group_key, priority, run_at)
    WHERE state = 'available' AND crashes = 0 AND group_key IS NOT NULL;
-- The claim: how many of a group run, over the whole fleet.
CREATE INDEX jobs_running_grouped ON queue.jobs (group_key) WHERE state = 'running' AND group_key IS NOT NULL;

-- Queues that somebody paused or resumed; one that has no row was never paused.
CREATE TABLE queue.queues (
    name       text COLLATE "C" PRIMARY KEY,
    paused_at  timestamptz,                          -- NULL = it runs
    changed_at timestamptz NOT NULL DEFAULT now()    -- last pause or resume
);

-- As before, with arithmetic that costs half: floating point instead of decimal.
CREATE OR REPLACE FUNCTION queue.new_id() RETURNS uuid
LANGUAGE sql VOLATILE PARALLEL SAFE AS $$
    SELECT encode(
        set_bit(set_bit(
            overlay(uuid_send(gen_random_uuid())
                    PLACING substring(int8send((date_part('epoch', clock_timestamp()) * 1000)::bigint) FROM 3)
                    FROM 1 FOR 6),
            52, 1), 53, 1),
        'hex')::uuid
$$;

-- What SQL can see of the promises. A claim counts itself; an attempt spends one budget at most; only success leaves a result;
-- what advanced is there.
ALTER TABLE queue.jobs
    ADD CONSTRAINT jobs_running_was_claimed CHECK (state <> 'running' OR attempt >= 1),
    ADD CONSTRAINT jobs_spent_by_attempts CHECK (errors + crashes <= attempt),
    ADD CONSTRAINT jobs_result_of_success CHECK (result IS NULL OR state = 'completed'),
    ADD CONSTRAINT jobs_advanced_has_a_checkpoint CHECK (NOT checkpoint_advanced OR checkpoint IS NOT NULL),
    ADD CONSTRAINT jobs_time_to_wait CHECK (give_up_after >= interval '0');
ALTER TABLE queue.failed_attempts
    ADD CONSTRAINT failed_attempts_counted CHECK (attempt >= 1),
    ADD CONSTRAINT failed_attempts_told
        CHECK (class <> '' AND char_length(class) <= 60 AND char_length(message) <= 2000);
