//! Where and when a run was made.

use std::fs::{self, File};
use std::io::Write;
use std::process::Command;
use std::time::Instant;

use bedel_test_support::Cluster;
use serde::{Deserialize, Serialize};
use sqlx::Connection;

use crate::error::{Result, io};
use crate::report::figure;
use crate::server::SETTINGS;

/// Number of synced page writes to measure their cost.
const SYNCS: u32 = 500;

/// The machine, the database and the date.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Machine {
    /// From the program `date`.
    pub date: String,
    /// The processor's name.
    pub processor: String,
    /// Processors this process may use.
    pub cores: usize,
    /// In GiB.
    pub memory: f64,
    /// Median time to write and sync 8 KiB where the server's data is, in microseconds.
    pub sync_microseconds: f64,
    /// The kernel.
    pub system: String,
    /// PostgreSQL's version.
    pub postgres: String,
    /// PostgreSQL settings that were changed.
    pub settings: Vec<String>,
    /// The compiler.
    pub rustc: String,
}

impl Machine {
    /// Whether anything but the date and the cost of a sync differs.
    pub fn is_another_than(&self, other: &Self) -> bool {
        fn fixed(machine: &Machine) -> impl PartialEq {
            let Machine { processor, cores, system, postgres, settings, rustc, .. } = machine;
            (processor, cores, system, postgres, settings, rustc)
        }
        fixed(self) != fixed(other)
    }

    /// All of it, for a page.
    pub fn sentence(&self) -> String {
        let settings: Vec<String> = self.settings.iter().map(|setting| format!("`{setting}`")).collect();
        format!(
            "{}. {} cores ({}), {} GiB, {}; 8 KiB written and synced in {} µs. PostgreSQL {} with {}; {}.",
            self.date,
            self.cores,
            self.processor,
            self.memory,
            self.system,
            figure(self.sync_microseconds),
            self.postgres,
            settings.join(", "),
            self.rustc,
        )
    }

    /// Looks.
    pub async fn look(cluster: &Cluster) -> Result<Self> {
        let mut admin = cluster.admin().await?;
        let postgres = sqlx::query_scalar("-- machine::look\nSELECT current_setting('server_version')")
            .fetch_one(&mut admin)
            .await?;
        admin.close().await?;
        let memory = line("/proc/meminfo", "MemTotal:")?;
        let kilobytes: f64 = memory.trim_end_matches("kB").trim().parse().unwrap_or(f64::NAN);
        Ok(Self {
            date: said("date", &["+%Y-%m-%d %H:%M %Z"])?,
            processor: line("/proc/cpuinfo", "model name")?,
            cores: std::thread::available_parallelism().map_or(0, std::num::NonZero::get),
            memory: (kilobytes / 1024.0 / 1024.0 * 10.0).round() / 10.0,
            sync_microseconds: sync_microseconds()?,
            system: said("uname", &["-sr"])?,
            postgres,
            settings: SETTINGS.iter().map(|(name, value)| format!("{name} = {value}")).collect(),
            rustc: said("rustc", &["--version"])?,
        })
    }
}

/// The value behind `key` in one of the kernel's files.
fn line(path: &str, key: &str) -> Result<String> {
    let text = fs::read_to_string(path).map_err(io(format!("read {path}")))?;
    let value = text.lines().find_map(|line| line.strip_prefix(key));
    Ok(value.unwrap_or("unknown").trim_start_matches([':', ' ', '\t']).trim().to_owned())
}

fn said(program: &str, args: &[&str]) -> Result<String> {
    let output = Command::new(program).args(args).output().map_err(io(format!("run {program}")))?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn sync_microseconds() -> Result<f64> {
    let path = std::env::temp_dir().join(format!("bedel-bench-sync-{}", std::process::id()));
    let measured = (|| {
        let mut file = File::create(&path)?;
        let mut times = Vec::new();
        for _ in 0..SYNCS {
            let before = Instant::now();
            file.write_all(&[0; 8192])?;
            file.sync_data()?;
            times.push(before.elapsed());
        }
        times.sort_unstable();
        Ok(times[times.len() / 2].as_secs_f64() * 1e6)
    })();
    let _ = fs::remove_file(&path);
    measured.map(f64::round).map_err(io("sync a file"))
}
