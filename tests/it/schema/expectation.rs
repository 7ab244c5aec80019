//! The expected schema, written from the schema document. Constraint names, the order of columns and of enum
//! values count only where the document gives them.

/// One line per fact, in the format of `live`. Column lines: type, nullability, default.
pub const SCHEMA: &str = "
enum document_status: uploaded, failed
enum lecture_status: pending, downloading, completed, failed
function set_updated_at() returns trigger

table api_tokens
column api_tokens.id: uuid, not null, default gen_random_uuid()
column api_tokens.user_id: uuid, not null
column api_tokens.name: text, not null
column api_tokens.scope: text, not null
column api_tokens.sha256: bytea, not null
column api_tokens.created_at: timestamp with time zone, not null, default now()
column api_tokens.expires_at: timestamp with time zone, null
column api_tokens.revoked_at: timestamp with time zone, null
constraint api_tokens: CHECK ((octet_length(sha256) = 32))
constraint api_tokens: CHECK ((scope = ANY (ARRAY['read'::text, 'write'::text, 'admin'::text])))
constraint api_tokens: FOREIGN KEY (user_id) REFERENCES users(id) ON DELETE CASCADE
constraint api_tokens: PRIMARY KEY (id)
constraint api_tokens: UNIQUE (sha256)
index api_tokens: idx_api_tokens_user_id btree (user_id)

table course_defaults
column course_defaults.course_id: uuid, not null
column course_defaults.user_id: uuid, null
column course_defaults.language: text, null
column course_defaults.vocabulary: text[], null
column course_defaults.engine: text, null
column course_defaults.model: text, null
constraint course_defaults: CHECK (((cardinality(vocabulary) <= 200) AND (array_position(vocabulary, NULL::text) IS NULL)))
constraint course_defaults: CHECK ((engine = ANY (ARRAY['embedded'::text, 'openai'::text, 'task'::text])))
constraint course_defaults: FOREIGN KEY (course_id) REFERENCES courses(id) ON DELETE CASCADE
constraint course_defaults: FOREIGN KEY (user_id) REFERENCES users(id) ON DELETE CASCADE
index course_defaults: idx_course_defaults_course_id_user_id UNIQUE btree (course_id, COALESCE(user_id, '00000000-0000-0000-0000-000000000000'::uuid))
index course_defaults: idx_course_defaults_user_id btree (user_id)

table courses
column courses.id: uuid, not null, default gen_random_uuid()
column courses.code: text, not null
column courses.title: text, not null
column courses.instructor: text, null
column courses.is_official: boolean, not null, default false
column courses.created_at: timestamp with time zone, not null, default now()
column courses.updated_at: timestamp with time zone, not null, default now()
constraint courses: PRIMARY KEY (id)
constraint courses: uq_courses_code UNIQUE (code)
trigger courses: trg_courses_updated_at BEFORE UPDATE FOR EACH ROW EXECUTE FUNCTION set_updated_at()

table documents
column documents.id: uuid, not null, default gen_random_uuid()
column documents.owner_id: uuid, not null
column documents.course_id: uuid, not null
column documents.filename: text, not null
column documents.storage_key: text, not null
column documents.checksum: text, not null
column documents.mime_type: text, not null
column documents.size_bytes: bigint, not null
column documents.page_count: integer, null
column documents.description: text, null
column documents.status: document_status, not null, default 'uploaded'::document_status
column documents.created_at: timestamp with time zone, not null, default now()
column documents.updated_at: timestamp with time zone, not null, default now()
constraint documents: FOREIGN KEY (owner_id) REFERENCES users(id) ON DELETE CASCADE
constraint documents: PRIMARY KEY (id)
constraint documents: UNIQUE (owner_id, course_id, checksum)
index documents: idx_documents_checksum btree (checksum)
index documents: idx_documents_course_id btree (course_id)
trigger documents: trg_documents_updated_at BEFORE UPDATE FOR EACH ROW EXECUTE FUNCTION set_updated_at()

table lecture_options
column lecture_options.lecture_id: uuid, not null
column lecture_options.language: text, null
column lecture_options.vocabulary: text[], null
column lecture_options.engine: text, null
column lecture_options.model: text, null
constraint lecture_options: CHECK (((cardinality(vocabulary) <= 200) AND (array_position(vocabulary, NULL::text) IS NULL)))
constraint lecture_options: CHECK ((engine = ANY (ARRAY['embedded'::text, 'openai'::text, 'task'::text])))
constraint lecture_options: FOREIGN KEY (lecture_id) REFERENCES lectures(id) ON DELETE CASCADE
constraint lecture_options: PRIMARY KEY (lecture_id)

table lecture_streams
column lecture_streams.lecture_id: uuid, not null
column lecture_streams.position: smallint, not null
column lecture_streams.kind: text, not null
column lecture_streams.url: text, not null
column lecture_streams.spans: jsonb, not null
constraint lecture_streams: FOREIGN KEY (lecture_id) REFERENCES lectures(id) ON DELETE CASCADE
constraint lecture_streams: PRIMARY KEY (lecture_id, \"position\")

table lectures
column lectures.id: uuid, not null, default gen_random_uuid()
column lectures.course_id: uuid, not null
column lectures.panopto_session_id: text, null
column lectures.panopto_url: text, not null
column lectures.stream_url: text, not null
column lectures.title: text, null
column lectures.audio_storage_key: text, null
column lectures.transcript_storage_key: text, null
column lectures.duration_seconds: integer, null
column lectures.status: lecture_status, not null, default 'pending'::lecture_status
column lectures.error_message: text, null
column lectures.created_at: timestamp with time zone, not null, default now()
column lectures.updated_at: timestamp with time zone, not null, default now()
constraint lectures: PRIMARY KEY (id)
constraint lectures: UNIQUE (course_id, panopto_session_id)
index lectures: idx_lectures_course_id btree (course_id)
trigger lectures: trg_lectures_updated_at BEFORE UPDATE FOR EACH ROW EXECUTE FUNCTION set_updated_at()

table transcript_index
column transcript_index.lecture_id: uuid, not null
column transcript_index.version: integer, not null
column transcript_index.config: text, not null
column transcript_index.words: tsvector, not null
constraint transcript_index: FOREIGN KEY (lecture_id) REFERENCES lectures(id) ON DELETE CASCADE
constraint transcript_index: PRIMARY KEY (lecture_id)
index transcript_index: idx_transcript_index_config btree (config)
index transcript_index: idx_transcript_index_words gin (words) WITH (fastupdate=off)

table transcript_passages
column transcript_passages.lecture_id: uuid, not null
column transcript_passages.number: integer, not null
column transcript_passages.starts: double precision[], not null
column transcript_passages.ends: double precision[], not null
column transcript_passages.texts: text[], not null
column transcript_passages.words: tsvector, not null
constraint transcript_passages: FOREIGN KEY (lecture_id) REFERENCES transcript_index(lecture_id) ON DELETE CASCADE
constraint transcript_passages: PRIMARY KEY (lecture_id, number)

table user_courses
column user_courses.user_id: uuid, not null
column user_courses.course_id: uuid, not null
column user_courses.created_at: timestamp with time zone, not null, default now()
constraint user_courses: FOREIGN KEY (course_id) REFERENCES courses(id) ON DELETE CASCADE
constraint user_courses: FOREIGN KEY (user_id) REFERENCES users(id) ON DELETE CASCADE
constraint user_courses: PRIMARY KEY (user_id, course_id)
index user_courses: idx_user_courses_course_id btree (course_id)

table user_lectures
column user_lectures.user_id: uuid, not null
column user_lectures.lecture_id: uuid, not null
column user_lectures.created_at: timestamp with time zone, not null, default now()
constraint user_lectures: FOREIGN KEY (lecture_id) REFERENCES lectures(id) ON DELETE CASCADE
constraint user_lectures: FOREIGN KEY (user_id) REFERENCES users(id) ON DELETE CASCADE
constraint user_lectures: PRIMARY KEY (user_id, lecture_id)
index user_lectures: idx_user_lectures_lecture_id btree (lecture_id)
index user_lectures: idx_user_lectures_user_id_created_at btree (user_id, created_at DESC, lecture_id DESC)

table users
column users.id: uuid, not null
column users.created_at: timestamp with time zone, not null, default now()
constraint users: PRIMARY KEY (id)
";
