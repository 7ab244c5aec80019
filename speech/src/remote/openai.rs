//! OpenAI's protocol: `POST {url}/audio/transcriptions`, answered with the finished transcript.

use bedel_media::MediaTools;
use reqwest::Method;

use super::client::Server;
use super::paid_calls::{self, Call};
use super::upload::Upload;
use crate::call_log::PaidCall;
use crate::control::Control;
use crate::engine::AudioChunk;
use crate::engine_error::EngineError;
use crate::raw_transcript::RawTranscript;

pub(super) async fn transcribe(
    server: &Server,
    media: &MediaTools,
    chunk: AudioChunk<'_>,
    control: &Control,
) -> Result<RawTranscript, EngineError> {
    let settings = server.settings();
    let upload = Upload::of(&chunk, server, media).await?;
    let uploaded = upload.bytes();
    let form = upload.form("file", &chunk, settings);
    let form = form.text("model", settings.model.clone()).text("response_format", "verbose_json");
    let build = |paid_call: &PaidCall| {
        let request = server.request(Method::POST, &["audio", "transcriptions"]);
        // A server that honours the key repeats its answer to a request it has seen.
        request.header("Idempotency-Key", paid_call.idempotency_key()).multipart(form)
    };
    let call = Call { build, uploaded, timeout: settings.call_timeout(chunk.samples.len()) };
    let (answer, paid_call) = paid_calls::make_call(server, &chunk, call, control).await?;
    control.report(1.0);
    paid_calls::read_transcript(server, &chunk, paid_call, answer).await
}
