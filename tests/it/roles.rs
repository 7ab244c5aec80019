//! Database roles with few rights, and connection strings: the program as its documentation says to run it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bedel_test_support::Cluster;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use reqwest::{Client, Method, StatusCode};
use rustix::process::Signal;
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use serde_json::{Value, json};
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, UnixStream};
use tokio_rustls::TlsAcceptor;

use crate::program::{Project, migrated, until};

const PAGE: &str = include_str!("../../docs/operate/roles.md");

/// The statements of the page's block under this heading.
fn block(heading: &str) -> String {
    let (_, rest) = PAGE.split_once(&format!("\n## {heading}\n")).unwrap_or_else(|| panic!("no {heading}"));
    let section = rest.split("\n## ").next().unwrap();
    section.lines().filter_map(|line| line.strip_prefix("    ")).collect::<Vec<_>>().join("\n")
}

/// A server with the page's roles and an empty database `bedel`.
async fn cluster() -> Cluster {
    let cluster = Cluster::start(&[]).await.unwrap();
    cluster.create("bedel").await.unwrap();
    statements(&cluster, "postgres", &block("Make the roles")).await;
    cluster
}

/// Runs statements in the database `bedel` as this role.
async fn statements(cluster: &Cluster, role: &str, text: &str) {
    let mut connection = PgConnection::connect(&url(cluster, role)).await.unwrap();
    sqlx::raw_sql(AssertSqlSafe(text)).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
}

fn url(cluster: &Cluster, role: &str) -> String {
    cluster.url("bedel").replace("user=postgres", &format!("user={role}"))
}

/// A project whose program connects as this role. All of them share the storage of the first.
fn project(cluster: &Cluster, role: &str, storage: &std::path::Path) -> Project {
    Project::new()
        .set("DATABASE_URL", &url(cluster, role))
        .set("BEDEL_STORAGE_DIR", storage.to_str().unwrap())
        .set("BEDEL_SLOTS", "cleanup-orphans=1")
        .set("BEDEL_TOKENS", "secret=00000000-0000-4000-8000-000000000001:admin")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_a_scheduler_and_an_api_need_only_the_documented_grants() {
    let cluster = cluster().await;
    let storage = tempfile::tempdir().unwrap();
    project(&cluster, "bedel_owner", storage.path()).run(&["migrate"]).ok();
    statements(&cluster, "bedel_owner", &block("Grant what they need")).await;

    let api = project(&cluster, "bedel_api", storage.path());
    let address = api.path().join("address");
    let process = api.start(&["api", "--listen", "127.0.0.1:0", "--address-file", address.to_str().unwrap()]);
    let workers = project(&cluster, "bedel_worker", storage.path());
    let worker = workers.start(&["worker"]);
    let scheduler = workers.start(&["scheduler"]);
    until("an address", || address.exists());
    let base = format!("http://{}", std::fs::read_to_string(&address).unwrap());
    let client = Client::builder().no_proxy().build().unwrap();
    let ask = async |method: Method, path: &str, body: Option<Value>| {
        let mut request = client.request(method, format!("{base}{path}")).bearer_auth("secret");
        if let Some(body) = body {
            request = request.json(&body);
        }
        let answer = request.send().await.unwrap();
        (answer.status(), answer.json::<Value>().await.unwrap())
    };
    let begun = Instant::now();
    while ask(Method::GET, "/readyz", None).await.0 != StatusCode::OK {
        assert!(begun.elapsed() < Duration::from_secs(30), "{}", process.log());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let job = json!({ "kind": "cleanup-orphans", "args": { "dry_run": false } });
    let (status, job) = ask(Method::POST, "/api/jobs", Some(job)).await;
    assert_eq!(status, StatusCode::CREATED, "{job}");
    let path = format!("/api/jobs/{}", job["job_id"].as_str().unwrap());
    while ask(Method::GET, &path, None).await.1["state"] != "completed" {
        assert!(begun.elapsed() < Duration::from_secs(60), "{}", worker.log());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let lecture = json!({
        "course_id": "00000000-0000-0000-0000-000000000001",
        "panopto_url": "https://a.hosted.panopto.com/Panopto/Pages/Viewer.aspx?id=26b3ae9e-4a48-4dcc-96ba-0befba08a0fb"
    });
    let (status, answer) = ask(Method::POST, "/api/lectures/download", Some(lecture)).await;
    assert!(status.is_success(), "{answer}");
    scheduler.wait_for_log("scheduler started");
    for mut process in [process, worker, scheduler] {
        assert!(!process.log().contains("permission denied"), "{}", process.log());
        process.signal(Signal::TERM);
        assert_eq!(process.wait().code(), Some(0), "{}", process.log());
    }
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_without_a_grant_ends_at_its_start_and_names_it() {
    let cluster = cluster().await;
    let storage = tempfile::tempdir().unwrap();
    let refused = project(&cluster, "bedel_worker", storage.path()).run(&["migrate"]).refused(2);
    assert!(refused.contains("GRANT CREATE ON DATABASE bedel TO bedel_worker"), "{refused}");
    project(&cluster, "bedel_owner", storage.path()).run(&["migrate"]).ok();
    let api = ["api", "--listen", "127.0.0.1:0"];
    for command in [&["worker"][..], &["scheduler"], &api] {
        let refused = project(&cluster, "bedel_worker", storage.path()).run(command).refused(2);
        assert!(refused.contains("GRANT USAGE ON SCHEMA queue TO bedel_worker"), "{refused}");
    }
    statements(&cluster, "bedel_owner", &block("Grant what they need")).await;
    statements(&cluster, "bedel_owner", "REVOKE UPDATE ON queue.jobs FROM bedel_worker").await;
    let refused = project(&cluster, "bedel_worker", storage.path()).run(&["worker"]).refused(2);
    assert!(refused.contains("GRANT UPDATE ON queue.jobs TO bedel_worker;"), "{refused}");
    assert!(!refused.contains("SELECT"), "only what is missing is named: {refused}");
    // The error names everything that is missing.
    let (_, grant) = refused.split_once("type: ").unwrap();
    statements(&cluster, "bedel_owner", grant.trim()).await;
    let worker = project(&cluster, "bedel_worker", storage.path());
    worker.start(&["worker"]).wait_for_log("ready for jobs");
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_table_needs_a_grant() {
    let cluster = cluster().await;
    let storage = tempfile::tempdir().unwrap();
    project(&cluster, "bedel_owner", storage.path()).run(&["migrate"]).ok();
    statements(&cluster, "bedel_owner", "GRANT USAGE ON SCHEMA public, queue TO bedel_worker").await;
    let refused = project(&cluster, "bedel_worker", storage.path()).run(&["worker"]).refused(2);
    let mut connection = PgConnection::connect(&url(&cluster, "bedel_owner")).await.unwrap();
    let tables: Vec<String> = sqlx::query_scalar(
        "SELECT schemaname || '.' || tablename FROM pg_tables WHERE schemaname IN ('public', 'queue')",
    )
    .fetch_all(&mut connection)
    .await
    .unwrap();
    connection.close().await.unwrap();
    assert!(tables.len() > 30, "{tables:?}");
    for table in tables {
        assert!(
            refused.contains(&format!(" ON {table} TO bedel_worker;")),
            "{table} is not checked: {refused}"
        );
    }
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_waited_for_the_schema_waits_for_its_grants_too() {
    let cluster = cluster().await;
    let storage = tempfile::tempdir().unwrap();
    let workers = project(&cluster, "bedel_worker", storage.path());
    let mut worker = workers.start(&["worker"]);
    worker.wait_for_log("waiting: ");
    project(&cluster, "bedel_owner", storage.path()).run(&["migrate"]).ok();
    worker.wait_for_log("this process may not use its tables yet");
    statements(&cluster, "bedel_owner", &block("Grant what they need")).await;
    worker.wait_for_log("ready for jobs");
    worker.signal(Signal::TERM);
    assert_eq!(worker.wait().code(), Some(0), "{}", worker.log());
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_others_keep_in_the_schema_needs_no_grants() {
    let cluster = cluster().await;
    let storage = tempfile::tempdir().unwrap();
    let others = "CREATE TABLE queue.notes (); CREATE FUNCTION queue.note() RETURNS integer LANGUAGE sql AS 'SELECT 1';
                  REVOKE EXECUTE ON FUNCTION queue.note() FROM PUBLIC;";
    statements(&cluster, "postgres", "CREATE SCHEMA queue AUTHORIZATION bedel_owner").await;
    statements(&cluster, "postgres", others).await;
    project(&cluster, "bedel_owner", storage.path()).run(&["migrate"]).ok();
    // GRANT … ON ALL TABLES fails where the role may grant nothing on one of them.
    statements(&cluster, "postgres", "DROP TABLE queue.notes; DROP FUNCTION queue.note").await;
    statements(&cluster, "bedel_owner", &block("Grant what they need")).await;
    statements(&cluster, "postgres", others).await;
    let worker = project(&cluster, "bedel_worker", storage.path());
    worker.start(&["worker"]).wait_for_log("ready for jobs");
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_migration_of_somebody_elses_table_names_its_owner() {
    let cluster = cluster().await;
    let storage = tempfile::tempdir().unwrap();
    statements(
        &cluster,
        "postgres",
        "CREATE SCHEMA queue AUTHORIZATION bedel_owner; CREATE TABLE queue.jobs ()",
    )
    .await;
    let refused = project(&cluster, "bedel_owner", storage.path()).run(&["migrate"]).refused(2);
    assert!(refused.contains("GRANT postgres TO bedel_owner;"), "{refused}");
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_may_hold_any_character() {
    let cluster = cluster().await;
    statements(&cluster, "postgres", r"ALTER ROLE bedel_owner PASSWORD 'p@:/#%?&= +ü''\$,'").await;
    // The server asks for it from now on.
    statements(
        &cluster,
        "postgres",
        "CREATE TEMP TABLE rules (line text);
         DO $$ BEGIN EXECUTE format('COPY rules FROM PROGRAM %L', 'cat ' || current_setting('hba_file')); END $$;
         DO $$ BEGIN EXECUTE format('COPY (SELECT ''local all bedel_owner scram-sha-256'' UNION ALL SELECT line FROM rules) TO %L',
                                    current_setting('hba_file')); END $$;
         SELECT pg_reload_conf()",
    )
    .await;
    let encoded = "p%40%3A%2F%23%25%3F%26%3D%20%2B%C3%BC%27%5C%24%2C";
    let good = url(&cluster, "bedel_owner") + "&password=" + encoded;
    Project::new().set("DATABASE_URL", &good).run(&["migrate"]).ok();
    let bad = url(&cluster, "bedel_owner") + "&password=wrong";
    let refused = Project::new().set("DATABASE_URL", &bad).run(&["migrate"]).refused(2);
    assert!(refused.contains("password authentication failed"), "{refused}");
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn several_hosts_are_refused_in_words() {
    let url = "postgresql://u:hunter2@one:5432,two:5432/bedel?target_session_attrs=read-write";
    let project = Project::new().set("DATABASE_URL", url).set("BEDEL_SLOTS", "cleanup-orphans=1");
    for command in ["migrate", "worker", "scheduler"] {
        let refused = project.run(&[command]).refused(2);
        assert!(refused.contains("Write one host") && !refused.contains("hunter2"), "{refused}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pooler_that_refuses_an_option_ends_the_process_with_a_remedy() {
    let pooler = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("postgresql://u@{}/bedel?sslmode=disable", pooler.local_addr().unwrap());
    let refusing = tokio::spawn(async move {
        loop {
            let (mut client, _) = pooler.accept().await.unwrap();
            let mut head = [0; 4];
            client.read_exact(&mut head).await.unwrap();
            let mut rest = vec![0; usize::try_from(u32::from_be_bytes(head)).unwrap() - 4];
            client.read_exact(&mut rest).await.unwrap();
            let fields = b"SFATAL\0VFATAL\0C08P01\0Munsupported startup parameter: options\0\0";
            let length = u32::try_from(fields.len() + 4).unwrap().to_be_bytes();
            client.write_all(&[b"E", &length[..], fields].concat()).await.unwrap();
        }
    });
    let project = Project::new().set("DATABASE_URL", &url).set("BEDEL_SLOTS", "cleanup-orphans=1");
    for command in ["worker", "migrate"] {
        let refused = project.run(&[command]).refused(2);
        assert!(refused.contains("Remove `options` from DATABASE_URL"), "{refused}");
    }
    refusing.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_limits_of_a_role_hold_on_its_connections() {
    let database = migrated().await;
    let project = Project::with_database(&database).set("BEDEL_SLOTS", "cleanup-orphans=1");
    let worker = project.start(&["worker"]);
    worker.wait_for_log("ready for jobs");
    let pool =
        bedel::run::database::pool(&database.url.clone().into(), bedel::run::database::Role::Api).unwrap();
    let limits: (String, String) = sqlx::query_as(
        "SELECT current_setting('statement_timeout'), current_setting('idle_in_transaction_session_timeout')",
    )
    .fetch_one(&pool)
    .await
    .unwrap();
    assert_eq!(limits, ("10s".to_owned(), "5s".to_owned()));
}

/// A certificate for `localhost` from a new authority: the authority in PEM, and the server's side of TLS.
fn certificate() -> (String, TlsAcceptor) {
    let mut authority = CertificateParams::default();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let issuer = Issuer::new(authority.clone(), KeyPair::generate().unwrap());
    let authority = authority.self_signed(issuer.key()).unwrap().pem();
    let key = KeyPair::generate().unwrap();
    let server = CertificateParams::new(["localhost".to_owned()]).unwrap().signed_by(&key, &issuer).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![server.der().clone()], PrivateKeyDer::try_from(key.serialize_der()).unwrap())
        .unwrap();
    (authority, TlsAcceptor::from(Arc::new(config)))
}

/// Speaks PostgreSQL's TLS in front of the cluster's socket. Returns its port.
async fn tls_in_front_of(cluster: &Cluster, acceptor: TlsAcceptor) -> u16 {
    let options: PgConnectOptions = cluster.url("bedel").parse().unwrap();
    let socket = options.get_socket().unwrap().join(format!(".s.PGSQL.{}", options.get_port()));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        loop {
            let (mut client, _) = listener.accept().await.unwrap();
            let (acceptor, socket) = (acceptor.clone(), socket.clone());
            tokio::spawn(async move {
                // The request for TLS has a fixed length.
                let mut request = [0; 8];
                client.read_exact(&mut request).await?;
                client.write_all(b"S").await?;
                let mut client = acceptor.accept(client).await?;
                let mut server = UnixStream::connect(socket).await?;
                tokio::io::copy_bidirectional(&mut client, &mut server).await
            });
        }
    });
    port
}

#[tokio::test(flavor = "multi_thread")]
async fn verify_full_trusts_the_authority_in_the_file_and_no_other() {
    let cluster = cluster().await;
    let (authority, acceptor) = certificate();
    let (other, _) = certificate();
    let port = tls_in_front_of(&cluster, acceptor).await;
    let files = tempfile::tempdir().unwrap();
    let run = |host: &str, pem: &str| {
        let file = files.path().join("ca.pem");
        std::fs::write(&file, pem).unwrap();
        let url = format!(
            "postgresql://bedel_owner@{host}:{port}/bedel?sslmode=verify-full&sslrootcert={}",
            file.display()
        );
        Project::new().set("DATABASE_URL", &url).run(&["migrate"])
    };
    let wrong_authority = run("localhost", &other).refused(1);
    assert!(wrong_authority.contains("certificate"), "{wrong_authority}");
    let wrong_name = run("127.0.0.1", &authority).refused(1);
    assert!(wrong_name.contains("certificate"), "{wrong_name}");
    run("localhost", &authority).ok();
    cluster.stop().await;
}
