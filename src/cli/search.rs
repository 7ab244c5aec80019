//! `bedel search`.

use clap::Args;
use serde::Deserialize;
use serde_json::Value;
use uuid::Uuid;

use super::output::OutputOptions;
use super::remote::RemoteOptions;
use super::table::{self, Column};
use crate::config::common::CommonOptions;
use crate::error::CliError;

/// Hits per page.
const PAGE: usize = 50;

const COLUMNS: [Column; 4] =
    [Column::whole("TIME"), Column::text("LECTURE"), Column::text("TEXT"), Column::text("LINK").optional()];

/// Find what was said in your lectures, newest first, over the HTTP API.
///
/// Quote the words for the shell: bedel search '"fast Fourier" transf* -laplace'
#[derive(Debug, Args)]
pub struct SearchCommand {
    /// Words to find, such as: heat "cold water" therm* -pump
    #[arg(required = true, value_name = "WORDS")]
    words: Vec<String>,
    /// Only this course
    #[arg(long, value_name = "UUID")]
    course: Option<Uuid>,
    /// Maximum number of hits
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1000))]
    limit: u32,
    #[command(flatten)]
    output: OutputOptions,
    #[command(flatten)]
    remote: RemoteOptions,
}

#[derive(Deserialize)]
struct Page {
    hits: Vec<Value>,
    next_cursor: Option<String>,
}

/// The printed fields of a hit.
#[derive(Deserialize)]
struct Hit {
    lecture_id: Uuid,
    title: Option<String>,
    start: f64,
    snippet: String,
    url: Option<String>,
}

impl SearchCommand {
    /// Prints the hits.
    ///
    /// # Errors
    /// If there is no API or it refuses; its detail is printed.
    pub async fn run(&self, common: &CommonOptions) -> Result<(), CliError> {
        let remote = self.remote.open(common, false)?;
        let limit = self.limit as usize;
        let (mut hits, mut cursor) = (Vec::new(), None);
        loop {
            let page: Page = remote.get(&self.path(limit - hits.len(), cursor.as_deref())).await?;
            hits.extend(page.hits);
            cursor = page.next_cursor;
            if hits.len() >= limit || cursor.is_none() {
                break;
            }
        }
        let rows = hits.iter().map(|hit| remote.read(hit.clone()).map(|hit: Hit| row(&hit)));
        let rows = rows.collect::<Result<Vec<_>, _>>()?;
        self.output.print(&hits, || table::render(&COLUMNS, &rows))
    }

    fn path(&self, wanted: usize, cursor: Option<&str>) -> String {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        // A typed command is complete: the blank says that the last word is.
        query.append_pair("q", &format!("{} ", self.words.join(" ")));
        query.append_pair("limit", &wanted.min(PAGE).to_string());
        if let Some(course) = self.course {
            query.append_pair("course_id", &course.to_string());
        }
        if let Some(cursor) = cursor {
            query.append_pair("cursor", cursor);
        }
        format!("/api/search?{}", query.finish())
    }
}

fn row(hit: &Hit) -> Vec<String> {
    let title = hit.title.clone().unwrap_or_else(|| hit.lecture_id.to_string());
    vec![time(hit.start), title, plain(&hit.snippet), hit.url.clone().unwrap_or_default()]
}

/// `1:02:03`, or `2:03` in the first hour.
fn time(seconds: f64) -> String {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the cast saturates at both ends"
    )]
    let seconds = seconds as u64;
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    if hours > 0 { format!("{hours}:{minutes:02}:{seconds:02}") } else { format!("{minutes}:{seconds:02}") }
}

/// The snippet without HTML; the words found stand in asterisks.
fn plain(snippet: &str) -> String {
    [
        ("<mark>", "*"),
        ("</mark>", "*"),
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&quot;", "\""),
        ("&#39;", "'"),
        ("&amp;", "&"),
    ]
    .into_iter()
    .fold(snippet.to_owned(), |text, (html, plain)| text.replace(html, plain))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_snippets_are_text() {
        for (seconds, expected) in [(0.0, "0:00"), (63.9, "1:03"), (3723.0, "1:02:03")] {
            assert_eq!(time(seconds), expected);
        }
        assert_eq!(plain("a <mark>b</mark> &lt;c&gt; &amp;lt;"), "a *b* <c> &lt;");
    }
}
