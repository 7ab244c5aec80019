//! kill -9 before and after each statement of begin, commit and fail: promise 2. An undisturbed attempt lists
//! the statements first, so new ones are covered too.

use std::time::Duration;

use bedel_test_support::{Moment, Statement};
use futures::StreamExt;

use super::support::until_held;
use crate::error::FaultsError;
use crate::expect::Allowance;
use crate::jobs::Act;
use crate::plan::Plan;
use crate::report::Outcome;
use crate::round::Round;
use crate::suite::{Form, Suite};

const REACHED: Duration = Duration::from_secs(20);

/// Points played in the short form, of about fifty.
const SHORT: usize = 8;

/// Fewest statements of an attempt: begin, hooks, fences, commits.
const FEWEST: usize = 8;

const NAME: &str = "statements";

pub async fn play(suite: &Suite) -> Outcome {
    match play_points(suite).await {
        Ok(outcome) => outcome,
        Err(error) => Outcome::broken(&error),
    }
}

async fn play_points(suite: &Suite) -> Result<Outcome, FaultsError> {
    let mut points = Vec::new();
    for (number, act) in [Act::Sleep(20), Act::Fail(1), Act::Refuse].into_iter().enumerate() {
        let round = suite
            .round("statements-learnt", u32::try_from(number).expect("small"), suite.server().await?)
            .await?;
        let statements = list_statements(round, act.clone()).await?;
        for (number, statement) in statements.into_iter().enumerate() {
            points.extend(
                [Moment::Before, Moment::After]
                    .map(|moment| (act.clone(), number, statement.clone(), moment)),
            );
        }
    }
    if suite.form() == Form::Short {
        let mut plan = Plan::of_round(suite.seed(), NAME, 0);
        while points.len() > SHORT {
            points.swap_remove(plan.index(points.len()));
        }
    }
    let outcome = futures::stream::iter(points.into_iter().zip(0..))
        .map(async |((act, number, statement, moment), round)| {
            let played = async {
                let round = suite.round(NAME, round, suite.server().await?).await?;
                one(round, act.clone(), number, moment).await
            };
            let mut outcome = played.await.unwrap_or_else(|error| Outcome::broken(&error));
            for detail in &mut outcome.details {
                *detail = format!("{moment:?} statement {number} ({statement}) of {act:?}: {detail}");
            }
            outcome
        })
        .buffer_unordered(5)
        .fold(Outcome::default(), async |sum, outcome| sum.and(outcome))
        .await;
    Ok(outcome)
}

/// The statements of a first attempt, to its second COMMIT.
async fn list_statements(mut round: Round, act: Act) -> Result<Vec<String>, FaultsError> {
    let proxy = round.proxy()?;
    let _worker = round.worker_at(&proxy.url(&round.url))?;
    round.enqueue(act, 2).await?;
    round.settle(Duration::from_secs(30)).await;
    let mut commits = 0;
    let mut statements = Vec::new();
    for statement in proxy.statements() {
        commits += usize::from(statement == "COMMIT");
        statements.push(statement);
        if commits == 2 {
            break;
        }
    }
    if commits < 2 || statements.len() < FEWEST {
        return Err(FaultsError::Setup(format!("not the statements of an attempt: {statements:?}")));
    }
    Ok(statements)
}

async fn one(mut round: Round, act: Act, number: usize, moment: Moment) -> Result<Outcome, FaultsError> {
    let errors = i32::from(matches!(act, Act::Fail(_) | Act::Refuse));
    let refused = matches!(act, Act::Refuse);
    let proxy = round.proxy()?;
    let mut hold = proxy.hold(Statement::OfAttempts(number), moment);
    let mut victim = round.worker_at(&proxy.url(&round.url))?;
    let item = round.enqueue(act, 2).await?;
    until_held(&mut hold, REACHED).await?;
    victim.kill()?;
    hold.cut();
    let _rescuer = round.worker()?;
    round.settle(Duration::from_secs(30)).await;
    let discarded = refused.then_some(item).into_iter().collect();
    let allowance =
        Allowance { crashes: 1, crashes_in_all: Some(1), errors, discarded, ..Allowance::default() };
    Ok(Outcome { faults: 1, ..round.check(&allowance).await? })
}
