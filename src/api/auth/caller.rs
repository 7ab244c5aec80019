//! The user behind a request.

use uuid::Uuid;

/// The user behind a request. Extracting it answers 401 without a credential, 403 if the credential does not
/// allow the method.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Caller {
    pub(crate) user_id: Uuid,
    pub(crate) admin: bool,
    /// False for a read-only token.
    pub(super) may_write: bool,
}
