//! The generic runner fetches its parent's executable from a bucket, and from the parent if the
//! bucket fails.

use flame_tests::emulator::{Bucket, EcsApp};
use flame_tests::program::{Program, code_store};
use flame_tests::tls_proxy::TlsProxy;
use flame_tests::{TempDir, Test, generic_runner, on_generic_runners, tests};
use flame_wire::code::CodeHasher;
use serde_json::json;

pub(crate) fn tests() -> Vec<Test> {
    on_generic_runners(tests![
        runners_of_two_pools_and_two_runs_download_what_was_uploaded_once,
        an_executable_is_downloaded_over_https_with_a_certificate_that_the_runner_trusts,
        without_the_bucket_runners_fetch_the_executable_from_their_parent,
        without_the_permission_runners_fetch_the_executable_from_their_parent,
        with_an_expired_url_runners_fetch_the_executable_from_their_parent,
        with_an_altered_object_runners_fetch_the_executable_from_their_parent,
        an_altered_object_with_its_own_sha256_is_uploaded_again,
        without_an_answer_from_the_store_the_boot_succeeds_in_time,
    ])
}

const PUT: &str = "put this executable into the code store";
const FOUND: &str = "the code store has this executable";
const DOWNLOADED: &str = "downloaded this executable from the code store";
const SENT: &str = "sent this executable to a runner of another build";
const NOT_USED: &str = "the code store can't be used";
const NOT_DOWNLOADED: &str = "a runner could not download this executable";

/// An app on ECS whose tasks run the generic runner, and a bucket.
struct GenericApp {
    app: EcsApp,
    bucket: Bucket,
}

impl GenericApp {
    async fn new() -> Self {
        let app = Self::without_bucket().await;
        let bucket = Bucket::create(app.app.account.clone()).await;
        Self { bucket, ..app }
    }

    async fn without_bucket() -> Self {
        let (app, generic) = (EcsApp::new().await, generic_runner().await);
        let program = generic.to_str().unwrap();
        app.define(code_store::FAMILY, |container| container.entry_point(program)).await;
        let bucket = Bucket::missing(app.account.clone()).await;
        Self { app, bucket }
    }

    /// Runs a parent with two pools, each of which calls once. Returns the parent's log.
    async fn run(&self, level: &str, variables: &[(&str, &str)]) -> String {
        let caches = TempDir::new();
        let all = self.bucket.variables();
        let mut all: Vec<_> = all.iter().map(|(name, value)| (*name, value.as_str())).collect();
        all.push((code_store::CACHES_ENV, caches.path().to_str().unwrap()));
        all.push(("DEMO_TRACE", level));
        all.extend_from_slice(variables);
        let (printed, logged) = Program::start("code_store_on_ecs", &all).finish().await;
        assert_eq!(printed, "42\n42\n", "{logged}");
        self.app.until_nothing_runs().await;
        logged
    }

    /// Both runners got the executable from their parent.
    fn assert_sent(logged: &str) {
        assert_eq!(count(logged, SENT), 2, "{logged}");
        assert_eq!(count(logged, DOWNLOADED), 0, "{logged}");
    }
}

fn count(logged: &str, part: &str) -> usize {
    logged.lines().filter(|line| line.contains(part)).count()
}

/// The line with this text, of which there is exactly one.
fn only<'a>(logged: &'a str, part: &str) -> &'a str {
    let mut lines = logged.lines().filter(|line| line.contains(part));
    match (lines.next(), lines.next()) {
        (Some(line), None) => line,
        _ => panic!("there is not exactly one line with {part:?}:\n{logged}"),
    }
}

async fn runners_of_two_pools_and_two_runs_download_what_was_uploaded_once() {
    let app = GenericApp::new().await;
    let first = app.run("trace", &[]).await;
    only(&first, PUT);
    let second = app.run("info", &[]).await;
    only(&second, FOUND);
    assert_eq!(count(&second, PUT), 0, "{second}");
    for logged in [&first, &second] {
        assert_eq!(count(logged, DOWNLOADED), 2, "{logged}");
        assert_eq!(count(logged, SENT), 0, "{logged}");
    }
    assert!(first.contains("S3.PutObject"), "the SDK has logged the request");
    assert!(!first.contains("X-Amz-Signature="), "a URL is in the log");
    let account = &app.bucket.account;
    assert_eq!(account.count("PutObject").await, 1);
    assert_eq!(account.count("GetObject").await, 4);
    assert_eq!(app.bucket.keys().await, [format!("{}/{}", Bucket::PREFIX, own_hash())]);
}

async fn an_executable_is_downloaded_over_https_with_a_certificate_that_the_runner_trusts() {
    let (app, folder) = (GenericApp::new().await, TempDir::new());
    let endpoint = &app.bucket.account.endpoint;
    let proxy = TlsProxy::start(endpoint.strip_prefix("http://").unwrap().parse().unwrap()).await;
    let certificate = folder.path().join("certificate.pem");
    std::fs::write(&certificate, proxy.certificate()).unwrap();
    let https = proxy.url().replace("wss://", "https://");
    let logged = app
        .run(
            "info",
            &[("AWS_ENDPOINT_URL_S3", &https), ("SSL_CERT_FILE", certificate.to_str().unwrap())],
        )
        .await;
    assert_eq!(count(&logged, DOWNLOADED), 2, "{logged}");
}

async fn without_the_bucket_runners_fetch_the_executable_from_their_parent() {
    let app = GenericApp::without_bucket().await;
    let logged = app.run("info", &[]).await;
    GenericApp::assert_sent(&logged);
    let warning = only(&logged, NOT_USED);
    for part in ["WARN", "s3:PutObject on the bucket `flame-code-", "NoSuchBucket", "create the"] {
        assert!(warning.contains(part), "{warning} does not contain {part}");
    }
}

async fn without_the_permission_runners_fetch_the_executable_from_their_parent() {
    let app = GenericApp::new().await;
    let denied = json!({
        "target": "PutObject", "count": 100, "status": 403, "type": "AccessDenied",
        "message": "not authorized to perform: s3:PutObject",
    });
    app.bucket.account.fault(denied).await;
    let logged = app.run("info", &[]).await;
    GenericApp::assert_sent(&logged);
    let warning = only(&logged, NOT_USED);
    for part in ["s3:PutObject on the bucket `flame-code-", "AccessDenied", "allow s3:PutObject"] {
        assert!(warning.contains(part), "{warning} does not contain {part}");
    }
    // One of the two pools asked, and the other one waited for it or was told at once.
    assert_eq!(app.bucket.account.count("PutObject").await, 1);
}

async fn with_an_expired_url_runners_fetch_the_executable_from_their_parent() {
    let app = GenericApp::new().await;
    let expired = json!({
        "target": "GetObject", "count": 100, "status": 403, "type": "AccessDenied",
        "message": "Request has expired",
    });
    app.bucket.account.fault(expired).await;
    let logged = app.run("trace", &[]).await;
    GenericApp::assert_sent(&logged);
    assert_eq!(count(&logged, NOT_DOWNLOADED), 2, "{logged}");
    let reason = "answered with HTTP status 403: AccessDenied, Request has expired";
    assert!(count(&logged, reason) >= 2, "{logged}");
    assert!(!logged.contains("X-Amz-Signature="), "a URL is in the log");
}

async fn with_an_altered_object_runners_fetch_the_executable_from_their_parent() {
    let app = GenericApp::new().await;
    let mut bytes = std::fs::read("/proc/self/exe").unwrap();
    bytes[1000] ^= 1;
    app.bucket.put(&own_hash(), bytes).await;
    let logged = app.run("info", &[]).await;
    GenericApp::assert_sent(&logged);
    // After a failed download the store is searched again.
    assert!(count(&logged, FOUND) >= 1 && count(&logged, PUT) == 0, "{logged}");
    let reason = "the bytes from the store are not the executable that was offered";
    assert!(count(&logged, NOT_DOWNLOADED) == 2 && count(&logged, reason) >= 2, "{logged}");
}

async fn an_altered_object_with_its_own_sha256_is_uploaded_again() {
    let app = GenericApp::new().await;
    let mut bytes = std::fs::read("/proc/self/exe").unwrap();
    bytes[1000] ^= 1;
    app.bucket.put_with_sha256(&own_hash(), bytes).await;
    let logged = app.run("info", &[]).await;
    only(&logged, PUT);
    assert_eq!(count(&logged, DOWNLOADED), 2, "{logged}");
}

async fn without_an_answer_from_the_store_the_boot_succeeds_in_time() {
    let app = GenericApp::new().await;
    // Accepts connections in its backlog, and never answers.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", silent.local_addr().unwrap());
    let logged = app.run("info", &[("AWS_ENDPOINT_URL_S3", &endpoint)]).await;
    GenericApp::assert_sent(&logged);
}

fn own_hash() -> String {
    let mut hasher = CodeHasher::default();
    hasher.update(&std::fs::read("/proc/self/exe").unwrap());
    hasher.finish().to_string()
}
