//! Rebuilds the program when a migration is added: the macro that compiles them in only watches files it has seen.

fn main() {
    println!("cargo:rerun-if-changed=migrations/versions");
}
