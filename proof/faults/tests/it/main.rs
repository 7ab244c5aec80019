//! The short form of the fault suite, one test per scenario: the same program that `script/faults` runs, with few rounds.
//! `FAULTS_SEED` replays a plan; each report begins with its own.

mod scenarios;
