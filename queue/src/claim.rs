//! Claiming due jobs.

pub(crate) mod claimable;
pub(crate) mod claimed;
pub(crate) mod open_groups;
pub(crate) mod request;
pub(crate) mod statement;
