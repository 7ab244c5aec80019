//! Logs to standard error, as text or JSON. Panics are logged too.

use std::fmt;

use tracing::{Event, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::FmtContext;
use tracing_subscriber::fmt::format::{Format, FormatEvent, FormatFields, Full, Writer};
use tracing_subscriber::registry::LookupSpan;

use crate::cli::progress::StderrAboveBar;
use crate::cli::style;
use crate::config::common::{CommonOptions, LogFormat};

/// Starts logging. `role` starts each line of text, since `bedel dev` mixes the lines of several processes.
///
/// # Errors
/// If the filter is invalid.
pub fn start(options: &CommonOptions, role: &'static str) -> Result<(), String> {
    let filter = EnvFilter::builder()
        .parse(&options.log)
        .map_err(|error| format!("BEDEL_LOG: {error}. Write info, or info,bedel_queue=debug"))?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(|| StderrAboveBar);
    let colours = style::on_stderr();
    match options.log_format {
        LogFormat::Json => builder.json().flatten_event(true).init(),
        LogFormat::Pretty => builder
            .with_ansi(colours)
            .event_format(RoleFormat { role, inner: Format::default().with_target(false).with_ansi(colours) })
            .init(),
    }
    std::panic::set_hook(Box::new(|panic| {
        let message = panic.payload_as_str().unwrap_or("no message");
        let place = panic.location().map(ToString::to_string);
        tracing::error!(place, thread = std::thread::current().name(), "panic: {message}");
    }));
    Ok(())
}

/// The usual line after the process's role.
struct RoleFormat {
    role: &'static str,
    inner: Format<Full>,
}

impl<S, N> FormatEvent<S, N> for RoleFormat
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        write!(writer, "{:<9} ", self.role)?;
        self.inner.format_event(context, writer, event)
    }
}
