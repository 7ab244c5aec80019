//! The examples run unchanged, and each checks its own outcome.

#[path = "../../examples/crawler/main.rs"]
mod crawler;
#[path = "../../examples/hello.rs"]
mod hello;
#[path = "../../examples/invoices.rs"]
mod invoices;
#[path = "../../examples/thumbnails.rs"]
mod thumbnails;

#[test]
fn hello_greets_everybody() {
    hello::main().unwrap();
}

#[test]
fn invoices_are_written_and_sent_in_one_transaction() {
    invoices::main().unwrap();
}

#[test]
fn thumbnails_are_made_by_the_thousand() {
    thumbnails::main().unwrap();
}

#[test]
fn the_crawler_is_polite_and_patient() {
    crawler::main().unwrap();
}
