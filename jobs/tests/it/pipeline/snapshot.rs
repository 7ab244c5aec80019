//! Comparable snapshots of rows and files.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::harness::Harness;

/// Every row except times and random ids, and every file with its hash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    pub rows: Vec<String>,
    pub files: BTreeMap<String, String>,
}

impl Snapshot {
    /// Takes a snapshot of the harness.
    pub async fn take(harness: &Harness) -> Self {
        let rows: Vec<String> = sqlx::query_scalar(
            "SELECT 'lecture ' || (to_jsonb(l) - 'created_at' - 'updated_at')::text FROM lectures AS l
             UNION ALL SELECT 'indexed ' || to_jsonb(i)::text FROM transcript_index AS i
             UNION ALL SELECT 'passage ' || to_jsonb(p)::text FROM transcript_passages AS p
             UNION ALL SELECT 'link ' || user_id || ' ' || lecture_id FROM user_lectures
             UNION ALL SELECT 'document ' || (to_jsonb(d) - 'created_at' - 'updated_at')::text FROM documents AS d
             UNION ALL SELECT 'course ' || (to_jsonb(c) - 'id' - 'created_at' - 'updated_at')::text FROM courses AS c
             UNION ALL SELECT concat_ws(' ', count(*), kind, state, subject, unique_key,
                                        CASE kind WHEN 'download' THEN args - 'announced_seconds' ELSE args END)
                         FROM queue.jobs GROUP BY kind, state, subject, unique_key, args",
        )
        .fetch_all(harness.pool())
        .await
        .expect("the rows");
        // The port differs each time. Only a submission that resolves the stream learns the recording's
        // length.
        let mut rows: Vec<String> =
            rows.into_iter().map(|row| row.replace(&harness.upstream.host(), "upstream")).collect();
        rows.sort();
        Self { rows, files: files(&harness.directory.path().join("storage")) }
    }

    /// The lecture's own row and its links.
    pub fn rows_of(&self, lecture: Uuid) -> Vec<&String> {
        let id = lecture.to_string();
        let of_it =
            |row: &&String| (row.starts_with("lecture ") || row.starts_with("link ")) && row.contains(&id);
        self.rows.iter().filter(of_it).collect()
    }

    /// Panics with the differences only.
    pub fn assert_equals(&self, expected: &Self, when: &str) {
        let lines = |snapshot: &Self| -> Vec<String> {
            let files = snapshot.files.iter().map(|(key, hash)| format!("{key} {hash}"));
            snapshot.rows.iter().cloned().chain(files).collect()
        };
        let (found, expected) = (lines(self), lines(expected));
        let missing: Vec<_> = expected.iter().filter(|line| !found.contains(line)).collect();
        let too_much: Vec<_> = found.iter().filter(|line| !expected.contains(line)).collect();
        assert!(
            missing.is_empty() && too_much.is_empty(),
            "{when}\nmissing: {missing:#?}\ntoo much: {too_much:#?}"
        );
    }
}

/// Every file below a directory, with its content's hash. Skips the storage's own marker files.
pub fn files(directory: &Path) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut directories = vec![directory.to_owned()];
    while let Some(path) = directories.pop() {
        // It may disappear meanwhile.
        let Ok(entries) = std::fs::read_dir(&path) else { continue };
        for entry in entries.flatten().map(|entry| entry.path()) {
            let key = entry.strip_prefix(directory).expect("below it").to_string_lossy().into_owned();
            if entry.is_dir() {
                directories.push(entry);
            } else if !key.starts_with('.') {
                found.insert(key, std::fs::read(&entry).map(|content| hex(&content)).unwrap_or_default());
            }
        }
    }
    found
}

pub fn hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().fold(String::new(), |mut hex, byte| {
        write!(hex, "{byte:02x}").expect("text");
        hex
    })
}
