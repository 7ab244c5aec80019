-- 10,000 transcribed lectures of an hour: 120 passages of 75 words in 8 segments each, and the title.
--
-- Words follow Zipf's law over 50,000; the first hundred are English stop words, and a few lectures have rare words of their
-- own. The passages are drawn from 40,000 distinct ones. Users 1 to 4 are linked to 50, 300, 1,000 and 10,000 lectures.
SELECT setseed(0.5);

CREATE UNLOGGED TABLE bench_words AS
WITH stop AS (
    SELECT word, rank FROM regexp_split_to_table(
        'the of and to a in that is it you this we for be so are as on have not with or can what if do at by was an but they from
         which there all just one will when about more has how then some no its these your out because up very them into than
         only would here where their other my our who had should over he been now same also each does such after being those
         through both most under again between before own off too during down him his her she i me', '\s+') WITH ORDINALITY AS w (word, rank)
), syllables AS (
    SELECT array_agg(c || v || e) AS s
    FROM unnest('{b,d,f,g,k,l,m,n,p,r,s,t,v,tr,st}'::text[]) AS c, unnest('{a,e,i,o,u}'::text[]) AS v, unnest('{"",n}'::text[]) AS e
)
SELECT rank, coalesce(stop.word, s[1 + rank * 7 % 150] || s[1 + rank / 150 % 150]
                                 || CASE WHEN rank > 2000 THEN s[1 + rank * 31 % 150] ELSE '' END
                                 || (ARRAY['', 'ing', 's', 'ed', 'ity', 'ation'])[1 + rank % 6]) AS word
FROM syllables CROSS JOIN generate_series(1, 50000) AS rank LEFT JOIN stop USING (rank);

CREATE UNLOGGED TABLE bench_pool AS
WITH drawn AS MATERIALIZED (
    SELECT passage, segment, n, least(50000, floor(exp(random() * ln(50000)))::bigint) AS rank
    FROM generate_series(1, 40000) AS passage, generate_series(1, 8) AS segment, generate_series(1, 9) AS n
), segments AS (
    SELECT passage, segment, string_agg(word, ' ' ORDER BY n) AS text FROM drawn JOIN bench_words USING (rank) GROUP BY 1, 2
)
SELECT passage, array_agg(text ORDER BY segment) AS texts,
       to_tsvector('english', string_agg(text, ' ' ORDER BY segment))
           || strip(to_tsvector('simple', string_agg(text, ' ' ORDER BY segment))) AS words
FROM segments GROUP BY passage;
ALTER TABLE bench_pool ADD PRIMARY KEY (passage);

INSERT INTO lectures (id, course_id, panopto_session_id, panopto_url, stream_url, title, status, transcript_storage_key,
                      duration_seconds)
SELECT md5('lecture' || n)::uuid, md5('course' || n % 200)::uuid, md5('session' || n)::uuid::text,
       'https://bench.hosted.panopto.com/Panopto/Pages/Viewer.aspx?id=' || md5('session' || n)::uuid, '',
       'Lecture ' || n, 'completed', 'transcripts/' || md5('lecture' || n)::uuid || '.json', 3600
FROM generate_series(1, 10000) AS n;

INSERT INTO users (id) SELECT md5('user' || n)::uuid FROM generate_series(1, 4) AS n ON CONFLICT DO NOTHING;
INSERT INTO user_lectures (user_id, lecture_id, created_at)
SELECT md5('user' || u)::uuid, md5('lecture' || n)::uuid, now() - n * interval '1 minute'
FROM unnest(ARRAY[1, 2, 3, 4], ARRAY[200, 33, 10, 1]) AS t (u, every), generate_series(1, 10000) AS n
WHERE n % every = 0;

ALTER TABLE transcript_passages DROP CONSTRAINT transcript_passages_lecture_id_fkey;
INSERT INTO transcript_passages (lecture_id, number, starts, ends, texts, words)
SELECT md5('lecture' || n)::uuid, number, ARRAY(SELECT number * 30 - 30 + s * 3.75 FROM generate_series(0, 7) AS s),
       ARRAY(SELECT number * 30 - 30 + s * 3.75 + 3.5 FROM generate_series(0, 7) AS s), texts[1:7] || (texts[8] || rare.text),
       words || to_tsvector('simple', rare.text)
FROM generate_series(1, 10000) AS n CROSS JOIN generate_series(1, 120) AS number
CROSS JOIN LATERAL (SELECT CASE WHEN number = 60 THEN ' zyx' || n % 3000 ELSE '' END AS text) AS rare
JOIN bench_pool ON passage = 1 + abs(hashint8(n * 1000 + number)::bigint) % 40000
ORDER BY n, number;
INSERT INTO transcript_passages (lecture_id, number, starts, ends, texts, words)
SELECT id, 0, '{0}', '{0}', ARRAY[title], to_tsvector('english', title) FROM lectures;

DROP INDEX idx_transcript_index_words;
INSERT INTO transcript_index (lecture_id, version, config, words)
SELECT id, 1, 'english', array_to_tsvector(lexemes)
FROM lectures CROSS JOIN LATERAL (
    SELECT array_agg(DISTINCT lexeme COLLATE "C") AS lexemes
    FROM transcript_passages CROSS JOIN unnest(tsvector_to_array(words)) AS lexeme WHERE lecture_id = id
) AS found;
CREATE INDEX idx_transcript_index_words ON transcript_index USING gin (words) WITH (fastupdate = off);
ALTER TABLE transcript_passages ADD CONSTRAINT transcript_passages_lecture_id_fkey
    FOREIGN KEY (lecture_id) REFERENCES transcript_index (lecture_id) ON DELETE CASCADE;
DROP TABLE bench_pool;
VACUUM ANALYZE;
