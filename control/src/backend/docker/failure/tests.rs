use super::*;

fn answer(status: u16, message: &str) -> EngineError {
    EngineError { kind: ErrorKind::Status(status), message: message.to_owned() }
}

fn kind(error: EngineError) -> BootFailureKind {
    error.into_boot_failure("creating the container").kind
}

#[test]
fn the_texts_of_docker_and_of_podman_have_the_same_meaning() {
    use BootFailureKind::*;
    let table = [
        (404, "No such image: app:1", Misconfigured, "build or pull it"),
        (
            404,
            "no such image: localhost/none:1: image not known",
            Misconfigured,
            "build or pull it",
        ),
        (500, "container 1 does not exist in database: no such container", Other, "removed"),
        (404, "network apps not found", Misconfigured, "correct what the message names"),
        (
            500,
            "container create: unable to find network with name or ID apps: network not found",
            Misconfigured,
            "docker network create",
        ),
        (
            400,
            "failed to create task: OCI runtime create failed: exec: \"/app\": executable file not \
             found in $PATH: unknown",
            Misconfigured,
            ".command(",
        ),
        (
            500,
            "runc: runc create failed: exec: \"/nope\": stat /nope: no such file or directory: OCI \
             runtime attempted to invoke a command that was not found",
            Misconfigured,
            ".command(",
        ),
        (400, "No command specified", Misconfigured, ".command("),
        (
            500,
            "container-init binary not found on the host: stat /usr/libexec/podman/catatonit",
            Misconfigured,
            ".init(false)",
        ),
        (
            500,
            "could not select device driver \"\" with capabilities: [[gpu]]",
            Misconfigured,
            "NVIDIA",
        ),
        (500, "write /var/lib/docker/x: no space left on device", Capacity, "prune"),
        (500, "fork/exec /usr/bin/runc: cannot allocate memory", Capacity, "out of memory"),
        (
            400,
            "Range of CPUs is from 0.01 to 2.00",
            Misconfigured,
            "correct what the message names",
        ),
        (400, "Client sent an HTTP request to an HTTPS server.", Misconfigured, "set `.tls(..)`"),
        (500, "something new", Unavailable, "engine's own log"),
    ];
    for (status, text, expected, advice) in table {
        let failure = answer(status, text).into_boot_failure("creating the container");
        assert_eq!(failure.kind, expected, "{text}");
        assert!(failure.reason.contains(advice) && failure.reason.contains(text), "{failure}");
    }
}

#[test]
fn a_refused_pull_says_who_refused_it() {
    let pull = |text: &str| {
        let error = EngineError { kind: ErrorKind::Reported, message: text.to_owned() };
        error.into_backend_error("pulling the image app:1").to_string()
    };
    for (text, advice) in [
        (
            "pull access denied for app, repository does not exist or may require 'docker login'",
            ".credentials(",
        ),
        ("unauthorized: authentication required", ".credentials("),
        ("manifest for app:1 not found: manifest unknown", "correct `.image(..)`"),
        ("toomanyrequests: You have reached your pull rate limit", "limits the rate of pulls"),
        ("dial tcp 127.0.0.1:1: connect: connection refused", "can't reach the image's registry"),
        (
            "lookup registry.invalid on 10.0.0.1:53: no such host",
            "can't reach the image's registry",
        ),
        ("writing blob: happened during read: unexpected EOF", "has lost the connection"),
        ("pinging container registry h:1: Get \"http://h:1/v2/\": EOF", "has lost the connection"),
        (
            "initializing source docker://h:1/app:1: pinging container registry h:1: Get \
             \"http://h:1/v2/\": http: server closed idle connection",
            "has lost the connection",
        ),
        ("reading blob sha256:00: Get \"http://h:1/v2/\": write: broken pipe", "has lost the"),
        (
            "Error response from daemon: Get \"https://h/v2/\": context deadline exceeded \
             (Client.Timeout exceeded while awaiting headers)",
            "can't reach the image's registry",
        ),
        ("initializing source docker://app:1: manifest unknown", "correct `.image(..)`"),
        ("failed to register layer: write /x: no space left on device", "disk"),
    ] {
        let error = pull(text);
        assert!(error.contains(advice) && error.contains(text), "{error}");
        assert!(error.starts_with("pulling the image app:1 failed: "), "{error}");
    }
}

#[test]
fn an_engine_that_is_gone_silent_or_closed_to_this_user_is_told_apart() {
    let error = |kind| EngineError { kind, message: "text of the system".to_owned() };
    let second = Duration::from_secs(1);
    for (kind_of_error, expected, ambiguous, may_pass) in [
        (ErrorKind::Unreachable, "start the engine", false, true),
        (ErrorKind::Denied, "the group `docker`", false, false),
        (ErrorKind::NoAnswer(second), "did not answer within 1s", true, true),
        (ErrorKind::Broken, "broke: text of the system", true, true),
        (ErrorKind::BrokenWithoutTls, "set `.tls(..)`", true, true),
        (ErrorKind::Client, "check the engine's address", false, false),
        (ErrorKind::Certificates, "must have `ca.pem`", false, false),
        (ErrorKind::Tls(TlsFault::Engine), "into `ca.pem`", false, false),
        (ErrorKind::Tls(TlsFault::Client), "does not accept `cert.pem`", false, false),
        (ErrorKind::Tls(TlsFault::Other), "speaks TLS at this address", false, false),
    ] {
        let error = error(kind_of_error);
        assert_eq!((error.is_ambiguous(), error.may_pass()), (ambiguous, may_pass), "{error}");
        let reason = error.into_boot_failure("starting the container").reason;
        assert!(reason.contains(expected), "{reason}");
    }
    assert_eq!(kind(error(ErrorKind::NoAnswer(second))), BootFailureKind::Unavailable);
    assert_eq!(kind(error(ErrorKind::Denied)), BootFailureKind::Misconfigured);
    assert!(!answer(500, "something new").may_pass());
}

#[test]
fn a_first_request_that_breaks_may_lack_tls_or_the_right_certificate() {
    let broken = EngineError { kind: ErrorKind::Broken, message: "reset".to_owned() };
    let kind = |transport| broken.clone().of_first_request(&transport).kind;
    assert_eq!(kind(Transport::Socket), ErrorKind::Broken);
    assert_eq!(kind(Transport::Tcp), ErrorKind::BrokenWithoutTls);
    assert_eq!(kind(Transport::Tls("/certs".into())), ErrorKind::Tls(TlsFault::Other));
    let denied = answer(403, "no").of_first_request(&Transport::Tcp);
    assert_eq!(denied, answer(403, "no"));
}

#[test]
fn a_name_in_use_and_a_removal_under_way_are_recognised() {
    let docker =
        "Conflict. The container name \"/flame-f-1\" is already in use by container \"a\".";
    let podman =
        "creating container storage: the container name \"flame-f-1\" is already in use by a";
    assert!(answer(409, docker).is_name_taken() && answer(500, podman).is_name_taken());
    assert!(!answer(404, "No such container: already in use").is_name_taken());
    let removal = "removal of container flame-f-1 is already in progress";
    assert!(answer(409, removal).is_being_removed());
    assert!(!answer(409, docker).is_being_removed());
}
