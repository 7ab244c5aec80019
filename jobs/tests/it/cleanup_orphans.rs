//! `cleanup-orphans`: each class of orphans, and what it must never touch.

use std::time::Duration;

use bedel_jobs::cleanup_orphans::{CleanupOrphans, Refusal, Report};
use bedel_jobs::lecture::{self, LectureStatus};
use bedel_jobs::submit::Submit;
use bedel_queue::{Attempt, Job};
use bedel_storage::keys;
use serde_json::json;
use uuid::Uuid;

use crate::test_env::TestEnv;

impl TestEnv {
    async fn clean(&self, lecture_id: Option<Uuid>, dry_run: bool) -> Report {
        CleanupOrphans { lecture_id, dry_run }.run(&self.ctx, &Attempt::detached(None)).await.unwrap()
    }

    /// A running job with this lease, as after a claim.
    async fn running(&self, lecture_id: Uuid, lease: Uuid) {
        let job = bedel_jobs::pipeline::stage_job(&Submit { lecture_id }, &self.ctx.settings);
        let id = self.enqueue(&job).await;
        sqlx::query(
            "UPDATE queue.jobs SET state = 'running', lease = $2, worker_id = gen_random_uuid(), attempted_at = now(), attempt = 1
             WHERE id = $1",
        )
        .bind(id)
        .bind(lease)
        .execute(&self.ctx.pool)
        .await
        .unwrap();
    }

    async fn refer_to_audio(&self, id: Uuid) {
        self.execute("UPDATE lectures SET audio_storage_key = 'audio/' || id || '.m4a' WHERE id = $1", id)
            .await;
    }

    /// An old lecture without users.
    async fn abandoned(&self) -> Uuid {
        let id = self.lecture("completed").await;
        self.execute("DELETE FROM user_lectures WHERE lecture_id = $1", id).await;
        self.execute("UPDATE lectures SET created_at = now() - interval '61 minutes' WHERE id = $1", id)
            .await;
        id
    }
}

#[tokio::test]
async fn a_clean_installation_has_no_orphans() {
    let env = TestEnv::open().await;
    let done = env.lecture("completed").await;
    env.execute(
        "UPDATE lectures SET audio_storage_key = 'audio/' || id || '.m4a',
                 transcript_storage_key = 'transcripts/' || id || '.json' WHERE id = $1",
        done,
    )
    .await;
    let (at_work, lease) = (env.lecture("downloading").await, Uuid::new_v4());
    env.running(at_work, lease).await;
    let failed = env.lecture("failed").await;
    let files = [
        keys::audio(done),
        keys::transcript_json(done),
        keys::transcript_vtt(done),
        keys::lecture_chunks(done),
        keys::audio_temp(at_work, lease),
        keys::transcript_json_temp(at_work, lease),
        keys::audio(at_work), // renamed, not committed yet
        format!("audio_tmp/{failed}/upload.m4a"),
        format!("audio_tmp/{failed}/fresh-and-without-a-lease"),
        format!("audio_tmp/{}/upload.m4a", Uuid::new_v4()), // its row is about to be inserted
        keys::documents(Uuid::new_v4()),                    // as is this one's
        "audio/README.txt".to_owned(),
    ];
    for key in &files {
        env.put(key).await;
    }
    env.age(&keys::audio_temp(at_work, lease));
    env.age(&format!("audio_tmp/{failed}/upload.m4a"));
    env.age("audio/README.txt");

    for lecture_id in [None, Some(done), Some(at_work), Some(failed)] {
        let report = env.clean(lecture_id, false).await;
        assert_eq!((report.orphans, report.files_deleted, report.lectures_removed), (0, 0, 0), "{report:?}");
        assert_eq!((report.lectures_restarted, report.missing, report.refused), (0, 0, None), "{report:?}");
    }
    assert_eq!(env.clean(None, false).await.unknown, 1);
    for key in &files {
        assert!(env.has(key).await, "{key}");
    }
}

#[tokio::test]
async fn a_lecture_without_users_is_removed_with_its_jobs_and_files() {
    let env = TestEnv::open().await;
    let (gone, lease) = (env.abandoned().await, Uuid::new_v4());
    env.running(gone, lease).await;
    let young = env.lecture("completed").await;
    env.execute("DELETE FROM user_lectures WHERE lecture_id = $1", young).await;
    let files = [
        keys::audio(gone),
        keys::transcript_vtt(gone),
        keys::audio_temp(gone, lease),
        format!("audio_tmp/{gone}/upload"),
    ];
    for key in &files {
        env.put(key).await;
    }

    let report = env.clean(None, true).await;
    assert_eq!((report.lectures_removed, report.files_deleted), (1, 4), "{report:?}");
    assert!(env.row(gone).await.is_some() && env.has(&files[0]).await, "a dry run changes nothing");

    let report = env.clean(None, false).await;
    assert_eq!(
        (report.lectures_removed, report.files_deleted, report.bytes_deleted),
        (1, 4, 28),
        "{report:?}"
    );
    assert!(env.row(gone).await.is_none() && env.row(young).await.is_some());
    assert!(env.live(gone).await.is_empty());
    for key in &files {
        assert!(!env.has(key).await, "{key}");
    }
    let again = env.clean(None, false).await;
    assert_eq!((again.lectures_removed, again.orphans), (0, 0), "{again:?}");
}

/// A user submits the lecture again between the scan and the deletion.
#[tokio::test(flavor = "multi_thread")]
async fn a_link_that_arrives_in_time_saves_the_lecture() {
    let env = TestEnv::open().await;
    let id = env.abandoned().await;
    env.put(&keys::transcript_json(id)).await;
    let user = env.user().await;
    let mut tx = env.ctx.pool.begin().await.unwrap();
    lecture::lock(&mut tx, id).await.unwrap().unwrap();
    let clean = {
        let ctx = env.ctx.clone();
        tokio::spawn(async move {
            let job = CleanupOrphans { lecture_id: None, dry_run: false };
            job.run(&ctx, &Attempt::detached(None)).await.unwrap()
        })
    };
    // The scan is done; it waits for the lecture's lock.
    let start = std::time::Instant::now();
    loop {
        let waiting: i64 = sqlx::query_scalar(
            "SELECT count(*) FROM pg_stat_activity
             WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE '-- lecture::lock%'",
        )
        .fetch_one(&env.ctx.pool)
        .await
        .unwrap();
        if waiting > 0 {
            break;
        }
        assert!(start.elapsed() < Duration::from_secs(10), "the clean-up does not take the lecture's lock");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    sqlx::query("INSERT INTO user_lectures (user_id, lecture_id) VALUES ($1, $2)")
        .bind(user)
        .bind(id)
        .execute(&mut *tx)
        .await
        .unwrap();
    tx.commit().await.unwrap();

    let report = clean.await.unwrap();
    assert_eq!((report.lectures_removed, report.files_deleted), (0, 0), "{report:?}");
    assert!(env.row(id).await.is_some() && env.has(&keys::transcript_json(id)).await);
}

#[tokio::test]
async fn files_without_a_row_go() {
    let env = TestEnv::open().await;
    let id = Uuid::new_v4();
    let files = [
        keys::audio(id),
        keys::transcript_json(id),
        keys::transcript_vtt(id),
        keys::lecture_chunks(id),
        keys::audio_temp(id, Uuid::new_v4()),
        format!("audio_tmp/{id}/upload.mp4"),
        format!("audio_tmp/{id}_source.mp4"),
        keys::documents(id),
        format!("document_chunks/{id}.json"),
    ];
    for key in &files {
        env.put(key).await;
        env.age(key);
    }
    let report = env.clean(None, false).await;
    assert_eq!((report.orphans, report.files_deleted, report.refused), (9, 9, None), "{report:?}");
    for key in &files {
        assert!(!env.has(key).await, "{key}");
    }
}

#[tokio::test]
async fn temporary_objects_are_judged_by_their_lease() {
    let env = TestEnv::open().await;
    let id = env.lecture("downloading").await;
    let (running, over) = (Uuid::new_v4(), Uuid::new_v4());
    env.running(id, running).await;
    let (kept, gone) = (keys::audio_temp(id, running), keys::audio_temp(id, over));
    let unleased = format!("audio_tmp/{id}/part");
    for key in [&kept, &gone, &unleased] {
        env.put(key).await;
    }
    // Writes cut off by a kill, and one in flight.
    let staged = |key: &str| format!("{}#1", env.ctx.storage.local_path(key).unwrap().display());
    for key in [keys::transcript_vtt_temp(id, running), keys::transcript_vtt_temp(id, over)] {
        std::fs::write(staged(&key), "half").unwrap();
    }
    env.age(&kept);

    assert_eq!(env.clean(None, false).await.files_deleted, 2);
    assert!(env.has(&kept).await && !env.has(&gone).await && env.has(&unleased).await);
    let left = env.ctx.storage.list(&keys::audio_temp_prefix(id)).await.unwrap();
    let left: Vec<_> =
        left.iter().filter(|stored| stored.is_staged()).map(|stored| stored.key.clone()).collect();
    assert_eq!(left, [keys::transcript_vtt_temp(id, running)]);
    env.age(&unleased);
    assert_eq!(env.clean(None, false).await.files_deleted, 1);
    assert!(!env.has(&unleased).await);
}

#[tokio::test]
async fn an_upload_stays_until_its_lecture_is_completed() {
    let env = TestEnv::open().await;
    let id = env.lecture("failed").await;
    let upload = format!("audio_tmp/{id}/upload.m4a");
    env.put(&upload).await;
    env.age(&upload);
    env.clean(None, false).await;
    assert!(env.has(&upload).await);
    env.execute("UPDATE lectures SET status = 'completed' WHERE id = $1", id).await;
    assert_eq!(env.clean(None, false).await.files_deleted, 1);
}

#[tokio::test]
async fn pieces_of_a_transcript_stay_until_the_lecture_is_completed() {
    let env = TestEnv::open().await;
    let id = env.lecture("failed").await;
    let piece = keys::transcript_piece(id, "0123456789abcdef", 0);
    env.put(&piece).await;
    env.age(&piece);
    assert_eq!(env.clean(None, false).await.orphans, 0, "they were paid for");
    env.execute("UPDATE lectures SET status = 'completed' WHERE id = $1", id).await;
    env.running(id, Uuid::new_v4()).await;
    assert_eq!(env.clean(Some(id), false).await.orphans, 0, "a job is live");
    env.execute("UPDATE queue.jobs SET state = 'discarded', finalized_at = now() WHERE subject = $1", id)
        .await;
    assert_eq!(env.clean(Some(id), false).await.files_deleted, 1);
}

#[tokio::test]
async fn an_unreferenced_file_is_removed_once_no_job_is_live() {
    let env = TestEnv::open().await;
    let id = env.lecture("downloading").await;
    env.running(id, Uuid::new_v4()).await;
    for key in [keys::audio(id), keys::transcript_json(id), keys::transcript_vtt(id)] {
        env.put(&key).await;
    }
    assert_eq!(env.clean(Some(id), false).await.orphans, 0, "an attempt may be about to commit");
    env.execute("UPDATE queue.jobs SET state = 'discarded', finalized_at = now() WHERE subject = $1", id)
        .await;
    env.execute("UPDATE lectures SET status = 'failed' WHERE id = $1", id).await;
    let report = env.clean(Some(id), false).await;
    assert_eq!((report.listed, report.files_deleted), (3, 3), "{report:?}");
}

#[tokio::test]
async fn kept_audio_of_a_failed_lecture_expires() {
    let env = TestEnv::with(|settings| settings.keep_failed_audio_days = 2).await;
    let (fresh, stale) = (env.lecture("failed").await, env.lecture("failed").await);
    for id in [fresh, stale] {
        env.refer_to_audio(id).await;
        env.put(&keys::audio(id)).await;
    }
    env.execute_without_triggers(
        "UPDATE lectures SET updated_at = now() - interval '49 hours' WHERE id = $1",
        stale,
    )
    .await;
    let report = env.clean(None, false).await;
    assert_eq!((report.audio_expired, report.files_deleted), (1, 1), "{report:?}");
    assert!(env.has(&keys::audio(fresh)).await && !env.has(&keys::audio(stale)).await);
    let row = env.row(stale).await.unwrap();
    assert_eq!((row.audio_storage_key, row.status), (None, LectureStatus::Failed));
}

#[tokio::test]
async fn a_stalled_lecture_restarts_where_it_can() {
    let env = TestEnv::open().await;
    let cases = [
        (None, None, "submit"),
        (None, Some(60), "submit"),
        (Some("audio"), None, "probe"),
        (Some("audio"), Some(60), "transcribe"),
    ];
    let mut lectures = Vec::new();
    for (audio, seconds, kind) in cases {
        let id = env.lecture("downloading").await;
        sqlx::query("UPDATE lectures SET audio_storage_key = $2, duration_seconds = $3, error_message = 'x' WHERE id = $1")
            .bind(id)
            .bind(audio.map(|_| keys::audio(id)))
            .bind(seconds)
            .execute(&env.ctx.pool)
            .await
            .unwrap();
        if audio.is_some() {
            env.put(&keys::audio(id)).await;
        }
        lectures.push((id, kind));
    }
    assert_eq!(env.clean(None, true).await.lectures_restarted, 4);
    assert!(env.live(lectures[0].0).await.is_empty());
    assert_eq!(env.clean(None, false).await.lectures_restarted, 4);
    for (id, kind) in &lectures {
        let live = env.live(*id).await;
        assert_eq!((live.len(), live[0].0.as_str()), (1, *kind));
        let row = env.row(*id).await.unwrap();
        assert_eq!((row.status, row.error_message), (LectureStatus::Pending, None));
    }
    assert_eq!(env.clean(None, false).await.lectures_restarted, 0, "they have live jobs now");

    let done = env.lecture("completed").await;
    let row = env.row(done).await.unwrap();
    let mut tx = env.ctx.pool.begin().await.unwrap();
    let refused = lecture::restart::restart(&mut tx, &row, &env.ctx.settings).await;
    assert!(matches!(refused, Err(sqlx::Error::RowNotFound)));
    assert_eq!(env.row(done).await.unwrap().status, LectureStatus::Completed);
}

#[tokio::test]
async fn missing_files_and_courses_are_reported_and_a_document_fails() {
    let env = TestEnv::open().await;
    let id = env.lecture("completed").await;
    env.refer_to_audio(id).await;
    env.execute("UPDATE lectures SET course_id = gen_random_uuid() WHERE id = $1", id).await;
    let owner = env.user().await;
    let mut documents = Vec::new();
    for n in 0..3 {
        let id: Uuid = sqlx::query_scalar(
            "INSERT INTO documents (owner_id, course_id, filename, storage_key, checksum, mime_type, size_bytes)
             VALUES ($1, gen_random_uuid(), 'a.pdf', '', $2, 'application/pdf', 7) RETURNING id",
        )
        .bind(owner)
        .bind(n.to_string())
        .fetch_one(&env.ctx.pool)
        .await
        .unwrap();
        env.execute("UPDATE documents SET storage_key = 'documents/' || id || '.pdf' WHERE id = $1", id)
            .await;
        documents.push(id);
    }
    env.put(&keys::documents(documents[0])).await;
    env.age(&keys::documents(documents[0]));

    let report = env.clean(None, false).await;
    assert_eq!((report.missing, report.examples.clone()), (1, vec![keys::audio(id)]), "{report:?}");
    assert_eq!(
        (report.lectures_without_course, report.documents_without_course, report.documents_failed),
        (1, 3, 2)
    );
    assert_eq!((report.orphans, env.row(id).await.unwrap().status), (0, LectureStatus::Completed));
    let failed: Vec<Uuid> =
        sqlx::query_scalar("SELECT id FROM documents WHERE status = 'failed' ORDER BY checksum")
            .fetch_all(&env.ctx.pool)
            .await
            .unwrap();
    assert_eq!(failed, documents[1..]);
    assert!(env.has(&keys::documents(documents[0])).await);
}

#[tokio::test]
async fn nothing_is_removed_if_too_much_would_be() {
    let env = TestEnv::open().await;
    let mut ids: Vec<Uuid> = (0..20).map(|_| Uuid::new_v4()).collect();
    for id in &ids {
        env.put(&keys::audio(*id)).await;
    }
    let abandoned = env.abandoned().await;
    env.put(&keys::audio(abandoned)).await;
    ids.push(abandoned);
    let stalled = env.lecture("pending").await;

    let report = env.clean(None, false).await;
    assert_eq!(
        (report.refused, report.orphans, report.files_deleted),
        (Some(Refusal::TooMany), 21, 0),
        "{report:?}"
    );
    assert_eq!((report.lectures_removed, report.examples.len()), (0, 20), "{report:?}");
    assert_eq!(json!(report)["refused"], "too-many");
    assert!(env.row(abandoned).await.is_some());
    for id in &ids {
        assert!(env.has(&keys::audio(*id)).await);
    }
    assert_eq!(env.live(stalled).await.len(), 1, "what only starts work again is not held up");

    // One at a time they may be removed; then the rest is few enough.
    assert_eq!(env.clean(Some(ids[0]), false).await.files_deleted, 1);
    let report = env.clean(None, false).await;
    assert_eq!((report.refused, report.files_deleted, report.lectures_removed), (None, 20, 1), "{report:?}");
}

#[tokio::test]
async fn a_storage_of_another_database_is_left_alone() {
    let env = TestEnv::open().await;
    let id = Uuid::new_v4();
    env.put(&keys::audio(id)).await;
    for marker in [Some(Uuid::new_v4().to_string()), None] {
        match marker {
            Some(other) => env.ctx.storage.put_bytes(".bedel-installation", other.into()).await.unwrap(),
            None => env.ctx.storage.delete(".bedel-installation").await.unwrap(),
        }
        for lecture_id in [None, Some(id)] {
            let report = env.clean(lecture_id, false).await;
            assert_eq!((report.refused, report.listed), (Some(Refusal::WrongStorage), 0), "{report:?}");
        }
        assert!(env.has(&keys::audio(id)).await);
    }
}

/// More rows than a page holds, and files behind each.
#[tokio::test]
async fn pages_are_walked_to_the_end() {
    let env = TestEnv::open().await;
    sqlx::query(
        "INSERT INTO lectures (course_id, panopto_url, stream_url, status, created_at)
         SELECT gen_random_uuid(), '', '', 'completed', now() - interval '2 hours' FROM generate_series(1, 1203)",
    )
    .execute(&env.ctx.pool)
    .await
    .unwrap();
    assert_eq!(env.clean(None, true).await.lectures_removed, 1203);
    assert_eq!(env.clean(None, false).await.lectures_removed, 1203);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_runs_it_and_stores_the_counts() {
    let env = TestEnv::open().await;
    let id = Uuid::new_v4();
    env.put(&keys::audio(id)).await;
    let ended = env.work::<CleanupOrphans>(&CleanupOrphans::for_lecture(id)).await;
    assert_eq!(ended.state, "completed", "{ended:?}");
    let result = ended.result.unwrap();
    assert_eq!((&result["files_deleted"], &result["refused"]), (&json!(1), &json!(null)), "{result}");
    assert!(!env.has(&keys::audio(id)).await);
}

#[test]
fn scratch_is_emptied_and_made() {
    let dir = tempfile::tempdir().unwrap();
    let scratch = dir.path().join("scratch");
    assert_eq!(bedel_jobs::scratch::clean_scratch(&scratch).unwrap(), 0);
    std::fs::create_dir(dir.path().join("precious")).unwrap();
    std::fs::write(dir.path().join("precious/file"), "").unwrap();
    std::fs::create_dir_all(scratch.join("lease/deep")).unwrap();
    std::fs::write(scratch.join("lease/deep/file"), "").unwrap();
    std::os::unix::fs::symlink(dir.path().join("precious"), scratch.join("link")).unwrap();
    assert_eq!(bedel_jobs::scratch::clean_scratch(&scratch).unwrap(), 2);
    assert!(scratch.is_dir() && std::fs::read_dir(&scratch).unwrap().next().is_none());
    assert!(dir.path().join("precious/file").exists());
}
