//! The parts of a request that decide about it: the first line is its path, the second its key, the
//! others are `X-Forwarded-For`. The key that is found belongs to the request, and a client can't
//! choose the address that a load balancer appends.
#![no_main]

use std::net::{IpAddr, Ipv4Addr};

use flame_relay::request::{Route, bearer_key, forwarded_for};
use flame_wire::relay::{RUNNER_PATH, SOCKET_PATH};
use hyper::HeaderMap;
use hyper::header::{AUTHORIZATION, HeaderName, HeaderValue};
use libfuzzer_sys::fuzz_target;

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7));

fuzz_target!(|bytes: &[u8]| {
    let mut lines = bytes.split(|&byte| byte == b'\n');
    if let Some(path) = lines.next().and_then(|line| std::str::from_utf8(line).ok()) {
        check_route(path);
    }
    let mut headers = HeaderMap::new();
    let key = lines.next().unwrap_or_default();
    if let Ok(value) = HeaderValue::from_bytes(key) {
        headers.insert(AUTHORIZATION, value);
    }
    if let Some(found) = bearer_key(&headers) {
        assert!(key.ends_with(found) || key.trim_ascii_end().ends_with(found));
        assert_eq!(found, found.trim_ascii());
    }
    for line in lines {
        let Ok(value) = HeaderValue::from_bytes(line) else { continue };
        headers.append(FORWARDED_FOR, value);
        let _ = forwarded_for(&headers);
        // A load balancer appends to the last line, or adds a line.
        let mut appended = headers.clone();
        let both = [line, b", 192.0.2.7"].concat();
        let both = HeaderValue::from_bytes(&both).expect("the line is a valid value");
        if line.is_ascii() {
            appended.insert(FORWARDED_FOR, both);
            assert_eq!(forwarded_for(&appended), Some(CLIENT));
        }
        headers.append(FORWARDED_FOR, HeaderValue::from_static("192.0.2.7"));
        assert_eq!(forwarded_for(&headers), Some(CLIENT));
    }
});

fn check_route(path: &str) {
    match Route::of(path) {
        Some(Route::Runner(Ok(runner))) => assert_eq!(format!("{RUNNER_PATH}{runner}"), path),
        Some(Route::Runner(Err(_))) => assert!(path.starts_with(RUNNER_PATH)),
        Some(Route::Socket(Ok(ticket))) => {
            assert_eq!(format!("{SOCKET_PATH}{}", ticket.to_path()), path);
        }
        Some(Route::Socket(Err(_))) => assert!(path.starts_with(SOCKET_PATH)),
        Some(Route::Health | Route::Readiness | Route::Metrics | Route::Parent) | None => {}
    }
}
