//! `course-sync`: syncs the official courses with the catalogue.
//!
//! It reads the catalogue of its terms, then the whole table, and converges: a second run changes nothing.
//! [`plan`] has the rules about which rows change and which are deleted; [`apply`] turns a plan into a
//! handful of statements.

pub mod apply;
pub mod plan;
mod summary;

use std::time::Duration;

use bedel_queue::{Attempt, Backoff, Commit, Job, JobError, Policy};
use bedel_recordings::catalogue::term::Term;
use bedel_recordings::catalogue::{self, CatalogueSettings, CatalogueSnapshot};
use chrono::NaiveDate;
use sqlx::{PgConnection, PgPool};
use url::Url;

pub use self::summary::Summary;
use crate::environment::Context;
use crate::error_class::{ErrorClass, names};
pub use crate::kinds::CourseSync;

/// Most terms in one run: each may take a minute.
const MAX_TERMS: usize = 12;

/// Error classes of this kind, beside the queue's.
const ERROR_CLASSES: [&str; 3] =
    names(&[&[ErrorClass::Catalogue, ErrorClass::BadTerm, ErrorClass::Configuration]]);

impl Job for CourseSync {
    const KIND: &'static str = "course-sync";
    type Context = Context;
    type Output = CatalogueSnapshot;

    fn policy() -> Policy {
        Policy {
            max_attempts: 5,
            backoff: Backoff { first: Duration::from_secs(60), max: Duration::from_secs(3600) },
            timeout: Duration::from_secs(30 * 60),
            error_classes: &ERROR_CLASSES,
            ..Policy::default()
        }
    }

    async fn run(&self, ctx: &Context, attempt: &Attempt) -> Result<CatalogueSnapshot, JobError> {
        let settings = &ctx.settings.catalogue;
        let base = Url::parse(&settings.url).map_err(|error| {
            JobError::fatal(
                "configuration",
                format!("CDCS_URL is not a valid URL ({error}). Correct it and restart."),
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
        tracing::info!(?summary, dry_run = self.dry_run, "synced the courses with the catalogue");
        let result = serde_json::to_value(&summary).expect("counts and names are plain data");
        Ok(Commit::done().with_result(result))
    }
}

impl CourseSync {
    /// The terms of this run: those of the args, else those of the configuration, else those around today.
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
                format!("One run reads at most {MAX_TERMS} terms. Name fewer."),
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
