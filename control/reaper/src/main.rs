//! A Lambda function that stops the orphaned runners of a cluster, out of the process of any parent.
//!
//! ```text
//! EventBridge ── schedule ──▶ main ─▶ handler ─▶ flame_aws: EcsReaper ── ListTasks, DescribeTasks
//!                              │         │                            ── StopTask
//!                              settings  └─▶ response: counts, or an error
//! ```
//!
//! `flame_aws` decides which tasks are orphans, by the same rules as a pool's own search.

use std::process::ExitCode;
use std::sync::Arc;

use lambda_runtime::{LambdaEvent, service_fn};
use serde_json::Value;

mod handler;
mod settings;

use handler::Handler;
use settings::Settings;

/// The exit code for bad settings, as in the other programs of flame-aws.
const BAD_SETTINGS: u8 = 2;

fn main() -> ExitCode {
    let settings = match Settings::read(|name| std::env::var(name).ok()) {
        Ok(settings) => settings,
        Err(bad) => {
            eprintln!("{bad}");
            return ExitCode::from(BAD_SETTINGS);
        }
    };
    tracing_subscriber::fmt().json().flatten_event(true).with_current_span(false).init();
    match run(settings) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(error, "the function ends");
            ExitCode::FAILURE
        }
    }
}

fn run(settings: Settings) -> Result<(), lambda_runtime::Error> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let handler = Arc::new(Handler::new(&settings));
    runtime.block_on(lambda_runtime::run(service_fn(move |event: LambdaEvent<Value>| {
        let handler = handler.clone();
        // The event is only the signal to begin: a schedule sends the same one each time.
        async move { handler.handle(event.context.deadline()).await }
    })))
}
