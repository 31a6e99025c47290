//! The address of a parent, taken apart.

use tokio_tungstenite::tungstenite::http::Uri;

/// Returns whether [`dial`](super::dial) can parse this address.
#[must_use]
pub fn is_address(address: &str) -> bool {
    Address::parse(address).is_some()
}

/// Returns whether [`dial_relay`](crate::dial_relay) can use this address: it has no path, because
/// the protocol between a relay and its clients has paths of its own.
#[must_use]
pub fn is_relay_address(address: &str) -> bool {
    Address::parse_relay(address).is_some()
}

/// `ws://host:port` or `wss://host:port`, with or without a path.
pub(crate) struct Address {
    /// Without the brackets of an IPv6 address.
    pub(crate) host: String,
    pub(crate) port: u16,
    /// Host and port as they are written.
    pub(crate) authority: String,
    /// The path of the WebSocket; `None` for that of a parent's own listener.
    pub(crate) path: Option<String>,
    /// The scheme is `wss`: something in front of the parent terminates TLS.
    pub(crate) has_outer_tls: bool,
}

impl Address {
    pub(crate) fn parse(address: &str) -> Option<Self> {
        // A URI drops its fragment.
        if address.contains(['?', '#']) {
            return None;
        }
        let uri: Uri = address.parse().ok()?;
        let (default_port, has_outer_tls) = match uri.scheme_str()? {
            "ws" => (80, false),
            "wss" => (443, true),
            _ => return None,
        };
        let host = uri.host()?.trim_start_matches('[').trim_end_matches(']').to_owned();
        let port = uri.port_u16().unwrap_or(default_port);
        let authority = uri.authority()?.to_string();
        let path = Some(uri.path()).filter(|path| !matches!(*path, "" | "/")).map(str::to_owned);
        (!host.is_empty()).then_some(Self { host, port, authority, path, has_outer_tls })
    }

    /// The address of a relay, which has no path.
    pub(crate) fn parse_relay(address: &str) -> Option<Self> {
        Self::parse(address).filter(|address| address.path.is_none())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scheme_gives_the_default_port_and_tells_of_outer_tls() {
        for (text, host, port, has_outer_tls) in [
            ("ws://parent", "parent", 80, false),
            ("ws://parent:4000/path", "parent", 4000, false),
            ("wss://parent.example", "parent.example", 443, true),
            ("wss://[2001:db8::1]:8443", "2001:db8::1", 8443, true),
        ] {
            let address = Address::parse(text).unwrap();
            assert_eq!((address.host.as_str(), address.port), (host, port), "{text}");
            assert_eq!(address.has_outer_tls, has_outer_tls, "{text}");
        }
    }

    #[test]
    fn the_address_of_a_relay_has_no_path() {
        for (text, is_usable) in [
            ("ws://relay:8443", true),
            ("wss://relay.example/", true),
            ("ws://relay:8443/v1/parent", false),
            ("wss://relay.example//", false),
            ("relay", false),
        ] {
            assert_eq!(is_relay_address(text), is_usable, "{text}");
        }
    }

    #[test]
    fn other_schemes_and_text_without_a_host_are_no_addresses() {
        for text in [
            "",
            "parent",
            "parent:80",
            "http://parent",
            "ws://",
            "ws:///path",
            "ws://parent/?query",
        ] {
            assert!(!is_address(text), "{text}");
        }
    }
}
