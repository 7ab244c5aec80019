//! `bedel scheduler`.

use clap::Args;
use std::time::Duration;

use bedel_jobs::cleanup_orphans::CleanupOrphans;
use bedel_jobs::course_sync::{self, CourseSync};
use bedel_queue::{CatchUp, NewJob, Queue, Retention, Schedule, run_scheduler};

use crate::config::common::CommonOptions;
use crate::config::database::DatabaseOptions;
use crate::config::schedule::ScheduleOptions;
use crate::error::CliError;
use crate::run::database::{self, Role};
use crate::run::process;

/// A scheduler whose parent is gone stops within this time.
const STOP_WITHIN: Duration = Duration::from_secs(2);

/// Fire the cron jobs until SIGTERM. Several may run: each tick is fired once.
#[derive(Debug, Args)]
pub struct SchedulerCommand {
    /// See [`DatabaseOptions`].
    #[command(flatten)]
    pub database: DatabaseOptions,
    /// See [`ScheduleOptions`].
    #[command(flatten)]
    pub schedule: ScheduleOptions,
}

/// Fires the cron jobs until the process is asked to stop. Waits for a database that is away.
///
/// # Errors
/// Where the configuration cannot work.
pub async fn run(command: &SchedulerCommand, common: &CommonOptions) -> Result<(), CliError> {
    let stop = process::stop_token(common.exit_with_parent.then_some(STOP_WITHIN))?;
    let pool = database::pool(&database::resolve(&command.database, &common.data_dir)?, Role::Scheduler)?;
    if !database::wait_until_ready(&pool, &stop).await? {
        return Ok(());
    }
    run_scheduler(Queue::new(pool), schedules(&command.schedule), Retention::default(), stop)
        .await
        .map_err(|error| CliError::Usage(format!("CLEANUP_CRON or COURSE_SYNC_CRON: {error}")))
}

/// Both look at the whole present state, so of several ticks that were missed the latest alone is made up for.
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
            job: course_sync::job(&CourseSync::default()),
        },
    ]
}
