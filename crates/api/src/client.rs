//! The address of a client: that of its connection, or the one that a proxy in front of the service reports.

use axum::http::{HeaderMap, HeaderName};
use ipnet::IpNet;
use std::net::{IpAddr, SocketAddr};

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The address of the other end of a connection; an extension of each request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer(pub IpAddr);

/// The proxies whose `X-Forwarded-For` is trusted.
#[derive(Debug, Clone, Default)]
pub struct Proxies(pub Vec<IpNet>);

impl Proxies {
    /// The client of a request: the last address that is not that of a proxy. Addresses in front of it may be invented.
    #[must_use]
    pub fn client(&self, Peer(peer): Peer, headers: &HeaderMap) -> IpAddr {
        let mut client = peer;
        let fields = headers.get_all(FORWARDED_FOR).iter().rev();
        let mut hops = fields.flat_map(|field| field.to_str().unwrap_or_default().rsplit(','));
        while self.contains(client) {
            match hops.next().and_then(address) {
                Some(hop) => client = hop,
                None => break,
            }
        }
        client
    }

    fn contains(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(&address))
    }
}

/// Reads an address, or a network in CIDR notation.
///
/// # Errors
/// Fails if the text is neither.
pub fn network(text: &str) -> Result<IpNet, String> {
    text.parse()
        .or_else(|_| text.parse().map(|address: IpAddr| address.to_canonical().into()))
        .map_err(|_| "it is neither an address nor a network (address/bits)".into())
}

/// An address of `X-Forwarded-For`; some proxies add the port.
fn address(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    let address = text.trim_start_matches('[').trim_end_matches(']').parse().ok();
    Some(address.or_else(|| Some(text.parse::<SocketAddr>().ok()?.ip()))?.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_client_is_the_last_hop_that_is_not_a_proxy() {
        let proxies = Proxies(["10.0.0.0/8", "::1", "192.0.2.7"].map(|text| network(text).unwrap()).to_vec());
        for (peer, fields, client) in [
            ("203.0.113.9", &["198.51.100.1"][..], "203.0.113.9"),
            ("10.0.0.1", &[], "10.0.0.1"),
            ("10.0.0.1", &["198.51.100.1"], "198.51.100.1"),
            ("10.0.0.1", &["1.1.1.1, 198.51.100.1"], "198.51.100.1"),
            ("10.0.0.1", &["1.1.1.1", "198.51.100.1, 192.0.2.7 ,10.1.2.3"], "198.51.100.1"),
            ("::1", &["198.51.100.1:4711"], "198.51.100.1"),
            ("::1", &["[2001:db8::5]:4711"], "2001:db8::5"),
            ("::1", &["[2001:db8::5]"], "2001:db8::5"),
            ("::1", &["::ffff:198.51.100.1"], "198.51.100.1"),
            ("10.0.0.1", &["198.51.100.1, unknown"], "10.0.0.1"),
            ("10.0.0.1", &["198.51.100.1, 10.0.0.2, unknown, 10.0.0.3"], "10.0.0.3"),
            ("10.0.0.1", &["10.0.0.2"], "10.0.0.2"),
        ] {
            let mut headers = HeaderMap::new();
            for field in fields {
                headers.append(FORWARDED_FOR, field.parse().unwrap());
            }
            let found = proxies.client(Peer(peer.parse().unwrap()), &headers);
            assert_eq!(found.to_string(), client, "{peer} {fields:?}");
        }
        assert!(network("10.0.0.0/33").is_err() && network("proxy.example").is_err());
    }
}
