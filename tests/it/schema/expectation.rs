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

table audit_log
column audit_log.id: bigint, not null
column audit_log.at: timestamp with time zone, not null, default now()
column audit_log.user_id: uuid, null
column audit_log.source: text, not null
column audit_log.action: text, not null
column audit_log.target: text, null
column audit_log.count: bigint, not null
column audit_log.detail: jsonb, not null
constraint audit_log: CHECK ((source = ANY (ARRAY['api'::text, 'cli'::text, 'ui'::text])))
constraint audit_log: PRIMARY KEY (id)
index audit_log: idx_audit_log_at btree (at)

table bulk_operations
column bulk_operations.id: uuid, not null
column bulk_operations.job_id: uuid, not null
column bulk_operations.created_at: timestamp with time zone, not null, default now()
column bulk_operations.user_id: uuid, null
column bulk_operations.source: text, not null
column bulk_operations.action: text, not null
column bulk_operations.filter: jsonb, not null
column bulk_operations.subjects: uuid[], null
column bulk_operations.priority: smallint, null
column bulk_operations.total: bigint, not null
column bulk_operations.total_is_capped: boolean, not null
column bulk_operations.position: uuid, not null
column bulk_operations.changed: bigint, not null, default 0
column bulk_operations.refused: bigint, not null, default 0
column bulk_operations.ended_at: timestamp with time zone, null
column bulk_operations.outcome: text, null
constraint bulk_operations: CHECK (((action = 'reprioritise'::text) = (priority IS NOT NULL)))
constraint bulk_operations: CHECK (((ended_at IS NULL) = (outcome IS NULL)))
constraint bulk_operations: CHECK (((priority >= 1) AND (priority <= 4)))
constraint bulk_operations: CHECK ((action = ANY (ARRAY['retry'::text, 'cancel'::text, 'reprioritise'::text, 'delete'::text])))
constraint bulk_operations: CHECK ((outcome = ANY (ARRAY['done'::text, 'stopped'::text, 'failed'::text])))
constraint bulk_operations: CHECK ((source = ANY (ARRAY['api'::text, 'cli'::text, 'ui'::text])))
constraint bulk_operations: PRIMARY KEY (id)
index bulk_operations: idx_bulk_operations_created_at btree (created_at)

table callback_secrets
column callback_secrets.user_id: uuid, not null
column callback_secrets.secret: bytea, not null
column callback_secrets.previous_secret: bytea, null
column callback_secrets.previous_expires_at: timestamp with time zone, null
constraint callback_secrets: CHECK (((previous_secret IS NULL) = (previous_expires_at IS NULL)))
constraint callback_secrets: CHECK ((octet_length(previous_secret) = 32))
constraint callback_secrets: CHECK ((octet_length(secret) = 32))
constraint callback_secrets: FOREIGN KEY (user_id) REFERENCES users(id) ON DELETE CASCADE
constraint callback_secrets: PRIMARY KEY (user_id)

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

table lecture_callbacks
column lecture_callbacks.lecture_id: uuid, not null
column lecture_callbacks.user_id: uuid, not null
column lecture_callbacks.url: text, not null
constraint lecture_callbacks: FOREIGN KEY (lecture_id) REFERENCES lectures(id) ON DELETE CASCADE
constraint lecture_callbacks: FOREIGN KEY (user_id) REFERENCES users(id) ON DELETE CASCADE
constraint lecture_callbacks: PRIMARY KEY (lecture_id, user_id)
index lecture_callbacks: idx_lecture_callbacks_user_id btree (user_id)

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

table sessions
column sessions.sha256: bytea, not null
column sessions.user_id: uuid, not null
column sessions.source: text, not null
column sessions.credential: bytea, not null
column sessions.admin: boolean, not null
column sessions.may_write: boolean, not null
column sessions.created_at: timestamp with time zone, not null, default now()
column sessions.expires_at: timestamp with time zone, not null
column sessions.last_seen_at: timestamp with time zone, not null, default now()
constraint sessions: CHECK ((octet_length(credential) = 32))
constraint sessions: CHECK ((octet_length(sha256) = 32))
constraint sessions: CHECK ((source = ANY (ARRAY['configured'::text, 'api_token'::text, 'jwt'::text, 'code'::text])))
constraint sessions: FOREIGN KEY (user_id) REFERENCES users(id) ON DELETE CASCADE
constraint sessions: PRIMARY KEY (sha256)
index sessions: idx_sessions_expires_at btree (expires_at)
index sessions: idx_sessions_user_id btree (user_id)

table sign_in_codes
column sign_in_codes.sha256: bytea, not null
column sign_in_codes.user_id: uuid, not null
column sign_in_codes.admin: boolean, not null
column sign_in_codes.may_write: boolean, not null
column sign_in_codes.expires_at: timestamp with time zone, not null
column sign_in_codes.used_at: timestamp with time zone, null
constraint sign_in_codes: CHECK ((octet_length(sha256) = 32))
constraint sign_in_codes: FOREIGN KEY (user_id) REFERENCES users(id) ON DELETE CASCADE
constraint sign_in_codes: PRIMARY KEY (sha256)
index sign_in_codes: idx_sign_in_codes_expires_at btree (expires_at)
index sign_in_codes: idx_sign_in_codes_user_id btree (user_id)

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

table webhook_deliveries
column webhook_deliveries.id: bigint, not null
column webhook_deliveries.message_id: uuid, not null
column webhook_deliveries.attempted_at: timestamp with time zone, not null, default now()
column webhook_deliveries.duration_ms: integer, not null
column webhook_deliveries.status: integer, null
column webhook_deliveries.error_class: text, null
constraint webhook_deliveries: CHECK ((duration_ms >= 0))
constraint webhook_deliveries: FOREIGN KEY (message_id) REFERENCES webhook_messages(id) ON DELETE CASCADE
constraint webhook_deliveries: PRIMARY KEY (id)
index webhook_deliveries: idx_webhook_deliveries_message_id btree (message_id, id)

table webhook_messages
column webhook_messages.id: uuid, not null, default gen_random_uuid()
column webhook_messages.webhook_id: uuid, null
column webhook_messages.user_id: uuid, not null
column webhook_messages.callback_url: text, null
column webhook_messages.lecture_id: uuid, null
column webhook_messages.event: text, not null
column webhook_messages.payload: text, not null
column webhook_messages.state: text, not null, default 'pending'::text
column webhook_messages.created_at: timestamp with time zone, not null, default now()
column webhook_messages.ended_at: timestamp with time zone, null
constraint webhook_messages: CHECK (((state = 'pending'::text) = (ended_at IS NULL)))
constraint webhook_messages: CHECK (((webhook_id IS NULL) <> (callback_url IS NULL)))
constraint webhook_messages: CHECK ((state = ANY (ARRAY['pending'::text, 'delivered'::text, 'failed'::text])))
constraint webhook_messages: FOREIGN KEY (user_id) REFERENCES users(id) ON DELETE CASCADE
constraint webhook_messages: FOREIGN KEY (webhook_id) REFERENCES webhooks(id) ON DELETE CASCADE
constraint webhook_messages: PRIMARY KEY (id)
index webhook_messages: idx_webhook_messages_callbacks btree (user_id, created_at DESC, id DESC) WHERE (webhook_id IS NULL)
index webhook_messages: idx_webhook_messages_created_at btree (created_at)
index webhook_messages: idx_webhook_messages_user_id btree (user_id)
index webhook_messages: idx_webhook_messages_webhook_id btree (webhook_id, created_at DESC, id DESC) WHERE (webhook_id IS NOT NULL)

table webhooks
column webhooks.id: uuid, not null, default gen_random_uuid()
column webhooks.user_id: uuid, not null
column webhooks.scope: text, not null
column webhooks.url: text, not null
column webhooks.events: text[], not null
column webhooks.secret: bytea, not null
column webhooks.previous_secret: bytea, null
column webhooks.previous_expires_at: timestamp with time zone, null
column webhooks.enabled: boolean, not null, default true
column webhooks.disabled_reason: text, null
column webhooks.created_at: timestamp with time zone, not null, default now()
column webhooks.updated_at: timestamp with time zone, not null, default now()
column webhooks.removed_at: timestamp with time zone, null
constraint webhooks: CHECK (((NOT enabled) OR (disabled_reason IS NULL)))
constraint webhooks: CHECK (((NOT enabled) OR (removed_at IS NULL)))
constraint webhooks: CHECK (((cardinality(events) >= 1) AND (array_position(events, NULL::text) IS NULL)))
constraint webhooks: CHECK (((previous_secret IS NULL) = (previous_expires_at IS NULL)))
constraint webhooks: CHECK ((octet_length(previous_secret) = 32))
constraint webhooks: CHECK ((octet_length(secret) = 32))
constraint webhooks: CHECK ((scope = ANY (ARRAY['own'::text, 'all'::text])))
constraint webhooks: FOREIGN KEY (user_id) REFERENCES users(id) ON DELETE CASCADE
constraint webhooks: PRIMARY KEY (id)
index webhooks: idx_webhooks_all btree (id) WHERE (scope = 'all'::text)
index webhooks: idx_webhooks_removed btree (removed_at) WHERE (removed_at IS NOT NULL)
index webhooks: idx_webhooks_user_id btree (user_id)
trigger webhooks: trg_webhooks_updated_at BEFORE UPDATE FOR EACH ROW EXECUTE FUNCTION set_updated_at()
";
