//! Where recordings and courses come from.
//!
//! - [`panopto`]: which recording an address names, and what Panopto says about it.
//! - [`source`]: from the address of a stream to local files that ffmpeg can read.
//! - [`catalogue`]: the university's course catalogue.

pub mod catalogue;
pub mod panopto;
pub mod source;
