//! What happened to a job, in order, and what happens next.

use bedel_queue::inspect::{FailedAttempt, JobState, JobView};
use chrono::{DateTime, Utc};
use maud::{Markup, html};

use super::parts::{plain, remedy};
use crate::ui::badge::{Tone, badge, working};
use crate::ui::icons::Icon;
use crate::ui::text::time;

/// Failed attempts shown: the newest.
const SHOWN: usize = 50;

/// The list of events, the oldest first.
pub(super) fn timeline(job: &JobView) -> Markup {
    let hidden = job.failures.len().saturating_sub(SHOWN);
    html! {
        ol.timeline {
            (event(badge(Tone::Neutral, Icon::Plus, "Enqueued"), Some(job.created_at), html! {}))
            @if hidden > 0 { li.soft { (hidden) " older failed attempts are not shown." } }
            @for failed in &job.failures[hidden..] { (attempt(failed)) }
            (last(job))
        }
    }
}

fn event(mark: Markup, at: Option<DateTime<Utc>>, text: Markup) -> Markup {
    html! { li { div.actions { (mark) @if let Some(at) = at { span.soft.small { (time(at)) } } } (text) } }
}

/// A failed attempt, with its remedy.
fn attempt(failed: &FailedAttempt) -> Markup {
    let is_crash = failed.class == "crashed";
    let mark = if is_crash {
        badge(Tone::Bad, Icon::Alert, &format!("Attempt {} crashed", failed.attempt))
    } else {
        badge(Tone::Warn, Icon::Alert, &format!("Attempt {} failed", failed.attempt))
    };
    event(
        mark,
        Some(failed.failed_at),
        html! {
            p.message { code { (plain(&failed.class)) } " " (plain(&failed.message)) }
            @if let Some(remedy) = remedy(&failed.class) { p.soft.small { "What to do: " (remedy) "." } }
            @if let Some(worker) = &failed.worker { p.soft.small { "On " (plain(worker)) } }
        },
    )
}

/// The present state, or how the job ended.
fn last(job: &JobView) -> Markup {
    let reason = html! { @if let Some(reason) = &job.reason { p.message { (plain(reason)) } } };
    match job.state {
        JobState::Available => {
            let text = if job.attempt > 0 { "Next attempt" } else { "First attempt" };
            event(
                badge(Tone::Neutral, Icon::Clock, text),
                Some(job.run_at),
                html! {
                    p.soft.small { "It is claimed by a free worker from this time on." }
                    @if job.failures.is_empty() { (reason) }
                },
            )
        }
        JobState::Running => event(
            working(&format!("Attempt {} runs", job.attempt)),
            job.attempted_at,
            html! {
                @if let Some(worker) = &job.worker { p.soft.small { "On " (plain(worker)) } }
            },
        ),
        JobState::Completed => event(
            badge(Tone::Good, Icon::Check, "Completed"),
            job.finalized_at,
            html! {
                p.soft.small { "By attempt " (job.attempt) }
            },
        ),
        JobState::Discarded => event(badge(Tone::Bad, Icon::Cross, "Discarded"), job.finalized_at, reason),
        JobState::Cancelled => {
            event(badge(Tone::Neutral, Icon::Cross, "Cancelled"), job.finalized_at, reason)
        }
        JobState::Unknown => {
            event(badge(Tone::Neutral, Icon::Clock, "Unknown to this version"), job.finalized_at, reason)
        }
    }
}
