# One line each; the scripts work without just. `just --list` shows this.

# Install what Bedel needs to be built, tried and tested
setup:
    script/setup

# Format everything
fmt:
    cargo fmt --all && rustfmt --edition 2024 jobs/src/*.rs && cargo fmt --manifest-path proof/bench/Cargo.toml

# Formatting, lints, documentation, dependencies, unit tests: minutes
check *args:
    script/check {{args}}

# Everything that has to hold before a change lands
test:
    script/test

# One lecture from link to transcript, with missing segments and a killed worker on the way
demo *args:
    script/demo {{args}}

# Faults, mutants, vulnerabilities, real speech servers and benchmarks: hours
nightly *args:
    script/nightly {{args}}
