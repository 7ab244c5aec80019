//! Finding an installed PostgreSQL.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::PostgresError;

/// The oldest major version that the migrations run on.
const OLDEST: u32 = 13;

/// Directories with one installation per entry, and where the programs are below that entry: Debian, the PostgreSQL
/// project's RPMs, Homebrew on ARM and on Intel, Postgres.app.
const FAMILIES: [(&str, &str, &str); 5] = [
    ("/usr/lib/postgresql", "", "bin"),
    ("/usr", "pgsql-", "bin"),
    ("/opt/homebrew/opt", "postgresql", "bin"),
    ("/usr/local/opt", "postgresql", "bin"),
    ("/Applications/Postgres.app/Contents/Versions", "", "bin"),
];

/// The directory that holds `postgres` and `initdb`: `explicit` when given (then nothing else is tried), else what
/// `pg_config` says, else the highest version among the usual places, else what `PATH` leads to.
///
/// # Errors
/// [`PostgresError::UnusableBinaries`] when `explicit` is no PostgreSQL of version 13 or newer,
/// [`PostgresError::NoBinaries`], whose text says what to install, when nothing is found.
pub fn find_binaries(explicit: Option<&Path>) -> Result<PathBuf, PostgresError> {
    if let Some(dir) = explicit {
        check(dir)?;
        return std::path::absolute(dir).map_err(PostgresError::io(format!("resolve {}", dir.display())));
    }
    if let Some(dir) = from_pg_config().filter(|dir| check(dir).is_ok()) {
        return Ok(dir);
    }
    for (parent, prefix, below) in FAMILIES {
        let newest = installations(Path::new(parent), prefix, below)
            .into_iter()
            .filter_map(|dir| Some((check(&dir).ok()?, dir)))
            .max();
        if let Some((_, dir)) = newest {
            return Ok(dir);
        }
    }
    from_path().find(|dir| check(dir).is_ok()).ok_or(PostgresError::NoBinaries)
}

/// The major version of the PostgreSQL in `binaries`, for example 15.
///
/// # Errors
/// [`PostgresError::UnusableBinaries`] when `postgres --version` cannot be run or understood.
pub fn major_version(binaries: &Path) -> Result<u32, PostgresError> {
    let unusable = |reason| PostgresError::UnusableBinaries { dir: binaries.to_owned(), reason };
    let output = Command::new(binaries.join("postgres"))
        .arg("--version")
        .output()
        .map_err(|error| unusable(format!("postgres cannot be run ({error})")))?;
    let said = String::from_utf8_lossy(&output.stdout);
    parse_version(&said).ok_or_else(|| unusable(format!("postgres --version said {:?}", said.trim())))
}

/// `postgres (PostgreSQL) 15.14 (Debian 15.14-0+deb12u1)` and `postgres (PostgreSQL) 18beta1` give 15 and 18.
fn parse_version(said: &str) -> Option<u32> {
    let (_, version) = said.split_once("(PostgreSQL) ")?;
    let digits = version.find(|c: char| !c.is_ascii_digit()).unwrap_or(version.len());
    version[..digits].parse().ok()
}

/// A directory counts only when both programs are there: Debian's `pg_config` may name the directory of a version of
/// which only the client is installed.
fn check(dir: &Path) -> Result<u32, PostgresError> {
    let unusable = |reason| PostgresError::UnusableBinaries { dir: dir.to_owned(), reason };
    for program in ["postgres", "initdb"] {
        if !dir.join(program).is_file() {
            return Err(unusable(format!("there is no {program} in it")));
        }
    }
    match major_version(dir)? {
        version if version >= OLDEST => Ok(version),
        version => Err(unusable(format!("it is version {version}, and {OLDEST} is the oldest supported"))),
    }
}

fn from_pg_config() -> Option<PathBuf> {
    let output = Command::new("pg_config").arg("--bindir").output().ok()?;
    let said = String::from_utf8(output.stdout).ok()?;
    Some(PathBuf::from(said.trim())).filter(|dir| dir.is_absolute())
}

fn installations(parent: &Path, prefix: &str, below: &str) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(parent) else { return Vec::new() };
    entries
        .flatten()
        .filter(|entry| entry.file_name().to_string_lossy().starts_with(prefix))
        .map(|entry| entry.path().join(below))
        .collect()
}

/// `postgres` on the PATH may be a link out of the directory that holds the rest: follow it.
fn from_path() -> impl Iterator<Item = PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let dirs: Vec<PathBuf> = env::split_paths(&path).collect();
    dirs.into_iter().filter_map(|dir| Some(fs::canonicalize(dir.join("postgres")).ok()?.parent()?.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_read_from_releases_betas_and_distributions() {
        assert_eq!(parse_version("postgres (PostgreSQL) 15.14 (Debian 15.14-0+deb12u1)\n"), Some(15));
        assert_eq!(parse_version("postgres (PostgreSQL) 18beta1\n"), Some(18));
        assert_eq!(parse_version("postgres (PostgreSQL) 17\n"), Some(17));
        assert_eq!(parse_version("mysqld 8.0\n"), None);
    }

    #[test]
    fn a_named_directory_without_postgresql_is_refused_and_nothing_else_is_tried() {
        let error = find_binaries(Some(Path::new("/etc"))).expect_err("no PostgreSQL in /etc");
        assert!(error.to_string().contains("/etc"), "{error}");
        assert!(error.to_string().contains("postgres"), "{error}");
    }

    #[test]
    fn the_advice_names_a_command_for_each_system() {
        let advice = PostgresError::NoBinaries.to_string();
        for command in ["apt-get install", "dnf install", "brew install", "DATABASE_URL"] {
            assert!(advice.contains(command), "{command} is missing in {advice}");
        }
    }
}
