//! Real servers on real files. A test that needs a process to die runs this binary again as that process.

mod actor;
mod lifecycle;
mod ownership;
mod places;
mod support;
mod testing;
