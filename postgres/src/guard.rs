//! The guard: a shell that reads a pipe whose other end only the owner holds.
//!
//! However the owner ends (returns, panics, is killed), the kernel closes its end, the guard reads end-of-file and
//! stops the server. `PR_SET_PDEATHSIG` would not do: it fires when the *thread* that started the child ends.
//!
//! The shell starts the guard in the background and then *becomes* the server (`exec`), so there is no moment at which a
//! server runs unguarded, the server is our direct child, and we learn of its end without asking the guard. The guard is
//! no child of the server, which would take the death of an unknown child for a crash of one of its own.

use std::ffi::{OsStr, OsString};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};

use crate::account::Account;
use crate::error::PostgresError;

/// Arguments: data directory, signal, a directory to remove afterwards (empty: none), the log file, the process id of
/// the server (empty: our own, since we become it), then the server's command (nothing for a server that runs already).
///
/// Before it signals, the guard looks into `postmaster.pid`: a process id alone may have been given to somebody
/// else meanwhile. A server that is just starting has not written that file yet, hence the first loop. The second gives
/// an orderly shutdown 30 s, then an immediate one 10 s. It is the shell that opens the log: as the server's user.
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

/// What the guard does when the owner is gone.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Orders<'a> {
    /// The user of the server, and of the guard.
    pub(crate) account: Account,
    /// The data directory of the server.
    pub(crate) data_dir: &'a Path,
    /// The name of the signal for the server: `INT` or `QUIT`.
    pub(crate) signal: &'static str,
    /// A directory that we made in the temporary directory: removed with everything in it.
    pub(crate) remove: Option<&'a Path>,
}

/// Starts a server together with its guard. The child is the server.
pub(crate) fn start(
    orders: Orders<'_>,
    log: &Path,
    server: &[OsString],
) -> Result<(Child, ChildStdin), PostgresError> {
    spawn(shell(orders, log.as_os_str(), "").args(server))
}

/// Sets a guard for a server that runs already. The child is the guard.
pub(crate) fn adopt(orders: Orders<'_>, pid: u32) -> Result<(Child, ChildStdin), PostgresError> {
    spawn(&mut shell(orders, OsStr::new(""), &pid.to_string()))
}

fn shell(orders: Orders<'_>, log: &OsStr, pid: &str) -> Command {
    let mut command = orders.account.command("/bin/sh");
    command
        .args(["-c", SCRIPT, "bedel-postgres-guard"])
        .arg(orders.data_dir)
        .arg(orders.signal)
        .arg(orders.remove.map_or(OsStr::new(""), Path::as_os_str))
        .arg(log)
        .arg(pid);
    command
}

/// In a process group of its own: Ctrl-C in the terminal is for the owner, which stops the server when its turn comes.
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
