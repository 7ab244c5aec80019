//! Commands and their output.

use std::collections::BTreeSet;

use serde_json::Value;
use uuid::Uuid;

use crate::program::{Project, bare, migrated};

const COMMANDS: [&[&str]; 35] = [
    &["api"],
    &["worker"],
    &["scheduler"],
    &["migrate"],
    &["dev"],
    &["submit"],
    &["lectures"],
    &["lectures", "transcribe"],
    &["webhooks", "list"],
    &["webhooks", "add"],
    &["webhooks", "deliveries"],
    &["courses", "sync"],
    &["token", "create"],
    &["token", "list"],
    &["token", "revoke"],
    &["user", "delete"],
    &["openapi"],
    &["enqueue"],
    &["jobs", "list"],
    &["jobs", "show"],
    &["jobs", "retry"],
    &["jobs", "cancel"],
    &["queues"],
    &["queues", "pause"],
    &["queues", "resume"],
    &["transcribe"],
    &["model", "install"],
    &["model", "list"],
    &["model", "verify"],
    &["doctor"],
    &["search"],
    &["top"],
    &["completions"],
    &["man"],
    &[],
];

fn help(project: &Project, command: &[&str]) -> String {
    let arguments: Vec<&str> = command.iter().copied().chain(["--help"]).collect();
    project.run(&arguments).ok()
}

#[test]
fn help_shows_no_secret() {
    let project = Project::new()
        .set("DATABASE_URL", "postgresql://bedel:hunter2@localhost/bedel")
        .set("BEDEL_TOKENS", "hunter2=00000000-0000-0000-0000-000000000001")
        .set("BEDEL_TOKEN", "hunter2");
    for command in COMMANDS {
        assert!(!help(&project, command).contains("hunter2"), "{command:?}");
    }
}

/// Every user of the machine can read a command line.
#[test]
fn tokens_come_from_the_environment_alone() {
    let project = Project::new();
    let lecture =
        ["submit", "https://x.hosted.panopto.com/", "--course", "00000000-0000-0000-0000-000000000001"];
    let with_token: Vec<&str> = lecture.into_iter().chain(["--token", "t"]).collect();
    for arguments in [&["api", "--tokens", "t"][..], &["dev", "--tokens", "t"], &with_token] {
        assert!(project.run(arguments).refused(2).contains("unexpected argument"), "{arguments:?}");
    }
    for (command, variable) in [("api", "BEDEL_TOKENS"), ("dev", "BEDEL_TOKENS"), ("submit", "BEDEL_TOKEN")] {
        assert!(help(&project, &[command]).contains(variable), "{command}");
    }
    let words: Vec<String> = help(&project, &["worker"]).split_whitespace().map(str::to_owned).collect();
    assert!(words.join(" ").contains("password belongs in the environment"));
}

#[test]
fn the_example_file_lists_the_variables_of_the_help() {
    let project = Project::new();
    let mut in_help = BTreeSet::new();
    for command in COMMANDS {
        for part in help(&project, command).split("[env: ").skip(1) {
            in_help.insert(part.split(['=', ']']).next().unwrap().to_owned());
        }
    }
    let example = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/.env.example")).unwrap();
    let settings = example.lines().filter_map(|line| line.trim_start_matches('#').trim().split_once('='));
    let in_example: BTreeSet<String> = settings
        .map(|(name, _)| name.to_owned())
        .filter(|name| name.chars().all(|letter| letter.is_ascii_uppercase() || letter == '_'))
        .collect();
    assert_eq!(in_help, in_example);
}

#[test]
fn a_bad_value_names_the_variable_and_the_remedy() {
    for (name, value, remedy) in [
        ("BEDEL_BEAT_SECONDS", "soon", "number of seconds"),
        ("BEDEL_SLOTS", "download", "submit=4"),
        ("BEDEL_LISTEN", "8080", "--help"),
        ("BEDEL_ALLOWED_PRIVATE_HOSTS", "localhost", "host:port"),
        ("PANOPTO_TENANTS", "https://panopto.example.edu/", "host name alone"),
        ("CDCS_SYNC_INSTRUCTORS", "perhaps", "true or false"),
        ("BEDEL_LOG", "info,bedel=loud", "info"),
    ] {
        let project =
            Project::new().set(name, value).set("DATABASE_URL", "postgresql:///nowhere?host=/nonexistent");
        let project = project.set("BEDEL_TOKENS", "t=00000000-0000-0000-0000-000000000001");
        let command = if name == "BEDEL_LISTEN" { "api" } else { "worker" };
        let complaint = project.run(&[command]).refused(2);
        assert!(complaint.contains(name) && complaint.contains(remedy), "{name}: {complaint}");
    }
}

#[test]
fn slots_for_a_kind_that_does_not_exist_are_refused() {
    let project = Project::new().set("DATABASE_URL", "postgresql:///nowhere?host=/nonexistent");
    let complaint = project.run(&["worker", "--slots", "downlod=1"]).refused(2);
    assert!(complaint.contains("downlod") && complaint.contains("cleanup-orphans"), "{complaint}");
}

#[test]
fn the_env_file_is_read_and_the_environment_wins() {
    let project = Project::new();
    std::fs::write(project.path().join(".env"), "BEDEL_LOG_FORMAT=xml\n").unwrap();
    assert!(project.run(&["jobs", "list"]).refused(2).contains("BEDEL_LOG_FORMAT"));
    let project = project.set("BEDEL_LOG_FORMAT", "json");
    assert!(project.run(&["jobs", "list"]).refused(2).contains("no database"));
}

#[test]
fn without_a_database_three_lines_say_what_to_do() {
    let project = Project::new();
    for command in [&["jobs", "list"][..], &["migrate"], &["worker"], &["scheduler"], &["enqueue", "submit"]]
    {
        let complaint = project.run(command).refused(2);
        assert_eq!(complaint.trim_end().lines().count(), 3, "{command:?}: {complaint}");
        assert!(complaint.contains("bedel dev") && complaint.contains("DATABASE_URL"), "{complaint}");
    }
}

#[test]
fn an_unreachable_database_is_reported_with_its_cause() {
    // Free a moment ago, so nothing listens there.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let project = Project::new().set("DATABASE_URL", &format!("postgresql://u:hunter2@127.0.0.1:{port}/d"));
    for command in [&["jobs", "list"][..], &["migrate"], &["enqueue", "cleanup-orphans"], &["dev"]] {
        let complaint = project.run(command).refused(1);
        assert!(complaint.contains("onnection refused") && complaint.contains("DATABASE_URL"), "{complaint}");
        assert!(!complaint.contains("hunter2") && !complaint.contains("timed out"), "{complaint}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_on_an_unmigrated_database_says_what_to_type() {
    let database = bare().await;
    let project = Project::with_database(&database);
    for command in [&["jobs", "list"][..], &["enqueue", "cleanup-orphans"]] {
        assert!(project.run(command).refused(1).contains("type: bedel migrate"), "{command:?}");
    }
}

#[test]
fn an_api_process_without_credentials_does_not_start() {
    let project = Project::new().set("DATABASE_URL", "postgresql:///nowhere?host=/nonexistent");
    assert!(project.run(&["api"]).refused(2).contains("BEDEL_TOKENS"));
}

#[tokio::test(flavor = "multi_thread")]
async fn migrating_twice_is_migrating_once() {
    let database = bare().await;
    let project = Project::with_database(&database);
    let before = project.run(&["migrate", "--status"]);
    assert_eq!(before.code, 1);
    assert!(before.out.contains("pending"), "{}", before.out);
    assert!(project.run(&["migrate"]).ok().contains("applied 001"));
    assert!(project.run(&["migrate"]).ok().contains("up to date"));
    assert!(!project.run(&["migrate", "--status"]).ok().contains("pending"));
}

#[tokio::test(flavor = "multi_thread")]
async fn args_are_checked_before_anything_is_enqueued() {
    let database = migrated().await;
    let project = Project::with_database(&database);
    assert!(project.run(&["enqueue", "dance"]).refused(2).contains("course-sync"));
    assert!(project.run(&["enqueue", "download", r#"{"lecture": 1}"#]).refused(2).contains("lecture_id"));
    assert!(project.run(&["enqueue", "download", "not JSON"]).refused(2).contains("JSON"));
    assert_eq!(project.run(&["jobs", "list", "--json"]).ok().trim(), "[]");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lecture_has_one_live_job_also_when_a_person_enqueues() {
    let database = migrated().await;
    let project = Project::with_database(&database);
    let args = format!(r#"{{"lecture_id": "{}"}}"#, Uuid::new_v4());
    let first: Value =
        serde_json::from_str(&project.run(&["enqueue", "submit", &args, "--json"]).ok()).unwrap();
    let second: Value =
        serde_json::from_str(&project.run(&["enqueue", "download", &args, "--json"]).ok()).unwrap();
    assert_eq!((&first["created"], &second["created"]), (&Value::Bool(true), &Value::Bool(false)));
    assert_eq!(first["job_id"], second["job_id"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn cancelling_fails_the_lecture_and_retrying_goes_on() {
    let database = migrated().await;
    let project = Project::with_database(&database);
    let lecture: Uuid = sqlx::query_scalar(
        "INSERT INTO lectures (course_id, panopto_session_id, panopto_url, stream_url)
         VALUES (gen_random_uuid(), 'x', 'https://x.hosted.panopto.com/', '') RETURNING id",
    )
    .fetch_one(&database.pool)
    .await
    .unwrap();
    let args = format!(r#"{{"lecture_id": "{lecture}"}}"#);
    let job = project.run(&["enqueue", "submit", &args]).ok().trim().to_owned();

    project.run(&["jobs", "cancel", &job, "--reason", "wrong course"]).ok();
    let (status, message): (String, Option<String>) =
        sqlx::query_as("SELECT status::text, error_message FROM lectures WHERE id = $1")
            .bind(lecture)
            .fetch_one(&database.pool)
            .await
            .unwrap();
    assert_eq!(status, "failed");
    assert!(message.is_some());
    project.run(&["jobs", "cancel", &job]).refused(1);

    let shown: Value = serde_json::from_str(&project.run(&["jobs", "show", &job, "--json"]).ok()).unwrap();
    assert_eq!(shown["state"], "cancelled");
    assert!(project.run(&["jobs", "show", &job]).ok().contains("wrong course"));
    // The lecture has no audio, so it starts from the beginning with a new job.
    let said = project.run(&["jobs", "retry", &job]).ok();
    let again = said.split_whitespace().next().unwrap().to_owned();
    assert_ne!(again, job);
    assert!(said.contains(&job), "{said}");
    let (status, message): (String, Option<String>) =
        sqlx::query_as("SELECT status::text, error_message FROM lectures WHERE id = $1")
            .bind(lecture)
            .fetch_one(&database.pool)
            .await
            .unwrap();
    assert_eq!((status.as_str(), message), ("pending", None));
    let listed =
        project.run(&["jobs", "list", "--state", "available", "--lecture", &lecture.to_string()]).ok();
    assert!(listed.contains(&again) && !listed.contains(&job), "{listed}");
    // Retrying the old job finds the live one, never makes a second.
    assert!(project.run(&["jobs", "retry", &job]).ok().starts_with(&again));
    project.run(&["jobs", "retry", &Uuid::new_v4().to_string()]).refused(1);
    assert!(project.run(&["jobs", "list", "--state", "waiting"]).refused(2).contains("discarded"));
}

#[tokio::test(flavor = "multi_thread")]
async fn retrying_begins_at_the_latest_stage_whose_input_exists() {
    let database = migrated().await;
    let project = Project::with_database(&database).set("GIVE_UP_AFTER_SECONDS", "60");
    let lecture: Uuid = sqlx::query_scalar(
        "INSERT INTO lectures (course_id, panopto_session_id, panopto_url, stream_url, status, audio_storage_key,
                               duration_seconds)
         VALUES (gen_random_uuid(), 'x', 'https://x.hosted.panopto.com/', '', 'failed', 'audio/x.m4a', 60)
         RETURNING id",
    )
    .fetch_one(&database.pool)
    .await
    .unwrap();
    let job: Uuid = sqlx::query_scalar(
        "INSERT INTO queue.jobs (kind, args, subject, state, finalized_at, give_up_at, give_up_after,
                                 max_attempts, max_crashes)
         VALUES ('download', jsonb_build_object('lecture_id', $1), $1, 'discarded', now(), now(), '1 day', 5, 3)
         RETURNING id",
    )
    .bind(lecture)
    .fetch_one(&database.pool)
    .await
    .unwrap();
    project.run(&["jobs", "retry", &job.to_string()]).ok();
    let (kind, status, in_time): (String, String, bool) = sqlx::query_as(
        "SELECT kind, lectures.status::text, give_up_at <= now() + interval '60 seconds'
           FROM queue.jobs JOIN lectures ON subject = lectures.id WHERE state = 'available'",
    )
    .fetch_one(&database.pool)
    .await
    .unwrap();
    assert_eq!((kind.as_str(), status.as_str(), in_time), ("transcribe", "pending", true));

    sqlx::query("UPDATE queue.jobs SET state = 'completed', finalized_at = now() WHERE state = 'available'")
        .execute(&database.pool)
        .await
        .unwrap();
    sqlx::query("UPDATE lectures SET status = 'completed'").execute(&database.pool).await.unwrap();
    assert!(project.run(&["jobs", "retry", &job.to_string()]).refused(1).contains("completed"));
    sqlx::query("DELETE FROM lectures").execute(&database.pool).await.unwrap();
    assert!(project.run(&["jobs", "retry", &job.to_string()]).refused(1).contains("does not exist"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_without_a_lecture_is_retried_itself() {
    let database = migrated().await;
    let project = Project::with_database(&database);
    let job = project.run(&["enqueue", "course-sync"]).ok().trim().to_owned();
    project.run(&["jobs", "cancel", &job]).ok();
    assert!(project.run(&["jobs", "retry", &job]).ok().starts_with(&job));
    assert!(project.run(&["jobs", "list", "--state", "available"]).ok().contains(&job));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_is_paused_shown_and_resumed() {
    let database = migrated().await;
    let project = Project::with_database(&database);
    let listed = project.run(&["queues"]).ok();
    assert!(listed.starts_with("QUEUE") && listed.contains("media") && listed.contains("no"), "{listed}");
    let job = project.run(&["enqueue", "cleanup-orphans"]).ok();

    assert_eq!(project.run(&["queues", "pause", "maintenance"]).ok().trim(), "maintenance is paused");
    assert_eq!(project.run(&["queues", "pause", "maintenance"]).ok().trim(), "maintenance is paused");
    let queue = |name: &str| -> Value {
        let all: Vec<Value> = serde_json::from_str(&project.run(&["queues", "--json"]).ok()).unwrap();
        let names: Vec<&str> = all.iter().map(|queue| queue["name"].as_str().unwrap()).collect();
        assert!(names.is_sorted(), "{names:?}");
        let mut found = all.iter().filter(|queue| queue["name"] == name);
        let queue = found.next().unwrap().clone();
        assert!(found.next().is_none(), "{name} twice");
        queue
    };
    let paused = queue("maintenance");
    assert!(paused["paused_at"].is_string(), "{paused}");
    assert_eq!((&paused["available"], &paused["running"]), (&1.into(), &0.into()));
    assert!(queue("media")["paused_at"].is_null());
    let listed = project.run(&["queues"]).ok();
    let line = listed.lines().find(|line| line.starts_with("maintenance")).unwrap().to_owned();
    assert!(line.contains("since 20"), "{listed}");
    assert!(project.run(&["jobs", "list", "--state", "available"]).ok().contains(job.trim()));

    assert_eq!(project.run(&["queues", "resume", "maintenance"]).ok().trim(), "maintenance is resumed");
    assert!(queue("maintenance")["paused_at"].is_null());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_that_nothing_knows_is_not_paused() {
    let database = migrated().await;
    let project = Project::with_database(&database);
    for action in ["pause", "resume"] {
        let complaint = project.run(&["queues", action, "maintenence"]).refused(2);
        assert!(complaint.contains("maintenence") && complaint.contains("maintenance, media"), "{complaint}");
    }
    // Producers in other languages may use their own names.
    sqlx::query("SELECT queue.enqueue('other', '{}', queue => 'theirs')")
        .execute(&database.pool)
        .await
        .unwrap();
    project.run(&["queues", "pause", "theirs"]).ok();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_doctor_says_what_is_missing() {
    let database = bare().await;
    let project = Project::with_database(&database).set("BEDEL_MODEL", "no-such-model");
    std::fs::write(project.path().join("file"), "").unwrap();
    let ran = project.set("BEDEL_STORAGE_DIR", "file/storage").run(&["doctor"]);
    assert_eq!(ran.code, 1, "{}{}", ran.out, ran.err);
    for line in ["ok    PostgreSQL ", "ok    role", "FAIL  schema", "FAIL  storage", "FAIL  model"] {
        assert!(ran.out.contains(line), "{line}: {}", ran.out);
    }
    assert!(ran.out.contains("bedel migrate") && ran.out.contains("BEDEL_STORAGE_DIR"), "{}", ran.out);

    let project = Project::with_database(&database).set("BEDEL_ENGINE", "openai");
    let ran = project.set("BEDEL_OPENAI_URL", "http://127.0.0.1:9/v1").run(&["doctor"]);
    assert!(ran.out.contains("FAIL  engine") && ran.out.contains("could not be reached"), "{}", ran.out);
    assert!(!ran.out.contains("FAIL  model"), "a server has its own: {}", ran.out);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_doctor_and_a_command_leave_no_directories_behind() {
    let database = migrated().await;
    let project = Project::with_database(&database);
    let looked = project.run(&["doctor"]);
    for subject in ["storage", "scratch"] {
        assert!(looked.out.contains(&format!("ok    {subject} ")), "{}", looked.out);
    }
    let job = project.run(&["enqueue", "cleanup-orphans", r#"{"dry_run": true}"#]).ok();
    project.run(&["jobs", "cancel", job.trim()]).ok();
    project.run(&["jobs", "retry", job.trim()]).ok();
    assert!(!project.path().join(".data").exists(), "looking made a directory");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_doctor_does_not_take_an_unreadable_storage_for_a_new_one() {
    let database = migrated().await;
    let project = Project::with_database(&database);
    let storage = project.path().join(".data/storage");
    std::fs::create_dir_all(&storage).unwrap();
    assert!(project.run(&["doctor"]).out.contains("ok    installation"));
    // A link to itself is unreadable, even for root.
    std::os::unix::fs::symlink(".bedel-installation", storage.join(".bedel-installation")).unwrap();
    let ran = project.run(&["doctor"]);
    assert!(ran.code == 1 && ran.out.contains("FAIL  installation"), "{}", ran.out);
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_are_made_listed_and_revoked() {
    let database = migrated().await;
    let project = Project::with_database(&database);
    let user = Uuid::new_v4().to_string();
    let token = project
        .run(&["token", "create", "--user", &user, "--name", "lab script", "--scope", "read", "--days", "7"])
        .ok();
    assert!(
        token.trim().starts_with(bedel::api::api_tokens::PREFIX) && token.lines().count() == 1,
        "{token}"
    );
    let listed = project.run(&["token", "list", "--user", &user]).ok();
    assert!(
        listed.contains("lab script") && listed.contains("read") && !listed.contains(token.trim()),
        "{listed}"
    );
    let id = listed.lines().nth(1).unwrap().split_whitespace().next().unwrap().to_owned();
    project.run(&["token", "revoke", &id]).ok();
    assert!(project.run(&["token", "revoke", &id]).refused(1).contains("bedel token list"));
    assert!(project.run(&["token", "create", "--user", &user, "--name", " "]).refused(2).contains("--name"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_user_loses_everything_unshared() {
    let database = migrated().await;
    let project = Project::with_database(&database);
    let [user, other] = [Uuid::new_v4(), Uuid::new_v4()];
    let documents = project.path().join(".data/storage/documents");
    std::fs::create_dir_all(&documents).unwrap();
    let document: Uuid = Uuid::new_v4();
    let file = documents.join(format!("{document}.pdf"));
    std::fs::write(&file, "%PDF-").unwrap();
    let mut connection = database.pool.acquire().await.unwrap();
    for statement in [
        "INSERT INTO users (id) VALUES ($1), ($2)",
        "WITH made AS (
             INSERT INTO lectures (course_id, panopto_session_id, panopto_url, stream_url)
             SELECT $1, n::text, '', '' FROM generate_series(1, 250) AS n RETURNING id, panopto_session_id::integer AS n)
         INSERT INTO user_lectures (user_id, lecture_id)
         SELECT $1, id FROM made UNION ALL SELECT $2, id FROM made WHERE n <= 3",
    ] {
        sqlx::query(statement).bind(user).bind(other).execute(&mut *connection).await.unwrap();
    }
    sqlx::query(
        "INSERT INTO documents (id, owner_id, course_id, filename, storage_key, checksum, mime_type, size_bytes)
         VALUES ($1, $2, $2, 'a.pdf', 'documents/' || $1 || '.pdf', 'c', 'application/pdf', 5)",
    )
    .bind(document)
    .bind(user)
    .execute(&mut *connection)
    .await
    .unwrap();
    drop(connection);
    let user = user.to_string();
    project.run(&["token", "create", "--user", &user, "--name", "x"]).ok();
    let said = project.run(&["user", "delete", &user]).ok();
    assert!(
        said.contains("247 lectures") && said.contains("(3 shared") && said.contains("1 documents"),
        "{said}"
    );
    assert!(!file.exists());
    for (table, left) in
        [("users", 1), ("lectures", 3), ("user_lectures", 3), ("documents", 0), ("api_tokens", 0)]
    {
        let count = sqlx::AssertSqlSafe(format!("SELECT count(*) FROM {table}"));
        assert_eq!(
            sqlx::query_scalar::<_, i64>(count).fetch_one(&database.pool).await.unwrap(),
            left,
            "{table}"
        );
    }
    assert!(project.run(&["user", "delete", &user]).refused(1).contains("no user"));
}
