//! Fields that a client got wrong.

/// An invalid field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidField {
    /// The field's name.
    pub field: &'static str,
    /// Stable code of the reason.
    pub code: &'static str,
    /// A sentence for the user; it does not repeat the value.
    pub message: String,
}

pub(crate) fn invalid(field: &'static str, code: &'static str, message: impl Into<String>) -> InvalidField {
    InvalidField { field, code, message: message.into() }
}
