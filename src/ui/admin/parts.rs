//! Pieces that several operators' pages share.

use bedel_jobs::error_class::ErrorClass;
use bedel_queue::COUNT_LIMIT;
use bedel_queue::inspect::{JobState, JobView};
use maud::{Markup, html};

use crate::ui::badge::{Tone, badge, working};
use crate::ui::icons::{Icon, icon};
use crate::ui::text::{percent, time};

/// Text of unknown origin. Characters that would reorder or hide what is around them are shown by their codes.
pub(super) fn plain(text: &str) -> Markup {
    html! { bdi { (visible(text)) } }
}

/// The text with control and direction characters as codes, such as `<U+202E>`. Line breaks stay.
fn visible(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' | '\t' => shown.push(c),
            '\u{61c}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{2069}'
            | '\u{feff}' => {
                shown.push_str(&format!("<U+{:04X}>", u32::from(c)));
            }
            c if c.is_control() => shown.push_str(&format!("<U+{:04X}>", u32::from(c))),
            c => shown.push(c),
        }
    }
    shown
}

/// A whole number with commas: `12,345`.
pub(super) fn number(value: i64) -> String {
    let digits = value.unsigned_abs().to_string();
    let mut shown = if value < 0 { "-".to_owned() } else { String::new() };
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            shown.push(',');
        }
        shown.push(digit);
    }
    shown
}

/// A count that stops at [`COUNT_LIMIT`]: `12`, or `10,000+`.
pub(super) fn capped(count: i64) -> String {
    let plus = if count >= COUNT_LIMIT { "+" } else { "" };
    format!("{}{plus}", number(count))
}

/// A length of time: `40 s`, `5 min`, `2 h 10 min`, `3 d 4 h`.
pub(super) fn span(seconds: f64) -> String {
    // Times in the database lie within some thousand years, and a negative one counts as 0.
    let seconds = seconds.max(0.0) as u64;
    match seconds {
        ..60 => format!("{seconds} s"),
        60..3600 => format!("{} min", seconds / 60),
        3600..86_400 => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
        _ => format!("{} d {} h", seconds / 86_400, seconds % 86_400 / 3600),
    }
}

/// A job's state.
pub(super) fn state(job: &JobView) -> Markup {
    match job.state {
        JobState::Available if job.errors > 0 || job.crashes > 0 => {
            badge(Tone::Warn, Icon::Retry, "Waits for a retry")
        }
        JobState::Available => badge(Tone::Neutral, Icon::Clock, "Waiting"),
        JobState::Running => working("Running"),
        JobState::Completed => badge(Tone::Good, Icon::Check, "Completed"),
        JobState::Discarded => badge(Tone::Bad, Icon::Cross, "Discarded"),
        JobState::Cancelled => badge(Tone::Neutral, Icon::Cross, "Cancelled"),
        JobState::Unknown => badge(Tone::Neutral, Icon::Clock, "Unknown to this version"),
    }
}

/// How far a running job is, if it says so.
pub(super) fn progress(job: &JobView) -> Markup {
    html! {
        @if let (Some(share), JobState::Running) = (job.progress, job.state) {
            progress max="100" value=(percent(share)) aria-label="Progress" { (percent(share)) " %" }
            span.small.soft.num { (percent(share)) " %" }
        }
    }
}

/// A table of jobs. `caption` names it.
pub(super) fn job_table(caption: &str, jobs: &[JobView]) -> Markup {
    html! {
        div.scroll {
            table.cards {
                caption.sr { (caption) }
                thead { tr {
                    th scope="col" { "Job" } th scope="col" { "State" } th scope="col" { "Lane" }
                    th scope="col" { "Attempts" } th scope="col" { "Worker" } th scope="col" { "Time" }
                } }
                tbody { @for job in jobs { (row(job)) } }
            }
        }
    }
}

fn row(job: &JobView) -> Markup {
    html! {
        tr {
            th.cell scope="row" {
                a.title href={ "/ui/admin/jobs/" (job.id) } { (plain(&job.kind)) }
                div.soft.small.mono { (job.id) }
            }
            td { div.state {
                (state(job)) (progress(job))
                @if let Some(reason) = &job.reason { p.why.clip { (plain(reason)) } }
            } }
            td data-label="Lane" { (plain(&job.queue)) }
            td.num data-label="Attempts" { (job.attempt) }
            td data-label="Worker" { @if let Some(worker) = &job.worker { (plain(worker)) } @else { span.soft { "–" } } }
            td data-label="Time" { (moment(job)) }
        }
    }
}

/// The time that matters in a job's state, with its meaning.
fn moment(job: &JobView) -> Markup {
    let (word, at) = match (job.state, job.attempted_at, job.finalized_at) {
        (JobState::Available, ..) => ("due", job.run_at),
        (JobState::Running, Some(at), _) => ("started", at),
        (_, _, Some(at)) => ("ended", at),
        _ => ("enqueued", job.created_at),
    };
    html! { span.soft.small { (word) " " } (time(at)) }
}

/// A button that sends a form with these fields. It works without scripts.
pub(super) fn post_button(
    action: &str,
    fields: &[(&str, &str)],
    class: &str,
    mark: Icon,
    text: &str,
) -> Markup {
    html! {
        form method="post" action=(action) {
            @for (name, value) in fields { input type="hidden" name=(name) value=(value); }
            button class={ "button " (class) } { (icon(mark)) (text) }
        }
    }
}

/// What to do about an error of this class.
pub(super) fn remedy(class: &str) -> Option<Markup> {
    let known = ErrorClass::ALL.iter().find(|known| known.name() == class)?;
    Some(code_spans(known.remedy()))
}

/// Text with code between backticks.
fn code_spans(text: &str) -> Markup {
    html! {
        @for (at, part) in text.split('`').enumerate() {
            @if at % 2 == 1 { code { (part) } } @else { (part) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_text_is_escaped_and_cannot_reorder_the_page() {
        let shown = plain("a<script>\u{202e}x\u{0}\n\u{2066}").into_string();
        assert_eq!(shown, "<bdi>a&lt;script&gt;&lt;U+202E&gt;x&lt;U+0000&gt;\n&lt;U+2066&gt;</bdi>");
    }

    #[test]
    fn numbers_and_times_are_short() {
        assert_eq!((number(0), number(999), number(1000)), ("0".into(), "999".into(), "1,000".into()));
        assert_eq!((number(-1_234_567), capped(10_000)), ("-1,234,567".into(), "10,000+".into()));
        assert_eq!((span(-1.0), span(59.9), span(61.0)), ("0 s".into(), "59 s".into(), "1 min".into()));
        assert_eq!((span(7800.0), span(90_000.0)), ("2 h 10 min".into(), "1 d 1 h".into()));
    }

    #[test]
    fn a_remedy_has_its_code_marked() {
        let remedy = remedy("tool-missing").expect("a known class").into_string();
        assert!(remedy.ends_with("<code>bedel doctor</code>"), "{remedy}");
        assert!(super::remedy("no-such-class").is_none());
    }
}
