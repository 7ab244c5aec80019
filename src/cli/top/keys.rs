//! Keys: what is selected, and what the operator asks for.

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use uuid::Uuid;

use super::snapshot::Snapshot;

/// A list with a selection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Panel {
    #[default]
    Lanes,
    Running,
    Failing,
}

const PANELS: [Panel; 3] = [Panel::Lanes, Panel::Running, Panel::Failing];

/// A change that the operator asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Request {
    Pause(String),
    Resume(String),
    Retry(Uuid),
    Cancel(Uuid),
}

/// Effect of a key besides the selection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Action {
    Quit,
    Request(Request),
}

/// State of the view that is not the queue's.
#[derive(Debug, Default)]
pub(super) struct Ui {
    pub(super) panel: Panel,
    /// Name or id of the selected row of each panel: rows move while the list changes.
    pub(super) selected: [Option<String>; 3],
    /// The job that a second key cancels.
    pub(super) to_cancel: Option<Uuid>,
    /// Outcome of the latest request.
    pub(super) message: Option<String>,
}

impl Ui {
    /// Applies a key.
    pub(super) fn press(&mut self, key: KeyEvent, snapshot: &Snapshot) -> Option<Action> {
        if key.modifiers.contains(KeyModifiers::CONTROL) {
            return (key.code == KeyCode::Char('c')).then_some(Action::Quit);
        }
        self.message = None;
        if let Some(job) = self.to_cancel.take() {
            let is_confirmed = key.code == KeyCode::Char('y');
            self.message = (!is_confirmed).then(|| "nothing is cancelled".to_owned());
            return is_confirmed.then_some(Action::Request(Request::Cancel(job)));
        }
        match key.code {
            KeyCode::Char('q') | KeyCode::Esc => return Some(Action::Quit),
            KeyCode::Tab | KeyCode::Right => self.turn(1),
            KeyCode::BackTab | KeyCode::Left => self.turn(PANELS.len() - 1),
            KeyCode::Down | KeyCode::Char('j') => self.step(snapshot, 1),
            KeyCode::Up | KeyCode::Char('k') => self.step(snapshot, -1),
            KeyCode::Char('p') => return self.pause_or_resume(snapshot),
            KeyCode::Char('r') => return self.retry(snapshot),
            KeyCode::Char('c') => self.ask_to_cancel(snapshot),
            _ => {}
        }
        None
    }

    /// Place of the selected row of a panel: the first one at the start and after the selected row has gone.
    pub(super) fn place(&self, panel: Panel, snapshot: &Snapshot) -> Option<usize> {
        let rows = ids(panel, snapshot);
        let selected = self.selected[panel as usize].as_ref();
        selected.and_then(|id| rows.iter().position(|row| row == id)).or((!rows.is_empty()).then_some(0))
    }

    fn turn(&mut self, by: usize) {
        self.panel = PANELS[(self.panel as usize + by) % PANELS.len()];
    }

    fn step(&mut self, snapshot: &Snapshot, by: isize) {
        let mut rows = ids(self.panel, snapshot);
        let Some(place) = self.place(self.panel, snapshot) else { return };
        let place = place.saturating_add_signed(by).min(rows.len() - 1);
        self.selected[self.panel as usize] = Some(rows.swap_remove(place));
    }

    fn pause_or_resume(&mut self, snapshot: &Snapshot) -> Option<Action> {
        let place = self.place(Panel::Lanes, snapshot).filter(|_| self.panel == Panel::Lanes);
        let Some(place) = place else {
            self.message = Some("p pauses a lane: select one with Tab".to_owned());
            return None;
        };
        let lane = &snapshot.lanes[place];
        let name = lane.name.clone();
        Some(Action::Request(if lane.paused { Request::Resume(name) } else { Request::Pause(name) }))
    }

    fn retry(&mut self, snapshot: &Snapshot) -> Option<Action> {
        let place = self.place(Panel::Failing, snapshot).filter(|_| self.panel == Panel::Failing);
        let Some(place) = place else {
            self.message = Some("r retries a discarded job: select one with Tab".to_owned());
            return None;
        };
        Some(Action::Request(Request::Retry(snapshot.failing[place].job)))
    }

    fn ask_to_cancel(&mut self, snapshot: &Snapshot) {
        let place = self.place(Panel::Running, snapshot).filter(|_| self.panel == Panel::Running);
        match place {
            Some(place) => self.to_cancel = Some(snapshot.running[place].job),
            None => self.message = Some("c cancels a running job: select one with Tab".to_owned()),
        }
    }
}

/// The rows of a panel.
fn ids(panel: Panel, snapshot: &Snapshot) -> Vec<String> {
    match panel {
        Panel::Lanes => snapshot.lanes.iter().map(|lane| lane.name.clone()).collect(),
        Panel::Running => snapshot.running.iter().map(|job| job.job.to_string()).collect(),
        Panel::Failing => snapshot.failing.iter().map(|job| job.job.to_string()).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::snapshot::{Failing, sample};
    use super::*;

    fn press(ui: &mut Ui, snapshot: &Snapshot, code: KeyCode) -> Option<Action> {
        ui.press(KeyEvent::new(code, KeyModifiers::NONE), snapshot)
    }

    #[test]
    fn p_pauses_and_resumes_the_selected_lane() {
        let (mut ui, snapshot) = (Ui::default(), sample());
        let pause = press(&mut ui, &snapshot, KeyCode::Char('p'));
        assert_eq!(pause, Some(Action::Request(Request::Pause("maintenance".into()))));
        press(&mut ui, &snapshot, KeyCode::Down);
        press(&mut ui, &snapshot, KeyCode::Down);
        let resume = press(&mut ui, &snapshot, KeyCode::Char('p'));
        assert_eq!(resume, Some(Action::Request(Request::Resume("speech".into()))));
        press(&mut ui, &snapshot, KeyCode::Tab);
        assert_eq!(press(&mut ui, &snapshot, KeyCode::Char('p')), None);
        assert!(ui.message.is_some());
    }

    #[test]
    fn only_y_cancels_and_only_the_job_that_was_shown() {
        let (mut ui, mut snapshot) = (Ui::default(), sample());
        press(&mut ui, &snapshot, KeyCode::Tab);
        let job = snapshot.running[0].job;
        assert_eq!(press(&mut ui, &snapshot, KeyCode::Char('c')), None);
        assert_eq!(ui.to_cancel, Some(job));
        // The list changes while the question stands.
        snapshot.running.remove(0);
        let confirmed = press(&mut ui, &snapshot, KeyCode::Char('y'));
        assert_eq!(confirmed, Some(Action::Request(Request::Cancel(job))));
        press(&mut ui, &snapshot, KeyCode::Char('c'));
        assert_eq!(press(&mut ui, &snapshot, KeyCode::Char('q')), None, "an answer, not a command");
        assert_eq!((ui.to_cancel, ui.message.as_deref()), (None, Some("nothing is cancelled")));
        assert_eq!(press(&mut ui, &snapshot, KeyCode::Char('q')), Some(Action::Quit));
    }

    #[test]
    fn the_selection_stays_with_its_row() {
        let (mut ui, mut snapshot) = (Ui::default(), sample());
        press(&mut ui, &snapshot, KeyCode::BackTab);
        press(&mut ui, &snapshot, KeyCode::Down);
        let job = snapshot.failing[1].job;
        let newer = snapshot.failing[0].clone();
        snapshot.failing.insert(0, Failing { job: Uuid::from_u128(99), ..newer });
        assert_eq!(ui.place(Panel::Failing, &snapshot), Some(2));
        let retry = press(&mut ui, &snapshot, KeyCode::Char('r'));
        assert_eq!(retry, Some(Action::Request(Request::Retry(job))));
        snapshot.failing.clear();
        assert_eq!(press(&mut ui, &snapshot, KeyCode::Char('r')), None);
        press(&mut ui, &snapshot, KeyCode::Down);
    }
}
