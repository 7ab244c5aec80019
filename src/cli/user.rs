//! `bedel user`.

use bedel_jobs::user::removal;
use bedel_queue::Queue;
use clap::{Args, Subcommand};
use serde_json::json;
use uuid::Uuid;

use super::notify;
use super::output::OutputOptions;
use crate::config::common::CommonOptions;
use crate::config::database::DatabaseOptions;
use crate::config::storage::StorageOptions;
use crate::error::CliError;
use crate::run::{database, environment};

/// `bedel user …`
#[derive(Debug, Subcommand)]
pub enum UserCommand {
    /// Delete a user with links, documents, files, selected courses and API tokens
    Delete(DeleteUser),
}

/// The user to delete.
#[derive(Debug, Args)]
pub struct DeleteUser {
    /// The user's id
    #[arg(value_name = "USER")]
    id: Uuid,
    #[command(flatten)]
    output: OutputOptions,
    #[command(flatten)]
    database: DatabaseOptions,
    #[command(flatten)]
    storage: StorageOptions,
}

impl UserCommand {
    /// Runs the subcommand.
    ///
    /// # Errors
    /// If there is no such user, or the database or the storage fails.
    pub async fn run(&self, common: &CommonOptions) -> Result<(), CliError> {
        let Self::Delete(command) = self;
        command.run(common).await
    }
}

impl DeleteUser {
    async fn run(&self, common: &CommonOptions) -> Result<(), CliError> {
        let pool = database::for_command(&self.database, &common.data_dir).await?;
        let storage = environment::storage(&self.storage.storage_dir(&common.data_dir))?;
        let deleted = removal::delete(&pool, &storage, self.id).await.map_err(|error| {
            CliError::Failed(format!("the user is only partly deleted: {error}. Try again"))
        })?;
        let queue = Queue::new(pool);
        notify::wake(&queue).await;
        notify::cancellation(&queue).await;
        if !deleted.existed {
            return Err(CliError::Failed(format!("there is no user {}", self.id)));
        }
        let (removed, unlinked) = (deleted.lectures_removed, deleted.lectures_unlinked);
        let documents = deleted.documents_removed;
        let result = json!({
            "user_id": self.id,
            "lectures_removed": removed,
            "lectures_unlinked": unlinked,
            "documents_removed": documents,
        });
        self.output.print(&result, || {
            format!(
                "{} is deleted, with {removed} lectures ({unlinked} shared ones stay) and {documents} documents\n",
                self.id
            )
        })
    }
}
