//! The events of a live page, over HTTP.

use std::time::Duration;

use anyhow::{Context, bail, ensure};
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use reqwest::header::CONTENT_TYPE;

use crate::sse::{SseEvent, SseReader};

/// How long the server may take to accept a connection and to begin its answer.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long the server may be silent. It sends an event or a comment at least every 15 s.
const SILENCE: Duration = Duration::from_secs(40);

/// A live page, from which the events come.
pub(crate) struct Source {
    http: reqwest::Client,
    page: String,
}

/// The events of one connection.
pub(crate) struct Events {
    bytes: BoxStream<'static, reqwest::Result<Vec<u8>>>,
    reader: SseReader,
}

impl Source {
    pub(crate) fn new(url: &str) -> anyhow::Result<Self> {
        ensure!(
            url.starts_with("http://"),
            "{url:?} is not an address of a live page: give one that begins with http://, such as \
             http://127.0.0.1:3000/pools. flame-top has no TLS; for a page behind HTTPS use a tunnel, \
             such as `ssh -L`"
        );
        let http = reqwest::Client::builder().connect_timeout(CONNECT_TIMEOUT).build();
        Ok(Self { http: http?, page: url.trim_end_matches('/').to_owned() })
    }

    /// The address of the page.
    pub(crate) fn page(&self) -> &str {
        &self.page
    }

    /// Connects, and returns the events.
    pub(crate) async fn connect(&self) -> anyhow::Result<Events> {
        let page = &self.page;
        let request = self.http.get(format!("{page}/events")).send();
        let answer = tokio::time::timeout(CONNECT_TIMEOUT, request).await;
        let answer = answer.with_context(|| format!("{page} has not answered in time"))?;
        let answer = answer.with_context(|| format!("can't connect to {page}"))?;
        let status = answer.status();
        let kind = answer.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
        let is_events = kind.is_some_and(|kind| kind.starts_with("text/event-stream"));
        if !status.is_success() || !is_events {
            bail!(
                "there is no live page at {page} (its path /events answered with {status} and {}): \
                 give the address at which the page opens in a browser",
                kind.unwrap_or("no type")
            );
        }
        let bytes = answer.bytes_stream().map(|bytes| bytes.map(|bytes| bytes.to_vec()));
        Ok(Events { bytes: bytes.boxed(), reader: SseReader::default() })
    }
}

impl Events {
    /// The next events. Cancel-safe.
    pub(crate) async fn next(&mut self) -> anyhow::Result<Vec<SseEvent>> {
        let next = tokio::time::timeout(SILENCE, self.bytes.next()).await;
        let next = next.context("the server has been silent for too long")?;
        let bytes = next.context("the server has closed the connection")?;
        Ok(self.reader.read(&bytes.context("the connection broke")?)?)
    }
}
