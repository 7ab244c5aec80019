use super::*;

const ROOM: u64 = 1 << 20;

async fn open(root: &Path, lecture: Uuid) -> Result<DownloadDir, JobError> {
    DownloadDir::open(root, lecture, Uuid::new_v4(), ROOM).await
}

fn put(download_dir: &DownloadDir, bytes: usize) {
    std::fs::write(download_dir.join("source"), vec![7; bytes]).expect("written");
}

fn count(root: &Path) -> usize {
    directories(root).expect("listed").iter().map(|lecture| directories(lecture).expect("listed").len()).sum()
}

#[tokio::test]
async fn the_next_attempt_takes_over_the_directory() {
    let root = tempfile::tempdir().expect("a directory");
    let lecture = Uuid::new_v4();
    let first = open(root.path(), lecture).await.expect("a directory");
    put(&first, 10);
    let other = open(root.path(), Uuid::new_v4()).await.expect("a directory");
    assert!(!other.join("source").exists(), "another lecture has its own");
    drop(first);
    let second = open(root.path(), lecture).await.expect("a directory");
    assert_eq!(std::fs::read(second.join("source")).expect("taken over").len(), 10);
    second.remove().await;
    assert_eq!(count(root.path()), 1, "the other lecture's");
}

/// A write in flight keeps the lock after its attempt ended.
#[tokio::test]
async fn a_locked_directory_is_not_taken_over() {
    let root = tempfile::tempdir().expect("a directory");
    let lecture = Uuid::new_v4();
    let zombie = open(root.path(), lecture).await.expect("a directory");
    put(&zombie, 10);
    let write = Arc::clone(zombie.lock());
    let late = zombie.join("source");
    drop(zombie);
    let second = open(root.path(), lecture).await.expect("a directory");
    assert!(!second.join("source").exists());
    std::fs::write(&late, b"written late").expect("written");
    assert!(!second.join("source").exists(), "a late write does not reach the next attempt");
    put(&second, 20);
    drop((second, write));
    let third = open(root.path(), lecture).await.expect("a directory");
    assert_eq!(std::fs::read(third.join("source")).expect("the larger one").len(), 20);
    assert_eq!(count(root.path()), 1, "the smaller one is removed");
}

#[tokio::test]
async fn an_old_abandoned_directory_is_removed() {
    let root = tempfile::tempdir().expect("a directory");
    let old = open(root.path(), Uuid::new_v4()).await.expect("a directory");
    let locked = open(root.path(), Uuid::new_v4()).await.expect("a directory");
    let young = open(root.path(), Uuid::new_v4()).await.expect("a directory");
    let written = old.lock().metadata().and_then(|metadata| metadata.modified()).expect("a time");
    for dir in [&old, &locked] {
        dir.lock().set_modified(written - MAX_AGE - Duration::from_secs(60)).expect("set back");
    }
    let (old_path, young_path) = (old.join("lock"), young.join("lock"));
    drop((old, young));
    let next = open(root.path(), Uuid::new_v4()).await.expect("a directory");
    assert!(!old_path.exists(), "abandoned too long");
    assert!(locked.join("lock").exists() && young_path.exists() && next.join("lock").exists());
}

#[tokio::test]
async fn the_limit_holds() {
    let root = tempfile::tempdir().expect("a directory");
    let mut sources = Vec::new();
    for _ in 0..3 {
        let dir = open(root.path(), Uuid::new_v4()).await.expect("a directory");
        put(&dir, ROOM as usize / 2);
        sources.push(dir.join("source"));
    }
    let dir = open(root.path(), Uuid::new_v4()).await.expect("room was made");
    assert!(sources.iter().filter(|source| source.exists()).count() <= 1, "the oldest are removed");
    put(&dir, ROOM as usize + 1);
    let full = open(root.path(), Uuid::new_v4()).await.expect_err("no room");
    assert_eq!((full.class(), full.wait_delay()), ("scratch-full", Some(JobError::HOST_FAULT_PAUSE)));
    drop(dir);
    open(root.path(), Uuid::new_v4()).await.expect("room again");
}

/// Downloads of different lectures start and end at the same time.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn concurrent_downloads_do_not_disturb_each_other() {
    let root = tempfile::tempdir().expect("a directory");
    let downloads = (0..8).map(|_| {
        let root = root.path().to_owned();
        tokio::spawn(async move {
            for _ in 0..200 {
                open(&root, Uuid::new_v4()).await.expect("a directory").remove().await;
            }
        })
    });
    for ended in futures::future::join_all(downloads).await {
        ended.expect("undisturbed");
    }
    assert_eq!(count(root.path()), 0);
}
