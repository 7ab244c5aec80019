-- Courses: official ones come from the university's catalogue (CDCS), the others from users.

CREATE TABLE courses (
    -- Lectures and documents keep this id without a foreign key, so a course that is deleted and comes back
    -- under a new id has lost them: a course that something refers to is never deleted by the sync.
    id uuid NOT NULL DEFAULT gen_random_uuid() PRIMARY KEY,
    -- Such as `CSC 173`, without the section.
    code text NOT NULL,
    title text NOT NULL,
    -- Not filled by the sync unless configured.
    instructor text,
    -- True for rows that the sync owns: only those are updated or deleted by it.
    is_official boolean NOT NULL DEFAULT false,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    -- Also the index by which courses are listed in order of their code.
    CONSTRAINT uq_courses_code UNIQUE (code)
);

CREATE TRIGGER trg_courses_updated_at BEFORE UPDATE ON courses
    FOR EACH ROW EXECUTE FUNCTION set_updated_at();
