//! Rebuilds the crate when a migration is added: the macro that compiles them in watches only known files.

fn main() {
    println!("cargo:rerun-if-changed=migrations");
}
