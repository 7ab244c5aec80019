//! Panopto: whose addresses are accepted, which recording an address names, and what Panopto says about it.
//!
//! - [`session_id()`] is pure: the API derives a lecture's key with it before anything is stored.
//! - [`hosts`] knows Panopto's own domains and the configured tenants.
//! - [`delivery_info`] reads the answer of the viewer's own end point.

pub mod delivery_info;
pub mod hosts;
pub mod session_id;

pub use session_id::{Recording, SessionIdError, recording, session_id};
