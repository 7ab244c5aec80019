-- Search in transcripts. Both tables are derived from the stored transcripts: the job `index-transcripts` rebuilds them.

-- One row per transcribed lecture: a search first finds lectures here, then reads the passages of a few of them. An index
-- over all passages would read every mention of a common word, of all users.
CREATE TABLE transcript_index (
    lecture_id uuid NOT NULL PRIMARY KEY REFERENCES lectures (id) ON DELETE CASCADE,
    -- Version of the splitting and normalising; rows of an older one are rebuilt.
    version integer NOT NULL,
    -- A text search configuration of PostgreSQL, such as `english`. Not `regconfig`, which blocks pg_upgrade.
    config text NOT NULL,
    -- The words of title and transcript, without positions.
    words tsvector NOT NULL
);

-- Without the pending list, which every search would scan. An insert takes tens of milliseconds more.
CREATE INDEX idx_transcript_index_words ON transcript_index USING gin (words) WITH (fastupdate = off);
-- The configurations in use: a search builds one query for each.
CREATE INDEX idx_transcript_index_config ON transcript_index (config);

-- Half a minute of a lecture each, always read by lecture.
CREATE TABLE transcript_passages (
    lecture_id uuid NOT NULL REFERENCES transcript_index (lecture_id) ON DELETE CASCADE,
    -- In order of time, from 1; 0 is the title.
    number integer NOT NULL,
    -- The passage's segments: start and end in seconds, and text.
    starts double precision[] NOT NULL,
    ends double precision[] NOT NULL,
    texts text[] NOT NULL,
    -- The words of all segments: stems with positions, and whole words for prefixes.
    words tsvector NOT NULL,
    PRIMARY KEY (lecture_id, number)
)
-- A row has about 2 kB, where PostgreSQL begins to store values apart. A search reads every row of a lecture.
WITH (toast_tuple_target = 8160);
