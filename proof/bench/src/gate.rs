//! Makes worker processes wait until all have their connections.

use tokio::sync::oneshot;

/// The worker's side; passed once.
#[derive(Debug)]
pub struct Gate {
    ready: oneshot::Sender<()>,
    open: oneshot::Receiver<()>,
}

/// The benchmark's side of a gate.
#[derive(Debug)]
pub struct Keeper {
    /// Resolves when the worker reaches the gate.
    pub ready: oneshot::Receiver<()>,
    /// Opens the gate.
    pub open: oneshot::Sender<()>,
}

impl Gate {
    /// A gate and its keeper.
    pub fn new() -> (Self, Keeper) {
        let (ready_sender, ready) = oneshot::channel();
        let (open, open_receiver) = oneshot::channel();
        (Self { ready: ready_sender, open: open_receiver }, Keeper { ready, open })
    }

    /// Signals that the worker has its connections, and waits. Also returns when the keeper is gone.
    pub async fn pass(self) {
        let _ = self.ready.send(());
        let _ = self.open.await;
    }
}
