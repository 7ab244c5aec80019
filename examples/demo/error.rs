//! The error type of the demo.

/// Ends the demo early. The text is for the user who watches it.
pub type DemoError = Box<dyn std::error::Error + Send + Sync>;
