//! The URLs for one runner.

use std::sync::Arc;

use flame_link::UrlSource;
use flame_runner_shim::log_writer;
use flame_wire::code::PresignedUrl;
use flame_wire::ids::RunnerRef;
use tokio::time::{Instant, timeout_at};

use super::shared::SharedStore;

/// The URLs for one runner.
pub(in crate::code) struct StoreUrls {
    store: Arc<SharedStore>,
    runner: RunnerRef,
    until: Instant,
    was_asked: bool,
}

impl StoreUrls {
    pub(super) fn new(store: Arc<SharedStore>, runner: RunnerRef, until: Instant) -> Self {
        Self { store, runner, until, was_asked: false }
    }

    /// The runner got the executable from this process. Says what to do if it never asked for a
    /// URL, because it can't download from one.
    pub(in crate::code) fn advise_if_not_asked(&self) {
        if self.was_asked {
            return;
        }
        let runner = self.runner;
        log_writer::event(move || {
            tracing::info!(
                %runner,
                "the runner can't download from a code store: use `flame-runner`, or build the runner's \
                 app with the feature `code-s3` of flame-aws"
            );
        });
    }

    /// The runner has downloaded the executable.
    pub(in crate::code) fn downloaded(&self) {
        self.store.downloaded();
    }
}

impl UrlSource for StoreUrls {
    async fn url(&mut self) -> Option<PresignedUrl> {
        self.was_asked = true;
        let now = Instant::now();
        // The other half of the time is left for fetching the executable from this process.
        let half = self.until.saturating_duration_since(now) / 2;
        let url = timeout_at(now + half, self.store.url(self.until)).await;
        let runner = self.runner;
        url.unwrap_or_else(|_| {
            log_writer::event(move || {
                tracing::warn!(
                    %runner,
                    "the upload to the code store takes longer than half of the boot timeout: the \
                     runner fetches this executable from this process; raise `boot_timeout`"
                );
            });
            None
        })
    }

    fn failed(&mut self, why: &str) {
        self.store.download_failed();
        let (runner, reason) = (self.runner, why.to_owned());
        let location = self.store.location().to_string();
        log_writer::event(move || {
            tracing::warn!(
                %runner,
                location,
                reason,
                "a runner could not download this executable from the code store, and fetches it from \
                 this process"
            );
        });
    }
}

#[cfg(test)]
mod tests;
