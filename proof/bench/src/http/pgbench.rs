//! PostgreSQL's own load program.

use std::path::PathBuf;

use tokio::process::Command;

use super::api::COURSE;
use crate::error::{BenchError, Result, io};
use crate::program::ended_badly;

/// Threads of pgbench.
const JOBS: &str = "2";

/// The statements of a submission's transaction, with the values of one of the API's.
const SUBMISSION: &str = r#"\set number random(1, 9000000000000000000)
BEGIN;
INSERT INTO users (id)
 SELECT '00000000-0000-4000-8000-000000000001' WHERE NOT EXISTS (SELECT FROM users WHERE id = '00000000-0000-4000-8000-000000000001')
 ON CONFLICT (id) DO NOTHING;
INSERT INTO lectures (id, course_id, panopto_session_id, panopto_url, stream_url, title)
 VALUES (md5(:number::text)::uuid, '{course}', md5(:number::text),
         'https://bench.hosted.panopto.com/Panopto/Pages/Viewer.aspx?id=' || md5(:number::text), '', 'A lecture')
 ON CONFLICT (course_id, panopto_session_id) DO NOTHING RETURNING *;
INSERT INTO user_lectures (user_id, lecture_id)
 VALUES ('00000000-0000-4000-8000-000000000001', md5(:number::text)::uuid) ON CONFLICT DO NOTHING;
SELECT count(*)
 FROM (SELECT lecture_id FROM user_lectures
       WHERE user_id = '00000000-0000-4000-8000-000000000001' ORDER BY created_at DESC, lecture_id DESC LIMIT 100) AS newest
 JOIN lectures ON lectures.id = newest.lecture_id AND status IN ('pending', 'downloading');
SELECT id, created FROM queue.enqueue(
 kind => 'submit', args => jsonb_build_object('lecture_id', md5(:number::text)::uuid), subject => md5(:number::text)::uuid,
 unique_key => 'lecture:' || md5(:number::text)::uuid, queue => 'panopto', priority => 3::smallint, max_attempts => 6);
COMMIT;
"#;

/// Transactions per second of the statements of submissions.
pub(super) async fn submissions(url: &str, clients: usize, seconds: u32) -> Result<f64> {
    let file = std::env::temp_dir().join(format!("bedel-bench-{}.sql", std::process::id()));
    std::fs::write(&file, SUBMISSION.replace("{course}", COURSE))
        .map_err(io("write a script for pgbench"))?;
    let script = file.to_string_lossy().into_owned();
    let told = run(url, clients, seconds, &["--protocol", "prepared", "--file", &script]).await;
    std::fs::remove_file(&file).map_err(io("remove the script"))?;
    told
}

/// Makes the tables of pgbench's own scripts.
pub(super) async fn fill(url: &str) -> Result<()> {
    let made = Command::new(program()?).args(["--initialize", "--quiet", url]).output().await;
    let made = made.map_err(io("start pgbench"))?;
    if made.status.success() { Ok(()) } else { Err(ended_badly("pgbench --initialize", &made)) }
}

/// Transactions per second of `pgbench -S`.
pub(super) async fn select_only(url: &str, clients: usize, seconds: u32) -> Result<f64> {
    run(url, clients, seconds, &["--select-only"]).await
}

async fn run(url: &str, clients: usize, seconds: u32, more: &[&str]) -> Result<f64> {
    let (clients, seconds) = (clients.to_string(), seconds.to_string());
    let mut command = Command::new(program()?);
    command
        .args(["--no-vacuum", "--jobs", JOBS, "--client", &clients, "--time", &seconds])
        .args(more)
        .arg(url);
    let ran = command.output().await.map_err(io("start pgbench"))?;
    if !ran.status.success() {
        return Err(ended_badly("pgbench", &ran));
    }
    let said = String::from_utf8_lossy(&ran.stdout);
    let rate = said.lines().find_map(|line| line.strip_prefix("tps = ")?.split(' ').next()?.parse().ok());
    rate.ok_or_else(|| BenchError::Peer(format!("pgbench told no rate: {said}")))
}

fn program() -> Result<PathBuf> {
    Ok(bedel_postgres::find_binaries(None)?.join("pgbench"))
}
