//! Child processes that die with their worker.
//!
//! Each tool runs in its own process group, next to a watcher: a shell that reads a pipe. The pipe closes
//! when the worker drops its end or dies, even by `kill -9`. Then the watcher kills the group.
//! (`PR_SET_PDEATHSIG` would fire when the spawning *thread* ends.)

use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::process::{ExitStatus, Stdio};

use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use crate::error::MediaError;

/// The shell starts the watcher and then becomes the tool: no tool runs unwatched, and the exit status is the
/// tool's. The tool must not inherit the pipe. `kill -KILL 0` reaches every process of the group, and unlike
/// a process id it cannot have been reused.
const GUARD: &str = r#"
exec 3<&0 </dev/null
( { while read -r _; do :; done <&3; kill -KILL 0; } >/dev/null 2>&1 & )
exec "$@" 3<&-
"#;

/// Longest line of stderr read at once, in bytes.
const LINE_BYTES: u64 = 1000;

/// Lines of stderr, the last ones, that an error repeats.
const LAST_LINES: usize = 3;

/// How a tool ended.
pub(super) struct ToolOutput {
    pub(super) status: ExitStatus,
    /// The last lines of stderr, without paths.
    pub(super) stderr: String,
}

/// Starts `program` with empty stdin and an environment without proxies or tokens. The child is the tool
/// itself. Keep the returned pipe: the watcher kills the group when it closes.
fn start(program: &Path, args: &[OsString]) -> std::io::Result<(Child, Option<ChildStdin>)> {
    let mut child = Command::new("/bin/sh")
        .args([OsStr::new("-c"), OsStr::new(GUARD), OsStr::new("bedel-media-guard"), program.as_os_str()])
        .args(args)
        .env_clear()
        .env("PATH", "/usr/local/bin:/usr/bin:/bin")
        .env("LC_ALL", "C")
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true)
        .spawn()?;
    // Waiting for the child would close it.
    let pipe = child.stdin.take();
    Ok((child, pipe))
}

/// Runs a tool to its end and streams its output to `stdout`. Dropping the future kills the tool.
///
/// # Errors
/// If the tool is missing, cannot start, was killed or ran out of disk space, or if its pipes fail. Any other
/// exit status is no error here.
pub(super) async fn run<T, Reading>(
    tool: &'static str,
    program: &Path,
    args: &[OsString],
    stdout: impl FnOnce(ChildStdout) -> Reading,
) -> Result<(ToolOutput, T), MediaError>
where
    Reading: Future<Output = std::io::Result<T>>,
{
    let io = |source: std::io::Error| MediaError::io(tool, &source);
    let (mut child, _pipe) = start(program, args).map_err(io)?;
    let out = child.stdout.take().expect("stdout is piped");
    let err = child.stderr.take().expect("stderr is piped");
    // Drain both pipes at once: a full one would block the tool.
    let (output, lines) = futures::future::try_join(stdout(out), last_lines(err)).await.map_err(io)?;
    let status = child.wait().await.map_err(io)?;
    let stderr = strip_paths(&lines.join("; "), args);
    match status.code() {
        None => Err(MediaError::Killed { tool }),
        Some(126 | 127) => Err(MediaError::ToolMissing { tool }),
        Some(code) if code != 0 && stderr.contains("No space left on device") => Err(MediaError::DiskFull),
        Some(_) => Ok((ToolOutput { status, stderr }, output)),
    }
}

/// Reads to the end and keeps the last lines.
async fn last_lines(stderr: impl AsyncRead + Unpin) -> std::io::Result<Vec<String>> {
    let mut reader = BufReader::new(stderr);
    let mut last = std::collections::VecDeque::with_capacity(LAST_LINES + 1);
    loop {
        let mut line = Vec::new();
        if (&mut reader).take(LINE_BYTES).read_until(b'\n', &mut line).await? == 0 {
            return Ok(last.into());
        }
        let text = String::from_utf8_lossy(&line);
        let text = text.trim();
        if !text.is_empty() {
            last.push_back(text.to_owned());
            if last.len() > LAST_LINES {
                last.pop_front();
            }
        }
    }
}

/// Strips paths, memory addresses and control characters from a tool's words: they end up in `error_message`.
fn strip_paths(text: &str, args: &[OsString]) -> String {
    let mut text = text.to_owned();
    for path in args.iter().filter_map(|arg| arg.to_str()).filter(|arg| arg.contains('/')) {
        text = text.replace(path, "the file").replace(path.trim_start_matches("file:"), "the file");
    }
    let words = text.split_whitespace().filter(|word| !word.starts_with("0x"));
    let words =
        words.map(|word| if word.trim_start_matches(['\'', '"', '(']).starts_with('/') { "…" } else { word });
    let text = words.collect::<Vec<_>>().join(" ");
    text.chars().filter(|c| !c.is_control()).take(300).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_names_no_path() {
        let args = ["-i".into(), "file:/srv/scratch/a b/source".into()];
        let stderr =
            "[mov @ 0x55d0] moov atom not found; file:/srv/scratch/a b/source: Invalid data; see '/etc/x'";
        assert_eq!(strip_paths(stderr, &args), "[mov @ moov atom not found; the file: Invalid data; see …");
    }
}
