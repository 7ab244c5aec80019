//! Connection URLs for a server on a Unix socket.

use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// A URL that sqlx and libpq both take. Everything that an environment variable (`PGPORT`, `PGSSLMODE`…) could
/// otherwise change is spelled out. An empty `database` gives the base URL.
pub(crate) fn of(socket_dir: &Path, port: u16, database: &str) -> String {
    let host = encode(socket_dir.as_os_str().as_bytes(), b"/");
    let database = encode(database.as_bytes(), b"");
    format!("postgresql:///{database}?host={host}&port={port}&user=postgres&sslmode=disable")
}

/// Percent-encodes everything but letters, digits, `-._~` and `keep`.
fn encode(bytes: &[u8], keep: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for &byte in bytes {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) || keep.contains(&byte) {
            text.push(char::from(byte));
        } else {
            text.push_str(&format!("%{byte:02X}"));
        }
    }
    text
}

/// An identifier in double quotes, safe inside a statement.
pub(crate) fn quoted(identifier: &str) -> String {
    format!("\"{}\"", identifier.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use std::str::FromStr;

    use sqlx::postgres::PgConnectOptions;

    use super::*;

    #[test]
    fn odd_paths_and_names_survive_the_url() {
        let url = of(Path::new("/tmp/a b&c=ü/%41?#"), 5432, "na me/ü?");
        let options = PgConnectOptions::from_str(&url).expect("a URL");
        assert_eq!(options.get_socket().expect("a socket"), Path::new("/tmp/a b&c=ü/%41?#"));
        assert_eq!(options.get_database(), Some("na me/ü?"));
        assert_eq!(options.get_username(), "postgres");
    }
}
