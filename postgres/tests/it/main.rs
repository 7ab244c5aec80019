//! Real servers on real files. A test that needs a process to die runs this binary again as that process.

mod lifecycle;
mod ownership;
mod places;
mod server_process;
mod support;
mod testing;
