//! Other people's speech servers, as script/peers installs them.

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use super::{PATIENCE, model_dir};
use crate::peers::directory;

/// A server that is killed when it is dropped.
pub struct Peer {
    pub name: &'static str,
    /// Base URL of `audio/transcriptions`.
    pub url: url::Url,
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
    pub async fn whisper_cpp() -> Self {
        let mut command = Command::new(directory("whisper.cpp").join("bin/whisper-server"));
        command
            .args(["--threads", "1", "--inference-path", "/v1/audio/transcriptions", "--convert", "--model"])
            .arg(model_dir().join("ggml-tiny.en.bin"))
            .current_dir(std::env::temp_dir());
        Self::start("whisper.cpp", command).await
    }

    /// faster-whisper's.
    pub async fn faster_whisper() -> Self {
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
                tokio::time::sleep(std::time::Duration::from_millis(200)).await;
                if is_there && peer.child.try_wait().expect("its state").is_none() {
                    return peer;
                }
            }
        }
        panic!("{name} is not ready after {PATIENCE:?}");
    }
}
