//! Samples stored are samples decoded, or the job ends with an error that names both.

use super::resumed::{Listener, with};
use super::*;

/// The clock stops after six seconds, and the samples go on: a decoder would drop three quarters of them.
#[tokio::test]
async fn audio_that_decodes_to_less_than_its_samples_is_not_transcribed() {
    let env = TranscribeEnv::new(None).await;
    let ctx = with(&env, &Listener::stumbling_at(&[])).await;
    let directory = tempfile::tempdir().expect("a directory");
    let stopped = ["-bsf:a", "setts=ts=min(TS\\,6*44100)"];
    for (extra, class) in [(&stopped[..], Some("incomplete")), (&[], None)] {
        let id = env.lecture(&sound(directory.path(), "sine=duration=24:sample_rate=44100", extra)).await;
        let outcome = Transcribe::new(id).run(&ctx, &Attempt::detached(Some(id))).await;
        assert_eq!(outcome.as_ref().err().map(JobError::class), class, "{outcome:?}");
        if let Err(error) = outcome {
            assert!(error.is_fatal() && error.to_string().contains("24 seconds"), "{error}");
            assert!(error.to_string().contains("6 seconds were decoded"), "{error}");
        }
    }
}
