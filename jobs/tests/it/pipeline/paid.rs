//! A server that does the transcription, and wants to be paid for it once.

use std::sync::Arc;

use bedel_storage::keys;
use bedel_upstream::{Resource, delivery_info, media};

use super::STAGES;
use super::door::{Door, Point};
use super::line::{LECTURE, Line, soon};
use super::process::Process;
use super::quick::Quick;
use crate::task_server::{Manner, TaskServer};

const SECONDS: u32 = 20;

async fn line() -> Line {
    let directory = tempfile::tempdir().expect("a directory");
    let line = Line::new().await;
    let recording = media::recording(directory.path(), SECONDS, false);
    line.upstream.serve("/short.mp4", Resource::new(recording));
    let described = delivery_info::ready(&line.upstream.url("/short.mp4"), "Lecture 1", f64::from(SECONDS));
    line.upstream.on(delivery_info::PATH, [described]);
    line.start("submit").await;
    line
}

async fn transcript(line: &Line) -> String {
    let json = line.ctx.storage.get_bytes(&keys::transcript_json(LECTURE), 1 << 20).await;
    let mut json: serde_json::Value =
        serde_json::from_slice(&json.expect("a transcript")).expect("a payload");
    assert!(json["raw"][0]["answer"]["status"].is_string(), "{json}");
    json.as_object_mut().expect("a payload").remove("raw");
    json.to_string()
}

async fn server() -> TaskServer {
    TaskServer::start(Arc::new(Quick::default()), Manner::default()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_is_paid_for_once_and_by_nobody_who_may_have_lost_the_job() {
    let undisturbed = line().await;
    let server_undisturbed = server().await;
    let door = Door::new(&undisturbed.pool().connect_options());
    let mut process = Process::start(&undisturbed, &door, &STAGES, server_undisturbed.url.as_str());
    undisturbed.until_state("transcribe", "completed").await;
    process.kill();
    assert_eq!(server_undisturbed.posted().len(), 1);
    let statements = door.statements("transcribe");
    let saved = |from: usize| {
        let found = statements[from..].iter().position(|statement| statement == "fence::save_checkpoint");
        from + found.unwrap_or_else(|| panic!("no checkpoint in {statements:?}"))
    };
    let entered = saved(0);
    let noted = saved(entered + 1);

    // The database is away, and so nobody knows whose job it is: nothing is begun. Then the worker dies behind the note.
    let (line, server) = (line().await, server().await);
    let door = Door::new(&line.pool().connect_options());
    let mut shut = door.shut("transcribe", Point::Before(entered));
    let mut process = Process::start(&line, &door, &STAGES, server.url.as_str());
    soon("the call is entered", &mut shut.reached).await.expect("the door is shut");
    assert_eq!(server.posted(), Vec::<String>::new(), "begun without asking");
    process.kill();
    drop(shut);

    let door = Door::new(&line.pool().connect_options());
    let mut shut = door.shut("transcribe", Point::After(noted));
    let mut process = Process::start(&line, &door, &["transcribe"], server.url.as_str());
    soon("the task is noted", &mut shut.reached).await.expect("the door is shut");
    assert_eq!(server.posted().len(), 1);
    process.kill();
    drop(shut);
    let door = Door::new(&line.pool().connect_options());
    let mut process = Process::start(&line, &door, &["transcribe", "cleanup-orphans"], server.url.as_str());
    line.until_state("transcribe", "completed").await;
    line.until_done("cleanup-orphans").await;
    process.kill();

    assert_eq!(server.posted().len(), 1, "paid again");
    assert_eq!(transcript(&line).await, transcript(&undisturbed).await);
    let pieces = line.files_of_lecture().into_iter().filter(|name| name.contains("piece-")).count();
    assert_eq!(pieces, 0);
    let (crashes, crashed): (i32, i64) = sqlx::query_as(
        "SELECT crashes, (SELECT count(*) FROM queue.failed_attempts WHERE job_id = jobs.id AND class = 'crashed')
         FROM queue.jobs WHERE kind = 'transcribe'",
    )
    .fetch_one(line.pool())
    .await
    .expect("the job");
    assert_eq!((crashes, crashed), (0, 2), "the one after which it went on forgets the one before");
}
