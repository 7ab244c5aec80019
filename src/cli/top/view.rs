//! Draws a snapshot. Pure: the same snapshot, selection and area give the same cells.

use chrono::{DateTime, Utc};
use ratatui::buffer::Buffer;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Borders, Cell, Paragraph, Row, StatefulWidget, Table, TableState, Widget};
use unicode_width::UnicodeWidthStr;

use super::keys::{Panel, Ui};
use super::snapshot::{Running, Snapshot};
use crate::cli::table::{clean, time};

const KEYS: &str = "q quit  Tab panel  ↑↓ select  p pause/resume lane  r retry job  c cancel job";

/// Width from which rows show the ids of jobs.
const WIDE: u16 = 120;

/// Draws one frame.
pub(super) fn draw(snapshot: &Snapshot, ui: &Ui, has_colours: bool, area: Rect, buffer: &mut Buffer) {
    let painter = Painter { snapshot, ui: Some(ui), has_colours };
    painter.frame(area, buffer);
}

/// One frame as lines of text, without blank lines at its end.
pub(super) fn text(snapshot: &Snapshot, width: u16, height: u16) -> String {
    let area = Rect::new(0, 0, width, height);
    let mut buffer = Buffer::empty(area);
    Painter { snapshot, ui: None, has_colours: false }.frame(area, &mut buffer);
    let mut lines = Vec::new();
    for row in 0..height {
        let (mut line, mut column) = (String::new(), 0);
        while column < width {
            let symbol = buffer[(column, row)].symbol();
            line.push_str(symbol);
            // A wide character covers the next cell.
            column += u16::try_from(symbol.width()).unwrap_or(1).max(1);
        }
        lines.push(line.trim_end().to_owned());
    }
    while lines.last().is_some_and(String::is_empty) {
        lines.pop();
    }
    lines.join("\n") + "\n"
}

struct Painter<'a> {
    snapshot: &'a Snapshot,
    /// None without a person at the keys.
    ui: Option<&'a Ui>,
    has_colours: bool,
}

impl Painter<'_> {
    fn frame(&self, area: Rect, buffer: &mut Buffer) {
        let rows = self.snapshot.kinds.len().max(self.snapshot.lanes.len());
        let top = u16::try_from(rows).unwrap_or(u16::MAX).saturating_add(2).min(area.height * 45 / 100);
        let [header, counts, running, failing, hosts, footer] = Layout::vertical([
            Constraint::Length(1),
            Constraint::Length(top),
            Constraint::Fill(5),
            Constraint::Fill(4),
            Constraint::Fill(3),
            Constraint::Length(u16::from(self.ui.is_some())),
        ])
        .areas(area);
        let [lanes, kinds] =
            Layout::horizontal([Constraint::Length(30), Constraint::Fill(1)]).spacing(1).areas(counts);
        let [hosts, schedules] =
            Layout::horizontal([Constraint::Fill(1), Constraint::Length(40)]).spacing(1).areas(hosts);
        self.header(header, buffer);
        self.lanes(lanes, buffer);
        self.kinds(kinds, buffer);
        self.running(running, buffer);
        self.failing(failing, buffer);
        self.hosts(hosts, buffer);
        self.schedules(schedules, buffer);
        self.footer(footer, buffer);
    }

    fn header(&self, area: Rect, buffer: &mut Buffer) {
        let snapshot = self.snapshot;
        let total = |count: fn(&super::snapshot::Kind) -> f64| snapshot.kinds.iter().map(count).sum::<f64>();
        let line = match &snapshot.error {
            Some(error) => Line::styled(
                format!("{}  the database does not answer: {}", time(snapshot.at), clean(error)),
                self.colour(Color::Red),
            ),
            None => Line::from(vec![
                Span::styled("bedel top", Modifier::BOLD),
                Span::raw(format!(
                    "  workers {}  running {}  due {}  done {:.0}/min  failed {}/min  {}",
                    snapshot.workers.len(),
                    total(|kind| kind.running as f64),
                    total(|kind| kind.due as f64),
                    total(|kind| kind.completed_per_minute),
                    snapshot.discarded_per_minute(),
                    snapshot.at.format("%H:%M:%SZ")
                )),
            ]),
        };
        line.render(area, buffer);
    }

    fn lanes(&self, area: Rect, buffer: &mut Buffer) {
        let rows = self.snapshot.lanes.iter().map(|lane| {
            let paused = if lane.paused { ("yes", self.colour(Color::Yellow)) } else { ("-", Style::new()) };
            Row::new([
                Cell::from(clean(&lane.name)),
                number(lane.available),
                number(lane.running),
                Cell::from(Span::styled(paused.0, paused.1)),
            ])
        });
        let columns = [("LANE", 11), ("WAITS", 6), ("RUN", 4), ("PAUSED", 6)];
        self.list("Lanes", Some(Panel::Lanes), &columns, rows.collect(), area, buffer);
    }

    fn kinds(&self, area: Rect, buffer: &mut Buffer) {
        let rows = self.snapshot.kinds.iter().map(|kind| {
            let oldest = if kind.due > 0 { span(kind.oldest_seconds) } else { "-".to_owned() };
            Row::new([
                Cell::from(clean(&kind.kind)),
                number(kind.due),
                number(kind.scheduled),
                number(kind.running),
                Cell::from(oldest),
                Cell::from(format!("{:.0}", kind.completed_per_minute)),
            ])
        });
        let columns = [("KIND", 17), ("DUE", 6), ("LATER", 6), ("RUN", 4), ("OLDEST", 6), ("/MIN", 0)];
        self.list("Kinds", None, &columns, rows.collect(), area, buffer);
    }

    fn running(&self, area: Rect, buffer: &mut Buffer) {
        let snapshot = self.snapshot;
        let is_wide = area.width >= WIDE;
        let row = |job: &Running| {
            let progress =
                job.progress.map_or_else(|| "-".to_owned(), |part| format!("{:.0} %", part * 100.0));
            let since = job.since.map_or_else(|| "-".to_owned(), |since| self.ago(since));
            let mut cells = vec![clean(&job.kind), progress, since, clean(&job.worker)];
            if is_wide {
                cells.push(job.job.to_string());
                cells.push(job.lecture.map_or_else(|| "-".to_owned(), |lecture| lecture.to_string()));
            }
            Row::new(cells)
        };
        let mut rows: Vec<_> = snapshot.running.iter().map(row).collect();
        // Behind the jobs, which can be selected.
        let idle = snapshot.workers.iter().filter(|worker| {
            worker.silent_seconds >= SILENT || snapshot.running.iter().all(|job| job.worker != worker.name)
        });
        rows.extend(idle.map(|worker| {
            let state = if worker.silent_seconds >= SILENT {
                ("silent", self.colour(Color::Red))
            } else {
                ("idle", Style::new())
            };
            Row::new([
                Cell::from(Span::styled(state.0, state.1)),
                Cell::from("-"),
                Cell::from(span(worker.silent_seconds)),
                Cell::from(clean(&worker.name)),
            ])
        }));
        let mut columns = vec![("RUNS", 17), ("DONE", 5), ("FOR", 6), ("WORKER", 0)];
        if is_wide {
            columns.extend([("JOB", 36), ("LECTURE", 36)]);
        }
        self.list("Workers", Some(Panel::Running), &columns, rows, area, buffer);
    }

    fn failing(&self, area: Rect, buffer: &mut Buffer) {
        let is_wide = area.width >= WIDE;
        let rows = self.snapshot.failing.iter().map(|job| {
            let ended = job.ended_at.map_or_else(|| "-".to_owned(), |at| self.ago(at));
            let mut cells = vec![
                Cell::from(ended),
                Cell::from(clean(&job.kind)),
                Cell::from(job.attempt.to_string()),
                Cell::from(Span::styled(clean(&job.reason), self.colour(Color::Red))),
            ];
            if is_wide {
                cells.push(Cell::from(job.job.to_string()));
            }
            Row::new(cells)
        });
        let mut columns = vec![("AGO", 6), ("KIND", 17), ("TRIES", 5), ("REASON", 0)];
        if is_wide {
            columns.push(("JOB", 36));
        }
        self.list("Discarded jobs", Some(Panel::Failing), &columns, rows.collect(), area, buffer);
    }

    fn hosts(&self, area: Rect, buffer: &mut Buffer) {
        let rows = self.snapshot.hosts.iter().map(|host| {
            Row::new([
                Cell::from(self.ago(host.down_since)),
                Cell::from(Span::styled(clean(&host.name), self.colour(Color::Red))),
                Cell::from(clean(&format!("{}: {}", host.class, host.message))),
            ])
        });
        let columns = [("DOWN", 6), ("HOST", 16), ("ERROR", 0)];
        self.list("Hosts down", None, &columns, rows.collect(), area, buffer);
    }

    fn schedules(&self, area: Rect, buffer: &mut Buffer) {
        let rows = self.snapshot.schedules.iter().map(|schedule| {
            Row::new([clean(&schedule.name), clean(&schedule.cron), self.ago(schedule.last_tick)])
        });
        let columns = [("SCHEDULE", 17), ("CRON", 0), ("LAST", 6)];
        self.list("Schedules", None, &columns, rows.collect(), area, buffer);
    }

    fn footer(&self, area: Rect, buffer: &mut Buffer) {
        let Some(ui) = self.ui else { return };
        let line = match (ui.to_cancel, &ui.message) {
            (Some(job), _) => Line::styled(
                format!("Cancel job {job}? y cancels it, any other key does not"),
                Modifier::BOLD,
            ),
            (None, Some(message)) => Line::styled(clean(message), Modifier::BOLD),
            (None, None) => Line::raw(KEYS),
        };
        Paragraph::new(line).render(area, buffer);
    }

    /// A table below its title. A column of width 0 takes the rest. The title counts the rows that do not fit.
    fn list(
        &self,
        title: &str,
        panel: Option<Panel>,
        columns: &[(&'static str, u16)],
        rows: Vec<Row<'_>>,
        area: Rect,
        buffer: &mut Buffer,
    ) {
        let selected = match (self.ui, panel) {
            (Some(ui), Some(panel)) if ui.panel == panel => ui.place(panel, self.snapshot),
            _ => None,
        };
        let is_current = self.ui.is_some_and(|ui| Some(ui.panel) == panel);
        let visible = usize::from(area.height.saturating_sub(2));
        let more = rows.len().saturating_sub(visible);
        let more = if more > 0 { format!(", {more} not shown") } else { String::new() };
        let title = format!("{}{title} ({}{more})", if is_current { "▶ " } else { "" }, rows.len());
        let style = if is_current { Style::new().add_modifier(Modifier::BOLD) } else { Style::new() };
        let widths = columns.iter().map(|(_, width)| match width {
            0 => Constraint::Fill(1),
            width => Constraint::Length(*width),
        });
        let heading = Row::new(columns.iter().map(|(name, _)| *name)).style(Modifier::DIM);
        let table = Table::new(rows, widths)
            .header(heading)
            .row_highlight_style(Modifier::REVERSED)
            .block(Block::new().borders(Borders::TOP).title(Span::styled(title, style)));
        StatefulWidget::render(table, area, buffer, &mut TableState::new().with_selected(selected));
    }

    fn colour(&self, colour: Color) -> Style {
        if self.has_colours { Style::new().fg(colour) } else { Style::new() }
    }

    /// Time since then.
    fn ago(&self, then: DateTime<Utc>) -> String {
        span((self.snapshot.at - then).as_seconds_f64())
    }
}

/// A worker without a heartbeat for this long is shown as silent, in seconds. It counts as dead after 10.
const SILENT: f64 = 10.0;

/// A count of the queue.
fn number(count: i64) -> Cell<'static> {
    Cell::from(if count >= bedel_queue::COUNT_LIMIT { "10000+".to_owned() } else { count.to_string() })
}

/// At most six characters: `12 s`, `59 min`, `23 h`, `9 d`.
fn span(seconds: f64) -> String {
    let seconds = seconds.max(0.0);
    match seconds {
        seconds if seconds < 60.0 => format!("{:.0} s", seconds.floor()),
        seconds if seconds < 3600.0 => format!("{:.0} min", (seconds / 60.0).floor()),
        seconds if seconds < 86_400.0 => format!("{:.0} h", (seconds / 3600.0).floor()),
        seconds => format!("{:.0} d", (seconds / 86_400.0).floor()),
    }
}

#[cfg(test)]
mod tests {
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;
    use uuid::Uuid;

    use super::super::snapshot::sample;
    use super::*;

    fn drawn(snapshot: &Snapshot, ui: &Ui, width: u16, height: u16) -> String {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        terminal.draw(|frame| draw(snapshot, ui, true, frame.area(), frame.buffer_mut())).unwrap();
        terminal.backend().to_string()
    }

    #[test]
    fn everything_is_seen_at_80_by_24_and_at_200_by_50() {
        for (width, height) in [(80, 24), (200, 50)] {
            let screen = drawn(&sample(), &Ui::default(), width, height);
            for text in [
                "workers 2  running 3  due 49  done 37/min  failed 2/min  10:00:00Z",
                "▶ Lanes (3)",
                "speech      7      1    yes",
                "10000+",
                "download          42     3      1    1 min  12",
                "transcribe        43 %  1 h    alpha:12",
                "idle              -     2 s    beta:3",
                "30 s   download          5     the server answered 404?[2J?",
                "2 h    panopto.example  network: con",
                "course-sync       17 3 * * *",
                "2 d",
                "q quit",
            ] {
                assert!(screen.contains(text), "{text}:\n{screen}");
            }
            let has_ids = screen.contains("00000000-0000-0000-0000-000000000001");
            assert_eq!(has_ids, width == 200, "{screen}");
        }
    }

    #[test]
    fn rows_that_do_not_fit_are_counted() {
        let mut snapshot = sample();
        snapshot.failing = vec![snapshot.failing[0].clone(); 30];
        let screen = drawn(&snapshot, &Ui::default(), 80, 24);
        assert!(screen.contains("Discarded jobs (30, 2"), "{screen}");
    }

    #[test]
    fn an_outage_and_a_question_are_shown() {
        let ui = Ui { to_cancel: Some(Uuid::from_u128(7)), ..Ui::default() };
        let snapshot = Snapshot { error: Some("connection\nrefused".into()), ..sample() };
        let screen = drawn(&snapshot, &ui, 100, 30);
        assert!(screen.contains("does not answer: connection?refused"), "{screen}");
        assert!(screen.contains("Cancel job 00000000-0000-0000-0000-000000000007? y"), "{screen}");
    }

    #[test]
    fn a_tiny_terminal_does_not_panic() {
        for (width, height) in [(1, 1), (10, 3), (39, 7)] {
            drawn(&sample(), &Ui::default(), width, height);
        }
    }

    #[test]
    fn text_has_no_keys_and_no_blank_end() {
        let text = text(&sample(), 100, 50);
        assert!(text.starts_with("bedel top  workers 2") && !text.contains("q quit"));
        assert!(text.lines().all(|line| line.chars().count() <= 100 && !line.ends_with(' ')), "{text}");
        assert!(text.ends_with('\n') && !text.ends_with("\n\n"), "{text}");
    }

    #[test]
    fn a_span_has_at_most_six_characters() {
        for (seconds, text) in
            [(-1.0, "0 s"), (59.9, "59 s"), (3599.0, "59 min"), (86_399.0, "23 h"), (1e7, "115 d")]
        {
            assert_eq!(span(seconds), text);
        }
    }
}
