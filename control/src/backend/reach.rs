//! Recognises URLs to which only this machine, or nobody, can connect.

/// The `host:port` in `scheme://host:port/path`.
fn authority(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.split(['/', '?', '#']).next().unwrap_or_default()
}

/// Whether the host of a URL is a loopback address, which only this machine can reach.
pub(crate) fn is_loopback(url: &str) -> bool {
    let authority = authority(url);
    let host = match authority.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, _)) => host,
        None => authority.rsplit_once(':').map_or(authority, |(host, _)| host),
    };
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// Whether the host of a URL stands for every address of this machine, so that nobody can connect
/// to it.
pub(crate) fn is_unspecified(url: &str) -> bool {
    let authority = authority(url);
    authority.starts_with("0.0.0.0") || authority.starts_with("[::]")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_addresses_are_recognised_in_every_form() {
        for url in ["ws://127.0.0.1:4100", "http://localhost:4566/x", "ws://[::1]:80", "127.0.0.9"]
        {
            assert!(is_loopback(url), "{url}");
        }
        for url in
            ["https://ecs.eu-central-1.amazonaws.com", "ws://10.0.0.7:80", "ws://[fd00::1]:1"]
        {
            assert!(!is_loopback(url), "{url}");
        }
    }

    #[test]
    fn unspecified_addresses_are_recognised() {
        assert!(is_unspecified("ws://0.0.0.0:4100") && is_unspecified("ws://[::]:4100"));
        assert!(!is_unspecified("ws://10.0.0.7:4100") && !is_unspecified("ws://127.0.0.1:1"));
    }
}
