//! The user behind a request.

use uuid::Uuid;

/// The user behind a request. Extracting it answers 401 without a credential, 403 if the credential does not
/// allow the method.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Caller {
    pub(crate) user_id: Uuid,
    pub(crate) admin: bool,
    /// False for a read-only token.
    pub(crate) may_write: bool,
}

impl Caller {
    /// Whose rows the caller may change: the user's own. `None` for an admin, who may change all.
    pub(crate) fn limited_to(self) -> Option<Uuid> {
        (!self.admin).then_some(self.user_id)
    }
}
