//! Serves the relay's page: the document, its data once, and its data as server-sent events.
//!
//! | path | answer |
//! |---|---|
//! | `/` | the page |
//! | `/view.json` | everything that the page shows, once |
//! | `/events` | the same as server-sent events: a `view` at most twice a second and only after a change, and `again` when the client shall connect again |
//!
//! All clients share one view, which is made at most twice a second, and only if a client asks for
//! it. It has a bounded number of rows. So the page costs a relay nothing while nobody looks at it,
//! and a bounded amount of work while somebody does, however many clients the relay has.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use flame_wire::entropy;
use flame_wire::sync::Mutex;
use futures_util::{Stream, stream};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Bytes, Frame};
use hyper::header::{
    CACHE_CONTROL, CONNECTION, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, HeaderValue,
    REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use hyper::{Response, StatusCode};
use serde::Serialize;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, Interval, MissedTickBehavior, interval};

use super::http;
use super::shared::Shared;
use crate::page::{MAX_ROWS, Reading, View, WallClock, document};

/// How often the view may change.
const REFRESH_EVERY: Duration = Duration::from_millis(500);
/// How many clients may get events at a time.
pub(super) const MAX_LISTENERS: usize = 8;
/// How long a client gets events before it has to connect again. So a client that does not read
/// keeps its place for a bounded time.
pub(super) const LISTENING_TIME: Duration = Duration::from_secs(10 * 60);
/// How often something is sent to a client. Proxies disconnect clients that are silent.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// The last event of a client.
const AGAIN: &str = "event: again\ndata: connect again\n\n";
/// A comment, which a client ignores.
const SILENCE: &str = ":\n\n";

pub(super) type Answer = Response<UnsyncBoxBody<Bytes, Infallible>>;

/// The page of a relay.
pub(super) struct Page {
    shared: Arc<Shared>,
    clock: WallClock,
    last: Mutex<Option<Arc<Shown>>>,
    listeners: Arc<Semaphore>,
}

/// A view that clients share.
struct Shown {
    taken: Instant,
    /// Changes when the view does.
    version: u64,
    view: View,
    json: Bytes,
}

/// A view with the time at which it was made.
#[derive(Serialize)]
struct Timed<'a> {
    now: u64,
    #[serde(flatten)]
    view: &'a View,
}

impl Page {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            clock: WallClock::start(Instant::now().into_std()),
            last: Mutex::new(None),
            listeners: Arc::new(Semaphore::new(MAX_LISTENERS)),
        }
    }

    #[cfg(test)]
    pub(super) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// The page itself.
    pub(super) fn document(&self) -> Answer {
        let Ok(nonce) = entropy::random_bytes() else {
            let why = "the operating system provides no random bytes for the page's nonce";
            return http::text(StatusCode::SERVICE_UNAVAILABLE, why).map(BodyExt::boxed_unsync);
        };
        let (document, policy) = document(nonce);
        let mut answer = whole("text/html; charset=utf-8", document.into());
        if let Ok(policy) = HeaderValue::from_str(&policy) {
            answer.headers_mut().insert(CONTENT_SECURITY_POLICY, policy);
        }
        let no_referrer = HeaderValue::from_static("no-referrer");
        answer.headers_mut().insert(REFERRER_POLICY, no_referrer);
        answer
    }

    /// Everything that the page shows, once.
    pub(super) fn view(&self) -> Answer {
        whole("application/json", self.shown().json.clone())
    }

    /// Everything that the page shows, and again after each change. The answer ends after
    /// [`LISTENING_TIME`]. `None` if too many clients get events already.
    pub(super) fn events(self: &Arc<Self>) -> Option<Answer> {
        let permit = self.listeners.clone().try_acquire_owned().ok()?;
        let events = Listener::new(self.clone(), permit).events();
        let body = StreamBody::new(events).boxed_unsync();
        Some(with_headers("text/event-stream", Response::new(body)))
    }

    /// The view now, or one that is a little older.
    fn shown(&self) -> Arc<Shown> {
        let mut last = self.last.lock();
        let now = Instant::now();
        if let Some(shown) = &*last
            && now.saturating_duration_since(shown.taken) < REFRESH_EVERY
        {
            return shown.clone();
        }
        let view = self.read();
        let version = match &*last {
            None => 0,
            Some(before) => before.version + u64::from(before.view != view),
        };
        let timed = Timed { now: self.clock.at(now.into_std()), view: &view };
        // Never fails: a view has numbers and texts only.
        let json = serde_json::to_vec(&timed).unwrap_or_default().into();
        let shown = Arc::new(Shown { taken: now, version, view, json });
        *last = Some(shown.clone());
        shown
    }

    fn read(&self) -> View {
        let shared = &self.shared;
        View::of(Reading {
            clock: self.clock,
            config: &shared.config,
            node: &shared.node,
            keys: shared.keys.read().count(),
            snapshot: shared.snapshot(MAX_ROWS),
            pairs: shared.pairs.latest(MAX_ROWS),
            handshakes: shared.handshakes.count(),
            totals: shared.metrics.totals(),
            drain_ends: shared.drain_ends().map(Instant::into_std),
        })
    }
}

/// One client that gets events.
struct Listener {
    page: Arc<Page>,
    timer: Interval,
    /// The version that the client has.
    sent: Option<u64>,
    spoke: Instant,
    ends: Instant,
    _permit: OwnedSemaphorePermit,
}

impl Listener {
    fn new(page: Arc<Page>, permit: OwnedSemaphorePermit) -> Self {
        let mut timer = interval(REFRESH_EVERY);
        timer.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let now = Instant::now();
        Self { page, timer, sent: None, spoke: now, ends: now + LISTENING_TIME, _permit: permit }
    }

    fn events(self) -> impl Stream<Item = Result<Frame<Bytes>, Infallible>> {
        stream::unfold(Some(self), async |listener| {
            let mut listener = listener?;
            let (event, goes_on) = listener.next().await;
            Some((Ok(Frame::data(event)), goes_on.then_some(listener)))
        })
    }

    /// The next event, and whether others follow.
    async fn next(&mut self) -> (Bytes, bool) {
        loop {
            self.timer.tick().await;
            let now = Instant::now();
            if now >= self.ends {
                return (Bytes::from_static(AGAIN.as_bytes()), false);
            }
            let shown = self.page.shown();
            if self.sent != Some(shown.version) {
                self.sent = Some(shown.version);
                self.spoke = now;
                let event = [b"event: view\ndata: ", &shown.json[..], b"\n\n"].concat();
                return (event.into(), true);
            }
            if now >= self.spoke + KEEP_ALIVE {
                self.spoke = now;
                return (Bytes::from_static(SILENCE.as_bytes()), true);
            }
        }
    }
}

fn whole(kind: &'static str, body: Bytes) -> Answer {
    with_headers(kind, Response::new(Full::new(body).boxed_unsync()))
}

fn with_headers(kind: &'static str, mut answer: Answer) -> Answer {
    let headers: [(HeaderName, &'static str); 4] = [
        (CONTENT_TYPE, kind),
        // Each document has a nonce of its own, and each view its time.
        (CACHE_CONTROL, "no-store"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (CONNECTION, "close"),
    ];
    for (name, value) in headers {
        answer.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    answer
}

#[cfg(test)]
pub(super) mod tests;
