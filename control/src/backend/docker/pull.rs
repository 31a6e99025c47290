//! The pull of an image: which reference to ask for, and its progress in the log.

use std::collections::HashMap;
use std::fmt;
use std::pin::pin;
use std::time::Duration;

use flame_runner_shim::log_writer;
use futures_util::StreamExt;
use tokio::time::{Instant, sleep_until, timeout};

use super::engine::Engine;
use super::failure::{EngineError, ErrorKind};

/// When the image is pulled, at the start of a pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum PullPolicy {
    /// If the engine does not have the image.
    #[default]
    Missing,
    /// Always, so that a tag that has moved is noticed.
    Always,
    /// Never: an image that is missing is an error.
    Never,
}

/// How long a pull may take. An image of 10 GB takes 15 min at 90 Mbit/s.
const LIMIT: Duration = Duration::from_secs(1800);
/// How often the log says how far a pull is.
const REPORT_EVERY: Duration = Duration::from_secs(5);

/// One message of a pull.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct PullStatus {
    /// The layer that it is about; empty if it is about the whole image.
    pub(super) layer: String,
    pub(super) text: String,
    /// How many bytes of the layer are there, and how many it has.
    pub(super) done: Option<u64>,
    pub(super) total: Option<u64>,
}

/// Pulls an image. The log of the pool says when the pull begins and ends, and how far it is.
pub(super) async fn pull(
    engine: &Engine,
    pool: &str,
    image: &str,
    credentials: Option<(String, String)>,
) -> Result<(), EngineError> {
    let (name, tag) = reference(image);
    log(pool, format!("pulling the image {image}"));
    let begun = Instant::now();
    let mut progress = PullProgress::default();
    let pulling = async {
        let mut messages = pin!(engine.pull(name.to_owned(), tag.to_owned(), credentials));
        let mut report = Instant::now() + REPORT_EVERY;
        loop {
            tokio::select! {
                message = messages.next() => match message {
                    Some(message) => progress.update(message?),
                    None => return Ok(()),
                },
                // A pull that does not advance is reported as well.
                () = sleep_until(report) => {
                    log(pool, format!("pulling the image {image}: {progress}"));
                    report = Instant::now() + REPORT_EVERY;
                }
            }
        }
    };
    match timeout(LIMIT, pulling).await {
        Ok(pulled) => pulled?,
        Err(_) => {
            let message = String::new();
            return Err(EngineError { kind: ErrorKind::NoAnswer(LIMIT), message });
        }
    }
    log(pool, format!("pulled the image {image} in {:.1} s", begun.elapsed().as_secs_f64()));
    Ok(())
}

fn log(pool: &str, line: String) {
    let pool = pool.to_owned();
    log_writer::event(move || tracing::info!(pool, "{line}"));
}

/// The name, and the tag or digest, of an image. Without a tag the engine would pull all tags.
fn reference(image: &str) -> (&str, &str) {
    if let Some(parts) = image.split_once('@') {
        return parts;
    }
    match image.rsplit_once(':') {
        // The colon in `host:5000/app` belongs to the registry.
        Some((name, tag)) if !tag.contains('/') => (name, tag),
        _ => (image, "latest"),
    }
}

/// How far a pull is.
#[derive(Debug, Default)]
struct PullProgress {
    layers: HashMap<String, PullStatus>,
}

impl PullProgress {
    fn update(&mut self, message: PullStatus) {
        // Messages about the whole image have no layer, or the tag in its place.
        if message.layer.is_empty() || message.text.starts_with("Pulling from") {
            return;
        }
        let layer = self.layers.entry(message.layer.clone()).or_default();
        // The sizes are named while a layer is downloaded, and again while it is unpacked.
        let (done, total) = (layer.done, layer.total);
        *layer =
            PullStatus { total: message.total.or(total), done: message.done.or(done), ..message };
    }
}

impl fmt::Display for PullProgress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // podman does not say when a layer is unpacked.
        let is_downloaded = |layer: &&PullStatus| {
            ["Download complete", "Extracting", "Pull complete", "Already exists"]
                .iter()
                .any(|text| layer.text.starts_with(text))
        };
        let (done, all) = (self.layers.values().filter(is_downloaded).count(), self.layers.len());
        write!(f, "{done} of {all} layers are downloaded")?;
        let megabytes = |bytes: u64| bytes / 1_000_000;
        let here: u64 = self.layers.values().filter_map(|layer| layer.done).sum();
        let total: u64 = self.layers.values().filter_map(|layer| layer.total).sum();
        if total > 0 {
            write!(f, ", {} of {} MB", megabytes(here), megabytes(total))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_is_split_at_its_tag_or_digest() {
        for (image, name, tag) in [
            ("app", "app", "latest"),
            ("app:1", "app", "1"),
            ("host:5000/team/app", "host:5000/team/app", "latest"),
            ("host:5000/team/app:1.2", "host:5000/team/app", "1.2"),
            ("app@sha256:00", "app", "sha256:00"),
        ] {
            assert_eq!(reference(image), (name, tag), "{image}");
        }
    }

    #[test]
    fn progress_counts_layers_and_bytes() {
        let mut progress = PullProgress::default();
        let mut say = |layer: &str, text: &str, bytes: Option<(u64, u64)>| {
            progress.update(PullStatus {
                layer: layer.to_owned(),
                text: text.to_owned(),
                done: bytes.map(|(done, _)| done),
                total: bytes.map(|(_, total)| total),
            });
            progress.to_string()
        };
        say("1", "Pulling from library/app", None);
        say("a", "Already exists", None);
        assert_eq!(say("b", "Pulling fs layer", None), "1 of 2 layers are downloaded");
        let half = say("b", "Downloading", Some((2_000_000, 4_000_000)));
        assert_eq!(half, "1 of 2 layers are downloaded, 2 of 4 MB");
        let podman = say("b", "Download complete", None);
        assert_eq!(podman, "2 of 2 layers are downloaded, 2 of 4 MB");
        say("b", "Extracting", Some((4_000_000, 4_000_000)));
        say("b", "Pull complete", None);
        let done = say("", "Status: Downloaded newer image for app:1", None);
        assert_eq!(done, "2 of 2 layers are downloaded, 4 of 4 MB");
    }
}
