use super::*;

fn answer(code: u16, text: &str) -> ApiError {
    let body = serde_json::json!({ "error": text }).to_string();
    ApiError::of_answer(code, None, None, body.as_bytes())
}

#[test]
fn an_error_says_what_kind_it_is_and_what_to_do() {
    use BootFailureKind::{Capacity, Misconfigured, Quota, Throttled, Unavailable};
    let volume = "insufficient resources to create new machine with existing volume 'vol_x'";
    let memory = "aborted: could not reserve resource for machine: insufficient memory available \
                  to fulfill request";
    for (code, text, kind, advice) in [
        (412, volume, Capacity, ".region("),
        (409, memory, Capacity, ".region("),
        (422, "no capacity", Capacity, ".region("),
        (500, "insufficient resources", Capacity, ".region("),
        (403, "memory is over the allowed quota", Quota, "`max`"),
        (422, "To create more than 1 machine per app please add a payment method.", Quota, "`max`"),
        (429, "rate limit exceeded", Throttled, "one new machine per second"),
        (401, "unauthorized", Misconfigured, "fly tokens create deploy"),
        (403, "Not authorized to access this app", Misconfigured, "FLY_API_TOKEN"),
        (404, "app not found", Misconfigured, ".app("),
        (404, "", Misconfigured, ".app("),
        (400, "could not resolve image manifest unknown", Misconfigured, ".image("),
        (422, "invalid gpu_kind", Misconfigured, ".gpu_kind("),
        (422, "invalid region xyz", Misconfigured, ".region("),
        (422, "invalid guest config", Misconfigured, "`size`"),
        (422, "Name is too long", Misconfigured, "correct what the message names"),
        (409, "machine ID 3d8d lease currently held by a@b", Unavailable, "leases view"),
        (503, "upstream unavailable", Unavailable, "status.flyio.net"),
    ] {
        let failure = answer(code, text).into_boot_failure("creating the machine");
        assert_eq!(failure.kind, kind, "{failure}");
        assert!(failure.reason.contains(advice), "{failure}");
        assert!(failure.reason.contains(text), "{failure}");
        assert!(failure.reason.contains(&format!("HTTP {code}")), "{failure}");
    }
    let silent = ApiError::new(ErrorKind::NoAnswer(Duration::from_secs(15)), "");
    assert_eq!(silent.clone().into_boot_failure("x").kind, Unavailable);
    assert!(silent.to_string().contains("15s"), "{silent}");
    let away = ApiError::new(ErrorKind::Unreachable, "no route").into_boot_failure("x");
    assert!(away.reason.contains("no route") && away.reason.contains(".host("), "{away}");
}

#[test]
fn what_may_pass_is_tried_again_and_what_lasts_is_not() {
    let broken = ApiError::new(ErrorKind::Broken, "reset");
    let away = ApiError::new(ErrorKind::Unreachable, "refused");
    for error in [&broken, &away, &answer(500, "x"), &answer(429, "x"), &answer(408, "x")] {
        assert!(error.may_pass(), "{error}");
    }
    assert!(answer(409, "machine ID 1 lease currently held by x").may_pass());
    for (code, text) in [(412, "insufficient resources"), (401, "x"), (422, "x"), (403, "quota")] {
        assert!(!answer(code, text).may_pass(), "{code} {text}");
    }
    assert!(!answer(503, "insufficient resources").may_pass(), "whatever its status");
}

#[test]
fn only_an_error_after_which_a_machine_may_exist_is_ambiguous() {
    assert!(answer(502, "x").is_ambiguous());
    assert!(ApiError::new(ErrorKind::Broken, "x").is_ambiguous());
    assert!(ApiError::new(ErrorKind::Unreadable, "x").is_ambiguous());
    assert!(!ApiError::new(ErrorKind::Unreachable, "x").is_ambiguous());
    assert!(!answer(429, "x").is_ambiguous() && !answer(422, "x").is_ambiguous());
}

#[test]
fn the_machine_that_has_the_name_is_found_in_the_text() {
    let text = "already_exists: unique machine name violation, machine ID 148ed1 already exists \
                with name \"flame-f-07\"";
    for code in [409, 422] {
        assert!(answer(code, text).is_name_taken());
        assert_eq!(answer(code, text).machine_with_the_name(), Some("148ed1"));
    }
    let other = answer(409, "already_exists: unique machine name violation");
    assert!(other.is_name_taken());
    assert_eq!(other.machine_with_the_name(), None);
    assert!(!answer(409, "aborted: machine ID 1 is being updated").is_name_taken());
}

#[test]
fn any_body_makes_an_error_that_is_short_and_has_no_secret() {
    let html = format!("<html>{}", "x".repeat(100_000));
    let error = ApiError::of_answer(502, None, Some("01HX".to_owned()), html.as_bytes());
    assert!(error.to_string().len() < 700 && error.to_string().contains("request 01HX"), "{error}");
    let coded = br#"{"error":"no room","status":"insufficient_capacity"}"#;
    let coded = ApiError::of_answer(422, None, None, coded).into_boot_failure("x");
    assert_eq!(coded.kind, BootFailureKind::Capacity);
    let empty = ApiError::of_answer(500, None, None, b"");
    assert!(empty.to_string().contains("without a text"), "{empty}");
    let secret = answer(400, "env FLAME_PARENT=hunter2 is wrong").without("hunter2");
    assert!(!secret.to_string().contains("hunter2"), "{secret}");
}
