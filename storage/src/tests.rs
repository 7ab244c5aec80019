use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use object_store::memory::InMemory;
use uuid::Uuid;

use super::error::StorageError;
use super::storage::Storage;
use super::{keys, stream};

/// The paths for object stores, over one in memory.
#[tokio::test]
async fn works_over_an_object_store() {
    let storage = Storage::over(Arc::new(InMemory::new()), None);
    let scratch = tempfile::tempdir().unwrap();
    let file = scratch.path().join("large");
    let content: Vec<u8> = (0..stream::REMOTE_PART_BYTES * 2 + 17).map(|i| (i % 251) as u8).collect();
    std::fs::write(&file, &content).unwrap();
    let (id, lease) = (Uuid::new_v4(), Uuid::new_v4());
    storage.put_file(&keys::audio_temp(id, lease), &file).await.unwrap();
    storage.rename(&keys::audio_temp(id, lease), &keys::audio(id)).await.unwrap();
    assert_eq!(storage.list(&keys::audio_temp_prefix(id)).await.unwrap(), []);
    assert_eq!(storage.list("audio").await.unwrap()[0].size, content.len() as u64);
    let back = scratch.path().join("back");
    storage.get_file(&keys::audio(id), &back).await.unwrap();
    assert!(std::fs::read(&back).unwrap() == content);
    assert_eq!(storage.local_path(&keys::audio(id)), None);
    storage.ensure_installation(id).await.unwrap();
    assert!(matches!(storage.ensure_installation(lease).await, Err(StorageError::WrongInstallation { .. })));
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn a_new_directory_is_private_and_an_old_one_keeps_its_mode() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    Storage::local(&data.join("storage")).unwrap();
    assert_eq!(mode(&data.join("storage")), 0o700);
    std::fs::create_dir(directory.path().join("plain")).unwrap();
    let plain = mode(&directory.path().join("plain"));
    assert_eq!(mode(&data), plain, "another user's database may be in it");
    std::fs::set_permissions(data.join("storage"), std::fs::Permissions::from_mode(0o750)).unwrap();
    Storage::local(&data.join("storage")).unwrap();
    assert_eq!(mode(&data.join("storage")), 0o750);
    std::fs::write(data.join("file"), "").unwrap();
    assert!(Storage::local(&data.join("file")).is_err());
}

#[test]
fn a_storage_that_must_exist_is_not_created() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().join("storage");
    assert!(Storage::existing(&root).is_err() && !root.exists());
    Storage::local(&root).unwrap();
    Storage::existing(&root).unwrap();
}

#[tokio::test]
async fn an_unusable_storage_fails_every_operation() {
    let (storage, key) = (Storage::unusable(), keys::audio(Uuid::new_v4()));
    assert!(storage.put_bytes(&key, Bytes::from_static(b"x")).await.is_err());
    assert!(storage.get_bytes(&key, 1).await.is_err());
    assert!(storage.ensure_installation(Uuid::new_v4()).await.is_err());
    assert_eq!(storage.local_path(&key), None);
}
