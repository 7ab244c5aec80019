//! The guard: a shell that reads a pipe whose other end only the owner holds.
//!
//! When the owner ends (returns, panics, is killed), the kernel closes its end. The guard reads end-of-file
//! and stops the server. `PR_SET_PDEATHSIG` does not work here: it fires when the *thread* that started the
//! child ends.
//!
//! The shell starts the guard in the background and then *becomes* the server (`exec`). So no server runs
//! unguarded at any moment, the server is our direct child, and `waitpid` reports its end. The guard must not
//! be a child of the server: PostgreSQL takes the death of an unknown child for a backend crash.

use std::ffi::{OsStr, OsString};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};

use crate::account::Account;
use crate::error::PostgresError;

/// Arguments: data directory, signal, directory to remove afterwards (empty: none), log file, process id of
/// the server (empty: this shell, which becomes it), then the server's command (none for a server that
/// already runs).
///
/// Before it signals, the guard reads `postmaster.pid`: the system may have reused the process id. A starting
/// server has not written that file yet, hence the first loop (5 s). The second loop gives an orderly
/// shutdown 30 s, then an immediate one 10 s. The shell opens the log, so the log belongs to the server's
/// user.
const SCRIPT: &str = r#"
data=$1 signal=$2 remove=$3 log=$4 server=${5:-$$}
shift 5
serving() {
    read -r pid 2>/dev/null <"$data/postmaster.pid" && [ "$pid" = "$server" ] && kill -0 "$server" 2>/dev/null
}
guard() {
    trap '' HUP INT TERM
    while read -r line; do :; done
    tries=100
    until serving || [ $tries -eq 0 ] || ! kill -0 "$server" 2>/dev/null; do
        sleep 0.05
        tries=$((tries - 1))
    done
    serving && kill -s "$signal" "$server"
    tries=800
    while serving && [ $tries -gt 0 ]; do
        [ $tries -eq 200 ] && kill -s QUIT "$server"
        sleep 0.05
        tries=$((tries - 1))
    done
    [ -z "$remove" ] || rm -rf "$remove" || { sleep 1; rm -rf "$remove"; }
}
if [ $# -eq 0 ]; then
    guard
    exit
fi
exec 3<&0 </dev/null
(guard <&3 &)
[ ! -f "$log" ] || mv -f "$log" "$log.1"
exec "$@" 3<&- >"$log" 2>&1
"#;

/// What the guard does when the owner ends.
#[derive(Debug, Clone, Copy)]
pub(crate) struct GuardConfig<'a> {
    /// The user of the server and of the guard.
    pub(crate) account: Account,
    /// The data directory of the server.
    pub(crate) data_dir: &'a Path,
    /// The signal for the server: `INT` or `QUIT`.
    pub(crate) signal: &'static str,
    /// A directory of ours in the temporary directory, to remove with its contents.
    pub(crate) remove_dir: Option<&'a Path>,
}

/// Starts a server and its guard. The child is the server.
pub(crate) fn start(
    config: GuardConfig<'_>,
    log: &Path,
    server: &[OsString],
) -> Result<(Child, ChildStdin), PostgresError> {
    spawn(shell(config, log.as_os_str(), "").args(server))
}

/// Starts a guard for a running server. The child is the guard.
pub(crate) fn adopt(config: GuardConfig<'_>, pid: u32) -> Result<(Child, ChildStdin), PostgresError> {
    spawn(&mut shell(config, OsStr::new(""), &pid.to_string()))
}

fn shell(config: GuardConfig<'_>, log: &OsStr, pid: &str) -> Command {
    let mut command = config.account.command("/bin/sh");
    command
        .args(["-c", SCRIPT, "bedel-postgres-guard"])
        .arg(config.data_dir)
        .arg(config.signal)
        .arg(config.remove_dir.map_or(OsStr::new(""), Path::as_os_str))
        .arg(log)
        .arg(pid);
    command
}

/// Uses a new process group: Ctrl-C in the terminal goes to the owner alone, which then stops the server in
/// order.
fn spawn(command: &mut Command) -> Result<(Child, ChildStdin), PostgresError> {
    let mut child = command
        .process_group(0)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map_err(PostgresError::io("start PostgreSQL and its guard"))?;
    let pipe = child.stdin.take().expect("stdin is piped");
    Ok((child, pipe))
}
