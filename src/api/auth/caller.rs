//! The user behind a request.

use uuid::Uuid;

/// The user behind the request; 401 without one, 403 where the credential is not for this method.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Caller {
    pub(crate) user_id: Uuid,
    pub(crate) admin: bool,
    /// False for a token that was made for looking alone.
    pub(super) may_write: bool,
}
