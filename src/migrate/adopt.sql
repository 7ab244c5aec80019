-- Adds to a database that another program made by the schema document what it lacks, and touches nothing that is there.
-- Foreign keys come NOT VALID: rows that break them are found afterwards, and are no reason to stop.

DO $$
BEGIN
    IF to_regprocedure('set_updated_at()') IS NULL THEN
        CREATE FUNCTION set_updated_at() RETURNS trigger LANGUAGE plpgsql AS $body$
        BEGIN
            NEW.updated_at = now();
            RETURN NEW;
        END;
        $body$;
    END IF;
END;
$$;

CREATE TABLE IF NOT EXISTS user_courses (
    user_id uuid NOT NULL,
    course_id uuid NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (user_id, course_id)
);

-- Triggers: whatever its name, one that calls the function will do.
DO $$
DECLARE
    wanted record;
BEGIN
    FOR wanted IN SELECT unnest(ARRAY['lectures', 'documents', 'courses']) AS name LOOP
        IF NOT EXISTS (
            SELECT FROM pg_trigger
            WHERE tgrelid = wanted.name::regclass AND tgfoid = 'set_updated_at()'::regprocedure AND NOT tgisinternal
        ) THEN
            EXECUTE format(
                'CREATE TRIGGER %I BEFORE UPDATE ON %I FOR EACH ROW EXECUTE FUNCTION set_updated_at()',
                'trg_' || wanted.name || '_updated_at', wanted.name
            );
        END IF;
    END LOOP;
END;
$$;

-- Defaults, where a column has none.
DO $$
DECLARE
    wanted record;
BEGIN
    FOR wanted IN
        SELECT t.name, t.col, t.expression
        FROM (VALUES
            ('lectures', 'id', 'gen_random_uuid()'), ('lectures', 'status', '''pending'''),
            ('lectures', 'created_at', 'now()'), ('lectures', 'updated_at', 'now()'),
            ('documents', 'id', 'gen_random_uuid()'), ('documents', 'status', '''uploaded'''),
            ('documents', 'created_at', 'now()'), ('documents', 'updated_at', 'now()'),
            ('courses', 'id', 'gen_random_uuid()'), ('courses', 'is_official', 'false'),
            ('courses', 'created_at', 'now()'), ('courses', 'updated_at', 'now()'),
            ('user_lectures', 'created_at', 'now()'), ('user_courses', 'created_at', 'now()')
        ) AS t (name, col, expression)
        JOIN pg_attribute AS a ON a.attrelid = t.name::regclass AND a.attname = t.col
        WHERE NOT a.atthasdef
    LOOP
        EXECUTE format('ALTER TABLE %I ALTER COLUMN %I SET DEFAULT %s', wanted.name, wanted.col, wanted.expression);
    END LOOP;
END;
$$;

CREATE INDEX IF NOT EXISTS idx_lectures_course_id ON lectures (course_id);
CREATE INDEX IF NOT EXISTS idx_documents_course_id ON documents (course_id);
CREATE INDEX IF NOT EXISTS idx_documents_checksum ON documents (checksum);
CREATE INDEX IF NOT EXISTS idx_user_lectures_lecture_id ON user_lectures (lecture_id);
CREATE INDEX IF NOT EXISTS idx_user_courses_course_id ON user_courses (course_id);

-- Foreign keys: whatever its name, one over the same column to the same table that cascades will do.
DO $$
DECLARE
    wanted record;
BEGIN
    FOR wanted IN
        SELECT t.name, t.col, t.target
        FROM (VALUES
            ('documents', 'owner_id', 'users'),
            ('user_lectures', 'user_id', 'users'), ('user_lectures', 'lecture_id', 'lectures'),
            ('user_courses', 'user_id', 'users'), ('user_courses', 'course_id', 'courses')
        ) AS t (name, col, target)
        WHERE NOT EXISTS (
            SELECT FROM pg_constraint AS c
            JOIN pg_attribute AS a ON a.attrelid = c.conrelid AND a.attname = t.col AND c.conkey = ARRAY[a.attnum]
            WHERE c.conrelid = t.name::regclass AND c.confrelid = t.target::regclass AND c.contype = 'f' AND c.confdeltype = 'c'
        )
    LOOP
        EXECUTE format(
            'ALTER TABLE %I ADD CONSTRAINT %I FOREIGN KEY (%I) REFERENCES %I (id) ON DELETE CASCADE NOT VALID',
            wanted.name, 'fk_' || wanted.name || '_' || wanted.col, wanted.col, wanted.target
        );
    END LOOP;
END;
$$;
