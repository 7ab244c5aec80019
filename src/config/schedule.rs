//! The two cron jobs.

use clap::Args;

/// The two cron jobs.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Schedules (five cron fields, UTC)")]
pub struct ScheduleOptions {
    /// When to collect orphaned files and lectures
    #[arg(long, env = "CLEANUP_CRON", default_value = "17 * * * *", value_name = "CRON")]
    pub cleanup_cron: String,

    /// When to read the course catalogue
    #[arg(long, env = "COURSE_SYNC_CRON", default_value = "0 6 * * 1", value_name = "CRON")]
    pub course_sync_cron: String,
}
