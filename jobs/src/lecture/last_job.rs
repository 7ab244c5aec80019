//! The newest job of a lecture's stages.

use bedel_queue::Job;
use bedel_speech::Choice;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::kinds::Transcribe;
use crate::options::{self, TranscriptionOptions};

/// The newest job. Only an ended one counts as failed.
pub(crate) struct LastJob {
    pub(crate) id: Uuid,
    kind: String,
    state: String,
    /// Its text: a number or a nesting that cannot be read must not fail the statement.
    args: String,
}

/// Reads the newest job of a lecture. `None` if it has none, or the history is pruned.
pub(crate) async fn read(
    connection: &mut PgConnection,
    lecture_id: Uuid,
) -> Result<Option<LastJob>, sqlx::Error> {
    let row: Option<(Uuid, String, String, String)> = sqlx::query_as(
        "-- last_job::read
         SELECT id, kind, state::text, args::text FROM queue.jobs
         WHERE subject = $1 AND kind IN ('submit', 'download', 'probe', 'transcribe')
         ORDER BY id DESC LIMIT 1",
    )
    .bind(lecture_id)
    .fetch_optional(connection)
    .await?;
    Ok(row.map(|(id, kind, state, args)| LastJob { id, kind, state, args }))
}

impl LastJob {
    /// True if it was discarded or cancelled.
    pub(super) fn has_failed(&self) -> bool {
        matches!(self.state.as_str(), "discarded" | "cancelled")
    }

    /// The engine and model that its args name, which a new job must not lose.
    fn choice(&self) -> Option<Choice> {
        let transcribe: Option<Transcribe> = (self.kind == Transcribe::KIND && self.has_failed())
            .then(|| serde_json::from_str(&self.args).ok())
            .flatten();
        transcribe.map(|job| job.choice).filter(|choice| *choice != Choice::default())
    }

    /// Stores the engine and model that its args name as the lecture's own.
    pub(super) async fn keep_choice(
        &self,
        tx: &mut PgConnection,
        lecture_id: Uuid,
    ) -> Result<(), sqlx::Error> {
        let Some(Choice { engine, model }) = self.choice() else { return Ok(()) };
        let choice = TranscriptionOptions { engine, model, ..TranscriptionOptions::default() };
        options::lecture::change(tx, lecture_id, choice).await
    }
}
