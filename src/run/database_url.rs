//! Reads `DATABASE_URL`.

use std::str::FromStr;

use sqlx::postgres::PgConnectOptions;

/// Connection options of a URL.
///
/// # Errors
/// If the URL cannot work, in words that say what to write. They do not repeat the URL: it may hold a password.
pub(super) fn parse(text: &str) -> Result<PgConnectOptions, String> {
    let Some((_, rest)) =
        text.split_once("://").filter(|(scheme, _)| ["postgres", "postgresql"].contains(scheme))
    else {
        return Err(form("not a PostgreSQL URL"));
    };
    let (authority, query) = (
        rest.split(['/', '?', '#']).next().unwrap_or_default(),
        rest.split_once('?').map_or("", |(_, query)| query),
    );
    let address = authority.rsplit_once('@').map_or(authority, |(_, address)| address);
    let parameters: Vec<(String, String)> =
        url::form_urlencoded::parse(query.as_bytes()).into_owned().collect();
    let listed = |name: &str| {
        parameters.iter().any(|(key, value)| key == name && !value.starts_with('/') && value.contains(','))
    };
    if address.contains(',')
        || address.contains("%2C")
        || listed("host")
        || listed("hostaddr")
        || listed("port")
    {
        return Err(
            "several hosts are not supported. Write one host that always leads to the server that takes \
                    writes: a DNS name, a virtual IP address, or a proxy such as HAProxy or PgBouncer"
                .to_owned(),
        );
    }
    if parameters.iter().any(|(key, value)| key == "target_session_attrs" && !is_any_server(value)) {
        return Err(
            "target_session_attrs is not supported. Remove it and write the host of the server that \
                    takes writes; Bedel waits while that server is read-only"
                .to_owned(),
        );
    }
    if parameters.iter().any(|(key, value)| key == "channel_binding" && value == "require") {
        return Err(
            "channel_binding=require is not supported. Remove it and write sslmode=verify-full with \
                    sslrootcert=FILE"
                .to_owned(),
        );
    }
    let options = PgConnectOptions::from_str(text).map_err(|_| form("the URL is malformed"))?;
    // sqlx keeps the brackets of an IPv6 address, and then looks them up as a name.
    let bare =
        options.get_host().strip_prefix('[').and_then(|host| host.strip_suffix(']')).map(str::to_owned);
    Ok(match bare {
        Some(host) => options.host(&host),
        None => options,
    })
}

/// Bedel writes, so a server that takes writes is what these ask for.
fn is_any_server(value: &str) -> bool {
    ["any", "read-write", "primary"].contains(&value)
}

fn form(reason: &str) -> String {
    format!(
        "{reason}. Write postgresql://user:password@host:5432/database and percent-encode special characters of \
         the password"
    )
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use sqlx::postgres::PgSslMode;

    use super::parse;

    #[test]
    fn a_url_that_cannot_work_is_refused_with_what_to_write_instead() {
        for (url, says) in [
            ("mysql://u:hunter2@h/d", "postgresql://user:password@host"),
            ("host=h password=hunter2", "postgresql://user:password@host"),
            ("postgresql://u:hunter2@h:notaport/d", "percent-encode"),
            ("postgresql://u:hun/ter2@h/d", "percent-encode"),
            ("postgresql://u:hunter2@a:5432,b:5432/d", "one host"),
            ("postgresql://u:hunter2@a,b/d?target_session_attrs=read-write", "one host"),
            ("postgresql:///d?host=a,b&password=hunter2", "one host"),
            ("postgresql://u:hunter2@a/d?target_session_attrs=standby", "takes writes"),
            ("postgresql://u:hunter2@a/d?channel_binding=require", "verify-full"),
            ("postgresql://u:hunter2@a/d?sslmode=always", "malformed"),
        ] {
            let error = parse(url).unwrap_err();
            assert!(error.contains(says) && !error.contains("hunter2"), "{url}: {error}");
        }
    }

    #[test]
    fn passwords_sockets_and_ipv6_addresses_are_read() {
        let options =
            parse("postgresql://u:p%40%3A%2F%23%25%3F,%20%C3%BC@h:5433/d?sslmode=verify-full").unwrap();
        assert_eq!((options.get_host(), options.get_port()), ("h", 5433));
        assert!(matches!(options.get_ssl_mode(), PgSslMode::VerifyFull));
        assert_eq!(parse("postgresql://u:p@[::1]:5433/d").unwrap().get_host(), "::1");
        let socket = Some(Path::new("/run/postgresql"));
        for url in ["postgresql://u@%2Frun%2Fpostgresql/d", "postgresql:///d?host=/run/postgresql&user=u"] {
            assert_eq!(parse(url).unwrap().get_socket().map(|path| path.as_path()), socket, "{url}");
        }
        assert_eq!(parse("postgresql://u@h/d?target_session_attrs=read-write").unwrap().get_host(), "h");
    }
}
