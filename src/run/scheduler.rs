//! `bedel scheduler`.

use clap::Args;
use std::time::Duration;

use bedel_jobs::cleanup_orphans::CleanupOrphans;
use bedel_jobs::course_sync::CourseSync;
use bedel_jobs::index_transcripts::IndexTranscripts;
use bedel_jobs::prune_webhooks::PruneWebhooks;
use bedel_queue::{CatchUp, NewJob, Queue, Retention, Schedule, run_scheduler};

use crate::config::common::CommonOptions;
use crate::config::database::DatabaseOptions;
use crate::config::schedule::ScheduleOptions;
use crate::error::CliError;
use crate::run::database::{self, Role};
use crate::run::process;

/// Deadline for stopping once the parent process is gone.
const STOP_TIMEOUT: Duration = Duration::from_secs(2);

/// Fire the cron jobs until SIGTERM. Several may run: each tick fires once.
#[derive(Debug, Args)]
pub struct SchedulerCommand {
    /// See [`DatabaseOptions`].
    #[command(flatten)]
    pub database: DatabaseOptions,
    /// See [`ScheduleOptions`].
    #[command(flatten)]
    pub schedule: ScheduleOptions,
}

/// Fires the cron jobs until the process is asked to stop. Waits while the database is down.
///
/// # Errors
/// If the configuration is invalid.
pub async fn run(command: &SchedulerCommand, common: &CommonOptions) -> Result<(), CliError> {
    let stop = process::stop_token(common.exit_with_parent.then_some(STOP_TIMEOUT))?;
    let pool = database::pool(&database::resolve(&command.database, &common.data_dir)?, Role::Scheduler)?;
    if !database::wait_until_ready(&pool, &stop).await? {
        return Ok(());
    }
    run_scheduler(Queue::new(pool), schedules(&command.schedule), Retention::default(), stop)
        .await
        .map_err(|error| CliError::Usage(format!("CLEANUP_CRON or COURSE_SYNC_CRON: {error}")))
}

/// When transcripts without rows in the search's index get them: hourly. `transcribe` writes its own.
const INDEX_CRON: &str = "47 * * * *";

/// When old messages of webhooks are deleted: hourly.
const PRUNE_CRON: &str = "27 * * * *";

/// The jobs read the whole current state, so only the latest of several missed ticks is caught up.
fn schedules(options: &ScheduleOptions) -> Vec<Schedule> {
    vec![
        Schedule {
            name: "cleanup-orphans",
            cron: options.cleanup_cron.clone(),
            catch_up: CatchUp::Latest,
            job: NewJob::new(&CleanupOrphans { lecture_id: None, dry_run: false }),
        },
        Schedule {
            name: "course-sync",
            cron: options.course_sync_cron.clone(),
            catch_up: CatchUp::Latest,
            job: CourseSync::default().job(),
        },
        Schedule {
            name: "index-transcripts",
            cron: INDEX_CRON.to_owned(),
            catch_up: CatchUp::Latest,
            job: NewJob::new(&IndexTranscripts::default()),
        },
        Schedule {
            name: "prune-webhooks",
            cron: PRUNE_CRON.to_owned(),
            catch_up: CatchUp::Latest,
            job: NewJob::new(&PruneWebhooks::default()),
        },
    ]
}
