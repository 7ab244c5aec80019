//! The contenders.

mod apalis_postgres;
mod awa;
mod bedel;
pub mod floor;
mod graphile_worker;
pub mod raw;
mod riverqueue;

use crate::contender::Contender;
use crate::error::{BenchError, Result};

/// All of them, the limit first.
pub fn all() -> Vec<Box<dyn Contender>> {
    vec![
        Box::new(raw::ONE),
        Box::new(raw::TWO),
        Box::new(bedel::PLAIN),
        Box::new(bedel::BREAKER),
        Box::new(bedel::HOOKS),
        Box::new(riverqueue::River),
        Box::new(awa::Awa),
        Box::new(graphile_worker::Graphile),
        Box::new(apalis_postgres::Apalis),
    ]
}

/// The one of that name.
pub fn named(name: &str) -> Result<Box<dyn Contender>> {
    all()
        .into_iter()
        .find(|contender| contender.name() == name)
        .ok_or_else(|| BenchError::Usage(format!("there is no contender `{name}`")))
}
