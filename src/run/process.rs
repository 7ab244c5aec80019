//! Signals that stop the process.

use std::io::Read;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::error::CliError;

/// Extra time, beyond its own deadline, for a process whose parent is gone.
const GRACE: Duration = Duration::from_secs(5);

/// A token that fires at the first SIGTERM or SIGINT. The second one ends the process at once.
///
/// With `parent_gone_within` it also fires when standard input closes: the parent `bedel dev` is gone. The
/// process then ends after that time and 5 s in any case, so that nothing stays behind.
///
/// # Errors
/// If a signal handler cannot be installed.
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
    tracing::info!("{name}: stopping; send it again to stop at once");
    stop.cancel();
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    tracing::warn!("second signal: exiting at once");
    std::process::exit(130);
}

/// In its own thread: a blocked read of tokio's standard input would delay the runtime's shutdown.
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
