//! Other people's speech servers, as script/peers installs them.

use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use bedel_speech::Engine;

use super::openai::{assert_large_upload_is_encoded, engine};
use super::*;
use crate::cache::installed;
use crate::memory_call_log::MemoryCallLog;

/// A machine busy with other tests may start servers slowly.
const PATIENCE: Duration = Duration::from_secs(120);

#[tokio::test(flavor = "multi_thread")]
async fn real_servers_transcribe_twice_the_same() {
    let peers = [Peer::whisper_cpp().await, Peer::faster_whisper().await];
    let scratch = tempfile::tempdir().expect("a directory");
    for peer in &peers {
        let (engine, book) = (engine(settings(&peer.url)), MemoryCallLog::default());
        let mut heard = Vec::new();
        for _ in 0..2 {
            let passage = book.chunk(&SPEECH, Some("en"), scratch.path());
            heard.push(engine.transcribe(passage, &control()).await.expect(peer.name));
        }
        assert_heard(peer.name, &heard[0], seconds(&SPEECH));
        assert_eq!(heard[0].language, "en", "{}", peer.name);
        assert_eq!(heard[0].segments, heard[1].segments, "{}", peer.name);
        let raw = &heard[0].raw["segments"][0];
        assert!(raw["avg_logprob"].is_number(), "{}: its own words are kept: {raw}", peer.name);
        assert_eq!(book.calls(), 2);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_server_reads_an_encoded_upload() {
    assert_large_upload_is_encoded(&Peer::faster_whisper().await.url).await;
}

/// Directory of one part.
fn directory(part: &str) -> PathBuf {
    installed(&format!("peers-1/{part}"), "script/peers")
}

/// A server that is killed when it is dropped.
struct Peer {
    name: &'static str,
    /// Base URL of `audio/transcriptions`.
    url: url::Url,
    child: Child,
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Peer {
    /// whisper.cpp's server.
    async fn whisper_cpp() -> Self {
        let mut command = Command::new(directory("whisper.cpp").join("bin/whisper-server"));
        command
            .args(["--threads", "1", "--inference-path", "/v1/audio/transcriptions", "--convert", "--model"])
            .arg(model_dir().join("ggml-tiny.en.bin"))
            .current_dir(std::env::temp_dir());
        Self::start("whisper.cpp", command).await
    }

    /// faster-whisper's.
    async fn faster_whisper() -> Self {
        let mut command = Command::new("python3");
        command
            .args(["-m", "faster_whisper_server"])
            .arg(directory("faster-tiny.en"))
            .env("PYTHONPATH", directory("faster-whisper"))
            .env("HF_HUB_OFFLINE", "1")
            .env("OMP_NUM_THREADS", "1");
        Self::start("faster-whisper", command).await
    }

    async fn start(name: &'static str, mut command: Command) -> Self {
        let begun = Instant::now();
        // Another process may take the port before the server does; then another port is tried.
        while begun.elapsed() < PATIENCE {
            let port =
                TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a port").port();
            command.args(["--host", "127.0.0.1", "--port", &port.to_string()]);
            let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
            let url = format!("http://127.0.0.1:{port}/v1").parse().expect("an address");
            let mut peer = Self { name, url, child: child.expect("it starts") };
            while peer.child.try_wait().expect("its state").is_none() && begun.elapsed() < PATIENCE {
                let is_there = tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_ok();
                // Another process may listen there; then this one has ended or is about to.
                tokio::time::sleep(Duration::from_millis(200)).await;
                if is_there && peer.child.try_wait().expect("its state").is_none() {
                    return peer;
                }
            }
        }
        panic!("{name} is not ready after {PATIENCE:?}");
    }
}
