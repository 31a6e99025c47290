use hyper::header::{HeaderName, HeaderValue};
use proptest::prelude::*;

use super::*;

fn headers(lines: &[(&'static str, &str)]) -> HeaderMap {
    let line = |&(name, value): &(&'static str, &str)| {
        (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap())
    };
    lines.iter().map(line).collect()
}

#[test]
fn a_runner_ref_or_ticket_is_the_whole_rest_of_the_path() {
    let id = "00112233445566778899aabbccddeeff";
    let runner = format!("f-{id}").parse().unwrap();
    assert_eq!(Route::of(&format!("/v1/runner/f-{id}")), Some(Route::Runner(Ok(runner))));
    let ticket = id.parse().unwrap();
    assert_eq!(Route::of(&format!("/v1/socket/{id}")), Some(Route::Socket(Ok(ticket))));
    for invalid in [
        String::new(),
        id.to_owned(),
        format!("f-{id}/"),
        format!("f-{id}0"),
        format!("f-{}", id.to_uppercase()),
        format!("f-{id}/../../parent"),
        format!("%66-{id}"),
    ] {
        let route = Route::of(&format!("/v1/runner/{invalid}"));
        assert_eq!(route, Some(Route::Runner(Err(InvalidRunnerRef))), "{invalid}");
    }
}

#[test]
fn similar_paths_are_not_served() {
    for path in
        ["", "/", "*", "/v1/parent/", "//v1/parent", "/V1/parent", "/v1/runner", "/healthz/"]
    {
        assert_eq!(Route::of(path), None, "{path}");
    }
}

#[test]
fn a_key_needs_the_scheme_bearer_in_any_case() {
    for header in ["Bearer secret", "bearer secret", "BEARER   secret  "] {
        let headers = headers(&[("authorization", header)]);
        assert_eq!(bearer_key(&headers), Some(b"secret".as_slice()), "{header}");
    }
    for header in ["", "Bearer", "Basic secret", "Bearersecret", "secret"] {
        assert_eq!(bearer_key(&headers(&[("authorization", header)])), None, "{header}");
    }
    assert_eq!(bearer_key(&HeaderMap::new()), None);
}

#[test]
fn the_last_address_is_the_one_that_the_load_balancer_has_appended() {
    let address = |lines: &[(&'static str, &str)]| forwarded_for(&headers(lines));
    let name = "x-forwarded-for";
    let client = Some("192.0.2.7".parse().unwrap());
    assert_eq!(address(&[(name, "192.0.2.7")]), client);
    assert_eq!(address(&[(name, "127.0.0.1, 10.0.0.1,192.0.2.7 ")]), client);
    assert_eq!(address(&[(name, "127.0.0.1"), (name, "192.0.2.7")]), client);
    assert_eq!(address(&[(name, "2001:db8::7")]), Some("2001:db8::7".parse().unwrap()));
    for invalid in ["", "192.0.2.7,", "192.0.2.7, unknown", "localhost"] {
        assert_eq!(address(&[(name, invalid)]), None, "{invalid}");
    }
    assert_eq!(address(&[]), None);
}

proptest! {
    #[test]
    fn any_header_is_accepted(value in prop::collection::vec(any::<u8>(), 0..64)) {
        let Ok(value) = HeaderValue::from_bytes(&value) else { return Ok(()) };
        let headers = HeaderMap::from_iter([
            (AUTHORIZATION, value.clone()),
            (HeaderName::from_static(FORWARDED_FOR), value),
        ]);
        let _ = (bearer_key(&headers), forwarded_for(&headers));
    }
}
