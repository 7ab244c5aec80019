use super::*;

const ROOM: u64 = 1 << 20;

async fn open(root: &Path, lecture: Uuid) -> Result<DownloadDir, JobError> {
    DownloadDir::open(root, lecture, Uuid::new_v4(), ROOM).await
}

fn put(download_dir: &DownloadDir, bytes: usize) {
    std::fs::write(download_dir.join("source"), vec![7; bytes]).expect("written");
}

fn places(root: &Path) -> usize {
    directories(root).expect("listed").iter().map(|lecture| directories(lecture).expect("listed").len()).sum()
}

#[tokio::test]
async fn the_next_attempt_goes_on_with_what_is_there() {
    let root = tempfile::tempdir().expect("a directory");
    let lecture = Uuid::new_v4();
    let first = open(root.path(), lecture).await.expect("a place");
    put(&first, 10);
    let other = open(root.path(), Uuid::new_v4()).await.expect("a place");
    assert!(!other.join("source").exists(), "another lecture's stays its own");
    drop(first);
    let second = open(root.path(), lecture).await.expect("a place");
    assert_eq!(std::fs::read(second.join("source")).expect("taken over").len(), 10);
    second.remove().await;
    assert_eq!(places(root.path()), 1, "the other lecture's");
}

/// The lock is held by a write that is still under way, whatever became of its attempt.
#[tokio::test]
async fn what_somebody_still_holds_is_not_taken() {
    let root = tempfile::tempdir().expect("a directory");
    let lecture = Uuid::new_v4();
    let zombie = open(root.path(), lecture).await.expect("a place");
    put(&zombie, 10);
    let write = Arc::clone(zombie.lock());
    let left = zombie.join("source");
    drop(zombie);
    let second = open(root.path(), lecture).await.expect("a place");
    assert!(!second.join("source").exists());
    std::fs::write(&left, b"written late").expect("written");
    assert!(!second.join("source").exists(), "a late write reaches nobody");
    put(&second, 20);
    drop((second, write));
    let third = open(root.path(), lecture).await.expect("a place");
    assert_eq!(std::fs::read(third.join("source")).expect("the larger one").len(), 20);
    assert_eq!(places(root.path()), 1, "the smaller one is removed");
}

#[tokio::test]
async fn what_was_left_too_long_is_removed() {
    let root = tempfile::tempdir().expect("a directory");
    let old = open(root.path(), Uuid::new_v4()).await.expect("a place");
    let held = open(root.path(), Uuid::new_v4()).await.expect("a place");
    let young = open(root.path(), Uuid::new_v4()).await.expect("a place");
    let written = old.lock().metadata().and_then(|metadata| metadata.modified()).expect("a time");
    for place in [&old, &held] {
        place.lock().set_modified(written - KEPT - Duration::from_secs(60)).expect("set back");
    }
    let (old_path, young_path) = (old.join("lock"), young.join("lock"));
    drop((old, young));
    let next = open(root.path(), Uuid::new_v4()).await.expect("a place");
    assert!(!old_path.exists(), "nobody came back for it");
    assert!(held.join("lock").exists() && young_path.exists() && next.join("lock").exists());
}

#[tokio::test]
async fn there_is_never_more_than_the_limit() {
    let root = tempfile::tempdir().expect("a directory");
    let mut left = Vec::new();
    for _ in 0..3 {
        let place = open(root.path(), Uuid::new_v4()).await.expect("a place");
        put(&place, ROOM as usize / 2);
        left.push(place.join("source"));
    }
    let place = open(root.path(), Uuid::new_v4()).await.expect("room was made");
    assert!(left.iter().filter(|source| source.exists()).count() <= 1, "what was left longest went");
    put(&place, ROOM as usize + 1);
    let full = open(root.path(), Uuid::new_v4()).await.expect_err("no room");
    assert_eq!((full.class(), full.wait_delay()), ("scratch-full", Some(JobError::HOST_FAULT_PAUSE)));
    drop(place);
    open(root.path(), Uuid::new_v4()).await.expect("room again");
}

/// Downloads of different lectures begin and end beside one another all day.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn downloads_that_begin_and_end_together_do_not_disturb_each_other() {
    let root = tempfile::tempdir().expect("a directory");
    let downloads = (0..8).map(|_| {
        let root = root.path().to_owned();
        tokio::spawn(async move {
            for _ in 0..200 {
                open(&root, Uuid::new_v4()).await.expect("a place").remove().await;
            }
        })
    });
    for ended in futures::future::join_all(downloads).await {
        ended.expect("undisturbed");
    }
    assert_eq!(places(root.path()), 0);
}
