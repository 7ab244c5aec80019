//! Just enough of PostgreSQL's protocol to know where a statement begins and when its answer is whole.

use std::collections::HashMap;

use tokio::io::{AsyncRead, AsyncReadExt};

/// One whole message: its type, its length, its content.
#[derive(Debug)]
pub struct Message(Vec<u8>);

/// Answer, as the server sends it: a row.
pub const ROW: u8 = b'D';
/// The server has answered everything that was asked.
pub const READY: u8 = b'Z';
/// A notification, which comes unasked.
pub const NOTIFICATION: u8 = b'A';

/// The longest message that is believed: more is a stream that is no longer understood.
const LONGEST: usize = 64 * 1024 * 1024;

impl Message {
    /// Reads the next message.
    ///
    /// # Errors
    /// Where the connection ends or what it carries is no message.
    pub async fn read(from: &mut (impl AsyncRead + Unpin)) -> std::io::Result<Self> {
        let mut bytes = vec![0; 5];
        from.read_exact(&mut bytes).await?;
        let length = length(&bytes[1..])?;
        bytes.resize(length + 1, 0);
        from.read_exact(&mut bytes[5..]).await?;
        Ok(Self(bytes))
    }

    /// Reads the first message of a connection, which has no type.
    ///
    /// # Errors
    /// Where the connection ends or what it carries is no message.
    pub async fn read_startup(from: &mut (impl AsyncRead + Unpin)) -> std::io::Result<Self> {
        let mut bytes = vec![0; 4];
        from.read_exact(&mut bytes).await?;
        let length = length(&bytes)?;
        bytes.resize(length, 0);
        from.read_exact(&mut bytes[4..]).await?;
        Ok(Self(bytes))
    }

    /// The type.
    pub fn kind(&self) -> u8 {
        self.0[0]
    }

    /// As it goes over the line.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    fn text(&self, part: usize) -> String {
        let text = self.0[5..].split(|&byte| byte == 0).nth(part).unwrap_or_default();
        String::from_utf8_lossy(text).into_owned()
    }
}

fn length(bytes: &[u8]) -> std::io::Result<usize> {
    let length = u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]) as usize;
    if (4..=LONGEST).contains(&length) { Ok(length) } else { Err(std::io::ErrorKind::InvalidData.into()) }
}

/// The statements that a client has prepared, by the names it gave them.
#[derive(Debug, Default)]
pub struct Prepared(HashMap<String, Option<String>>);

impl Prepared {
    /// The name of the statement whose execution this message starts. Statements of ours have their names in their first
    /// lines; those of the driver have none, but for the three of a transaction.
    pub fn statement(&mut self, message: &Message) -> Option<String> {
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
    // A BEGIN may bring settings of its transaction along.
    let word = first.split([';', ' ']).next().filter(|word| ["BEGIN", "COMMIT", "ROLLBACK"].contains(word));
    first.strip_prefix("-- ").or(word).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(kind: u8, content: &[u8]) -> Message {
        let length = u32::try_from(content.len() + 4).unwrap().to_be_bytes();
        Message([&[kind][..], &length, content].concat())
    }

    #[test]
    fn a_statement_is_known_by_its_first_line_each_time_it_is_executed() {
        let mut prepared = Prepared::default();
        assert_eq!(prepared.statement(&message(b'P', b"s1\0-- claim\nSELECT 1\0\0\0")), None);
        assert_eq!(prepared.statement(&message(b'P', b"s2\0SELECT oid\0\0\0")), None);
        assert_eq!(prepared.statement(&message(b'B', b"portal\0s1\0\0\0")).as_deref(), Some("claim"));
        assert_eq!(prepared.statement(&message(b'B', b"\0s2\0\0\0")), None);
        assert_eq!(prepared.statement(&message(b'Q', b"COMMIT\0")).as_deref(), Some("COMMIT"));
        let begin = message(b'Q', b"BEGIN; SET LOCAL x = 1 -- y\0");
        assert_eq!(prepared.statement(&begin).as_deref(), Some("BEGIN"));
        assert_eq!(prepared.statement(&message(b'Q', b"-- x::y\nSELECT 1\0")).as_deref(), Some("x::y"));
        assert_eq!(prepared.statement(&message(b'S', b"")), None);
    }
}
