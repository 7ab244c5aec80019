//! The checker: reads the tables and the ledger of a finished round and counts what broke.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use bedel_queue::Job;
use serde_json::Value;
use sqlx::PgPool;
use uuid::Uuid;

use crate::error::FaultsError;
use crate::expect::Allowance;
use crate::jobs::{Act, Errand, Visit, final_file};
use crate::ledger::{Entry, What};
use crate::report::Outcome;

/// A chain that was enqueued: the caller's transaction was committed.
#[derive(Debug, Clone)]
pub struct Chain {
    /// What it is about.
    pub item: Uuid,
    /// Its first job.
    pub first: Uuid,
    /// Its number of jobs.
    pub steps: u32,
    /// A plain job, which writes no rows of its own.
    pub plain: bool,
}

#[derive(Debug, sqlx::FromRow)]
struct JobRow {
    id: Uuid,
    kind: String,
    state: String,
    lease: Option<Uuid>,
    attempt: i32,
    errors: i32,
    crashes: i32,
    args: Value,
}

#[derive(Debug, sqlx::FromRow)]
struct ItemRow {
    id: Uuid,
    visits: i32,
    ends: i32,
}

/// Everything the checker reads, once the round is over.
#[derive(Debug)]
struct Evidence {
    /// By item and step.
    jobs: HashMap<(Uuid, u32), Vec<(JobRow, Visit)>>,
    items: HashMap<Uuid, ItemRow>,
    /// The leases of the commits, by job.
    commits: HashMap<Uuid, Vec<Uuid>>,
    /// How often a handler was entered, by job and lease.
    starts: HashMap<Uuid, HashMap<Uuid, usize>>,
    /// The leases whose handlers came to their ends.
    ends: HashSet<Uuid>,
}

impl Evidence {
    async fn read(pool: &PgPool, ledger: &[Entry]) -> Result<Self, FaultsError> {
        let rows: Vec<JobRow> = sqlx::query_as(
            "-- checker::jobs
             SELECT id, kind, state::text AS state, lease, attempt, errors, crashes, args FROM queue.jobs
              WHERE kind IN ('visit', 'hasty', 'errand') ORDER BY id",
        )
        .fetch_all(pool)
        .await?;
        let mut jobs = HashMap::<_, Vec<_>>::new();
        for row in rows {
            let visit: Visit = serde_json::from_value(row.args.clone())
                .map_err(|error| FaultsError::Setup(format!("the args of {}: {error}", row.id)))?;
            jobs.entry((visit.item, visit.step)).or_default().push((row, visit));
        }
        let items: Vec<ItemRow> =
            sqlx::query_as("-- checker::items\nSELECT id, visits, ends FROM faults.items")
                .fetch_all(pool)
                .await?;
        let pairs: Vec<(Uuid, Uuid)> =
            sqlx::query_as("-- checker::commits\nSELECT job_id, lease FROM faults.commits")
                .fetch_all(pool)
                .await?;
        let mut commits = HashMap::<_, Vec<_>>::new();
        for (job, lease) in pairs {
            commits.entry(job).or_default().push(lease);
        }
        let mut starts = HashMap::<_, HashMap<_, usize>>::new();
        for entry in ledger.iter().filter(|entry| entry.what == What::Start) {
            *starts.entry(entry.job).or_default().entry(entry.lease).or_default() += 1;
        }
        let ends = ledger.iter().filter(|entry| entry.what == What::End).map(|entry| entry.lease).collect();
        let items = items.into_iter().map(|item| (item.id, item)).collect();
        Ok(Self { jobs, items, commits, starts, ends })
    }
}

/// Reads what became of `chains` and counts what `allowance` does not account for.
///
/// # Errors
/// Where the evidence cannot be read.
pub async fn check(
    pool: &PgPool,
    directory: &Path,
    ledger: &[Entry],
    chains: &[Chain],
    allowance: &Allowance,
) -> Result<Outcome, FaultsError> {
    let evidence = Evidence::read(pool, ledger).await?;
    let mut outcome = Outcome { rounds: 1, ..Outcome::default() };
    let known: HashSet<Uuid> = chains.iter().map(|chain| chain.item).collect();
    for ((item, step), jobs) in &evidence.jobs {
        if !known.contains(item) {
            outcome.doubled(format!("item {item}, step {step}: a job whose transaction was never committed"));
        }
        outcome.jobs += jobs.len();
        for (job, visit) in jobs {
            judge(job, visit, directory, &evidence, allowance, &mut outcome);
        }
    }
    for chain in chains {
        follow(chain, &evidence, allowance, &mut outcome);
    }
    let crashes: i32 = evidence.jobs.values().flatten().map(|(job, _)| job.crashes).sum();
    if let Some(most) = allowance.crashes_in_all.filter(|most| crashes > *most) {
        outcome.over_budget(format!("{crashes} crashes counted, {most} accounted for"));
    }
    Ok(outcome)
}

/// One job by itself.
fn judge(
    job: &JobRow,
    visit: &Visit,
    directory: &Path,
    evidence: &Evidence,
    allowance: &Allowance,
    outcome: &mut Outcome,
) {
    let JobRow { id, state, lease, attempt, errors, crashes, .. } = job;
    let plain = job.kind == Errand::KIND;
    let commits = evidence.commits.get(id).map(Vec::as_slice).unwrap_or_default();
    let discarded = allowance.discarded.contains(&visit.item);
    match state.as_str() {
        "completed" if plain && !lease.is_some_and(|lease| evidence.ends.contains(&lease)) => {
            outcome.lost(format!("{id} is completed and its work was not done"));
        }
        "completed" if !plain && commits.is_empty() => {
            outcome.lost(format!("{id} is completed and its rows are missing"))
        }
        "completed" if discarded => outcome.lost(format!("{id} is completed and had to be discarded")),
        "discarded" if discarded => {}
        "completed" => {}
        "available" | "running" => outcome.stuck(format!("{id} is {state}, attempt {attempt}")),
        _ => outcome.lost(format!("{id} is {state}, errors {errors}, crashes {crashes}")),
    }
    if commits.len() > 1 || (!commits.is_empty() && state != "completed") {
        outcome.doubled(format!("{id} is {state} with {} commits", commits.len()));
    } else if commits.first().is_some_and(|committed| Some(*committed) != *lease) {
        outcome.doubled(format!("{id} was committed by an attempt that is not the one that counts"));
    }
    if *errors > allowance.errors || *crashes > allowance.crashes {
        outcome.over_budget(format!(
            "{id} ({:?}): errors {errors}, crashes {crashes}; accounted for: {} and {}",
            visit.act, allowance.errors, allowance.crashes
        ));
    }
    let starts = evidence.starts.get(id);
    let forgotten = plain && allowance.forgotten_claims;
    let leases = starts.map_or(0, HashMap::len);
    if starts.is_some_and(|starts| starts.values().any(|times| *times > 1))
        || (leases > attempt.unsigned_abs() as usize && !forgotten)
    {
        outcome.doubled(format!("{id}: a handler was entered twice for one claim"));
    }
    if let Some(most) = allowance.starts.filter(|most| leases > *most && !forgotten) {
        outcome.doubled(format!("{id} was started {leases} times, {most} accounted for"));
    }
    if matches!(visit.act, Act::Promote(..)) && state == "completed" {
        let found = std::fs::read_to_string(final_file(directory, *id)).ok();
        match (found, lease) {
            (None, _) => outcome.lost(format!("{id} is completed and its file is missing")),
            (Some(found), Some(lease)) if found == lease.to_string() => {}
            _ => outcome.doubled(format!("{id}: its file is another attempt's")),
        }
    }
}

/// One chain from its first job to its last.
fn follow(chain: &Chain, evidence: &Evidence, allowance: &Allowance, outcome: &mut Outcome) {
    let Chain { item, first, steps, plain } = chain;
    let discarded = allowance.discarded.contains(item);
    for step in 1..=*steps {
        match evidence.jobs.get(&(*item, step)).map(Vec::as_slice).unwrap_or_default() {
            [(only, _)] if step > 1 || only.id == *first => match only.state.as_str() {
                "completed" => {}
                // Counted where the job was judged.
                _ => return,
            },
            [] => return outcome.lost(format!("item {item}: its chain ends before step {step} of {steps}")),
            jobs => outcome.doubled(format!("item {item}, step {step}: {} jobs", jobs.len())),
        }
    }
    if *plain {
        return;
    }
    let Some(row) = evidence.items.get(item) else { return outcome.lost(format!("item {item} has no row")) };
    if row.visits.unsigned_abs() > *steps || row.ends > i32::from(discarded) {
        outcome.doubled(format!("item {item}: {} visits of {steps}, {} ends", row.visits, row.ends));
    } else if row.visits.unsigned_abs() < *steps && !discarded {
        outcome.lost(format!("item {item}: {} visits of {steps}", row.visits));
    }
}

#[cfg(test)]
mod tests;
