//! The `course-sync` job: makes the official courses what the catalogue says.
//!
//! It reads the whole catalogue for its terms, then the whole table, and converges: running it twice changes
//! nothing the second time, and whether a person or the clock started it makes no difference. The rules about whose
//! row is changed and what is deleted are in [`plan`]; [`apply`] turns a plan into a handful of statements.

pub mod apply;
pub mod plan;

use std::time::Duration;

use bedel_queue::{Attempt, Backoff, Commit, Job, JobError, NewJob, Policy};
use bedel_recordings::catalogue::term::Term;
use bedel_recordings::catalogue::{self, CatalogueSettings, CatalogueSnapshot};
use chrono::NaiveDate;
use serde::{Deserialize, Serialize};
use sqlx::{PgConnection, PgPool};
use url::Url;

use crate::environment::Context;

/// Most terms of one run: each may take a minute.
const MAX_TERMS: usize = 12;

/// Brings the courses up to date with the catalogue. Unknown args are refused: a misspelt `dry_run` must not run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CourseSync {
    /// Terms such as `Fall 2026` instead of the configured ones. Courses that are in none of them count as gone.
    #[serde(default)]
    pub terms: Option<Vec<String>>,
    /// Runs the same statements, reports what they did and takes it all back.
    #[serde(default)]
    pub dry_run: bool,
}

/// The job, with the unique key that all its makers share: at most one synchronisation is live.
#[must_use]
pub fn job(args: &CourseSync) -> NewJob {
    NewJob::new(args).unique_key(CourseSync::KIND)
}

/// The job's result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// Courses that were new.
    pub created: u64,
    /// Courses whose title, instructor or standing changed.
    pub updated: u64,
    /// Courses that were as the catalogue says, and those of users that were left alone.
    pub unchanged: u64,
    /// Official courses that were gone from the catalogue, with nothing referring to them.
    pub deleted: u64,
    /// Official courses that were gone from the catalogue but are referred to: they became unofficial.
    pub retained: u64,
    /// Courses in the catalogue: `created + updated + unchanged`.
    pub total: u64,
    /// The terms that were asked for, oldest first.
    pub terms: Vec<String>,
    /// True where official courses were gone from the catalogue and nothing was done about it, because a term
    /// failed or more than a fifth were gone.
    pub deletion_skipped: bool,
    /// True where a term failed.
    pub partial: bool,
    /// The terms that failed.
    pub failed_terms: Vec<String>,
    /// Entries of the catalogue that could not be used: no code, no title, or a code of no known shape.
    pub skipped_entries: u64,
}

impl Job for CourseSync {
    const KIND: &'static str = "course-sync";
    type Context = Context;
    type Output = CatalogueSnapshot;

    fn policy() -> Policy {
        Policy {
            max_attempts: 5,
            backoff: Backoff { first: Duration::from_secs(60), max: Duration::from_secs(3600) },
            timeout: Duration::from_secs(30 * 60),
            ..Policy::default()
        }
    }

    async fn run(&self, ctx: &Context, attempt: &Attempt) -> Result<CatalogueSnapshot, JobError> {
        let settings = &ctx.settings.catalogue;
        let base = Url::parse(&settings.url).map_err(|error| {
            JobError::fatal(
                "configuration",
                format!("CDCS_URL is no address ({error}). Correct it and start again."),
            )
        })?;
        let terms = self.terms(settings, &ctx.pool).await?;
        let wanted = terms.len();
        let gathered = catalogue::fetch_terms(&ctx.fetcher, &base, terms, |done| {
            #[expect(clippy::cast_precision_loss, reason = "a dozen at most")]
            attempt.set_progress(done as f64 / wanted as f64);
        })
        .await;
        if gathered.failed.len() == gathered.terms.len() {
            return Err(unreadable(&gathered));
        }
        Ok(gathered)
    }

    async fn commit(
        &self,
        ctx: &Context,
        _attempt: &Attempt,
        gathered: &CatalogueSnapshot,
        tx: &mut PgConnection,
    ) -> Result<Commit, JobError> {
        let summary =
            apply::apply(tx, gathered, ctx.settings.catalogue.sync_instructors, self.dry_run).await?;
        tracing::info!(?summary, dry_run = self.dry_run, "courses were compared with the catalogue");
        let result = serde_json::to_value(&summary).expect("counts and names are plain data");
        Ok(Commit::done().with_result(result))
    }
}

impl CourseSync {
    /// The terms of this run: of the args, else of the configuration, else those around today.
    async fn terms(&self, settings: &CatalogueSettings, pool: &PgPool) -> Result<Vec<Term>, JobError> {
        let texts = match &self.terms {
            Some(terms) if !terms.is_empty() => terms,
            _ => &settings.terms,
        };
        if texts.is_empty() {
            return Ok(Term::around(today(pool).await?).to_vec());
        }
        if texts.len() > MAX_TERMS {
            return Err(JobError::fatal(
                "bad-term",
                format!("At most {MAX_TERMS} terms can be read in one run."),
            ));
        }
        let terms = texts.iter().map(|text| text.parse::<Term>());
        terms.collect::<Result<_, _>>().map_err(|error| JobError::fatal("bad-term", format!("{error}.")))
    }
}

async fn today(pool: &PgPool) -> Result<NaiveDate, sqlx::Error> {
    sqlx::query_scalar("-- course_sync::today\nSELECT (now() AT TIME ZONE 'UTC')::date").fetch_one(pool).await
}

fn unreadable(gathered: &CatalogueSnapshot) -> JobError {
    let reasons: Vec<_> = gathered.failed.iter().map(|(term, error)| format!("{term}: {error}")).collect();
    JobError::retry(
        "catalogue",
        format!(
            "No term of the course catalogue could be read, so nothing was changed. {}.",
            reasons.join("; ")
        ),
    )
}
