//! Tables of medians, and the published document.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use crate::error::{Result, io};
use crate::measure::{Measure, Sizes};
use crate::peers::floor;
use crate::report::{Report, check, figure};

/// One column: its heading, a measure and a figure of it.
type Column = (&'static str, Measure, &'static str);

/// A table with a row per contender.
struct Table {
    title: &'static str,
    columns: &'static [Column],
    /// Whether ratios to the limit and to the best peer stand beside the first column.
    ratios: bool,
}

const TABLES: [Table; 5] = [
    Table {
        title: "Jobs per second, jobs that do nothing, one worker process",
        columns: &[
            ("jobs/s", Measure::Throughput, "jobs_per_second"),
            ("row versions/job", Measure::Throughput, "row_versions_per_job"),
            ("log bytes/job", Measure::Throughput, "wal_bytes_per_job"),
        ],
        ratios: true,
    },
    Table {
        title: "Jobs per second under other circumstances",
        columns: &[
            ("many finished", Measure::Finished, "jobs_per_second"),
            ("many for later", Measure::Later, "jobs_per_second"),
            ("pinned snapshot", Measure::Pinned, "jobs_per_second"),
            ("4 processes", Measure::Processes, "jobs_per_second"),
            ("each fails once", Measure::FailOnce, "jobs_per_second"),
        ],
        ratios: false,
    },
    Table {
        title: "Enqueueing many",
        columns: &[("inserts/s", Measure::Bulk, "inserts_per_second")],
        ratios: true,
    },
    Table {
        title: "Start latency at 100 jobs a second, in milliseconds",
        columns: &[
            ("p50", Measure::Latency, "p50_ms"),
            ("p95", Measure::Latency, "p95_ms"),
            ("p99", Measure::Latency, "p99_ms"),
            ("max", Measure::Latency, "max_ms"),
        ],
        ratios: false,
    },
    Table {
        title: "A worker with nothing to do",
        columns: &[("queries/s", Measure::Idle, "queries_per_second")],
        ratios: false,
    },
];

/// The medians as readable Markdown.
pub fn tables(report: &Report) -> String {
    TABLES.iter().filter_map(|table| table_of(report, table)).collect::<Vec<_>>().join("\n")
}

fn table_of(report: &Report, table: &Table) -> Option<String> {
    let measured = report.measures();
    let columns: Vec<&Column> =
        table.columns.iter().filter(|(_, measure, _)| measured.contains(measure)).collect();
    let first = columns.first()?;
    let mut rows = vec![vec![String::new()]];
    rows[0].extend(columns.iter().map(|(heading, ..)| (*heading).to_owned()));
    if table.ratios {
        rows[0].extend(["of raw".to_owned(), "of the best peer".to_owned()]);
    }
    let limit = report.median("raw", first.1, first.2);
    let best = report.best_peer(first.1, first.2);
    let floor = (first.1 == Measure::Latency).then_some(floor::NAME);
    for name in floor.into_iter().chain(report.contenders.iter().map(|entry| entry.name.as_str())) {
        let medians: Vec<_> =
            columns.iter().map(|(_, measure, figure)| report.median(name, *measure, figure)).collect();
        let failed = |measure| {
            report.samples.iter().any(|s| s.contender == name && s.measure == measure && s.error.is_some())
        };
        if medians.iter().all(Option::is_none) && !columns.iter().any(|(_, measure, _)| failed(*measure)) {
            continue;
        }
        let mut row = vec![name.to_owned()];
        for (median, (_, measure, _)) in medians.iter().zip(&columns) {
            let text = median.map_or_else(|| "-".to_owned(), figure);
            row.push(if failed(*measure) { format!("{text} (a run failed)") } else { text });
        }
        if table.ratios {
            for of in [limit, best] {
                let share = medians[0].zip(of).map(|(median, of)| median / of);
                row.push(share.map_or_else(|| "-".to_owned(), |share| format!("{share:.2}")));
            }
        }
        rows.push(row);
    }
    Some(format!("### {}\n\n{}", table.title, aligned(&rows)))
}

/// The first row is the heading; figures stand to the right.
fn aligned(rows: &[Vec<String>]) -> String {
    let widths: Vec<usize> = (0..rows[0].len())
        .map(|column| rows.iter().map(|row| row[column].len()).max().unwrap_or(0).max(2))
        .collect();
    let mut text = String::new();
    for (index, row) in rows.iter().enumerate() {
        let cells = row.iter().zip(&widths).enumerate().map(|(column, (cell, width))| {
            if column == 0 { format!("{cell:<width$}") } else { format!("{cell:>width$}") }
        });
        let _ = writeln!(text, "| {} |", cells.collect::<Vec<_>>().join(" | "));
        if index == 0 {
            let rules = widths.iter().enumerate().map(|(column, width)| {
                if column == 0 { "-".repeat(*width) } else { format!("{}:", "-".repeat(width - 1)) }
            });
            let _ = writeln!(text, "| {} |", rules.collect::<Vec<_>>().join(" | "));
        }
    }
    text
}

/// Introduction of the published document.
const INTRODUCTION: &str = "\
# Benchmarks

Bedel's queue beside other queues on PostgreSQL, all in the same run. Made by

```sh
script/bench --publish
```

which writes this file and [benchmarks.json](benchmarks.json), where every single measurement is. `script/bench --help`
lists the shorter forms. Figures mean little while anything else runs on the machine.
";

/// How to read the figures.
fn method(sizes: &Sizes) -> String {
    let [bulk, jobs, finished, later, failing, paced] =
        [sizes.bulk, sizes.jobs, sizes.finished, sizes.later, sizes.failing, sizes.paced]
            .map(|size| figure(size as f64));
    format!(
        "\
## How it is measured

- **One server** for the whole run, with full durability (`fsync`, `synchronous_commit` and `full_page_writes` on) and the
  settings above for everybody. Each measurement gets a fresh database, or a fresh copy of one. Autovacuum runs as always.
  Before the jobs are enqueued there is a checkpoint, and after that a `VACUUM (ANALYZE)`.
- **Interleaved.** Each round runs every contender once and begins with another one. The tables show medians.
- **Workers are processes** of their own. The clock of a throughput ({jobs} jobs) goes from the start of the first job's
  handler to the moment when another session sees every job finished: starting and connecting is not in it, the last
  durable completion is.
- **The work is checked.** Each job carries a number; a run counts only if each number succeeded exactly once and if the
  queue's own tables say that all are finished (Graphile Worker deletes its jobs, so there none may be left; awa prunes
  and counts them).
- **raw** is the limit: a table of four columns, one claim and one batched update in turn, without leases, heartbeat, history,
  unique keys, groups, queues or wake-ups; **raw-2** is two such loops side by side. **floor** is one durable insert and one durable claim by hand, one after the other.
- **bedel** runs plain jobs (a handler and nothing else), **bedel-breaker** the same whose `group_key` is one of 16 hosts with a
  circuit breaker each, **bedel-hooks** jobs with a `begin` and a `commit` transaction each.
- **Bulk**: {bulk} jobs by one producer over one connection, one durable transaction per batch.
- **Many finished**: {finished} finished rows, by SQL in the table where the queue keeps them (Graphile Worker and awa keep
  none, or not for long). **Many for later**: {later} jobs scheduled for tomorrow. **Pinned snapshot**: a session
  of isolation level REPEATABLE READ has read before the jobs were enqueued; {jobs} others were finished under it before.
- **Each fails once**: {failing} jobs, every first attempt is an error, the second is due at once where the queue allows that.
  Graphile Worker's backoff is fixed, so its figure is mostly 2.7 s of waiting.
- **Latency**: {paced} jobs after a warm-up, from before the call that enqueues (a separate transaction) to the handler's
  start in the worker process, by the machine's monotonic clock.
- **Row versions** are rows inserted, updated and deleted in the queue's schema between the worker's start and its end
  (`pg_stat_all_tables`); **log bytes** the distance in the write-ahead log. **Queries** of an idle worker are counted by
  `pg_stat_statements` for {} s, BEGIN and COMMIT too.
- **Settings** were looked for with `script/bench --only NAME --measure throughput --tune NAME=NUMBER,…`; the best found stay
  in the code.
",
        sizes.idle_seconds
    )
}

/// Writes the published files.
pub fn publish(report: &Report, docs: &Path) -> Result<()> {
    report.write_to(&docs.join("benchmarks.json"))?;
    let path = docs.join("benchmarks.md");
    fs::write(&path, document(report)).map_err(io(format!("write {}", path.display())))
}

fn document(report: &Report) -> String {
    let mut text = format!("{INTRODUCTION}\n## Figures\n\n");
    let _ = writeln!(text, "{} Medians of {} rounds.\n", report.machine.sentence(), report.rounds);
    text.push_str(&tables(report));
    text.push_str("\n### Aims\n\n");
    text.push_str(&check::lines(report));
    text.push_str("\n## Contenders and their settings\n\n");
    for entry in &report.contenders {
        let version = if entry.version == "-" { String::new() } else { format!(" {}", entry.version) };
        let _ = writeln!(text, "- **{}**{version}: {}", entry.name, entry.settings);
    }
    let _ = write!(text, "\n{}", method(&report.sizes));
    text
}

#[cfg(test)]
mod tests {
    use super::aligned;

    #[test]
    fn tables_are_aligned() {
        let rows =
            [["", "jobs/s"], ["raw", "86,000"], ["bedel", "7"]].map(|row| row.map(str::to_owned).to_vec());
        assert_eq!(
            aligned(&rows),
            "|       | jobs/s |\n| ----- | -----: |\n| raw   | 86,000 |\n| bedel |      7 |\n"
        );
    }
}
