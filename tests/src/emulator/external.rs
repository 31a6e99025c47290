//! An AWS that the suite has not started.

use std::time::Duration;

use serde_json::Value;

/// The variable with the endpoint of this AWS. AWS's own tools read the same variable, so they and
/// the suite talk to the same AWS.
const ENV: &str = "AWS_ENDPOINT_URL";

/// How long the endpoint may take to answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// Returns the endpoint from AWS_ENDPOINT_URL, if the variable is set.
pub(super) fn endpoint() -> Option<String> {
    let endpoint = std::env::var(ENV).ok()?;
    let endpoint = endpoint.trim_end_matches('/');
    (!endpoint.is_empty()).then(|| endpoint.to_owned())
}

/// Returns whether the server at `endpoint` is the emulator of `localstack/`. Blocks.
pub(super) fn is_emulator(endpoint: &str) -> Result<bool, String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let asked = runtime.expect("a runtime").block_on(has_pages(endpoint));
    let emulated = asked.map_err(|why| {
        format!(
            "{ENV} is set to {endpoint}, where nothing answers ({why}): start an AWS emulator there, \
             or unset {ENV} to let the suite start its own"
        )
    })?;
    let what =
        if emulated { "the emulator" } else { "not the emulator, so some tests are ignored" };
    eprintln!("{ENV} is set: the suite uses {endpoint}, which is {what}");
    Ok(emulated)
}

/// Returns whether the server has a page that only the emulator has. Any other answer is from
/// another server.
async fn has_pages(endpoint: &str) -> Result<bool, String> {
    let client = reqwest::Client::builder().no_proxy().timeout(ANSWER_TIMEOUT).build();
    let asked = client.map_err(root)?.get(format!("{endpoint}/_running")).send().await;
    let page: Option<Value> = asked.map_err(root)?.json().await.ok();
    Ok(page.is_some_and(|page| page["containers"].is_array() && page["environments"].is_array()))
}

/// Returns an error's root cause: "connection refused" instead of "error sending request".
fn root(error: reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = &error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}
