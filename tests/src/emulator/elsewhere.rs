//! AWS that somebody else has started.

use std::time::Duration;

use serde_json::Value;

/// The variable that says where it is. It is that of AWS's own tools, so what a suite asks there is
/// what they would.
const ENV: &str = "AWS_ENDPOINT_URL";

/// How long it may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// Where it is, if the variable is set.
pub(super) fn named() -> Option<String> {
    let endpoint = std::env::var(ENV).ok()?;
    let endpoint = endpoint.trim_end_matches('/');
    (!endpoint.is_empty()).then(|| endpoint.to_owned())
}

/// Whether what listens there is the emulator. Blocks.
pub(super) fn is_the_emulator(endpoint: &str) -> Result<bool, String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let asked = runtime.expect("a runtime").block_on(has_pages(endpoint));
    let emulated = asked.map_err(|why| {
        format!(
            "{ENV} is {endpoint}, and that gives no answer ({why}): start what should be there, \
             or unset {ENV}, and the emulator is started"
        )
    })?;
    let what = if emulated { "the emulator" } else { "not the emulator, nor has its pages" };
    eprintln!("{ENV} is set: AWS is what listens at {endpoint}, which is {what}");
    Ok(emulated)
}

/// Whether it has a page that only the emulator has. Whatever else it answers, it is there.
async fn has_pages(endpoint: &str) -> Result<bool, String> {
    let client = reqwest::Client::builder().no_proxy().timeout(PATIENCE).build();
    let asked = client.map_err(root)?.get(format!("{endpoint}/_running")).send().await;
    let page: Option<Value> = asked.map_err(root)?.json().await.ok();
    Ok(page.is_some_and(|page| page["containers"].is_array() && page["environments"].is_array()))
}

/// What an error comes from: "connection refused", and not "error sending request".
fn root(error: reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = &error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}
