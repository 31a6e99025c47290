//! The routes of a page.

use std::convert::Infallible;
use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, StatusCode};
use axum::response::sse::{Event, KeepAlive};
use axum::response::{IntoResponse, Response, Sse};
use axum::routing::{get, post};
use axum::{Json, Router};
use flame_wire::hex::Hex;
use flame_wire::ids::RunnerRef;
use futures_util::{Stream, stream};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Interval, MissedTickBehavior, interval};

use super::page_state::{MOST_OPEN_PAGES, PageState, PageView, REFRESH_EVERY};
use crate::pool::RunnerEnding;

const PAGE: &str = include_str!("page.html");
const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

pub(super) fn router(state: Arc<PageState>) -> Router {
    let mut router = Router::new()
        .route("/", get(page))
        .route("/view.json", get(whole_view))
        .route("/events", get(events));
    if state.token.is_some() {
        router = router.route("/runners/{runner}/{ending}", post(end_runner));
    }
    router.with_state(state)
}

/// The page. Only its own script and style are executed, because only they have the nonce.
async fn page(State(state): State<Arc<PageState>>) -> Response {
    let nonce = Hex(&rand::random::<[u8; 16]>()).to_string();
    let token = state.token.as_ref().map_or("", |token| token.text());
    let page = PAGE
        .replace("{{style}}", STYLE)
        .replace("{{script}}", SCRIPT)
        .replace("{{nonce}}", &nonce)
        .replace("{{token}}", token);
    let policy = format!(
        "default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; \
         connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; \
         frame-ancestors 'none'"
    );
    let headers = [
        (CONTENT_TYPE, "text/html; charset=utf-8".to_owned()),
        (CONTENT_SECURITY_POLICY, policy),
        (X_CONTENT_TYPE_OPTIONS, "nosniff".to_owned()),
        (REFERRER_POLICY, "no-referrer".to_owned()),
        // Each answer has a nonce of its own.
        (CACHE_CONTROL, "no-store".to_owned()),
    ];
    (headers, page).into_response()
}

async fn whole_view(State(state): State<Arc<PageState>>) -> Response {
    let view = state.view().whole(state.token.is_some());
    ([(CACHE_CONTROL, "no-store"), (X_CONTENT_TYPE_OPTIONS, "nosniff")], Json(view)).into_response()
}

async fn events(State(state): State<Arc<PageState>>) -> Response {
    let Ok(permit) = state.open_pages.clone().try_acquire_owned() else {
        let why = format!("{MOST_OPEN_PAGES} pages are open already: close one, and try again\n");
        return (StatusCode::SERVICE_UNAVAILABLE, why).into_response();
    };
    let mut timer = interval(REFRESH_EVERY);
    timer.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let page = OpenPage { state, timer, sent: None, _permit: permit };
    Sse::new(page.events()).keep_alive(KeepAlive::default()).into_response()
}

/// One page that gets events.
struct OpenPage {
    state: Arc<PageState>,
    timer: Interval,
    sent: Option<Arc<PageView>>,
    _permit: OwnedSemaphorePermit,
}

impl OpenPage {
    /// One `view`, then patches, and `end` when all pools have ended.
    fn events(self) -> impl Stream<Item = Result<Event, Infallible>> {
        stream::unfold(Some(self), async |page| {
            let mut page = page?;
            let (event, goes_on) = page.next().await;
            Some((Ok(event), goes_on.then_some(page)))
        })
    }

    /// The next event, and whether others follow.
    async fn next(&mut self) -> (Event, bool) {
        loop {
            self.timer.tick().await;
            let view = self.state.view();
            let (name, data) = match &self.sent {
                None => ("view", Some(view.whole(self.state.token.is_some()))),
                Some(sent) => ("patch", view.patch(sent)),
            };
            if let Some(data) = data {
                self.sent = Some(view);
                return (Event::default().event(name).data(data.to_string()), true);
            }
            if view.ended {
                return (Event::default().event("end").data("all pools have ended"), false);
            }
        }
    }
}

async fn end_runner(
    State(state): State<Arc<PageState>>,
    Path((runner, ending)): Path<(String, String)>,
    headers: HeaderMap,
) -> Response {
    let checked = state.token.as_ref().map(|token| token.check(&headers));
    if let Some(Err(refused)) = checked {
        return (StatusCode::FORBIDDEN, format!("{refused}\n")).into_response();
    }
    let ending = match ending.as_str() {
        "drain" => RunnerEnding::Drain,
        "stop" => RunnerEnding::Stop,
        _ => {
            return (StatusCode::NOT_FOUND, "the path must end in /drain or /stop\n")
                .into_response();
        }
    };
    let known = runner.parse::<RunnerRef>().is_ok_and(|runner| state.end_runner(runner, ending));
    if known {
        StatusCode::ACCEPTED.into_response()
    } else {
        (StatusCode::NOT_FOUND, "no pool of this page has this runner: the runner has ended\n")
            .into_response()
    }
}
