//! The arrows between the files of a workspace, read from their source.
//!
//! An arrow leads from a file to the file that defines a name it uses: by a `use` line, or by a path through a module such as
//! `child::function()`. A re-export (`pub use`) is no arrow, and names are followed through it to their definition. Code
//! under `#[cfg(test)]` does not count.
//!
//! 1. [`read_crate`] reads a crate's files into [`Module`]s.
//! 2. [`Graph`] resolves their paths to files.
//! 3. [`circles()`] finds the files that depend on each other in a circle.

mod circles;
mod graph;
mod module;

pub use circles::circles;
pub use graph::{Arrow, Graph};
pub use module::{Crate, Import, Module, read_crate};
