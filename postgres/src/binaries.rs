//! Finds an installed PostgreSQL.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::error::PostgresError;

/// Oldest major version that the migrations support.
const OLDEST_MAJOR: u32 = 13;

/// Parent directory, prefix of each installation's name in it, and the directory of programs below the
/// installation: Debian, the PostgreSQL project's RPMs, Homebrew on ARM and on Intel, Postgres.app.
const INSTALL_PATTERNS: [(&str, &str, &str); 5] = [
    ("/usr/lib/postgresql", "", "bin"),
    ("/usr", "pgsql-", "bin"),
    ("/opt/homebrew/opt", "postgresql", "bin"),
    ("/usr/local/opt", "postgresql", "bin"),
    ("/Applications/Postgres.app/Contents/Versions", "", "bin"),
];

/// The directory that holds `postgres` and `initdb`. `explicit`, if given, is the only one tried. Otherwise
/// the order is: `pg_config`, the highest version in the usual places, `PATH`.
///
/// # Errors
/// [`PostgresError::UnusableBinaries`] if `explicit` holds no PostgreSQL of version 13 or newer.
/// [`PostgresError::NoBinaries`], whose text says what to install, if there is none.
pub fn find_binaries(explicit: Option<&Path>) -> Result<PathBuf, PostgresError> {
    if let Some(dir) = explicit {
        check(dir)?;
        return std::path::absolute(dir).map_err(PostgresError::io(format!("resolve {}", dir.display())));
    }
    if let Some(dir) = from_pg_config().filter(|dir| check(dir).is_ok()) {
        return Ok(dir);
    }
    for (parent, prefix, below) in INSTALL_PATTERNS {
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
/// [`PostgresError::UnusableBinaries`] if `postgres --version` fails or prints no version.
pub fn major_version(binaries: &Path) -> Result<u32, PostgresError> {
    let unusable = |reason| PostgresError::UnusableBinaries { dir: binaries.to_owned(), reason };
    let output = Command::new(binaries.join("postgres"))
        .arg("--version")
        .output()
        .map_err(|error| unusable(format!("cannot run postgres ({error})")))?;
    let printed = String::from_utf8_lossy(&output.stdout);
    parse_version(&printed)
        .ok_or_else(|| unusable(format!("postgres --version printed {:?}", printed.trim())))
}

/// `postgres (PostgreSQL) 15.14 (Debian 15.14-0+deb12u1)` and `postgres (PostgreSQL) 18beta1` give 15 and 18.
fn parse_version(printed: &str) -> Option<u32> {
    let (_, version) = printed.split_once("(PostgreSQL) ")?;
    let digits = version.find(|c: char| !c.is_ascii_digit()).unwrap_or(version.len());
    version[..digits].parse().ok()
}

/// Returns the version. Both programs must exist: Debian's `pg_config` may name a version whose client alone
/// is installed.
fn check(dir: &Path) -> Result<u32, PostgresError> {
    let unusable = |reason| PostgresError::UnusableBinaries { dir: dir.to_owned(), reason };
    for program in ["postgres", "initdb"] {
        if !dir.join(program).is_file() {
            return Err(unusable(format!("{program} is missing")));
        }
    }
    match major_version(dir)? {
        version if version >= OLDEST_MAJOR => Ok(version),
        version => Err(unusable(format!("it is version {version}; the oldest supported is {OLDEST_MAJOR}"))),
    }
}

fn from_pg_config() -> Option<PathBuf> {
    let output = Command::new("pg_config").arg("--bindir").output().ok()?;
    let printed = String::from_utf8(output.stdout).ok()?;
    Some(PathBuf::from(printed.trim())).filter(|dir| dir.is_absolute())
}

fn installations(parent: &Path, prefix: &str, below: &str) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(parent) else { return Vec::new() };
    entries
        .flatten()
        .filter(|entry| entry.file_name().to_string_lossy().starts_with(prefix))
        .map(|entry| entry.path().join(below))
        .collect()
}

/// Follows links: `postgres` on the PATH may be a link into the directory that holds the other programs.
fn from_path() -> impl Iterator<Item = PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let dirs: Vec<PathBuf> = env::split_paths(&path).collect();
    dirs.into_iter().filter_map(|dir| Some(fs::canonicalize(dir.join("postgres")).ok()?.parent()?.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_of_releases_betas_and_distributions_are_parsed() {
        assert_eq!(parse_version("postgres (PostgreSQL) 15.14 (Debian 15.14-0+deb12u1)\n"), Some(15));
        assert_eq!(parse_version("postgres (PostgreSQL) 18beta1\n"), Some(18));
        assert_eq!(parse_version("postgres (PostgreSQL) 17\n"), Some(17));
        assert_eq!(parse_version("mysqld 8.0\n"), None);
    }

    #[test]
    fn an_explicit_directory_without_postgresql_fails_without_a_search() {
        let error = find_binaries(Some(Path::new("/etc"))).expect_err("no PostgreSQL in /etc");
        assert!(error.to_string().contains("/etc"), "{error}");
        assert!(error.to_string().contains("postgres"), "{error}");
    }

    #[test]
    fn the_error_names_an_install_command_for_each_system() {
        let advice = PostgresError::NoBinaries.to_string();
        for command in ["apt-get install", "dnf install", "brew install", "DATABASE_URL"] {
            assert!(advice.contains(command), "{command} is missing in {advice}");
        }
    }
}
