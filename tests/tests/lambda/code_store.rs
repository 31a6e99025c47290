//! The generic runner fetches its parent's executable from a bucket, in the middle of an
//! invocation.

use flame_runner_shim::code_sync::FOLDER_ENV;
use flame_tests::emulator::{Bucket, Function};
use flame_tests::program::Program;
use flame_tests::{TempDir, Test, generic_runner, on_generic_runners, tests};

pub(crate) fn tests() -> Vec<Test> {
    on_generic_runners(tests![
        a_generic_runner_downloads_the_executable_within_the_invocation,
        a_warm_environment_asks_for_no_url,
    ])
}

/// A function whose bootstrap is the generic runner, and a bucket.
struct GenericFunction {
    function: Function,
    bucket: Bucket,
    _cache: TempDir,
}

impl GenericFunction {
    async fn new() -> Self {
        let (cache, generic) = (TempDir::new(), generic_runner().await);
        let folder = cache.path().join("cache");
        let variables = [("FLAME_RUNNER", "lambda"), (FOLDER_ENV, folder.to_str().unwrap())];
        let function = Function::of_program(&generic, &variables).await;
        let bucket = Bucket::create(function.account.clone()).await;
        Self { function, bucket, _cache: cache }
    }

    /// Runs a parent that calls once. Returns its log.
    async fn run(&self) -> String {
        let mut variables = self.function.variables();
        variables.extend(self.bucket.variables());
        let mut variables: Vec<_> =
            variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
        variables.push(("DEMO_TRACE", "info"));
        let (printed, logged) = Program::start("code_store_on_lambda", &variables).finish().await;
        assert_eq!(printed, "42\n", "{logged}");
        self.function.until_quiet().await;
        logged
    }
}

async fn a_generic_runner_downloads_the_executable_within_the_invocation() {
    let generic = GenericFunction::new().await;
    let logged = generic.run().await;
    assert!(logged.contains("downloaded this executable from the code store"), "{logged}");
    assert!(!logged.contains("sent this executable"), "{logged}");
    let account = &generic.bucket.account;
    assert_eq!((account.count("PutObject").await, account.count("GetObject").await), (1, 1));
    assert_eq!(account.count("Invoke").await, 1);
}

async fn a_warm_environment_asks_for_no_url() {
    let generic = GenericFunction::new().await;
    generic.run().await;
    let account = &generic.bucket.account;
    let before = ["HeadObject", "PutObject", "GetObject"];
    let mut counts = Vec::new();
    for operation in before {
        counts.push(account.count(operation).await);
    }
    assert_eq!(counts, [1, 1, 1]);
    generic.run().await;
    for operation in before {
        assert_eq!(account.count(operation).await, 1, "{operation}");
    }
}
