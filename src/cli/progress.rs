//! Progress of a command, on standard error: a bar on a terminal, elsewhere one line per change.

use std::io::{IsTerminal, Write};
use std::sync::Mutex;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// Time between two pictures of a spinner.
const TICK: Duration = Duration::from_millis(120);

/// Lines outside of a terminal come at each tenth.
const LINES: f64 = 10.0;

/// The bar on the terminal. A log line must not be drawn into it.
static BAR: Mutex<Option<ProgressBar>> = Mutex::new(None);

/// Progress of one command. Dropping it removes the bar.
pub struct Progress {
    /// None outside of a terminal.
    bar: Option<ProgressBar>,
    last_line: Mutex<String>,
}

impl Progress {
    /// Begins without a step.
    #[must_use]
    pub fn start() -> Self {
        let bar = std::io::stderr().is_terminal().then(ProgressBar::new_spinner);
        if let Some(bar) = &bar {
            bar.enable_steady_tick(TICK);
        }
        BAR.lock().expect("no holder panics").clone_from(&bar);
        Self { bar, last_line: Mutex::default() }
    }

    /// A step of unknown length.
    pub fn step(&self, text: &str) {
        match &self.bar {
            Some(bar) => {
                bar.set_style(style("{spinner} {wide_msg} {elapsed}"));
                bar.set_message(text.to_owned());
            }
            None => self.line(text.to_owned()),
        }
    }

    /// A step that is done to `fraction`, from 0 to 1.
    pub fn fraction(&self, text: &str, fraction: f64) {
        const PARTS: f64 = 1000.0;
        match &self.bar {
            Some(bar) => {
                #[expect(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "the cast saturates at both ends"
                )]
                let position = (fraction * PARTS) as u64;
                bar.set_style(style("{spinner} {msg} {wide_bar} {percent} %  {eta} left"));
                bar.set_length(PARTS as u64);
                bar.set_message(text.to_owned());
                bar.set_position(position);
            }
            None => self.line(format!("{text}  {:.0} %", (fraction * LINES).floor() * 100.0 / LINES)),
        }
    }

    /// Steps done, of a known number.
    pub fn count(&self, text: &str, done: usize, total: usize) {
        match &self.bar {
            Some(bar) => {
                bar.set_style(style("{spinner} {msg} {wide_bar} {pos}/{len}"));
                bar.set_length(total as u64);
                bar.set_message(text.to_owned());
                bar.set_position(done as u64);
            }
            None => self.line(format!("{}/{total} {text}", done + 1)),
        }
    }

    /// Bytes transferred, of a total if it is known.
    pub fn bytes(&self, text: &str, bytes: u64, total: Option<u64>) {
        match (&self.bar, total) {
            (Some(bar), Some(total)) => {
                bar.set_style(style("{msg} {wide_bar} {bytes}/{total_bytes}  {bytes_per_sec}  {eta} left"));
                bar.set_length(total);
                bar.set_message(text.to_owned());
                bar.set_position(bytes);
            }
            (Some(bar), None) => {
                bar.set_style(style("{spinner} {msg} {bytes} {elapsed}"));
                bar.set_message(text.to_owned());
                bar.set_position(bytes);
            }
            (None, Some(total)) if total > 0 => self.fraction(text, bytes as f64 / total as f64),
            (None, _) => self.line(text.to_owned()),
        }
    }

    #[expect(clippy::print_stderr, reason = "for the person or the log that watches the command")]
    fn line(&self, text: String) {
        let mut last = self.last_line.lock().expect("no holder panics");
        if *last != text {
            eprintln!("{text}");
            *last = text;
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        BAR.lock().expect("no holder panics").take();
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).expect("a template of this file")
}

/// Standard error for log lines: above the bar, never inside it.
#[derive(Debug)]
pub struct StderrAboveBar;

impl Write for StderrAboveBar {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let bar = BAR.lock().expect("no holder panics").clone();
        let mut stderr = std::io::stderr();
        match bar {
            Some(bar) => bar.suspend(|| stderr.write_all(bytes)),
            None => stderr.write_all(bytes),
        }?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        std::io::stderr().flush()
    }
}
