//! The handlers. Each is the same as it would be without a pool, but for `pool.` in front of a call.

use std::convert::Infallible;

use axum::Router;
use axum::extract::{Query, State};
use axum::http::{StatusCode, header};
use axum::response::sse::{Event, KeepAlive};
use axum::response::{Html, IntoResponse, Response, Sse};
use axum::routing::get;
use flame_aws::{CallError, Pool};
use futures_util::{Stream, StreamExt, stream};

use crate::db::Db;
use crate::fractal::{Row, View, picture, rows};

/// What every handler has: both are handles, cheap to clone.
#[derive(Clone)]
pub(crate) struct Site {
    pub(crate) pool: Pool,
    pub(crate) db: Db,
}

pub(crate) fn router(site: Site) -> Router {
    Router::new()
        .route("/", get(index))
        .route("/status", get(status))
        .route("/picture", get(whole_picture))
        .route("/rows", get(row_by_row))
        .with_state(site)
}

async fn index() -> Html<&'static str> {
    Html(include_str!("index.html"))
}

/// What the pool is doing, and whether it grows.
async fn status(State(site): State<Site>) -> String {
    let snapshot = site.pool.snapshot();
    format!(
        "this process has {} database connections; {} runners up, {} booting, {} calls queued\n{}\n",
        site.db.connections(),
        snapshot.up,
        snapshot.booting,
        snapshot.queued,
        site.pool.explain()
    )
}

/// The picture as one PNG. A browser that goes away drops this future, and with it the work.
async fn whole_picture(
    State(site): State<Site>,
    Query(view): Query<View>,
) -> Result<Response, Refusal> {
    let view = view.check().map_err(Refusal::BadView)?;
    // Two results in one: the pool's (was there an answer?) and the function's own.
    let picture = site.pool.call(picture(view)).await??;
    let headers =
        [(header::CONTENT_TYPE.as_str(), "image/png".to_owned()), ("x-made-by", picture.made_by)];
    Ok((headers, picture.png.into_bytes()).into_response())
}

/// The picture row by row, as server-sent events: `row` for each, `failed` if it breaks off, and
/// `done` at the end.
async fn row_by_row(
    State(site): State<Site>,
    Query(view): Query<View>,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, Refusal> {
    let view = view.check().map_err(Refusal::BadView)?;
    let events = site.pool.stream(rows(view)).map(|row| {
        row.map_err(anyhow::Error::from)
            .flatten()
            .and_then(|row: Row| Ok(Event::default().event("row").json_data(&row)?))
            .unwrap_or_else(|error| Event::default().event("failed").data(format!("{error:#}")))
    });
    let done = stream::iter([Event::default().event("done").data("")]);
    Ok(Sse::new(events.chain(done).map(Ok)).keep_alive(KeepAlive::default()))
}

/// Why a request got no picture, as the status and text of a response.
enum Refusal {
    BadView(String),
    Pool(CallError),
    Drawing(anyhow::Error),
}

impl From<CallError> for Refusal {
    fn from(error: CallError) -> Self {
        Self::Pool(error)
    }
}

impl From<anyhow::Error> for Refusal {
    fn from(error: anyhow::Error) -> Self {
        Self::Drawing(error)
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let (status, text) = match self {
            Self::BadView(reason) => (StatusCode::BAD_REQUEST, reason),
            Self::Pool(error) => {
                let status = match &error {
                    CallError::Timeout { .. } => StatusCode::GATEWAY_TIMEOUT,
                    CallError::QueueFull { .. } | CallError::Draining => {
                        StatusCode::SERVICE_UNAVAILABLE
                    }
                    _ => StatusCode::BAD_GATEWAY,
                };
                (status, error.to_string())
            }
            Self::Drawing(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error:#}")),
        };
        (status, format!("{text}\n")).into_response()
    }
}
