//! The recording that an address names.
//!
//! The id is half of a lecture's key: two addresses of one recording must give the same id, and addresses of two recordings
//! must never do. An address without that guarantee is refused, with a sentence that says what to send instead.

use std::borrow::Cow;

use url::Url;
use uuid::Uuid;

use super::hosts::{self, HostKind};

/// Longest address accepted, in bytes.
const MAX_LENGTH: usize = 2048;

/// Why an address names no recording. The texts are for students.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SessionIdError {
    /// It cannot be read as a URL.
    #[error("This is not a web address. Copy the address of the recording's page from your browser.")]
    NotAUrl,
    /// It is longer than 2048 bytes.
    #[error("This address is longer than {MAX_LENGTH} characters. Copy it again from the recording's page.")]
    TooLong,
    /// It contains control characters.
    #[error("This address contains invisible control characters. Copy it again from the recording's page.")]
    ControlCharacters,
    /// Neither https nor http.
    #[error(
        "The address of a recording begins with https://. Copy it from the recording's page in your browser."
    )]
    Scheme,
    /// It has a user name or a password.
    #[error("This address contains a user name or a password. Copy it again from the recording's page.")]
    Credentials,
    /// Its host is a literal address.
    #[error("This address names a machine by its number. Copy the address of the recording's page instead.")]
    IpHost,
    /// Its host is neither Panopto's nor a configured tenant.
    #[error(
        "{host} is not a Panopto site known here. Copy the address of the page on which the recording plays, not \
         that of the video file."
    )]
    ForeignHost {
        /// The host.
        host: String,
    },
    /// A folder or its feed.
    #[error("This is the address of a folder. Open one recording in it and send the address of that page.")]
    Folder,
    /// A playlist without a recording.
    #[error("This is the address of a playlist. Open one recording in it and send the address of that page.")]
    Playlist,
    /// The sign-in page.
    #[error(
        "This is the address of the login page. Sign in, open the recording and send the address of its page."
    )]
    LoginPage,
    /// It has only a `tid`, which cannot be turned into a recording's id from outside.
    #[error(
        "This link names the recording in a way that cannot be read from outside. Open it, choose Share, and send \
         the link shown there."
    )]
    OtherId,
    /// It has no id.
    #[error("This address names no recording. Open the recording and send the address of its page.")]
    NoId,
    /// Its id is not a GUID.
    #[error(
        "The id in this address is not one of Panopto's. Copy the address again from the recording's page."
    )]
    NotAGuid,
    /// It has several ids that differ.
    #[error("This address names two recordings. Open the one you want and send the address of its page.")]
    DifferingIds,
    /// The address has no id, and the client's is not a GUID.
    #[error(
        "The session_id sent with this address is not one of Panopto's ids. Send the recording's page instead."
    )]
    ClientIdNotAGuid,
}

impl SessionIdError {
    /// A stable code for programs.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotAUrl => "url-invalid",
            Self::TooLong => "url-too-long",
            Self::ControlCharacters => "url-control-characters",
            Self::Scheme => "url-scheme",
            Self::Credentials => "url-credentials",
            Self::IpHost => "url-ip-host",
            Self::ForeignHost { .. } => "host-not-panopto",
            Self::Folder => "folder",
            Self::Playlist => "playlist",
            Self::LoginPage => "login-page",
            Self::OtherId => "tid-only",
            Self::NoId => "no-id",
            Self::NotAGuid => "id-not-guid",
            Self::DifferingIds => "ids-differ",
            Self::ClientIdNotAGuid => "session-id-not-guid",
        }
    }
}

/// The key by which Panopto's viewer requests a recording.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeliveryKey {
    /// By the recording's id.
    Id(Uuid),
    /// By the `tid` of its link.
    Tid(Uuid),
}

/// A recording that an address names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recording {
    /// The lecture's key: a GUID in lower case with hyphens.
    pub session_id: String,
    /// Scheme, host and port for requests about it.
    pub origin: Url,
    /// The key for requests about it.
    pub key: DeliveryKey,
}

/// The id of the recording that `panopto_url` names, a GUID in lower case. See [`recording`].
///
/// # Errors
/// Why the address names no recording.
pub fn session_id(
    panopto_url: &str,
    client_session_id: Option<&str>,
    tenants: &[String],
) -> Result<String, SessionIdError> {
    recording(panopto_url, client_session_id, tenants).map(|recording| recording.session_id)
}

/// The recording that `panopto_url` names. `client_session_id` counts only where the address of a viewer has
/// no id. `tenants` are hosts accepted besides Panopto's domains.
///
/// # Errors
/// Why the address names no recording.
pub fn recording(
    panopto_url: &str,
    client_session_id: Option<&str>,
    tenants: &[String],
) -> Result<Recording, SessionIdError> {
    if panopto_url.len() > MAX_LENGTH {
        return Err(SessionIdError::TooLong);
    }
    let text = panopto_url.trim_matches(is_padding);
    // The URL parser silently drops tabs and line ends.
    if text.chars().any(char::is_control) {
        return Err(SessionIdError::ControlCharacters);
    }
    let url = Url::parse(text).map_err(|_| SessionIdError::NotAUrl)?;
    check_form(&url)?;
    match hosts::classify(&url, tenants) {
        HostKind::Panopto { origin } => identify(&url, origin, client_session_id),
        HostKind::IpAddress => Err(SessionIdError::IpHost),
        HostKind::Foreign => match from_launch_link(&url, tenants) {
            Some(result) => result,
            None => Err(foreign(&url)),
        },
    }
}

fn check_form(url: &Url) -> Result<(), SessionIdError> {
    if !matches!(url.scheme(), "http" | "https") {
        return Err(SessionIdError::Scheme);
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(SessionIdError::Credentials);
    }
    Ok(())
}

fn foreign(url: &Url) -> SessionIdError {
    SessionIdError::ForeignHost { host: url.host_str().unwrap_or("This").chars().take(100).collect() }
}

/// The recording that a page of Panopto names.
fn identify(url: &Url, origin: Url, client: Option<&str>) -> Result<Recording, SessionIdError> {
    let path = url.path().to_ascii_lowercase();
    if path.ends_with("/login.aspx") || path.contains("/auth/") {
        return Err(SessionIdError::LoginPage);
    }
    if path.ends_with("/sessions/list.aspx") || path.ends_with("/podcast.ashx") {
        return Err(SessionIdError::Folder);
    }
    let found = match podcast_file(&path) {
        Some(stem) => guid(stem),
        None => single_id(&values(url, &["id", "deliveryid"])),
    };
    let by_id =
        |id: Uuid| Recording { session_id: id.to_string(), origin: origin.clone(), key: DeliveryKey::Id(id) };
    match (found, client) {
        (Ok(id), _) => Ok(by_id(id)),
        (Err(SessionIdError::NoId), _) if has_only_playlist(url) => Err(SessionIdError::Playlist),
        (Err(SessionIdError::NoId), Some(client)) => {
            let id = guid(client).map_err(|_| SessionIdError::ClientIdNotAGuid)?;
            let tid = single_id(&values(url, &["tid"]));
            Ok(Recording { key: tid.map_or(DeliveryKey::Id(id), DeliveryKey::Tid), ..by_id(id) })
        }
        (Err(SessionIdError::NoId), None) if !values(url, &["tid"]).is_empty() => {
            Err(SessionIdError::OtherId)
        }
        (Err(error), _) => Err(error),
    }
}

/// The recording of a learning platform's link that launches Panopto: the address inside it names the recording.
fn from_launch_link(url: &Url, tenants: &[String]) -> Option<Result<Recording, SessionIdError>> {
    if !url.path().to_ascii_lowercase().ends_with("/external_tools/retrieve") {
        return None;
    }
    let inner = values(url, &["url"]);
    let [inner] = inner.as_slice() else { return None };
    let inner = Url::parse(inner).ok()?;
    if let Err(error) = check_form(&inner) {
        return Some(Err(error));
    }
    match hosts::classify(&inner, tenants) {
        HostKind::Panopto { origin } => {
            let id = single_id(&values(&inner, &["custom_context_delivery"]));
            Some(id.map(|id| Recording { session_id: id.to_string(), origin, key: DeliveryKey::Id(id) }))
        }
        HostKind::IpAddress | HostKind::Foreign => Some(Err(foreign(&inner))),
    }
}

/// `GUID` of `…/Podcast/Download/GUID.mp4` and similar paths.
fn podcast_file(path: &str) -> Option<&str> {
    let mut segments = path.rsplit('/');
    let file = segments.next()?;
    let form = segments.next()?;
    let is_podcast = segments.next() == Some("podcast");
    let known = matches!(form, "download" | "stream" | "syndication" | "social");
    (is_podcast && known).then(|| file.split('.').next().unwrap_or_default())
}

/// The non-empty values of the query's `keys`. The servers ignore case.
fn values<'a>(url: &'a Url, keys: &[&str]) -> Vec<Cow<'a, str>> {
    url.query_pairs()
        .filter(|(key, _)| keys.iter().any(|wanted| key.eq_ignore_ascii_case(wanted)))
        .map(|(_, value)| value)
        .filter(|value| !value.trim_matches(is_padding).is_empty())
        .collect()
}

fn has_only_playlist(url: &Url) -> bool {
    !values(url, &["pid"]).is_empty() && values(url, &["tid"]).is_empty()
}

/// The id of all values, which must agree.
fn single_id(values: &[Cow<'_, str>]) -> Result<Uuid, SessionIdError> {
    let Some((first, others)) = values.split_first() else { return Err(SessionIdError::NoId) };
    let id = guid(first);
    if others.iter().any(|other| guid(other) != id) {
        return Err(SessionIdError::DifferingIds);
    }
    id
}

/// A GUID as people paste it: any case, in braces, with blanks or invisible characters around it. Panopto writes the nil GUID
/// for none.
fn guid(text: &str) -> Result<Uuid, SessionIdError> {
    let text = text.trim_matches(|c: char| is_padding(c) || matches!(c, '{' | '}'));
    let id = match text.len() {
        32 | 36 => Uuid::try_parse(text).map_err(|_| SessionIdError::NotAGuid)?,
        _ => return Err(SessionIdError::NotAGuid),
    };
    if id.is_nil() { Err(SessionIdError::NotAGuid) } else { Ok(id) }
}

/// White space, and invisible characters that are copied along from a page.
fn is_padding(c: char) -> bool {
    c.is_whitespace() || matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2060}' | '\u{feff}')
}

#[cfg(test)]
mod tests;
