-- API tokens: their owners and scopes, never the token itself.
CREATE TABLE api_tokens (
    id uuid NOT NULL DEFAULT gen_random_uuid() PRIMARY KEY,
    user_id uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    name text NOT NULL, -- its purpose, in its owner's words
    -- Each scope includes those before it.
    scope text NOT NULL CHECK (scope IN ('read', 'write', 'admin')),
    -- Tokens have 256 random bits, so a plain hash needs neither salt nor stretching.
    sha256 bytea NOT NULL UNIQUE CHECK (octet_length(sha256) = 32),
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz, -- NULL: never
    revoked_at timestamptz
);

-- A user's tokens, and the cascade from users.
CREATE INDEX idx_api_tokens_user_id ON api_tokens (user_id);
