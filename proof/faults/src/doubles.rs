//! Doubles of a lecture's four stages: the real begin, commit and end, around a run that takes some
//! milliseconds and sometimes fails. Races between these transactions need no recordings.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bedel_fetch::{FetchPolicy, Fetcher};
use bedel_jobs::download::{Audio, Download};
use bedel_jobs::environment::{Context, Environment, Settings};
use bedel_jobs::lecture::search::passages::SearchRows;
use bedel_jobs::probe::{Probe, Probed};
use bedel_jobs::submit::{Resolved, Submit};
use bedel_jobs::transcribe::{Transcribe, Transcribed};
use bedel_media::sound::{ChannelReason, SoundChoice};
use bedel_media::{AudioStream, MediaTools};
use bedel_queue::{Attempt, Commit, End, Failure, Job, JobError, NewJob, Policy, Registry};
use bedel_recordings::catalogue::CatalogueSettings;
use bedel_storage::Storage;
use serde::{Deserialize, Serialize};
use sqlx::{PgConnection, PgPool};

use crate::error::FaultsError;

/// A stage whose run can be left out.
trait Stage: Job<Context = Context> {
    /// The run's result.
    fn found() -> Self::Output;
}

impl Stage for Submit {
    fn found() -> Self::Output {
        Some(Resolved { streams: Vec::new(), title: Some("A lecture".to_owned()), seconds: None })
    }
}

impl Stage for Download {
    fn found() -> Self::Output {
        Some(Audio { announced_seconds: Some(60.0) })
    }
}

impl Stage for Probe {
    fn found() -> Self::Output {
        let stream = AudioStream {
            codec: "aac".to_owned(),
            channels: 1,
            sample_rate: 16_000,
            seconds: Some(60.0),
            start_seconds: 0.0,
        };
        Probed { seconds: 60.0, decoded_seconds: 60.0, stream }
    }
}

impl Stage for Transcribe {
    fn found() -> Self::Output {
        Some(Transcribed {
            engine: "none".to_owned(),
            model: "none".to_owned(),
            language: "en".to_owned(),
            sound: SoundChoice {
                track: 0,
                channels: vec![0],
                of: 1,
                reason: ChannelReason::OnlyChannel,
                gain_db: 0,
            },
            segments: 1,
            gaps: 0,
            audio_seconds: 60.0,
            pieces: 1,
            transcribed_seconds: 60.0,
            elapsed_seconds: 1.0,
            real_time_factor: Some(0.02),
            leaves_pieces: false,
            search_rows: SearchRows::empty(),
        })
    }
}

/// The double of a stage.
#[derive(Debug, Serialize, Deserialize)]
#[serde(transparent)]
struct Double<S>(S);

impl<S: Stage> Job for Double<S> {
    const KIND: &'static str = S::KIND;
    type Context = Context;
    type Output = S::Output;

    fn policy() -> Policy {
        S::policy()
    }

    async fn begin(&self, ctx: &Context, attempt: &Attempt, tx: &mut PgConnection) -> Result<(), JobError> {
        self.0.begin(ctx, attempt, tx).await
    }

    /// The random lease decides how long the run takes and whether it fails. One in six fails fatally.
    async fn run(&self, _: &Context, attempt: &Attempt) -> Result<S::Output, JobError> {
        let chance = attempt.lease.as_fields().0;
        tokio::time::sleep(Duration::from_millis(u64::from(chance % 12))).await;
        if chance.is_multiple_of(6) {
            Err(JobError::fatal("planned", "this attempt was to fail"))
        } else {
            Ok(S::found())
        }
    }

    async fn commit(
        &self,
        ctx: &Context,
        attempt: &Attempt,
        output: &S::Output,
        tx: &mut PgConnection,
    ) -> Result<Commit, JobError> {
        self.0.commit(ctx, attempt, output, tx).await
    }

    async fn attempt_failed(
        ctx: &Context,
        failure: &Failure,
        tx: &mut PgConnection,
    ) -> Result<(), sqlx::Error> {
        S::attempt_failed(ctx, failure, tx).await
    }

    async fn ended(ctx: &Context, end: &End, tx: &mut PgConnection) -> Result<Vec<NewJob>, sqlx::Error> {
        S::ended(ctx, end, tx).await
    }
}

/// The four doubles. They use only the settings of their environment.
pub fn registry(pool: PgPool, directory: &Path) -> Result<Registry<Context>, FaultsError> {
    // Another caller may have installed it already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let fetch = FetchPolicy {
        max_bytes: 1024,
        ..FetchPolicy::listed(vec!["media.example.com".to_owned()], Vec::new())
    };
    let environment = Environment {
        pool,
        storage: Storage::local(&directory.join("storage"))
            .map_err(|error| FaultsError::Setup(error.to_string()))?,
        scratch: directory.join("scratch"),
        downloads: directory.join("downloads"),
        fetcher: Fetcher::new(fetch.clone()).map_err(|error| FaultsError::Setup(error.to_string()))?,
        webhook_fetcher: Fetcher::new(FetchPolicy::public(Vec::new()))
            .map_err(|error| FaultsError::Setup(error.to_string()))?,
        media: MediaTools::by_name(),
        engines: None,
        settings: Settings {
            tenants: Vec::new(),
            fetch,
            webhooks: FetchPolicy::public(Vec::new()),
            catalogue: CatalogueSettings { url: String::new(), terms: Vec::new(), sync_instructors: false },
            max_download_bytes: 1 << 30,
            keep_failed_audio_days: 1,
            give_up_after: None,
        },
    };
    Ok(Registry::new(Arc::new(environment))
        .register::<Double<Submit>>()
        .register::<Double<Download>>()
        .register::<Double<Probe>>()
        .register::<Double<Transcribe>>())
}
