use flame_wire::hello::{NoCodeSync, Rejection};
use flame_wire::ids::BuildId;
use flame_wire::parent::{Fingerprint, FlameParent, RunnerLimits};
use flame_wire::token::Token;
use proptest::prelude::*;

use super::event::InvocationPayload;
use super::*;

const RUNNER: RunnerRef = RunnerRef::from_bytes([0xab; 16]);

fn parent(host: HostKind) -> FlameParent {
    FlameParent {
        addresses: vec!["ws://10.0.0.7:4000".to_owned()],
        runner: RUNNER,
        token: Token::from_bytes([7; 32]),
        expires_unix_ms: None,
        fingerprint: Fingerprint([1; 32]),
        host,
        pool: "thumbs".to_owned(),
        depth: 1,
        limits: RunnerLimits::default(),
    }
}

fn read(event: &str) -> Result<FlameParent, EventError> {
    serde_json::from_str::<InvocationPayload>(event).expect("any JSON is an event").parent()
}

#[test]
fn an_event_has_this_json() {
    let event = serde_json::to_string(&Event::new("flame1.x")).unwrap();
    assert_eq!(event, r#"{"FLAME_PARENT":"flame1.x","v":1}"#);
}

#[test]
fn an_event_contains_its_flame_parent() {
    let parent = parent(HostKind::Lambda);
    let event = serde_json::to_string(&Event::new(&parent.encode().unwrap())).unwrap();
    assert_eq!(read(&event), Ok(parent));
}

#[test]
fn an_event_that_no_pool_sent_is_rejected_with_advice() {
    let others = [
        "null",
        "7",
        r#""flame1.x""#,
        "[]",
        "{}",
        r#"{"Records":[{"eventSource":"aws:s3"}]}"#,
        r#"{"FLAME_PARENT":7,"v":1}"#,
        r#"{"FLAME_PARENT":"flame1.x"}"#,
        r#"{"FLAME_PARENT":"flame1.x","v":-1}"#,
    ];
    for event in others {
        let error = read(event).unwrap_err();
        assert_eq!(error, EventError::NotOurs, "{event}");
        assert!(error.to_string().contains("remove triggers"), "{error}");
    }
    let error = read(r#"{"FLAME_PARENT":"flame1.x","v":2}"#).unwrap_err();
    assert!(error.to_string().contains("version 2"), "{error}");
    let error = read(r#"{"FLAME_PARENT":"nonsense","v":1}"#).unwrap_err();
    assert!(matches!(error, EventError::Parent(_)), "{error}");
    let error = Event::new(&parent(HostKind::Process).encode().unwrap()).parent().unwrap_err();
    assert!(error.to_string().contains("the Lambda backend"), "{error}");
}

#[test]
fn every_error_has_a_type_that_the_backend_recognizes() {
    let errors = [
        EventError::NotOurs,
        EventError::Version { found: 2 },
        EventError::Parent(flame_wire::parent::ParentError::Empty),
        EventError::Host(HostKind::Ecs),
    ];
    for error in errors {
        let text = error.to_string();
        let diagnostic = lambda_runtime::Diagnostic::from(error);
        assert!(diagnostic.error_type.starts_with("Flame."), "{diagnostic:?}");
        assert_eq!(diagnostic.error_message, text);
    }
}

#[test]
fn debug_shows_no_flame_parent() {
    let event = Event::new("flame1.secret");
    assert!(!format!("{event:?}").contains("secret"));
}

#[test]
fn responses_have_this_json() {
    let ended =
        InvocationResponse::Ended { reason: EndReason::Idle, code: 0, calls: 3, still_running: 0 };
    let left_running = InvocationResponse::Ended {
        reason: EndReason::Signal(15),
        code: 83,
        calls: 1,
        still_running: 2,
    };
    let used = InvocationResponse::Rejected { rejection: Rejection::UsedToken };
    let (parent, runner, sync) = (BuildId::new("p"), BuildId::new("r"), NoCodeSync::Disabled);
    let other =
        InvocationResponse::Rejected { rejection: Rejection::OtherBuild { parent, runner, sync } };
    for (answer, json) in [
        (ended, r#"{"flame":"ended","reason":"Idle","code":0,"calls":3}"#),
        (
            left_running,
            r#"{"flame":"ended","reason":{"Signal":15},"code":83,"calls":1,"still_running":2}"#,
        ),
        (used, r#"{"flame":"rejected","rejection":"UsedToken"}"#),
        (
            other,
            r#"{"flame":"rejected","rejection":{"OtherBuild":{"parent":"p","runner":"r","sync":"Disabled"}}}"#,
        ),
    ] {
        assert_eq!(serde_json::to_string(&answer).unwrap(), json);
        assert_eq!(serde_json::from_str::<InvocationResponse>(json).unwrap(), answer);
        assert!(!answer.to_string().is_empty());
    }
}

#[test]
fn an_environment_ends_only_if_a_function_is_still_running_in_it() {
    let ended = |still_running| InvocationResponse::Ended {
        reason: EndReason::Idle,
        code: 0,
        calls: 3,
        still_running,
    };
    assert!(!ended(0).leaves_functions_running());
    assert!(ended(1).leaves_functions_running() && ended(1).to_string().contains("environment"));
    assert!(
        !InvocationResponse::Rejected { rejection: Rejection::UsedToken }
            .leaves_functions_running()
    );
}

#[test]
fn a_host_states_the_name_that_its_backend_knows_and_the_time_until_its_deadline() {
    let host = LambdaHost::new(RUNNER, wall_clock() + Duration::from_secs(900));
    assert_eq!(host.kind(), HostKind::Lambda);
    assert_eq!(host.instance(), "lambda-f-abababababababababababababababab");
    assert!(host.is_reused());
    let left = host.expires_in().unwrap();
    assert!(left > Duration::from_secs(890) && left <= Duration::from_secs(900), "{left:?}");
}

#[test]
fn a_deadline_in_the_past_leaves_no_time() {
    let host = LambdaHost::new(RUNNER, SystemTime::UNIX_EPOCH);
    assert_eq!(host.expires_in(), Some(Duration::ZERO));
}

proptest! {
    #[test]
    fn any_json_is_read_as_an_event_without_panic(text in "\\PC{0,40}", v in any::<i64>()) {
        let event = serde_json::json!({ "FLAME_PARENT": text, "v": v });
        prop_assert!(read(&event.to_string()).is_err());
    }
}
