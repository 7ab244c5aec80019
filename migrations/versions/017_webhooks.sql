-- Webhooks: the receivers that want to know when a lecture ends, and the messages sent to them. Secrets are stored in
-- plain text, because an HMAC needs them.

-- Standing subscriptions.
CREATE TABLE webhooks (
    id uuid NOT NULL DEFAULT gen_random_uuid() PRIMARY KEY,
    user_id uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    -- own: lectures that the user is linked to; all: everything, for admins.
    scope text NOT NULL CHECK (scope IN ('own', 'all')),
    url text NOT NULL, -- its query may be a secret
    events text[] NOT NULL CHECK (cardinality(events) >= 1 AND array_position(events, NULL) IS NULL),
    secret bytea NOT NULL CHECK (octet_length(secret) = 32),
    previous_secret bytea CHECK (octet_length(previous_secret) = 32), -- signs too until it expires
    previous_expires_at timestamptz,
    enabled boolean NOT NULL DEFAULT true,
    disabled_reason text, -- for people; NULL while it is enabled
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    -- Set: it exists for nobody, and the job `prune-webhooks` deletes it after its messages.
    removed_at timestamptz,
    CHECK ((previous_secret IS NULL) = (previous_expires_at IS NULL)),
    CHECK (NOT enabled OR disabled_reason IS NULL),
    CHECK (NOT enabled OR removed_at IS NULL)
);

-- A user's subscriptions, and the cascade from users.
CREATE INDEX idx_webhooks_user_id ON webhooks (user_id);
-- The few that get everything.
CREATE INDEX idx_webhooks_all ON webhooks (id) WHERE scope = 'all';
-- Those to delete.
CREATE INDEX idx_webhooks_removed ON webhooks (removed_at) WHERE removed_at IS NOT NULL;

CREATE TRIGGER trg_webhooks_updated_at
    BEFORE UPDATE ON webhooks
    FOR EACH ROW EXECUTE FUNCTION set_updated_at();

-- The secret that signs the messages to a user's callback URLs.
CREATE TABLE callback_secrets (
    user_id uuid NOT NULL PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE,
    secret bytea NOT NULL CHECK (octet_length(secret) = 32),
    previous_secret bytea CHECK (octet_length(previous_secret) = 32), -- signs too until it expires
    previous_expires_at timestamptz,
    CHECK ((previous_secret IS NULL) = (previous_expires_at IS NULL))
);

-- The callback_url of submissions: one for each user of a lecture.
CREATE TABLE lecture_callbacks (
    lecture_id uuid NOT NULL REFERENCES lectures (id) ON DELETE CASCADE,
    user_id uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    url text NOT NULL, -- its query may be a secret
    PRIMARY KEY (lecture_id, user_id)
);

-- The cascade from users.
CREATE INDEX idx_lecture_callbacks_user_id ON lecture_callbacks (user_id);

-- One row for each message to a receiver, written in the transaction that causes it.
CREATE TABLE webhook_messages (
    id uuid NOT NULL DEFAULT gen_random_uuid() PRIMARY KEY, -- the header webhook-id of every attempt
    webhook_id uuid REFERENCES webhooks (id) ON DELETE CASCADE, -- NULL: to a callback_url
    user_id uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE, -- whose subscription or callback it is
    callback_url text,
    -- No foreign key: a message outlives its lecture.
    lecture_id uuid,
    event text NOT NULL,
    payload text NOT NULL, -- the signed bytes; jsonb would change them
    state text NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'delivered', 'failed')),
    created_at timestamptz NOT NULL DEFAULT now(),
    ended_at timestamptz,
    CHECK ((webhook_id IS NULL) <> (callback_url IS NULL)),
    CHECK ((state = 'pending') = (ended_at IS NULL))
);

-- The messages of a subscription, newest first, and the cascade from webhooks.
CREATE INDEX idx_webhook_messages_webhook_id ON webhook_messages (webhook_id, created_at DESC, id DESC)
    WHERE webhook_id IS NOT NULL;
-- The messages to a user's callbacks, newest first.
CREATE INDEX idx_webhook_messages_callbacks ON webhook_messages (user_id, created_at DESC, id DESC)
    WHERE webhook_id IS NULL;
-- The cascade from users.
CREATE INDEX idx_webhook_messages_user_id ON webhook_messages (user_id);
-- Retention.
CREATE INDEX idx_webhook_messages_created_at ON webhook_messages (created_at);

-- One row for each attempt to send a message.
CREATE TABLE webhook_deliveries (
    id bigint NOT NULL GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    message_id uuid NOT NULL REFERENCES webhook_messages (id) ON DELETE CASCADE,
    attempted_at timestamptz NOT NULL DEFAULT now(),
    duration_ms integer NOT NULL CHECK (duration_ms >= 0),
    status integer, -- of the answer; NULL: none came
    error_class text -- NULL: delivered
);

-- A message's attempts, and the cascade from webhook_messages.
CREATE INDEX idx_webhook_deliveries_message_id ON webhook_deliveries (message_id, id);
