-- Documents: PDFs that users uploaded. The bytes are in storage; the row knows where.

CREATE TYPE document_status AS ENUM ('uploaded', 'failed');

CREATE TABLE documents (
    id uuid NOT NULL DEFAULT gen_random_uuid() PRIMARY KEY,
    -- Exactly one user. The foreign key is in 006: `users` does not exist yet here.
    owner_id uuid NOT NULL,
    -- Groups documents; no foreign key, as for lectures.
    course_id uuid NOT NULL,
    -- As the client named it. Shown, never used as a path.
    filename text NOT NULL,
    -- Logical key: `documents/{id}.pdf`.
    storage_key text NOT NULL,
    -- SHA-256 of the bytes, hexadecimal: the same file uploaded twice is one document.
    checksum text NOT NULL,
    mime_type text NOT NULL,
    size_bytes bigint NOT NULL,
    -- Filled by later parsing.
    page_count integer,
    -- Filled by a later summary.
    description text,
    status document_status NOT NULL DEFAULT 'uploaded',
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    -- Per owner: each user controls their own copy. Led by owner_id, so it also serves the cascade from users.
    CONSTRAINT uq_documents_owner_id_course_id_checksum UNIQUE (owner_id, course_id, checksum)
);

-- Lists by course, and the question whether anything still refers to a course.
CREATE INDEX idx_documents_course_id ON documents (course_id);
-- The same file across owners and courses.
CREATE INDEX idx_documents_checksum ON documents (checksum);

CREATE TRIGGER trg_documents_updated_at BEFORE UPDATE ON documents
    FOR EACH ROW EXECUTE FUNCTION set_updated_at();
