//! The part of PostgreSQL's protocol that tells where a statement begins and where its answer ends.

use std::collections::HashMap;

use tokio::io::{AsyncRead, AsyncReadExt};

/// A row of an answer.
pub(super) const ROW: u8 = b'D';
/// End of the answer to everything sent so far.
pub(super) const READY: u8 = b'Z';
/// A notification; it comes unasked.
pub(super) const NOTIFICATION: u8 = b'A';

/// A longer message means that the stream is out of step.
const MAX_MESSAGE: usize = 64 * 1024 * 1024;

/// Codes of the two requests for encryption, which stand in place of a startup message.
const ENCRYPTION_REQUESTS: [u32; 2] = [80_877_103, 80_877_104];

/// One whole message: type, length, content. The first message of a connection has no type.
#[derive(Debug)]
pub(super) struct Message(Vec<u8>);

impl Message {
    pub(super) async fn read(from: &mut (impl AsyncRead + Unpin)) -> std::io::Result<Self> {
        let mut bytes = vec![0; 5];
        from.read_exact(&mut bytes).await?;
        let length = length(&bytes[1..])?;
        bytes.resize(length + 1, 0);
        from.read_exact(&mut bytes[5..]).await?;
        Ok(Self(bytes))
    }

    pub(super) async fn read_startup(from: &mut (impl AsyncRead + Unpin)) -> std::io::Result<Self> {
        let mut bytes = vec![0; 4];
        from.read_exact(&mut bytes).await?;
        let length = length(&bytes)?;
        bytes.resize(length, 0);
        from.read_exact(&mut bytes[4..]).await?;
        Ok(Self(bytes))
    }

    pub(super) fn kind(&self) -> u8 {
        self.0[0]
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }

    pub(super) fn contains(&self, text: &str) -> bool {
        self.0.windows(text.len()).any(|window| window == text.as_bytes())
    }

    /// Of a startup message: whether it asks for encryption instead.
    pub(super) fn is_encryption_request(&self) -> bool {
        self.0.len() == 8 && ENCRYPTION_REQUESTS.contains(&number(&self.0[4..]))
    }

    /// Of [`READY`]: whether a transaction is open.
    pub(super) fn is_in_transaction(&self) -> bool {
        self.0.get(5) == Some(&b'T')
    }

    /// Of [`ROW`]: the text of a column, counted from 0; `None` for NULL.
    pub(super) fn column(&self, index: usize) -> Option<String> {
        let mut at = 7; // type, length of the message, number of columns
        for column in 0..=index {
            let length = i32::from_be_bytes(self.0.get(at..at + 4)?.try_into().ok()?);
            let end = at + 4 + usize::try_from(length).unwrap_or(0);
            if column == index {
                let text = self.0.get(at + 4..end).filter(|_| length >= 0)?;
                return Some(String::from_utf8_lossy(text).into_owned());
            }
            at = end;
        }
        None
    }

    /// The n-th zero-terminated text of the content.
    fn text(&self, index: usize) -> String {
        let text = self.0[5..].split(|&byte| byte == 0).nth(index).unwrap_or_default();
        String::from_utf8_lossy(text).into_owned()
    }
}

fn number(bytes: &[u8]) -> u32 {
    u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])
}

fn length(bytes: &[u8]) -> std::io::Result<usize> {
    let length = number(bytes) as usize;
    if (4..=MAX_MESSAGE).contains(&length) { Ok(length) } else { Err(std::io::ErrorKind::InvalidData.into()) }
}

/// The statements that a client has prepared: name at the server -> name in our SQL.
#[derive(Debug, Default)]
pub(super) struct Prepared(HashMap<String, Option<String>>);

impl Prepared {
    /// Name of the statement that this message executes. Our statements carry theirs in the first line (`-- name`). The
    /// driver's own have none, except BEGIN, COMMIT and ROLLBACK.
    pub(super) fn executed(&mut self, message: &Message) -> Option<String> {
        match message.kind() {
            b'P' => {
                self.0.insert(message.text(0), name(&message.text(1)));
                None
            }
            b'B' => self.0.get(&message.text(1)).cloned().flatten(),
            b'Q' => name(&message.text(0)),
            _ => None,
        }
    }
}

fn name(sql: &str) -> Option<String> {
    let first = sql.lines().next().unwrap_or_default().trim();
    // A BEGIN may carry settings of its transaction.
    let word = first.split([';', ' ']).next().filter(|word| ["BEGIN", "COMMIT", "ROLLBACK"].contains(word));
    first.strip_prefix("-- ").or(word).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(kind: u8, content: &[u8]) -> Message {
        let length = u32::try_from(content.len() + 4).expect("short").to_be_bytes();
        Message([&[kind][..], &length, content].concat())
    }

    #[test]
    fn a_statement_is_named_by_its_first_line_each_time_it_is_executed() {
        let mut prepared = Prepared::default();
        assert_eq!(prepared.executed(&message(b'P', b"s1\0-- claim\nSELECT 1\0\0\0")), None);
        assert_eq!(prepared.executed(&message(b'P', b"s2\0SELECT oid\0\0\0")), None);
        assert_eq!(prepared.executed(&message(b'B', b"portal\0s1\0\0\0")).as_deref(), Some("claim"));
        assert_eq!(prepared.executed(&message(b'B', b"\0s2\0\0\0")), None);
        assert_eq!(prepared.executed(&message(b'Q', b"COMMIT\0")).as_deref(), Some("COMMIT"));
        let begin = message(b'Q', b"BEGIN; SET LOCAL x = 1 -- y\0");
        assert_eq!(prepared.executed(&begin).as_deref(), Some("BEGIN"));
        assert_eq!(prepared.executed(&message(b'Q', b"-- x::y\nSELECT 1\0")).as_deref(), Some("x::y"));
        assert_eq!(prepared.executed(&message(b'S', b"")), None);
    }

    #[test]
    fn columns_are_read_by_number() {
        let row = message(b'D', b"\0\x03\0\0\0\x02id\xff\xff\xff\xff\0\0\0\x04kind");
        assert_eq!(row.column(0).as_deref(), Some("id"));
        assert_eq!(row.column(1), None, "NULL");
        assert_eq!(row.column(2).as_deref(), Some("kind"));
        assert_eq!(row.column(3), None, "there is no such column");
    }
}
