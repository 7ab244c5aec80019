//! The options of a lecture. Read and written under the lecture's lock, or by its one live job.

use bedel_speech::{Hints, Prompt};
use sqlx::PgConnection;
use uuid::Uuid;

use super::{Columns, TranscriptionOptions};

/// Reads the lecture's options.
pub async fn read(
    connection: &mut PgConnection,
    lecture_id: Uuid,
) -> Result<TranscriptionOptions, sqlx::Error> {
    let columns: Option<Columns> = sqlx::query_as(
        "-- options::read
         SELECT language, vocabulary, engine, model FROM lecture_options WHERE lecture_id = $1",
    )
    .bind(lecture_id)
    .fetch_optional(connection)
    .await?;
    Ok(columns.unwrap_or_default().into())
}

/// Sets the options that are not set yet.
pub async fn fill(
    tx: &mut PgConnection,
    lecture_id: Uuid,
    options: TranscriptionOptions,
) -> Result<(), sqlx::Error> {
    let current = read(tx, lecture_id).await?;
    write(tx, lecture_id, &current.or(options)).await
}

/// Sets the options that `options` sets, and keeps the others.
pub async fn change(
    tx: &mut PgConnection,
    lecture_id: Uuid,
    options: TranscriptionOptions,
) -> Result<(), sqlx::Error> {
    let current = read(tx, lecture_id).await?;
    write(tx, lecture_id, &options.or(current)).await
}

async fn write(
    tx: &mut PgConnection,
    lecture_id: Uuid,
    options: &TranscriptionOptions,
) -> Result<(), sqlx::Error> {
    if options.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "-- options::write
         INSERT INTO lecture_options (lecture_id, language, vocabulary, engine, model)
         VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT (lecture_id) DO UPDATE SET language = EXCLUDED.language,
             vocabulary = EXCLUDED.vocabulary, engine = EXCLUDED.engine, model = EXCLUDED.model",
    )
    .bind(lecture_id)
    .bind(&options.language)
    .bind(&options.vocabulary)
    .bind(options.engine.map(|engine| engine.name()))
    .bind(&options.model)
    .execute(tx)
    .await?;
    Ok(())
}

/// The hints for the lecture's engine: its language and vocabulary. The course's code and
/// title and the lecture's title join a vocabulary. Alone they name no words of the
/// subject, and would change every transcript. A sync may change them between attempts.
pub async fn hints(
    connection: &mut PgConnection,
    lecture_id: Uuid,
    options: TranscriptionOptions,
) -> Result<Hints, sqlx::Error> {
    let terms = options.vocabulary.unwrap_or_default();
    if terms.is_empty() {
        return Ok(Hints { language: options.language, prompt: Prompt::default() });
    }
    let titles: Option<(Option<String>, Option<String>, Option<String>)> = sqlx::query_as(
        "-- options::hints
         SELECT courses.code, courses.title, lectures.title
         FROM lectures LEFT JOIN courses ON courses.id = lectures.course_id
         WHERE lectures.id = $1",
    )
    .bind(lecture_id)
    .fetch_optional(connection)
    .await?;
    let (code, course, title) = titles.unwrap_or_default();
    let prompt = Prompt::new(terms).with_titles([code, course, title].into_iter().flatten());
    Ok(Hints { language: options.language, prompt })
}
