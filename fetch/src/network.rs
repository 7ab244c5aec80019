//! Networks, as an operator writes them: `10.2.0.0/16`, `fd00::/8`, or one address.

use std::net::IpAddr;
use std::str::FromStr;

/// An address and the number of its leading bits that count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    bits: u32,
}

/// The text is no network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("write an address or a network, such as 10.2.0.0/16")]
pub struct NotANetwork;

impl Network {
    /// All addresses.
    pub(super) const ALL: [Self; 2] = [
        Self { address: IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED), bits: 0 },
        Self { address: IpAddr::V6(std::net::Ipv6Addr::UNSPECIFIED), bits: 0 },
    ];

    /// True if the address is inside. An IPv4 address in IPv6's form is an IPv6 address here.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address) {
            (IpAddr::V4(network), IpAddr::V4(address)) => {
                let mask = u32::MAX.checked_shl(32 - self.bits).unwrap_or(0);
                (network.to_bits() ^ address.to_bits()) & mask == 0
            }
            (IpAddr::V6(network), IpAddr::V6(address)) => {
                let mask = u128::MAX.checked_shl(128 - self.bits).unwrap_or(0);
                (network.to_bits() ^ address.to_bits()) & mask == 0
            }
            _ => false,
        }
    }
}

impl From<IpAddr> for Network {
    fn from(address: IpAddr) -> Self {
        Self { address, bits: if address.is_ipv4() { 32 } else { 128 } }
    }
}

impl FromStr for Network {
    type Err = NotANetwork;

    fn from_str(text: &str) -> Result<Self, NotANetwork> {
        let (address, bits) =
            text.split_once('/').map_or((text, None), |(address, bits)| (address, Some(bits)));
        let whole = Self::from(address.parse::<IpAddr>().map_err(|_| NotANetwork)?);
        match bits {
            None => Ok(whole),
            Some(bits) => {
                let bits = bits.parse().ok().filter(|bits| *bits <= whole.bits).ok_or(NotANetwork)?;
                Ok(Self { bits, ..whole })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_ends_at_its_edges() {
        let inside = |network: &str, address: &str| {
            let network: Network = network.parse().expect("a network");
            network.contains(address.parse().expect("an address"))
        };
        assert!(inside("10.2.0.0/16", "10.2.255.255") && !inside("10.2.0.0/16", "10.3.0.0"));
        assert!(inside("127.0.0.1", "127.0.0.1") && !inside("127.0.0.1", "127.0.0.2"));
        assert!(inside("0.0.0.0/0", "203.0.113.9") && !inside("0.0.0.0/0", "::1"));
        assert!(inside("fd00::/8", "fdff::1") && !inside("fd00::/8", "fe00::1"));
        assert!(inside("::/0", "::ffff:127.0.0.1") && !inside("127.0.0.1", "::ffff:127.0.0.1"));
        for bad in ["", "localhost", "10.0.0.0/33", "::/129", "10.0.0.0/", "10.0.0/8"] {
            assert_eq!(bad.parse::<Network>(), Err(NotANetwork), "{bad}");
        }
    }
}
