//! Holds worker processes back until all of them have their connections.

use tokio::sync::oneshot;

/// To be passed once, by the worker.
#[derive(Debug)]
pub struct Gate {
    ready: oneshot::Sender<()>,
    open: oneshot::Receiver<()>,
}

/// The other side of a gate.
#[derive(Debug)]
pub struct Keeper {
    /// Resolves when the worker stands before the gate.
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

    /// Says that the worker has its connections, and waits. Returns too when the keeper is gone.
    pub async fn pass(self) {
        let _ = self.ready.send(());
        let _ = self.open.await;
    }
}
