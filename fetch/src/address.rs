//! Special addresses: private networks, and others that the public cannot reach.
//!
//! Sources: the IANA special-purpose address registries for IPv4 and IPv6 (RFC 6890 and its updates). IPv6
//! inverts the rule: only global unicast, `2000::/3`, is public, less the blocks that the registry excludes. So
//! unassigned blocks are refused.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Refused IPv4 blocks: network, prefix length, name.
const V4: [(Ipv4Addr, u32, &str); 17] = [
    (Ipv4Addr::new(0, 0, 0, 0), 8, "this network"),
    (Ipv4Addr::new(10, 0, 0, 0), 8, "private"),
    (Ipv4Addr::new(100, 64, 0, 0), 10, "carrier-grade NAT"),
    (Ipv4Addr::new(127, 0, 0, 0), 8, "loopback"),
    (Ipv4Addr::new(168, 63, 129, 16), 32, "a cloud platform's own services"),
    (Ipv4Addr::new(169, 254, 0, 0), 16, "link-local"),
    (Ipv4Addr::new(172, 16, 0, 0), 12, "private"),
    (Ipv4Addr::new(192, 0, 0, 0), 24, "protocol assignments"),
    (Ipv4Addr::new(192, 0, 2, 0), 24, "documentation"),
    (Ipv4Addr::new(192, 88, 99, 0), 24, "6to4 relays"),
    (Ipv4Addr::new(192, 168, 0, 0), 16, "private"),
    (Ipv4Addr::new(198, 18, 0, 0), 15, "benchmarks"),
    (Ipv4Addr::new(198, 51, 100, 0), 24, "documentation"),
    (Ipv4Addr::new(203, 0, 113, 0), 24, "documentation"),
    (Ipv4Addr::new(224, 0, 0, 0), 4, "multicast"),
    (Ipv4Addr::new(240, 0, 0, 0), 4, "reserved"),
    (Ipv4Addr::new(255, 255, 255, 255), 32, "broadcast"),
];

/// Refused IPv6 blocks inside `2000::/3`.
const V6: [(Ipv6Addr, u32, &str); 4] = [
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 23, "protocol assignments"),
    (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0), 32, "documentation"),
    (Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0), 16, "6to4"),
    (Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0), 20, "documentation"),
];

/// Well-known prefix of NAT64 (RFC 6052): the last 32 bits are the IPv4 address that is reached.
const NAT64: Ipv6Addr = Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, 0, 0);
/// IPv4-mapped addresses (RFC 4291): the same.
const MAPPED: Ipv6Addr = Ipv6Addr::new(0, 0, 0, 0, 0, 0xffff, 0, 0);

/// The name of a special address's block; `None` for a public address.
#[must_use]
pub fn special(address: IpAddr) -> Option<&'static str> {
    match address {
        IpAddr::V4(v4) => special_v4(v4),
        IpAddr::V6(v6) if in_v6(v6, MAPPED, 96) || in_v6(v6, NAT64, 96) => special_v4(last_32_bits(v6)),
        IpAddr::V6(v6) if v6.is_loopback() => Some("loopback"),
        IpAddr::V6(v6) if !in_v6(v6, Ipv6Addr::new(0x2000, 0, 0, 0, 0, 0, 0, 0), 3) => {
            Some("not global unicast")
        }
        IpAddr::V6(v6) => {
            V6.iter().find(|(network, length, _)| in_v6(v6, *network, *length)).map(|(_, _, name)| *name)
        }
    }
}

fn special_v4(address: Ipv4Addr) -> Option<&'static str> {
    let inside = |network: Ipv4Addr, length: u32| {
        let mask = u32::MAX.checked_shl(32 - length).unwrap_or(0);
        address.to_bits() & mask == network.to_bits()
    };
    V4.iter().find(|(network, length, _)| inside(*network, *length)).map(|(_, _, name)| *name)
}

fn in_v6(address: Ipv6Addr, network: Ipv6Addr, length: u32) -> bool {
    let mask = u128::MAX.checked_shl(128 - length).unwrap_or(0);
    address.to_bits() & mask == network.to_bits()
}

fn last_32_bits(address: Ipv6Addr) -> Ipv4Addr {
    let [.., a, b, c, d] = address.octets();
    Ipv4Addr::new(a, b, c, d)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Both sides of each edge.
    #[test]
    fn the_edges_of_every_block() {
        let refused = "0.0.0.0 0.255.255.255 10.0.0.0 10.255.255.255 100.64.0.0 100.127.255.255 127.0.0.1
                      127.255.255.255 168.63.129.16 169.254.169.254 172.16.0.0 172.31.255.255 192.0.0.1
                      192.0.2.1 192.88.99.1 192.168.0.0 192.168.255.255 198.18.0.1 198.19.255.255 198.51.100.7
                      203.0.113.9 224.0.0.1 239.255.255.255 240.0.0.1 255.255.255.255 :: ::1 ::127.0.0.1
                      ::ffff:127.0.0.1 ::ffff:10.1.2.3 ::ffff:169.254.169.254 64:ff9b::7f00:1 64:ff9b::a9fe:a9fe
                      64:ff9b:1::1 100::1 2001::1 2001:1ff:ffff:: 2001:db8::1 2002:7f00:1:: 3fff::1 5f00::1
                      fc00::1 fd00:ec2::254 fe80::1 fec0::1 ff02::1 4000::1";
        for text in refused.split_whitespace() {
            let address = text.parse().expect("an address");
            assert!(special(address).is_some(), "{text} has to be refused");
        }
        let accepted = "1.0.0.0 9.255.255.255 11.0.0.0 100.63.255.255 100.128.0.0 126.255.255.255 128.0.0.0
                      168.63.129.15 168.63.129.17 169.253.255.255 169.255.0.0 172.15.255.255 172.32.0.0
                      192.0.1.0 192.0.3.0 192.167.255.255 192.169.0.0 198.17.255.255 198.20.0.0 203.0.112.255
                      223.255.255.255 2000::1 2001:200::1 2001:db9::1 2003::1 2606:4700::1111 3ffe::1
                      64:ff9b::808:808 ::ffff:8.8.8.8";
        for text in accepted.split_whitespace() {
            let address = text.parse().expect("an address");
            assert_eq!(special(address), None, "{text} is public");
        }
    }
}
