//! A reply and how it is delivered.

use std::time::Duration;

use bytes::Bytes;

/// A reply. It keeps its connection open for the next request, unless its body has no well-defined end.
#[must_use]
#[derive(Debug, Clone)]
pub struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Bytes,
    pub(crate) framing: Framing,
    pub(crate) flow: Flow,
    /// Stops after this many bytes of the body.
    pub(crate) stop: Option<(usize, Stop)>,
    /// Bytes per write, and the pause after each.
    pub(crate) drip: Option<(usize, Duration)>,
    /// Wait before the status line.
    pub(crate) latency: Duration,
}

/// How the client finds the end of the body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Framing {
    /// `Content-Length`, correct or not.
    Length(usize),
    /// The end of the connection.
    Close,
    /// `Transfer-Encoding: chunked`.
    Chunked,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flow {
    /// A complete head and body.
    Finite,
    /// No status line.
    Silent,
    EndlessHeaders,
    /// Repeats the body.
    EndlessBody,
}

/// What happens instead of the rest of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stop {
    HangUp,
    Reset,
    Stall,
}

impl Reply {
    /// A reply with this status and body.
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

    /// A whole media file from a server without ranges. [`Resource`](crate::Resource) has ranges.
    pub fn media(body: impl Into<Bytes>) -> Self {
        Self::new(200, "video/mp4", body)
    }

    /// A JSON document, with status 200.
    pub fn json(body: &str) -> Self {
        Self::new(200, "application/json; charset=utf-8", body.to_owned())
    }

    /// An HTML page.
    pub fn html(status: u16, body: &str) -> Self {
        Self::new(status, "text/html; charset=utf-8", body.to_owned())
    }

    /// An HLS playlist, with status 200.
    pub fn playlist(text: impl Into<String>) -> Self {
        Self::new(200, "application/vnd.apple.mpegurl", text.into())
    }

    /// The page after a rejected sign-in, with status 200.
    pub fn login_page() -> Self {
        Self::html(200, "<!DOCTYPE html><title>Panopto - Sign in</title><input type=\"password\">")
    }

    /// Status 302. `to` goes into the header unchanged.
    pub fn redirect(to: &str) -> Self {
        Self::html(302, "<html>moved</html>").header("location", to)
    }

    /// Status 429. `retry_after` goes into the header unchanged.
    pub fn too_many_requests(retry_after: &str) -> Self {
        Self::html(429, "slow down").header("retry-after", retry_after)
    }

    /// Status 503. `retry_after` goes into the header unchanged.
    pub fn unavailable(retry_after: &str) -> Self {
        Self::html(503, "come back later").header("retry-after", retry_after)
    }

    /// Accepts the request and never answers.
    pub fn silent() -> Self {
        Self { flow: Flow::Silent, ..Self::new(200, "video/mp4", "") }
    }

    /// Adds a header, even a duplicate.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Announces the whole body, sends this many bytes and hangs up.
    pub fn cut_at(self, bytes: usize) -> Self {
        Self { stop: Some((bytes, Stop::HangUp)), ..self }
    }

    /// Announces the whole body, sends half and hangs up.
    pub fn cut_half_way(self) -> Self {
        let half = self.body.len() / 2;
        self.cut_at(half)
    }

    /// Announces the whole body, sends this many bytes and resets the connection. Bytes that the client has
    /// not read yet are lost.
    pub fn reset_at(self, bytes: usize) -> Self {
        Self { stop: Some((bytes, Stop::Reset)), ..self }
    }

    /// Announces the whole body, sends this many bytes and stalls until the client hangs up.
    pub fn stall_at(self, bytes: usize) -> Self {
        Self { stop: Some((bytes, Stop::Stall)), ..self }
    }

    /// Sends this many bytes per write, with a pause after each.
    ///
    /// # Panics
    /// For 0 bytes.
    pub fn drip(self, bytes: usize, pause: Duration) -> Self {
        assert!(bytes > 0, "a drip has at least one byte");
        Self { drip: Some((bytes, pause)), ..self }
    }

    /// Waits this long before the first byte.
    pub fn delay(self, latency: Duration) -> Self {
        Self { latency, ..self }
    }

    /// Announces this length instead of the body's.
    pub fn announce_length(self, length: usize) -> Self {
        Self { framing: Framing::Length(length), ..self }
    }

    /// Announces no length: the end of the connection ends the body.
    pub fn without_length(self) -> Self {
        Self { framing: Framing::Close, ..self }
    }

    /// Announces no length and sends the body in chunks. A cut falls in the middle of a chunk.
    pub fn chunked(self) -> Self {
        Self { framing: Framing::Chunked, ..self }
    }

    /// Announces no length and repeats the body until the client hangs up or has 1 GiB.
    ///
    /// # Panics
    /// If the body is empty.
    pub fn endless(self) -> Self {
        assert!(!self.body.is_empty(), "an empty body cannot repeat");
        let framing = if self.framing == Framing::Chunked { Framing::Chunked } else { Framing::Close };
        Self { flow: Flow::EndlessBody, framing, ..self }
    }

    /// Sends headers until the client hangs up or has 1 GiB of them.
    pub fn endless_headers(self) -> Self {
        Self { flow: Flow::EndlessHeaders, ..self }
    }

    /// Whether the client can find the end of this reply.
    pub(crate) fn keeps_connection(&self) -> bool {
        let has_end = match self.framing {
            Framing::Length(length) => length == self.body.len(),
            Framing::Chunked => true,
            Framing::Close => false,
        };
        has_end && self.flow == Flow::Finite && self.stop.is_none()
    }

    /// Status line and headers, without the empty line.
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
