//! Concatenates segments.
//!
//! Transport streams, fragmented MPEG-4 behind its map, and raw AAC allow it. A new file begins where time or coding restart: in
//! one file the time stamps would overlap.

use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use super::playlist::{Entry, Recording};
use super::segments::Segments;
use crate::source::download_dir::DownloadDir;

/// Writes the runs of a recording, in order. All its segments must be finished.
pub(super) async fn join(
    segments: &Segments<'_>,
    recording: &Recording,
    dir: &DownloadDir,
) -> io::Result<Vec<PathBuf>> {
    let mut runs: Vec<Vec<PathBuf>> = Vec::new();
    let mut map = None;
    for (number, entry) in recording.entries.iter().enumerate() {
        match entry {
            Entry::Map(_) => map = Some(segments.path(number)),
            Entry::Segment { joins: true, .. } if !runs.is_empty() => {
                runs.last_mut().expect("not empty").push(segments.path(number));
            }
            Entry::Segment { .. } => runs.push(map.iter().cloned().chain([segments.path(number)]).collect()),
        }
    }
    let files = (0..runs.len()).map(|number| dir.join(&format!("run-{number:03}"))).collect::<Vec<_>>();
    let (targets, lock) = (files.clone(), Arc::clone(dir.lock()));
    tokio::task::spawn_blocking(move || {
        let _lock = lock;
        for (target, parts) in targets.iter().zip(runs) {
            let mut target = File::create(target)?;
            for part in parts {
                io::copy(&mut File::open(part)?, &mut target)?;
            }
        }
        Ok(())
    })
    .await
    .map_err(io::Error::from)
    .flatten()?;
    Ok(files)
}
