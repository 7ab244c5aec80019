//! The checked-in description of the API is the served one.

/// `cargo run -- openapi > docs/reference/openapi.json`
const CHECKED_IN: &str = include_str!("../../docs/reference/openapi.json");

#[test]
fn the_checked_in_description_is_the_programs_own() {
    assert!(
        CHECKED_IN == bedel::api::description(),
        "docs/reference/openapi.json is out of date. Type: cargo run -- openapi > docs/reference/openapi.json"
    );
}
