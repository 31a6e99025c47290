//! A Lambda function whose code is the suite.

use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

use aws_sdk_lambda::primitives::Blob;
use aws_sdk_lambda::types::{Environment, FunctionCode, ImageConfig, PackageType, State};
use flame_aws::backend::{Lambda, LambdaBuilder};
use serde_json::{Value, json};

use super::{Account, IMAGE, REGION, reachable};
use crate::process::is_stopped;

/// A function in an account of its own.
#[derive(Debug, Clone)]
pub struct Function {
    /// The account.
    pub account: Account,
    /// A client of the account's Lambda.
    pub client: aws_sdk_lambda::Client,
}

impl Function {
    /// The function's name.
    pub const NAME: &'static str = "runners";

    /// Creates a function whose invocations are runners.
    pub async fn of_runners() -> Self {
        Self::with(Duration::from_secs(60), &[("FLAME_RUNNER", "lambda")]).await
    }

    /// Creates a function with this timeout and these variables. An invocation that is no runner
    /// lists the suite's tests and exits.
    pub async fn with(timeout: Duration, variables: &[(&str, &str)]) -> Self {
        let image = ImageConfig::builder().command("--list").build();
        Self::of_image(image, timeout, variables).await
    }

    /// Creates a function whose program is `bootstrap` and not the suite.
    pub async fn of_program(bootstrap: &Path, variables: &[(&str, &str)]) -> Self {
        let bootstrap = bootstrap.to_str().expect("the path is text");
        let image = ImageConfig::builder().entry_point(bootstrap).build();
        Self::of_image(image, Duration::from_secs(60), variables).await
    }

    /// Creates a function in this account whose invocations are runners of another image than the
    /// suite's.
    pub async fn of_app(account: Account, image: &str) -> Self {
        let runner = [("FLAME_RUNNER", "lambda")];
        Self::create(account, image, None, Duration::from_secs(60), &runner).await
    }

    async fn of_image(image: ImageConfig, timeout: Duration, variables: &[(&str, &str)]) -> Self {
        Self::create(Account::new().await, IMAGE, Some(image), timeout, variables).await
    }

    async fn create(
        account: Account,
        image: &str,
        config: Option<ImageConfig>,
        timeout: Duration,
        variables: &[(&str, &str)],
    ) -> Self {
        let client = aws_sdk_lambda::Client::new(&account.sdk().await);
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let variables: HashMap<String, String> = variables.iter().map(owned).collect();
        let made = client
            .create_function()
            .function_name(Self::NAME)
            .package_type(PackageType::Image)
            .code(FunctionCode::builder().image_uri(image).build())
            .set_image_config(config)
            .role(format!("arn:aws:iam::{}:role/runners", account.id))
            .timeout(i32::try_from(timeout.as_secs()).expect("a timeout that Lambda allows"))
            .memory_size(512)
            .environment(Environment::builder().set_variables(Some(variables)).build());
        made.send().await.expect("the function is created");
        let function = Self { account, client };
        function.until_active().await;
        function
    }

    async fn until_active(&self) {
        let active = async {
            loop {
                let asked = self.client.get_function_configuration().function_name(Self::NAME);
                let found = asked.send().await.expect("the function exists");
                if found.state() == Some(&State::Active) {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), active).await.expect("it becomes active");
    }

    /// Returns a backend for the function.
    pub async fn backend(&self) -> LambdaBuilder {
        Lambda::builder().function(Self::NAME).sdk_config(self.account.sdk().await)
    }

    /// Returns a small pool whose runners are invocations of the function.
    pub async fn pool(&self) -> flame_aws::PoolBuilder {
        self.pool_of(self.backend().await)
    }

    /// Returns a small pool on that backend.
    pub fn pool_of(&self, backend: LambdaBuilder) -> flame_aws::PoolBuilder {
        let pool = flame_aws::Pool::builder("test").max(2).max_concurrency(4);
        reachable(pool.backend(backend.build()))
    }

    /// Returns the variables with which a parent in another process finds the function.
    #[must_use]
    pub fn variables(&self) -> Vec<(&'static str, String)> {
        let mut variables = self.account.variables().to_vec();
        variables.push(("FLAME_AWS", format!(r#"{{"lambda": {{"function": "{}"}}}}"#, Self::NAME)));
        variables
    }

    /// Waits until no invocation is under way, so that each environment is frozen or gone. Returns
    /// the process ids of the frozen ones.
    pub async fn until_quiet(&self) -> Vec<u32> {
        let quiet = async {
            loop {
                let environments = self.account.running().await;
                if environments.iter().all(|pid| is_stopped(*pid)) {
                    return environments;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        let waited = tokio::time::timeout(Duration::from_secs(30), quiet).await;
        waited.expect("every invocation ends")
    }

    /// Returns the function's log from CloudWatch Logs: what its finished invocations have printed.
    pub async fn log(&self) -> String {
        // The emulator reads only the account from the signature.
        let whose = format!("Credential={}/20260101/{REGION}/logs/aws4_request", self.account.id);
        let group = format!("/aws/lambda/{}", Self::NAME);
        let asked = self.account.http.post(&self.account.endpoint);
        let asked = asked
            .header(
                "authorization",
                format!("AWS4-HMAC-SHA256 {whose}, SignedHeaders=, Signature="),
            )
            .header("x-amz-target", "Logs_20140328.FilterLogEvents")
            .json(&json!({ "logGroupName": group }));
        let answer = asked.send().await.expect("the emulator answers");
        let found: Value = answer.json().await.expect("the emulator answers with JSON");
        // The log group does not exist before the first invocation has finished.
        let lines = found["events"].as_array().into_iter().flatten();
        let lines: Vec<_> = lines.filter_map(|line| line["message"].as_str()).collect();
        lines.join("\n")
    }

    /// Waits until `count` lines of the log contain `what`.
    pub async fn until_logged(&self, count: usize, what: &str, within: Duration) {
        let logged = async {
            while self.log().await.lines().filter(|line| line.contains(what)).count() < count {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        if tokio::time::timeout(within, logged).await.is_err() {
            panic!(
                "fewer than {count} lines with {what:?} after {within:?}:\n{}",
                self.log().await
            );
        }
    }

    /// Invokes the function with an event of another caller. Returns whether it failed, and its
    /// answer.
    pub async fn invoke(&self, event: &str) -> (bool, String) {
        let asked = self.client.invoke().function_name(Self::NAME).payload(Blob::new(event));
        let answer = asked.send().await.expect("the function is invoked");
        let payload = answer.payload().map(|payload| payload.as_ref().to_vec()).unwrap_or_default();
        let payload = String::from_utf8(payload).expect("the answer is text");
        (answer.function_error().is_some(), payload)
    }
}
