//! Small charts as inline SVG.

use maud::{Markup, html};

/// Height of the drawing, in its own units. It is scaled to its place.
const HEIGHT: f64 = 40.0;

/// Width of one bar with its gap, in the same units.
const STEP: f64 = 4.0;

/// Bars over time. `title` names the chart and `description` says its message in words, for screen readers. Each bar
/// has a label for the mouse. `failures` are drawn over the bars in another colour.
pub(super) fn bars(
    title: &str,
    description: &str,
    values: &[u64],
    failures: &[u64],
    label: impl Fn(usize) -> String,
) -> Markup {
    let top = values.iter().chain(failures).copied().max().unwrap_or(0).max(1);
    let height = |value: u64| value as f64 / top as f64 * HEIGHT;
    let width = values.len() as f64 * STEP;
    let bar = |at: usize, value: u64, class: &str| {
        html! {
            rect class=(class) x=(at as f64 * STEP) y=(HEIGHT - height(value)) width=(STEP - 1.0) height=(height(value)) {
                title { (label(at)) }
            }
        }
    };
    html! {
        svg.chart role="img" viewBox={ "0 0 " (width) " " (HEIGHT) } preserveAspectRatio="none" {
            title { (title) }
            desc { (description) }
            @for (at, value) in values.iter().enumerate() { (bar(at, *value, "bar")) }
            @for (at, value) in failures.iter().enumerate() { @if *value > 0 { (bar(at, *value, "bar bad")) } }
        }
    }
}

/// A line over time, filled below.
#[cfg_attr(not(test), expect(dead_code, reason = "the operators' overview draws it"))]
pub(super) fn sparkline(title: &str, description: &str, values: &[u64]) -> Markup {
    let top = values.iter().copied().max().unwrap_or(0).max(1);
    let width = values.len().saturating_sub(1).max(1) as f64 * STEP;
    let points = values.iter().enumerate().map(|(at, value)| {
        let y = HEIGHT - *value as f64 / top as f64 * HEIGHT;
        format!("{},{y:.2}", at as f64 * STEP)
    });
    let points = points.collect::<Vec<_>>().join(" ");
    html! {
        svg.chart role="img" viewBox={ "0 0 " (width) " " (HEIGHT) } preserveAspectRatio="none" {
            title { (title) }
            desc { (description) }
            @if !values.is_empty() {
                polygon.area points={ "0," (HEIGHT) " " (points) " " (width) "," (HEIGHT) } {}
                polyline.line points=(points) {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn charts_have_words_and_no_style() {
        let chart =
            bars("Jobs per minute", "3 now", &[1, 2, 4], &[0, 1], |at| format!("minute {at}")).into_string();
        assert!(chart.contains("<title>Jobs per minute</title><desc>3 now</desc>"), "{chart}");
        assert_eq!(chart.matches("<rect").count(), 4);
        assert!(!chart.contains("style="));
        let line = sparkline("Waiting", "none", &[]).into_string();
        assert!(line.contains("<title>Waiting</title>") && !line.contains("NaN"), "{line}");
    }
}
