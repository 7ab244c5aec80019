//! Groups of deliveries in the queue. Limits and breakers are per group, so each receiver of each owner has its own: no
//! user's failing receiver delays another's messages, on the same host or not.

use std::fmt;

use url::Url;
use uuid::Uuid;

const WEBHOOK: &str = "webhook:";
const CALLBACKS: &str = "callbacks:";

/// The receiver that deliveries share a group for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReceiverGroup {
    /// That of a standing subscription: `webhook:ID`.
    Webhook(Uuid),
    /// That of a user's callbacks to one host: `callbacks:USER:HOST:PORT`.
    Callbacks {
        /// The user.
        user_id: Uuid,
        /// `HOST:PORT`.
        receiver: String,
    },
}

impl ReceiverGroup {
    /// The group of a user's callbacks to the host of this URL. `None` if the URL cannot be read.
    #[must_use]
    pub fn of_callback(user_id: Uuid, url: &str) -> Option<Self> {
        let url = Url::parse(url).ok()?;
        let receiver = format!("{}:{}", url.host_str()?, url.port_or_known_default()?);
        Some(Self::Callbacks { user_id, receiver })
    }

    /// The receiver behind a `group_key`. `None` for groups of other kinds, which are hosts.
    #[must_use]
    pub fn parse(group: &str) -> Option<Self> {
        if let Some(id) = group.strip_prefix(WEBHOOK) {
            return id.parse().ok().map(Self::Webhook);
        }
        let (user_id, receiver) = group.strip_prefix(CALLBACKS)?.split_once(':')?;
        Some(Self::Callbacks { user_id: user_id.parse().ok()?, receiver: receiver.to_owned() })
    }
}

impl fmt::Display for ReceiverGroup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Webhook(id) => write!(f, "{WEBHOOK}{id}"),
            Self::Callbacks { user_id, receiver } => write!(f, "{CALLBACKS}{user_id}:{receiver}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_names_its_receiver_and_no_host_is_one() {
        let (webhook, user_id) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let callbacks = |url| ReceiverGroup::of_callback(user_id, url).expect("a URL");
        for (group, text) in [
            (ReceiverGroup::Webhook(webhook), "webhook:00000000-0000-0000-0000-000000000001"),
            (
                callbacks("https://hooks.test/a?token=b"),
                "callbacks:00000000-0000-0000-0000-000000000002:hooks.test:443",
            ),
            (callbacks("http://[::1]:9/"), "callbacks:00000000-0000-0000-0000-000000000002:[::1]:9"),
        ] {
            assert_eq!(group.to_string(), text);
            assert_eq!(ReceiverGroup::parse(text), Some(group));
        }
        assert_eq!(ReceiverGroup::of_callback(user_id, "no URL"), None);
        for host in ["university.hosted.panopto.com", "webhook", "webhook:443", "callbacks:80"] {
            assert_eq!(ReceiverGroup::parse(host), None, "{host}");
        }
    }
}
