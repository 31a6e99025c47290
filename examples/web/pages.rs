//! The HTTP handlers. The pool adds only the `pool.call` or `pool.stream` around a function call.

use axum::Router;
use axum::extract::{Query, State};
use axum::http::{StatusCode, header};
use axum::response::sse::{Event, KeepAlive};
use axum::response::{Html, IntoResponse, Response, Sse};
use axum::routing::get;
use flame_aws::{CallError, Pool};
use futures_util::{Stream, StreamExt, stream};
use serde::Serialize;

use crate::db::Db;
use crate::fractal::{Row, View, picture, rows};

/// The state of every handler. Both fields are handles that are cheap to clone.
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

/// The page names the process that serves it, so that a reader can compare it with the processes
/// that draw.
async fn index() -> Html<String> {
    Html(include_str!("index.html").replace("{process}", &std::process::id().to_string()))
}

/// Shows the state of the pool, and why the pool grows or does not grow.
async fn status(State(site): State<Site>) -> String {
    let snapshot = site.pool.snapshot();
    format!(
        "runners up: {}, booting: {}; calls running: {}, queued: {}; database connections of this \
         process: {}\n{}\n",
        snapshot.up,
        snapshot.booting,
        snapshot.leased,
        snapshot.queued,
        site.db.connections(),
        site.pool.explain()
    )
}

/// The picture as one PNG. If the browser disconnects, this future is dropped, which cancels the
/// call. A call that is still waiting is then never made. `picture` is a plain function, which
/// can't be interrupted once it runs.
#[tracing::instrument(skip(site))]
async fn whole_picture(
    State(site): State<Site>,
    Query(view): Query<View>,
) -> Result<Response, PictureError> {
    let view = view.check().map_err(PictureError::BadView)?;
    // The outer result is the pool's, the inner one is the function's own.
    let picture = site.pool.call(picture(view)).await??;
    let headers =
        [(header::CONTENT_TYPE.as_str(), "image/png".to_owned()), ("x-made-by", picture.made_by)];
    Ok((headers, picture.png.into_bytes()).into_response())
}

/// The picture row by row, as server-sent events. If the browser disconnects, the stream is
/// dropped, and the runner stops drawing.
async fn row_by_row(
    State(site): State<Site>,
    Query(view): Query<View>,
) -> Result<Sse<impl Stream<Item = Result<Event, axum::Error>>>, PictureError> {
    let view = view.check().map_err(PictureError::BadView)?;
    let rows = site.pool.stream(rows(view));
    let rows = rows.map(|row| row.map_err(anyhow::Error::from).flatten());
    Ok(Sse::new(events(rows)).keep_alive(KeepAlive::default()))
}

/// One event `row` for each row, and then `done`, or `failed` with the reason. By this last event
/// the page can tell a complete stream from a broken connection.
fn events(
    rows: impl Stream<Item = anyhow::Result<Row>> + Send + 'static,
) -> impl Stream<Item = Result<Event, axum::Error>> {
    stream::unfold(Some(rows.boxed()), async |rows| {
        let mut rows = rows?;
        Some(match rows.next().await {
            Some(Ok(row)) => (event("row", &row), Some(rows)),
            Some(Err(error)) => (event("failed", &format!("{error:#}")), None),
            None => (event("done", &()), None),
        })
    })
}

/// An event whose data is JSON, and therefore never empty. Browsers ignore events without data.
fn event(name: &str, data: &impl Serialize) -> Result<Event, axum::Error> {
    Event::default().event(name).json_data(data)
}

/// Why a request got no picture. It becomes the status and the text of a response.
enum PictureError {
    BadView(String),
    Pool(CallError),
    Drawing(anyhow::Error),
}

impl From<CallError> for PictureError {
    fn from(error: CallError) -> Self {
        Self::Pool(error)
    }
}

impl From<anyhow::Error> for PictureError {
    fn from(error: anyhow::Error) -> Self {
        Self::Drawing(error)
    }
}

impl IntoResponse for PictureError {
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

#[cfg(test)]
mod tests {
    use super::*;

    /// The name and the data of each event that a browser would see, which excludes events without
    /// data.
    async fn seen_by_browser(rows: Vec<anyhow::Result<Row>>) -> Vec<(String, serde_json::Value)> {
        let body = Sse::new(events(stream::iter(rows))).into_response().into_body();
        let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
        let text = String::from_utf8(body.to_vec()).unwrap();
        let field = |event: &str, name: &str| {
            let mut fields = event.lines().filter_map(|line| line.split_once(": "));
            fields.find_map(|(field, value)| (field == name).then(|| value.to_owned()))
        };
        let events = text.split("\n\n").filter_map(|event| {
            let data = field(event, "data").filter(|data| !data.is_empty())?;
            Some((field(event, "event")?, serde_json::from_str(&data).unwrap()))
        });
        events.collect()
    }

    fn row(y: u32) -> anyhow::Result<Row> {
        Ok(Row { y, of: 2, process: 7, pixels: "00".to_owned() })
    }

    fn names(events: &[(String, serde_json::Value)]) -> Vec<&str> {
        events.iter().map(|(name, _)| name.as_str()).collect()
    }

    #[tokio::test]
    async fn a_browser_gets_each_row_and_then_done() {
        let events = seen_by_browser(vec![row(0), row(1)]).await;
        assert_eq!(names(&events), ["row", "row", "done"]);
        assert_eq!(events[1].1["y"], 1);
    }

    #[tokio::test]
    async fn a_failed_drawing_ends_with_its_reason_and_without_done() {
        for reason in ["", "on two\nlines", "with a\rreturn"] {
            let failed = Err(anyhow::anyhow!("{reason}"));
            let events = seen_by_browser(vec![row(0), failed, row(1)]).await;
            assert_eq!(names(&events), ["row", "failed"], "{reason:?}");
            assert_eq!(events[1].1, reason);
        }
    }
}
