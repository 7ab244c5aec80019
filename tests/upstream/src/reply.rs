//! One answer, and how it is delivered.

use std::time::Duration;

use bytes::Bytes;

/// One answer. It keeps its connection open for the next request, unless it breaks a rule of HTTP or ends with it.
#[must_use]
#[derive(Debug, Clone)]
pub struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Bytes,
    pub(crate) framing: Framing,
    pub(crate) flow: Flow,
    /// Sends no more after this many bytes of the body.
    pub(crate) stop: Option<(usize, Stop)>,
    /// So many bytes at a time, with a pause after each.
    pub(crate) drip: Option<(usize, Duration)>,
    /// Waits this long before the status line.
    pub(crate) latency: Duration,
}

/// What tells a client where the body ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Framing {
    /// `Content-Length`, true or not.
    Length(usize),
    /// The end of the connection.
    Close,
    /// `Transfer-Encoding: chunked`.
    Chunked,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flow {
    /// Head and body, each with an end.
    Finite,
    /// Not even a status line.
    Silent,
    EndlessHeaders,
    /// The body again and again.
    EndlessBody,
}

/// What comes instead of the rest of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stop {
    HangUp,
    Reset,
    Stall,
}

impl Reply {
    /// An answer with this status and body.
    pub fn new(status: u16, content_type: &str, body: impl Into<Bytes>) -> Self {
        let body = body.into();
        Self {
            status,
            headers: vec![("content-type".to_owned(), content_type.to_owned())],
            framing: Framing::Length(body.len()),
            body,
            flow: Flow::Finite,
            stop: None,
            drip: None,
            latency: Duration::ZERO,
        }
    }

    /// A media file, whole, from a server that knows no ranges. For one that does see [`Resource`](crate::Resource).
    pub fn media(body: impl Into<Bytes>) -> Self {
        Self::new(200, "video/mp4", body)
    }

    /// A JSON document, with status 200.
    pub fn json(body: &str) -> Self {
        Self::new(200, "application/json; charset=utf-8", body.to_owned())
    }

    /// A page.
    pub fn html(status: u16, body: &str) -> Self {
        Self::new(status, "text/html; charset=utf-8", body.to_owned())
    }

    /// An HLS playlist, with status 200.
    pub fn playlist(text: impl Into<String>) -> Self {
        Self::new(200, "application/vnd.apple.mpegurl", text.into())
    }

    /// What a rejected sign-in ends on: a page, with status 200.
    pub fn login_page() -> Self {
        Self::html(200, "<!DOCTYPE html><title>Panopto - Sign in</title><input type=\"password\">")
    }

    /// Status 302. `to` goes into the header as it is.
    pub fn redirect(to: &str) -> Self {
        Self::html(302, "<html>moved</html>").header("location", to)
    }

    /// Status 429. `retry_after` goes into the header as it is.
    pub fn too_many_requests(retry_after: &str) -> Self {
        Self::html(429, "slow down").header("retry-after", retry_after)
    }

    /// Status 503. `retry_after` goes into the header as it is.
    pub fn unavailable(retry_after: &str) -> Self {
        Self::html(503, "come back later").header("retry-after", retry_after)
    }

    /// Accepts the request and never answers.
    pub fn silent() -> Self {
        Self { flow: Flow::Silent, ..Self::new(200, "video/mp4", "") }
    }

    /// Adds a header, also one that is there.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Announces everything, sends this much and hangs up.
    pub fn cut_at(self, bytes: usize) -> Self {
        Self { stop: Some((bytes, Stop::HangUp)), ..self }
    }

    /// Announces everything, sends half and hangs up.
    pub fn cut_half_way(self) -> Self {
        let half = self.body.len() / 2;
        self.cut_at(half)
    }

    /// Announces everything, sends this much and resets the connection. What the client has not read by then is lost.
    pub fn reset_at(self, bytes: usize) -> Self {
        Self { stop: Some((bytes, Stop::Reset)), ..self }
    }

    /// Announces everything, sends this much and falls silent until the client goes away.
    pub fn stalled_at(self, bytes: usize) -> Self {
        Self { stop: Some((bytes, Stop::Stall)), ..self }
    }

    /// Sends so many bytes at a time, with a pause after each.
    ///
    /// # Panics
    /// For 0 bytes.
    pub fn dripping(self, bytes: usize, pause: Duration) -> Self {
        assert!(bytes > 0, "a drip has at least a byte");
        Self { drip: Some((bytes, pause)), ..self }
    }

    /// Waits this long before the first byte.
    pub fn late(self, latency: Duration) -> Self {
        Self { latency, ..self }
    }

    /// Announces this length, whatever the body has.
    pub fn announcing(self, length: usize) -> Self {
        Self { framing: Framing::Length(length), ..self }
    }

    /// Announces no length: the end of the connection ends the body.
    pub fn without_length(self) -> Self {
        Self { framing: Framing::Close, ..self }
    }

    /// Announces no length and sends the body in chunks. Cut, it ends in the middle of a chunk.
    pub fn chunked(self) -> Self {
        Self { framing: Framing::Chunked, ..self }
    }

    /// Announces no length and sends the body again and again, until the client goes away or has 1 GiB.
    ///
    /// # Panics
    /// Where there is no body to repeat.
    pub fn endless(self) -> Self {
        assert!(!self.body.is_empty(), "nothing can be sent for ever");
        let framing = if self.framing == Framing::Chunked { Framing::Chunked } else { Framing::Close };
        Self { flow: Flow::EndlessBody, framing, ..self }
    }

    /// Sends headers until the client goes away or has 1 GiB of them.
    pub fn with_endless_headers(self) -> Self {
        Self { flow: Flow::EndlessHeaders, ..self }
    }

    /// Whether the client can tell where this answer ends and the next begins.
    pub(crate) fn keeps_connection(&self) -> bool {
        let told = match self.framing {
            Framing::Length(length) => length == self.body.len(),
            Framing::Chunked => true,
            Framing::Close => false,
        };
        told && self.flow == Flow::Finite && self.stop.is_none()
    }

    /// Status line and headers, up to the empty line and without it.
    pub(crate) fn head(&self) -> String {
        let connection = if self.keeps_connection() { "keep-alive" } else { "close" };
        let mut head = format!("HTTP/1.1 {} Scripted\r\nconnection: {connection}\r\n", self.status);
        match self.framing {
            Framing::Length(length) => head += &format!("content-length: {length}\r\n"),
            Framing::Chunked => head += "transfer-encoding: chunked\r\n",
            Framing::Close => {}
        }
        for (name, value) in &self.headers {
            head += &format!("{name}: {value}\r\n");
        }
        head
    }
}
