//! A lecture's transcript as a list that follows its sound.

use axum::extract::State;
use axum::response::Html;
use bedel_speech::{Gap, GapReason, Transcript};
use maud::{Markup, html};

use crate::api::body::Id;
use crate::api::lectures::artefacts::payload;
use crate::api::problem::Problem;
use crate::api::state::ApiState;
use crate::ui::icons::{Icon, icon};
use crate::ui::session::Session;
use crate::ui::text::clock;

pub(super) async fn show(
    State(state): State<ApiState>,
    session: Session,
    Id(id): Id,
) -> Result<Html<String>, Problem> {
    let transcript = payload(&state, session.caller, id).await?;
    Ok(Html(list(&transcript).into_string()))
}

fn list(transcript: &Transcript) -> Markup {
    let mut gaps = transcript.gaps.iter().peekable();
    let mut before = Vec::with_capacity(transcript.segments.len());
    for segment in &transcript.segments {
        let mut own = Vec::new();
        while let Some(gap) = gaps.next_if(|gap| gap.start <= segment.start) {
            own.push(gap);
        }
        before.push(own);
    }
    html! {
        ol #transcript.transcript aria-label="Transcript" {
            @for (segment, gaps) in transcript.segments.iter().zip(&before) {
                @for gap in gaps { (hole(gap)) }
                li {
                    button.segment type="button" data-at=(segment.start) {
                        span.at { (clock(segment.start)) }
                        span { (segment.text) }
                    }
                }
            }
            @for gap in gaps { (hole(gap)) }
        }
    }
}

/// A stretch that lacks words.
fn hole(gap: &Gap) -> Markup {
    let text = match gap.reason {
        GapReason::NoWords => "speech that was not understood",
        GapReason::LostWords => "words at estimated times",
    };
    html! { li.gap { span { (icon(Icon::Alert)) " " (clock(gap.start)) "–" (clock(gap.end)) ": " (text) } } }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_stand_where_they_are_and_text_is_escaped() {
        let transcript: Transcript = serde_json::from_str(
            r#"{"segments": [{"start": 0, "end": 2, "text": "<b>one"}, {"start": 9, "end": 10, "text": "two"}],
                "gaps": [{"start": 3, "end": 8, "reason": "no-words"}, {"start": 11, "end": 12, "reason": "lost-words"}]}"#,
        )
        .unwrap();
        let html = list(&transcript).into_string();
        let at = |text: &str| html.find(text).unwrap_or_else(|| panic!("{text} is not in {html}"));
        assert!(at("&lt;b&gt;one") < at("not understood") && at("not understood") < at("two"));
        assert!(at("two") < at("estimated times"));
    }
}
