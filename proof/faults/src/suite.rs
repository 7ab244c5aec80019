//! Shared by all scenarios: the seed, the form, one server, and rounds run in parallel.

use std::future::Future;
use std::sync::Arc;

use futures::StreamExt;
use tempfile::TempDir;
use tokio::sync::OnceCell;

use crate::error::FaultsError;
use crate::plan::Plan;
use crate::report::Outcome;
use crate::round::Round;
use crate::server::RoundServer;

/// How much runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Few rounds.
    Short,
    /// The published number of rounds.
    Long,
}

/// A run of the suite.
#[derive(Debug)]
pub struct Suite {
    form: Form,
    seed: u64,
    rounds: Option<u32>,
    server: OnceCell<Arc<RoundServer>>,
    directory: TempDir,
}

impl Suite {
    /// A suite with this seed, or a new one.
    pub fn new(form: Form, seed: Option<u64>, rounds: Option<u32>) -> Result<Self, FaultsError> {
        // Six digits are enough to differ and short enough to be typed.
        let seed = seed.unwrap_or_else(|| u64::from(uuid::Uuid::new_v4().as_fields().0 % 1_000_000));
        let directory = tempfile::Builder::new()
            .prefix("bedel-faults-rounds-")
            .tempdir()
            .map_err(FaultsError::io("create a directory"))?;
        Ok(Self { form, seed, rounds, server: OnceCell::new(), directory })
    }

    /// The seed.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// The form.
    pub fn form(&self) -> Form {
        self.form
    }

    /// `short` or `long`, by the form, unless the command line names a number.
    pub fn rounds(&self, short: u32, long: u32) -> u32 {
        self.rounds.unwrap_or(match self.form {
            Form::Short => short,
            Form::Long => long,
        })
    }

    /// The server of all rounds that do not harm it.
    pub async fn server(&self) -> Result<&Arc<RoundServer>, FaultsError> {
        self.server.get_or_try_init(RoundServer::start).await
    }

    /// One round in a new database.
    pub async fn round(
        &self,
        scenario: &str,
        number: u32,
        server: &Arc<RoundServer>,
    ) -> Result<Round, FaultsError> {
        let directory = self.directory.path().join(format!("{scenario}-{number}"));
        Round::new(Plan::of_round(self.seed, scenario, number), directory, server).await
    }

    /// Plays `rounds` rounds on the shared server, `side_by_side` at a time, and adds up their outcomes. A
    /// round with an error counts as stuck.
    pub async fn play<F, Fut>(
        &self,
        scenario: &'static str,
        rounds: u32,
        side_by_side: usize,
        play: F,
    ) -> Outcome
    where
        F: Fn(Round, u32) -> Fut,
        Fut: Future<Output = Result<Outcome, FaultsError>>,
    {
        let play = &play;
        futures::stream::iter(0..rounds)
            .map(|number| async move {
                let outcome = async { self.one(scenario, number, self.server().await?, play).await }.await;
                outcome.unwrap_or_else(|error| Outcome::broken(&error)).of_round(number)
            })
            .buffer_unordered(side_by_side)
            .fold(Outcome::default(), async |sum, outcome| sum.and(outcome))
            .await
    }

    /// As [`play`](Self::play), one round after another on a private server, which the scenario may harm.
    pub async fn play_apart<F, Fut>(&self, scenario: &'static str, rounds: u32, play: F) -> Outcome
    where
        F: Fn(Round, u32) -> Fut,
        Fut: Future<Output = Result<Outcome, FaultsError>>,
    {
        let mut sum = Outcome::default();
        let server = match RoundServer::start().await {
            Ok(server) => server,
            Err(error) => return Outcome::broken(&error),
        };
        for number in 0..rounds {
            let outcome = self.one(scenario, number, &server, &play).await;
            sum = sum.and(outcome.unwrap_or_else(|error| Outcome::broken(&error)).of_round(number));
        }
        sum
    }

    async fn one<F, Fut>(
        &self,
        scenario: &str,
        number: u32,
        server: &Arc<RoundServer>,
        play: &F,
    ) -> Result<Outcome, FaultsError>
    where
        F: Fn(Round, u32) -> Fut,
        Fut: Future<Output = Result<Outcome, FaultsError>>,
    {
        let round = self.round(scenario, number, server).await?;
        let url = round.url.clone();
        let outcome = play(round, number).await?;
        server.remove(&url).await?;
        Ok(outcome)
    }
}
