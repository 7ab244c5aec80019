//! What downloads are compared with.

use std::path::Path;
use std::process::Stdio;

use tokio::process::Command;
use tokio::time::Instant;

use crate::error::{Result, io};
use crate::program::ended_badly;

/// Seconds that curl takes for a file.
pub(super) async fn curl(url: &str, target: &Path) -> Result<f64> {
    let mut command = Command::new("curl");
    command.args(["--silent", "--show-error", "--fail", "--noproxy", "*", "--output"]).arg(target).arg(url);
    timed("curl", command).await
}

/// Seconds that ffmpeg takes to copy the sound of a file or a stream to an m4a.
pub(super) async fn ffmpeg(source: &str, target: &Path) -> Result<f64> {
    let mut command = Command::new("ffmpeg");
    command.args(["-nostdin", "-hide_banner", "-loglevel", "error", "-y", "-i", source]);
    command.args(["-vn", "-c:a", "copy"]).arg(target).env_remove("http_proxy");
    timed("ffmpeg", command).await
}

/// Seconds from a program's start to its end.
pub(super) async fn timed(program: &str, mut command: Command) -> Result<f64> {
    command.stdin(Stdio::null()).kill_on_drop(true);
    let began = Instant::now();
    let output = command.output().await.map_err(io(format!("start {program}")))?;
    let seconds = began.elapsed().as_secs_f64();
    if output.status.success() { Ok(seconds) } else { Err(ended_badly(program, &output)) }
}

/// Name and version, as the program says them.
pub(super) fn version(program: &str, option: &str) -> String {
    let said = std::process::Command::new(program).arg(option).output();
    let said = said.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    let words: Vec<&str> = said.split_whitespace().take_while(|word| !word.starts_with(['(', 'C'])).collect();
    words.join(" ")
}
