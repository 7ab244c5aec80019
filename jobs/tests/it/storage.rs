//! Stored files on a local disk.

use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;

use bedel_jobs::installation::{TieError, tie};
use bedel_queue::JobError;
use bedel_storage::keys::{self, Class};
use bedel_storage::{Storage, StorageError};
use bytes::Bytes;
use tempfile::{TempDir, tempdir};
use uuid::Uuid;

fn storage() -> (Storage, TempDir) {
    let dir = tempdir().unwrap();
    (Storage::local(&dir.path().join("storage")).unwrap(), dir)
}

fn content(bytes: usize) -> Vec<u8> {
    (0..bytes).map(|i| (i % 251) as u8).collect()
}

#[tokio::test]
async fn what_was_stored_comes_back_whatever_its_size() {
    let (storage, dir) = storage();
    let (source, back) = (dir.path().join("source"), dir.path().join("back"));
    for size in [0, 1, 1 << 20, (1 << 20) + 1, (24 << 20) + 12_345] {
        let (id, lease) = (Uuid::new_v4(), Uuid::new_v4());
        std::fs::write(&source, content(size)).unwrap();
        storage.put_file(&keys::audio_temp(id, lease), &source).await.unwrap();
        storage.rename(&keys::audio_temp(id, lease), &keys::audio(id)).await.unwrap();
        storage.get_file(&keys::audio(id), &back).await.unwrap();
        assert!(std::fs::read(&back).unwrap() == content(size), "{size}");
        assert!(std::fs::read(storage.local_path(&keys::audio(id)).unwrap()).unwrap() == content(size));
        assert_eq!(storage.stat(&keys::audio(id)).await.unwrap().unwrap().size, size as u64);
        assert!(!storage.exists(&keys::audio_temp(id, lease)).await.unwrap());
        let temporary = storage.local_path("audio_tmp").unwrap().join(id.to_string());
        assert!(!temporary.exists(), "the lecture's temporary directory goes with the last object");
    }
}

#[tokio::test]
async fn rename_and_put_replace_and_delete_may_be_repeated() {
    let (storage, _dir) = storage();
    let id = Uuid::new_v4();
    let (from, to) = (keys::transcript_json_temp(id, Uuid::new_v4()), keys::transcript_json(id));
    storage.put_bytes(&to, Bytes::from_static(b"old")).await.unwrap();
    storage.put_bytes(&from, Bytes::from_static(b"first")).await.unwrap();
    storage.put_bytes(&from, Bytes::from_static(b"new")).await.unwrap();
    storage.rename(&from, &to).await.unwrap();
    assert_eq!(storage.get_bytes(&to, 3).await.unwrap(), "new");
    assert!(matches!(storage.get_bytes(&to, 2).await, Err(StorageError::TooLarge { size: 3, max: 2, .. })));
    let error = storage.rename(&from, &to).await.unwrap_err();
    assert!(matches!(error, StorageError::Missing { .. }), "{error}");
    assert_eq!(JobError::from(error).class(), "storage-missing");
    assert_eq!(storage.get_bytes(&to, 3).await.unwrap(), "new", "a rename without a source changes nothing");
    storage.delete(&to).await.unwrap();
    storage.delete(&to).await.unwrap();
    assert!(matches!(storage.get_bytes(&to, 3).await, Err(StorageError::Missing { .. })));
}

#[tokio::test]
async fn only_safe_keys_are_accepted() {
    let (storage, dir) = storage();
    std::fs::write(dir.path().join("outside"), "x").unwrap();
    let bad = [
        "",
        "/",
        "/etc/passwd",
        "a//b",
        "a/",
        "../outside",
        "a/../../outside",
        "a/./b",
        "a/..",
        "a b",
        "a\\b",
        "a\0b",
        "a\nb",
        "a%2e%2e/b",
        "é",
        "a#1",
        "a?b",
        "a:b",
    ];
    for key in bad {
        let invalid =
            |error: StorageError| assert!(matches!(error, StorageError::InvalidKey { .. }), "{key}: {error}");
        invalid(storage.put_bytes(key, Bytes::new()).await.unwrap_err());
        invalid(storage.get_bytes(key, 10).await.unwrap_err());
        invalid(storage.delete(key).await.unwrap_err());
        invalid(storage.rename("a", key).await.unwrap_err());
        assert_eq!(storage.local_path(key), None, "{key}");
    }
    assert!(storage.put_bytes(&"a".repeat(201), Bytes::new()).await.is_err());
    assert!(dir.path().join("outside").exists());
}

#[tokio::test]
async fn a_listing_shows_our_files_and_nothing_else() {
    let (storage, dir) = storage();
    let (id, lease) = (Uuid::new_v4(), Uuid::new_v4());
    for key in [keys::audio_temp(id, lease), keys::transcript_vtt_temp(id, lease), keys::audio(id)] {
        storage.put_bytes(&key, Bytes::from_static(b"12345")).await.unwrap();
    }
    let temporary = storage.local_path(&format!("audio_tmp/{id}")).unwrap();
    std::fs::write(temporary.join("with blank"), "").unwrap();
    std::fs::write(temporary.join(std::ffi::OsStr::from_bytes(b"latin\xe9")), "").unwrap();
    std::fs::write(dir.path().join("outside"), "").unwrap();
    symlink(dir.path().join("outside"), temporary.join("link")).unwrap();
    symlink(&temporary, temporary.join("loop")).unwrap();

    let mut listed = storage.list(&keys::audio_temp_prefix(id)).await.unwrap();
    listed.sort_by(|a, b| a.key.cmp(&b.key));
    let found: Vec<_> = listed.iter().map(|stored| (stored.key.clone(), stored.size)).collect();
    assert_eq!(found, [(keys::audio_temp(id, lease), 5), (keys::transcript_vtt_temp(id, lease), 5)]);
    assert_eq!(storage.list("audio_tmp").await.unwrap().len(), 2);
    assert_eq!(storage.list("documents").await.unwrap(), []);
    assert!(listed[0].modified <= storage.clock().await.unwrap());
}

/// What `kill -9` leaves of a write: nothing under the key, but a file that can be found and removed.
#[tokio::test]
async fn a_write_that_was_cut_off_is_no_object_and_can_be_removed() {
    let (storage, _dir) = storage();
    let (id, lease) = (Uuid::new_v4(), Uuid::new_v4());
    let key = keys::audio_temp(id, lease);
    let path = storage.local_path(&key).unwrap();
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(format!("{}#1", path.display()), "half").unwrap();
    assert!(!storage.exists(&key).await.unwrap());
    let listed = storage.list("audio_tmp").await.unwrap();
    assert_eq!(listed.len(), 1);
    assert!(listed[0].is_staged() && listed[0].key == key);
    storage.delete_listed(&listed[0]).await.unwrap();
    storage.delete_listed(&listed[0]).await.unwrap();
    assert_eq!(storage.list("audio_tmp").await.unwrap(), []);
    assert!(!path.parent().unwrap().exists());
}

/// A reader never sees half of a new content, and a cancelled write leaves nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_key_holds_the_old_or_the_new_content() {
    let (storage, dir) = storage();
    let key = keys::documents(Uuid::new_v4());
    let (old, new) = (vec![1; 9 << 20], vec![2; 10 << 20]);
    let source = dir.path().join("source");
    std::fs::write(&source, &old).unwrap();
    storage.put_file(&key, &source).await.unwrap();
    std::fs::write(&source, &new).unwrap();
    let write = tokio::spawn({
        let (storage, key, source) = (storage.clone(), key.clone(), source.clone());
        async move { storage.put_file(&key, &source).await }
    });
    let mut looks = 0;
    while !write.is_finished() {
        let seen = storage.get_bytes(&key, 20 << 20).await.unwrap();
        assert!(seen == old || seen == new, "{} bytes", seen.len());
        looks += 1;
    }
    write.await.unwrap().unwrap();
    assert!(looks > 0 && storage.get_bytes(&key, 20 << 20).await.unwrap() == new);
}

#[tokio::test]
async fn a_storage_belongs_to_one_database() {
    let (storage, _dir) = storage();
    let (ours, other) = (Uuid::new_v4(), Uuid::new_v4());
    assert_eq!(storage.installation().await.unwrap(), None);
    storage.ensure_installation(ours).await.unwrap();
    storage.ensure_installation(ours).await.unwrap();
    assert_eq!(storage.installation().await.unwrap(), Some(ours));
    let error = storage.ensure_installation(other).await.unwrap_err();
    assert!(matches!(error, StorageError::WrongInstallation { .. }), "{error}");
    storage.put_bytes(".bedel-installation", Bytes::from_static(b"garbage")).await.unwrap();
    assert!(storage.ensure_installation(ours).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_new_storages_at_once_one_is_tied() {
    let database = crate::world::database().await;
    let ((one, _a), (other, _b)) = (storage(), storage());
    let (first, second) = tokio::join!(tie(&one, &database.pool), tie(&other, &database.pool));
    let (tied, loser) = if first.is_ok() { (&one, second) } else { (&other, first) };
    let error = loser.unwrap_err();
    assert!(matches!(error, TieError::Storage(StorageError::NotMarked { .. })), "{error}");
    tie(tied, &database.pool).await.unwrap();
}

#[test]
fn a_key_is_taken_apart_as_it_was_made() {
    let (id, lease) = (Uuid::new_v4(), Uuid::new_v4());
    let upper = id.to_string().to_uppercase();
    let known = [
        (keys::audio(id), Class::Audio, None),
        (keys::transcript_json(id), Class::TranscriptJson, None),
        (keys::transcript_vtt(id), Class::TranscriptVtt, None),
        (keys::lecture_chunks(id), Class::LectureChunks, None),
        (keys::documents(id), Class::Document, None),
        (format!("document_chunks/{id}.json"), Class::DocumentChunks, None),
        (keys::audio_temp(id, lease), Class::Temporary, Some(lease)),
        (keys::transcript_json_temp(id, lease), Class::Temporary, Some(lease)),
        (keys::transcript_vtt_temp(id, lease), Class::Temporary, Some(lease)),
        (format!("audio_tmp/{id}/whatever"), Class::Temporary, None),
        (format!("audio_tmp/{id}/upload.m4a"), Class::Upload, None),
        (keys::transcript_piece(id, "0123456789abcdef", 4_800_000), Class::TranscriptPiece, None),
        (format!("audio_tmp/{id}_source.mp4"), Class::Temporary, None),
    ];
    for (key, class, lease) in known {
        let parsed = keys::parse(&key).unwrap_or_else(|| panic!("{key}"));
        assert_eq!((parsed.class, parsed.id, parsed.lease), (class, id, lease), "{key}");
    }
    let unknown = [
        format!("audio/{id}.mp3"),
        format!("audio/{upper}.m4a"),
        format!("audio/{}.m4a", id.simple()),
        format!("audio/x/{id}.m4a"),
        format!("transcripts/{id}.2.json"),
        format!("audio_tmp/{id}/a/b"),
        "audio_tmp/readme.txt".to_owned(),
        "tmp/x".to_owned(),
        id.to_string(),
    ];
    for key in unknown {
        assert_eq!(keys::parse(&key), None, "{key}");
    }
}
