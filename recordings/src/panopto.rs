//! Panopto: accepted hosts, the recording that an address names, and Panopto's information about it.
//!
//! - [`hosts`]: Panopto's domains and the configured tenants.
//! - [`session_id()`]: a pure function; the API derives a lecture's key with it before anything is stored.
//! - [`delivery_info`]: the answer of the viewer's end point.
//! - [`streams`]: the streams of a recording and when the session plays them.

pub mod delivery_info;
pub mod hosts;
pub mod session_id;
pub mod streams;

pub use session_id::{Recording, SessionIdError, recording, session_id};
