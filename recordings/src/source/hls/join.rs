//! Joins segments.
//!
//! Transport streams can be concatenated; MPEG-4 and packed audio need their own rules. A new file begins where time or coding
//! restart: in one file the time stamps would overlap.

use std::fs::File;
use std::io::{self, ErrorKind, Read, Seek};
use std::path::PathBuf;
use std::sync::Arc;

use super::playlist::{Entry, MAX_RUNS, Recording};
use super::segments::Segments;
use super::structure::{PACKET, Structure};
use super::{boxes, packed};
use crate::source::download_dir::DownloadDir;
use crate::source::error::SourceError;

/// A finished segment or map.
#[derive(Debug, Clone)]
struct Part {
    path: PathBuf,
    /// A range of a file may begin and end within a packet.
    is_range: bool,
}

/// Writes the runs of a recording, in order. All its segments must be finished.
///
/// # Errors
/// `Refused` where segments are whole files, and too many; the disk's.
pub(super) async fn join(
    segments: &Segments<'_>,
    recording: &Recording,
    dir: &DownloadDir,
) -> Result<Vec<PathBuf>, SourceError> {
    let mut runs: Vec<Vec<Part>> = Vec::new();
    let mut map = None;
    for (number, entry) in recording.entries.iter().enumerate() {
        let part = Part { path: segments.path(number), is_range: entry.piece().range.is_some() };
        match entry {
            Entry::Map(_) => map = Some(part),
            Entry::Segment { joins: true, .. } if !runs.is_empty() => {
                runs.last_mut().expect("not empty").push(part);
            }
            Entry::Segment { .. } => runs.push(map.iter().cloned().chain([part]).collect()),
        }
    }
    let files: Vec<PathBuf> = (0..MAX_RUNS).map(|number| dir.join(&format!("run-{number:03}"))).collect();
    let lock = Arc::clone(dir.lock());
    let written = tokio::task::spawn_blocking(move || {
        let _lock = lock;
        write(&runs, files)
    });
    let files = written.await.map_err(io::Error::from).flatten()?;
    files.ok_or(SourceError::Refused { what: "too many breaks" })
}

/// Writes each run to one of `files`, or to several where its coding changes. `None` where there are too few.
fn write(runs: &[Vec<Part>], mut files: Vec<PathBuf>) -> io::Result<Option<Vec<PathBuf>>> {
    let mut used = 0;
    for parts in runs {
        let mut target = None;
        for part in parts {
            let mut source = File::open(&part.path)?;
            if let Some((run, file)) = &mut target {
                if append(run, &mut source, part.is_range, file)? {
                    continue;
                }
                // A map that no segment uses.
                used -= usize::from(!run.has_samples);
            }
            let Some(path) = files.get(used) else { return Ok(None) };
            used += 1;
            let (run, file) = target.insert((boxes::Run::default(), File::create(path)?));
            append(run, &mut source, part.is_range, file)?;
        }
    }
    files.truncate(used);
    Ok(Some(files))
}

/// Appends a segment. False where it begins another run.
fn append(run: &mut boxes::Run, source: &mut File, is_range: bool, target: &mut File) -> io::Result<bool> {
    let mut head = Vec::new();
    source.take(8).read_to_end(&mut head)?;
    match Structure::of(&head) {
        Structure::Mpeg4 => match boxes::append(run, source, target) {
            Err(error) if error.kind() == ErrorKind::InvalidData && is_range => {
                copy(source, u64::MAX, target)?
            }
            appended => return appended,
        },
        Structure::Packed => packed::append(source, target)?,
        structure => {
            let length = source.metadata()?.len();
            // Stray bytes behind the last packet would hide the first packet of the next segment.
            let is_cut = structure == Structure::TransportStream && !is_range;
            let length = if is_cut { length - length % PACKET } else { length };
            copy(source, length, target)?;
        }
    }
    Ok(true)
}

/// Copies the first bytes.
fn copy(source: &mut File, length: u64, target: &mut File) -> io::Result<()> {
    source.rewind()?;
    io::copy(&mut source.take(length), target).map(drop)
}

/// Joins files as one run, to `target` with the extensions `0`, `1` and so on. Returns how many it needed.
#[cfg(test)]
pub(super) fn join_files(parts: &[PathBuf], target: &std::path::Path) -> usize {
    let parts = parts.iter().map(|path| Part { path: path.clone(), is_range: false }).collect();
    let files = (0..9).map(|number| target.with_extension(number.to_string())).collect();
    write(&[parts], files).expect("written").expect("enough files").len()
}
