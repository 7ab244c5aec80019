-- Signed-in browsers. A cookie holds 256 random bits and the row their SHA-256, so a copy of the table opens no session.
CREATE TABLE sessions (
    sha256 bytea NOT NULL PRIMARY KEY CHECK (octet_length(sha256) = 32),
    user_id uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    -- What the user signed in with. The session ends when it is revoked, removed or expired.
    source text NOT NULL CHECK (source IN ('configured', 'api_token', 'jwt', 'code')),
    credential bytea NOT NULL CHECK (octet_length(credential) = 32), -- its SHA-256
    admin boolean NOT NULL,
    may_write boolean NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,
    last_seen_at timestamptz NOT NULL DEFAULT now() -- at most an hour late
);

-- The cascade from users.
CREATE INDEX idx_sessions_user_id ON sessions (user_id);
-- Each sign-in deletes expired rows.
CREATE INDEX idx_sessions_expires_at ON sessions (expires_at);

-- Links that sign in once, such as the one that `bedel dev` prints.
CREATE TABLE sign_in_codes (
    sha256 bytea NOT NULL PRIMARY KEY CHECK (octet_length(sha256) = 32),
    user_id uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    admin boolean NOT NULL,
    may_write boolean NOT NULL,
    expires_at timestamptz NOT NULL,
    used_at timestamptz
);

CREATE INDEX idx_sign_in_codes_user_id ON sign_in_codes (user_id);
CREATE INDEX idx_sign_in_codes_expires_at ON sign_in_codes (expires_at);
