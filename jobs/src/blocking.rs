//! Work with files that may take a while.

use std::io;

/// Runs it where it holds up nobody. It goes on when the future is dropped.
///
/// # Errors
/// The work's; an error of its own where the work was stopped with the process, or panicked.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(|_| io::Error::other("work with files was stopped"))?
}
