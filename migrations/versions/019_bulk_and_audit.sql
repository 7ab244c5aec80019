-- Actions of operators: those on many jobs at once, and a record of all.

-- One row per bulk operation. Its job works in portions; each portion's changes, counts and position are one transaction, so a
-- job is changed once, however often the worker dies.
CREATE TABLE bulk_operations (
    id uuid NOT NULL PRIMARY KEY, -- the subject of its job
    job_id uuid NOT NULL, -- its job in the queue; it changes only jobs enqueued before that one
    created_at timestamptz NOT NULL DEFAULT now(),
    user_id uuid, -- NULL: the command line. No foreign key: the record outlives the user
    source text NOT NULL CHECK (source IN ('api', 'cli', 'ui')),
    action text NOT NULL CHECK (action IN ('retry', 'cancel', 'reprioritise', 'delete')),
    filter jsonb NOT NULL, -- the conditions as they were given
    subjects uuid[], -- the lectures of the filter's user at the start; NULL without a user
    priority smallint CHECK (priority BETWEEN 1 AND 4),
    total bigint NOT NULL, -- matching jobs at the start
    total_is_capped boolean NOT NULL, -- there may have been more
    position uuid NOT NULL, -- all jobs up to this id are done
    changed bigint NOT NULL DEFAULT 0,
    refused bigint NOT NULL DEFAULT 0, -- matching jobs in a state that the action does not apply to
    ended_at timestamptz,
    outcome text CHECK (outcome IN ('done', 'stopped', 'failed')),
    CHECK ((ended_at IS NULL) = (outcome IS NULL)),
    CHECK ((action = 'reprioritise') = (priority IS NOT NULL))
);

-- The newest operations, and the oldest for deletion.
CREATE INDEX idx_bulk_operations_created_at ON bulk_operations (created_at);

-- What operators did, written in the transaction of the deed. Holds no secret.
CREATE TABLE audit_log (
    id bigint NOT NULL GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at timestamptz NOT NULL DEFAULT now(),
    user_id uuid, -- NULL: the command line, which has no users
    source text NOT NULL CHECK (source IN ('api', 'cli', 'ui')),
    action text NOT NULL, -- a stable word, such as retry-job
    target text, -- the id or name of what was acted on
    count bigint NOT NULL, -- jobs changed
    detail jsonb NOT NULL
);

-- Old rows, for deletion.
CREATE INDEX idx_audit_log_at ON audit_log (at);
