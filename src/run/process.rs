//! When this process should stop.

use std::io::Read;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::error::CliError;

/// How long a process whose parent is gone may still take for an orderly stop beyond its own deadline.
const GRACE: Duration = Duration::from_secs(5);

/// A token that fires at the first SIGTERM or SIGINT; the second one ends the process at once.
///
/// With `parent_gone_within` it also fires when standard input closes, which is how a child of `bedel dev` learns that
/// its parent is gone, by whatever end; then the process is over after that time and a little grace in any case, so
/// that nothing is left running behind anybody's back.
///
/// # Errors
/// Where the system refuses a signal handler.
pub fn stop_token(parent_gone_within: Option<Duration>) -> Result<CancellationToken, CliError> {
    let failed = |error| CliError::Failed(format!("no signal handler: {error}"));
    let terminate = signal(SignalKind::terminate()).map_err(failed)?;
    let interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    let stop = CancellationToken::new();
    tokio::spawn(watch_signals(terminate, interrupt, stop.clone()));
    if let Some(limit) = parent_gone_within {
        let stop = stop.clone();
        std::thread::Builder::new()
            .name("parent".to_owned())
            .spawn(move || watch_parent(&stop, limit))
            .map_err(|error| CliError::Failed(format!("no thread: {error}")))?;
    }
    Ok(stop)
}

async fn watch_signals(mut terminate: Signal, mut interrupt: Signal, stop: CancellationToken) {
    let name = tokio::select! {
        _ = terminate.recv() => "SIGTERM",
        _ = interrupt.recv() => "SIGINT",
    };
    tracing::info!("{name}: stopping; once more stops at once");
    stop.cancel();
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    tracing::warn!("second signal: stopped at once");
    std::process::exit(130);
}

/// A thread of its own and not tokio's standard input, whose blocked read would hold up the end of the runtime.
fn watch_parent(stop: &CancellationToken, limit: Duration) {
    let mut byte = [0_u8; 64];
    let mut input = std::io::stdin().lock();
    while let Ok(1..) = input.read(&mut byte) {}
    if !stop.is_cancelled() {
        tracing::info!("the parent process is gone: stopping");
    }
    stop.cancel();
    std::thread::sleep(limit + GRACE);
    std::process::exit(1);
}
