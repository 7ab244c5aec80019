//! Connection URLs for a server on a Unix socket.

use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};

/// Everything but RFC 3986's unreserved characters.
const RESERVED: AsciiSet = NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
/// The same for a path, which keeps its slashes.
const RESERVED_IN_PATH: AsciiSet = RESERVED.remove(b'/');

/// A URL that sqlx and libpq both accept. It names everything that an environment variable (`PGPORT`,
/// `PGSSLMODE`, …) could otherwise change. An empty `database` gives the base URL.
pub(crate) fn database_url(socket_dir: &Path, port: u16, database: &str) -> String {
    let host = percent_encode(socket_dir.as_os_str().as_bytes(), &RESERVED_IN_PATH);
    let database = percent_encode(database.as_bytes(), &RESERVED);
    format!("postgresql:///{database}?host={host}&port={port}&user=postgres&sslmode=disable")
}

/// An identifier in double quotes, safe in a statement.
pub(crate) fn quote_identifier(identifier: &str) -> String {
    format!("\"{}\"", identifier.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use std::str::FromStr;

    use sqlx::postgres::PgConnectOptions;

    use super::*;

    #[test]
    fn odd_paths_and_names_survive_the_url() {
        let url = database_url(Path::new("/tmp/a b&c=ü/%41?#"), 5432, "na me/ü?");
        let options = PgConnectOptions::from_str(&url).expect("a URL");
        assert_eq!(options.get_socket().expect("a socket"), Path::new("/tmp/a b&c=ü/%41?#"));
        assert_eq!(options.get_database(), Some("na me/ü?"));
        assert_eq!(options.get_username(), "postgres");
    }
}
