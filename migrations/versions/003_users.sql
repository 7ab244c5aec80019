-- Users: the target of foreign keys and the start of cascades. An application that shares this database may have
-- made the table already, with more columns and with rows; then it is taken as it is and nothing in it changes.

CREATE TABLE IF NOT EXISTS users (
    -- From the caller's token, so there is no default. Rows appear when a user first uploads something.
    id uuid NOT NULL PRIMARY KEY,
    created_at timestamptz NOT NULL DEFAULT now()
);

-- Foreign keys need a table whose column `id` is a uuid and unique by itself. Say so here, in words, rather than
-- let the first foreign key fail with a riddle.
DO $$
BEGIN
    IF NOT EXISTS (
        SELECT
        FROM pg_class AS found
        JOIN pg_attribute AS id ON id.attrelid = found.oid AND id.attname = 'id' AND NOT id.attisdropped
        JOIN pg_index AS index ON index.indrelid = found.oid AND index.indisunique AND index.indimmediate
        WHERE found.oid = to_regclass('users')
            AND found.relkind IN ('r', 'p')
            AND id.atttypid = 'uuid'::regtype
            AND index.indnkeyatts = 1
            AND index.indkey[0] = id.attnum
            AND index.indpred IS NULL
    ) THEN
        RAISE EXCEPTION 'the existing "users" cannot be adopted: it must be a table whose column "id" is of type uuid and is its primary key or unique';
    END IF;
END;
$$;
