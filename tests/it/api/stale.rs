//! Connections that a migration or a read-only server made useless: no request fails because of them.

use bedel_queue::replace_stale;
use reqwest::Method;
use serde_json::json;
use sqlx::postgres::PgPoolOptions;
use sqlx::{AssertSqlSafe, PgPool};

use super::{Answer, Answering, App, COURSE, submission};
use crate::program::migrated;

/// An API on a pool like the program's, and another pool.
async fn app() -> (App, PgPool) {
    let database = migrated().await;
    let pool = replace_stale(PgPoolOptions::new().max_connections(3)).connect(&database.url).await.unwrap();
    let app = App::over(pool, 2).await;
    let mut connection = database.pool.acquire().await.unwrap();
    let installation = bedel_jobs::installation::installation_of_database(&mut connection).await.unwrap();
    app.storage.ensure_installation(installation).await.unwrap();
    drop(connection);
    (app, database.pool)
}

/// The first submission creates the lecture, later ones find it.
fn success(answer: Answer) -> Answer {
    assert!(answer.status.is_success(), "{}", answer.text);
    answer
}

/// Requests that read and write the tables that every page shows.
async fn use_everything(app: &App) {
    let lecture = success(app.submit(0, &submission()).await).id("lecture_id");
    for path in [
        format!("/api/lectures/{lecture}"),
        format!("/api/lectures?course_id={COURSE}"),
        format!("/api/courses/{COURSE}/documents"),
    ] {
        app.get(0, &path).await.expect(200);
    }
    let job = json!({ "kind": "cleanup-orphans", "args": { "dry_run": true } });
    let job = app.admin(Method::POST, "/api/jobs").json(&job).answer().await.expect(201).id("job_id");
    for path in ["/api/jobs".to_owned(), "/api/jobs?state=available".to_owned(), format!("/api/jobs/{job}")] {
        app.admin(Method::GET, &path).answer().await.expect(200);
    }
}

#[tokio::test]
async fn requests_survive_later_migrations() {
    let (app, beside) = app().await;
    // Every connection of the pool has prepared its statements.
    for _ in 0..3 {
        use_everything(&app).await;
    }
    for migration in [
        "ALTER TABLE queue.jobs ADD COLUMN note text; ALTER TABLE lectures ADD COLUMN note text",
        "CREATE DOMAIN queue.count AS integer; ALTER TABLE queue.jobs ALTER COLUMN attempt TYPE queue.count;
         CREATE DOMAIN caption AS text; ALTER TABLE lectures ALTER COLUMN stream_url TYPE caption;
         ALTER TABLE queue.jobs ALTER COLUMN reason TYPE caption",
    ] {
        sqlx::raw_sql(migration).execute(&beside).await.unwrap();
        for _ in 0..3 {
            use_everything(&app).await;
        }
    }
}

#[tokio::test]
async fn a_read_only_server_is_not_ready_and_is_used_again_once_it_is_writable() {
    let (app, beside) = app().await;
    use_everything(&app).await;
    let name: String = sqlx::query_scalar("SELECT current_database()").fetch_one(&beside).await.unwrap();
    let read_only = format!(
        "ALTER DATABASE \"{name}\" SET default_transaction_read_only = on;
         SELECT pg_terminate_backend(pid) FROM pg_stat_activity
          WHERE datname = current_database() AND pid <> pg_backend_pid()"
    );
    sqlx::raw_sql(AssertSqlSafe(read_only)).execute(&beside).await.unwrap();
    for _ in 0..3 {
        let answer = app.anonymous(Method::GET, "/readyz").answer().await.problem(503, "unavailable");
        assert!(answer["detail"].as_str().unwrap().contains("read-only"), "{answer}");
        app.submit(0, &submission()).await.problem(503, "unavailable");
        app.admin(Method::GET, "/api/jobs").answer().await.expect(200);
    }
    let mut writable = beside.acquire().await.unwrap();
    for statement in [
        "SET default_transaction_read_only = off".to_owned(),
        format!("ALTER DATABASE \"{name}\" RESET default_transaction_read_only"),
    ] {
        sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut *writable).await.unwrap();
    }
    app.anonymous(Method::GET, "/readyz").answer().await.expect(200);
    use_everything(&app).await;
}
