//! The options of a transcription, as fields of a body.

use axum::extract::Request;
use bedel_jobs::options::TranscriptionOptions;
use bedel_speech::engines::EngineKind;

use super::body::Fields;
use super::problem::Problem;

/// Reads the options among the fields of a body, unchecked but for their types.
pub(super) fn read(fields: &mut Fields) -> TranscriptionOptions {
    TranscriptionOptions {
        language: fields.text("language"),
        vocabulary: fields.optional_texts("vocabulary"),
        engine: fields.text("engine").filter(|name| !name.trim().is_empty()).and_then(|name| {
            EngineKind::named(name.trim())
                .or_else(|| fields.refuse("engine", "choice", "this must be embedded, openai or task"))
        }),
        model: fields.text("model"),
    }
}

/// Reads a body that holds only options.
///
/// # Errors
/// 422 with every invalid field.
pub(super) async fn read_body(request: Request) -> Result<TranscriptionOptions, Problem> {
    let mut fields = Fields::read_optional(request).await?;
    let options = read(&mut fields);
    let options = check(&mut fields, options);
    fields.finish()?;
    Ok(options)
}

/// The options in their stored form. Records their errors.
pub(super) fn check(fields: &mut Fields, options: TranscriptionOptions) -> TranscriptionOptions {
    options.checked().unwrap_or_else(|errors| {
        for error in errors {
            fields.refuse::<()>(error.field, error.code, error.message);
        }
        TranscriptionOptions::default()
    })
}
