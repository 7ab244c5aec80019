//! Whether all of it happened as it should, and the transcript beside the words.

use crate::timeline::Story;
use crate::upstream::Upstream;

/// The four jobs, in the order in which a lecture meets them.
const STAGES: [&str; 4] = ["submit", "download", "probe", "transcribe"];
/// Highest word error rate accepted, in per cent.
pub const WORST_RATE: f64 = 10.0;

/// What the queue and the upstream have to say for the demonstration to count.
///
/// # Errors
/// The first thing that is not as it should be.
pub fn judge(story: &Story, upstream: &Upstream) -> Result<(), String> {
    let kinds: Vec<&str> = story.jobs.iter().map(|job| job.kind.as_str()).collect();
    if kinds != STAGES {
        return Err(format!("not exactly one job of each stage was enqueued, but {}", kinds.join(", ")));
    }
    if let Some(job) = story.jobs.iter().find(|job| job.state != "completed") {
        return Err(format!("the {} job is {}", job.kind, job.state));
    }
    let download = job(story, "download")?;
    let unexpected = upstream.unexpected();
    if download.errors != 1 || !unexpected.is_empty() {
        return Err(format!(
            "one attempt was to miss segments and the next to fetch those alone, but the job counts {} errors, and the \
             upstream was asked for {}",
            download.errors,
            unexpected.join(", ")
        ));
    }
    let transcribe = job(story, "transcribe")?;
    if (transcribe.attempt, transcribe.crashes, transcribe.errors) != (2, 1, 0) {
        return Err(format!(
            "transcribe was to be rescued once, but it took {} attempts with {} crashes and {} errors",
            transcribe.attempt, transcribe.crashes, transcribe.errors
        ));
    }
    Ok(())
}

fn job<'a>(story: &'a Story, kind: &str) -> Result<&'a crate::timeline::Job, String> {
    story.job(kind).ok_or_else(|| format!("there is no {kind} job"))
}

/// Two texts side by side, each in a column of `width` characters.
pub fn beside(left: (&str, &str), right: (&str, &str), width: usize) -> String {
    let columns = [left, right].map(|(title, text)| {
        let mut lines = vec![title.to_owned(), "-".repeat(width)];
        lines.extend(wrap(text, width));
        lines
    });
    let height = columns[0].len().max(columns[1].len());
    let line = |column: &[String], row: usize| column.get(row).cloned().unwrap_or_default();
    let rows =
        (0..height).map(|row| format!("{:<width$}  {}", line(&columns[0], row), line(&columns[1], row)));
    rows.map(|row| row.trim_end().to_owned()).collect::<Vec<_>>().join("\n")
}

fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let last = lines.last_mut().expect("there is always a line");
        if last.is_empty() {
            last.push_str(word);
        } else if last.chars().count() + 1 + word.chars().count() <= width {
            last.push(' ');
            last.push_str(word);
        } else {
            lines.push(word.to_owned());
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    #[test]
    fn two_texts_stand_side_by_side() {
        let text = super::beside(("one", "a bb ccc dddd"), ("two", "a bb"), 7);
        assert_eq!(text, "one      two\n-------  -------\na bb     a bb\nccc\ndddd");
    }
}
