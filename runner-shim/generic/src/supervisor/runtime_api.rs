//! The Lambda Runtime API (2018-06-01): a server for the child, and a client of Lambda's own.
//!
//! Headers and bodies pass as they are. So the program that the child becomes finds the request id,
//! the deadline and the trace of the invocation that it continues.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::header::{CONNECTION, CONTENT_LENGTH, HOST, HeaderMap, TRANSFER_ENCODING};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

const NEXT: &str = "/2018-06-01/runtime/invocation/next";
const INIT_ERROR: &str = "/2018-06-01/runtime/init/error";
const INVOCATION: &str = "/2018-06-01/runtime/invocation/";
const REQUEST_ID: &str = "lambda-runtime-aws-request-id";
const ERROR_TYPE: &str = "lambda-runtime-function-error-type";
/// The longest body, in bytes. Lambda's own limits are lower: 6 MB for an event or a response.
const MAX_BODY: usize = 32 * 1024 * 1024;

/// How long the Runtime API may take to accept an answer or an error. It is on this machine.
const POST_TIMEOUT: Duration = Duration::from_secs(5);

/// A message with its whole body, in either direction.
#[derive(Debug, Clone)]
pub(crate) struct HttpMessage {
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// The sender of the child's HTTP response. Its receiver is dropped if the child is gone, or asks
/// again.
pub(crate) type Reply = oneshot::Sender<Response<Full<Bytes>>>;

/// A child's answer to an event, or its report of a failed initialisation.
#[derive(Debug)]
pub(crate) struct Answer {
    /// The rest of the path: `response` or `error`.
    pub(crate) kind: AnswerKind,
    pub(crate) message: HttpMessage,
    pub(crate) reply: Reply,
}

/// The kind of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AnswerKind {
    Response,
    Error,
}

/// A request of the child.
#[derive(Debug)]
pub(crate) enum ChildRequest {
    Next(Reply),
    Answer { request_id: String, answer: Answer },
    InitError(Answer),
}

/// Serves the child's connections until the future is dropped.
pub(crate) async fn serve(listener: TcpListener, requests: mpsc::UnboundedSender<ChildRequest>) {
    loop {
        let Ok((socket, _)) = listener.accept().await else {
            // Out of descriptors, for example: other connections may close.
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
            continue;
        };
        let requests = requests.clone();
        tokio::spawn(async move {
            let service = service_fn(|request| {
                let requests = requests.clone();
                async move { Ok::<_, Infallible>(respond(request, &requests).await) }
            });
            let server = hyper::server::conn::http1::Builder::new();
            // A connection that breaks belongs to a child that has ended or become another program.
            let _ = server.serve_connection(TokioIo::new(socket), service).await;
        });
    }
}

async fn respond(
    request: Request<Incoming>,
    requests: &mpsc::UnboundedSender<ChildRequest>,
) -> Response<Full<Bytes>> {
    let (parts, body) = request.into_parts();
    let Ok(body) = Limited::new(body, MAX_BODY).collect().await else {
        return error_response(StatusCode::PAYLOAD_TOO_LARGE, "RequestEntityTooLarge");
    };
    let message = HttpMessage { headers: parts.headers, body: body.to_bytes() };
    let (reply, response) = oneshot::channel();
    let Some(request) = ChildRequest::of(&parts.method, parts.uri.path(), message, reply) else {
        return error_response(StatusCode::NOT_FOUND, "UnknownPath");
    };
    let _ = requests.send(request);
    response.await.unwrap_or_else(|_| error_response(StatusCode::GONE, "Superseded"))
}

impl ChildRequest {
    fn of(method: &Method, path: &str, message: HttpMessage, reply: Reply) -> Option<Self> {
        if method == Method::GET {
            return (path == NEXT).then_some(Self::Next(reply));
        }
        if method != Method::POST {
            return None;
        }
        if path == INIT_ERROR {
            return Some(Self::InitError(Answer { kind: AnswerKind::Error, message, reply }));
        }
        let (request_id, kind) = path.strip_prefix(INVOCATION)?.split_once('/')?;
        let kind = match kind {
            "response" => AnswerKind::Response,
            "error" => AnswerKind::Error,
            _ => return None,
        };
        let request_id = request_id.to_owned();
        Some(Self::Answer { request_id, answer: Answer { kind, message, reply } })
    }
}

/// An error as the Runtime API reports it.
pub(crate) fn error_response(status: StatusCode, kind: &str) -> Response<Full<Bytes>> {
    let body = serde_json::json!({ "errorType": kind, "errorMessage": kind }).to_string();
    response(status, HeaderMap::new(), body.into())
}

/// The response to the child's request for an event.
pub(crate) fn event_response(event: HttpMessage) -> Response<Full<Bytes>> {
    response(StatusCode::OK, event.headers, event.body)
}

fn response(status: StatusCode, headers: HeaderMap, body: Bytes) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}

/// Why Lambda's Runtime API can't be used.
#[derive(Debug, thiserror::Error)]
#[error("Lambda's runtime API failed: {0}")]
pub(crate) struct RuntimeApiError(String);

/// Lambda's own Runtime API. Each request has a connection of its own, which is local.
#[derive(Debug, Clone)]
pub(crate) struct RuntimeApi {
    /// AWS_LAMBDA_RUNTIME_API: `host:port`.
    pub(crate) address: String,
}

impl RuntimeApi {
    /// Waits for the next event. Returns its request id as well.
    pub(crate) async fn next(&self) -> Result<(String, HttpMessage), RuntimeApiError> {
        let none = HttpMessage { headers: HeaderMap::new(), body: Bytes::new() };
        let (status, event) = self.request(Method::GET, NEXT, none).await?;
        let request_id = event.headers.get(REQUEST_ID).and_then(|id| id.to_str().ok());
        match request_id.map(str::to_owned) {
            Some(request_id) if status.is_success() => Ok((request_id, event)),
            _ => Err(RuntimeApiError(format!(
                "its next event has status {status} and no request id"
            ))),
        }
    }

    /// Answers an event.
    pub(crate) async fn answer(
        &self,
        request_id: &str,
        kind: AnswerKind,
        message: HttpMessage,
    ) -> Result<Response<Full<Bytes>>, RuntimeApiError> {
        let kind = match kind {
            AnswerKind::Response => "response",
            AnswerKind::Error => "error",
        };
        self.post(&format!("{INVOCATION}{request_id}/{kind}"), message).await
    }

    /// Reports that the initialisation has failed.
    pub(crate) async fn init_error(
        &self,
        message: HttpMessage,
    ) -> Result<Response<Full<Bytes>>, RuntimeApiError> {
        self.post(INIT_ERROR, message).await
    }

    async fn post(
        &self,
        path: &str,
        message: HttpMessage,
    ) -> Result<Response<Full<Bytes>>, RuntimeApiError> {
        let (status, answer) = timeout(POST_TIMEOUT, self.request(Method::POST, path, message))
            .await
            .map_err(|_| {
                let limit = POST_TIMEOUT.as_secs();
                RuntimeApiError(format!("it did not answer POST {path} within {limit} s"))
            })??;
        Ok(response(status, answer.headers, answer.body))
    }

    async fn request(
        &self,
        method: Method,
        path: &str,
        message: HttpMessage,
    ) -> Result<(StatusCode, HttpMessage), RuntimeApiError> {
        let failed = |error: &dyn std::fmt::Display| RuntimeApiError(error.to_string());
        let mut request = Request::new(Full::new(message.body));
        *request.method_mut() = method;
        *request.uri_mut() = path.parse().map_err(|error| failed(&error))?;
        *request.headers_mut() = end_to_end(message.headers);
        let host = self.address.parse().map_err(|error| failed(&error))?;
        request.headers_mut().insert(HOST, host);
        let socket = TcpStream::connect(&self.address).await.map_err(|error| failed(&error))?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(socket))
            .await
            .map_err(|error| failed(&error))?;
        let connection = tokio::spawn(connection);
        let (parts, body) =
            sender.send_request(request).await.map_err(|error| failed(&error))?.into_parts();
        let body = Limited::new(body, MAX_BODY).collect().await.map_err(|error| failed(&error))?;
        connection.abort();
        let headers = end_to_end(parts.headers);
        Ok((parts.status, HttpMessage { headers, body: body.to_bytes() }))
    }
}

/// The headers that are not about one connection.
fn end_to_end(mut headers: HeaderMap) -> HeaderMap {
    for name in [CONNECTION, CONTENT_LENGTH, HOST, TRANSFER_ENCODING] {
        headers.remove(name);
    }
    headers
}

/// An error that the supervisor reports in its child's place.
pub(crate) fn error_message(kind: &'static str, text: &str) -> HttpMessage {
    let body = serde_json::json!({ "errorType": kind, "errorMessage": text }).to_string();
    let mut headers = HeaderMap::new();
    headers.insert(ERROR_TYPE, hyper::header::HeaderValue::from_static(kind));
    HttpMessage { headers, body: body.into() }
}

/// A free port of this machine that only this machine can reach.
pub(crate) async fn listen() -> std::io::Result<(TcpListener, SocketAddr)> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    Ok((listener, address))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(method: &Method, path: &str) -> Option<ChildRequest> {
        let message = HttpMessage { headers: HeaderMap::new(), body: Bytes::new() };
        ChildRequest::of(method, path, message, oneshot::channel().0)
    }

    #[test]
    fn the_paths_of_the_runtime_api_are_recognized() {
        assert!(matches!(request(&Method::GET, NEXT), Some(ChildRequest::Next(_))));
        assert!(matches!(request(&Method::POST, INIT_ERROR), Some(ChildRequest::InitError(_))));
        for (end, expected) in [("response", AnswerKind::Response), ("error", AnswerKind::Error)] {
            let path = format!("{INVOCATION}id-1/{end}");
            let Some(ChildRequest::Answer { request_id, answer }) = request(&Method::POST, &path)
            else {
                panic!("{path}");
            };
            assert_eq!((request_id.as_str(), answer.kind), ("id-1", expected));
        }
        for (method, path) in [
            (Method::POST, NEXT),
            (Method::GET, INIT_ERROR),
            (Method::POST, "/2018-06-01/runtime/invocation/id-1/other"),
            (Method::GET, "/"),
            (Method::PUT, INIT_ERROR),
        ] {
            assert!(request(&method, path).is_none(), "{method} {path}");
        }
    }

    /// The server stands for Lambda here: it speaks the same protocol.
    #[tokio::test]
    async fn events_and_answers_pass_with_their_headers() {
        let (listener, address) = listen().await.unwrap();
        let (to, mut requests) = mpsc::unbounded_channel();
        let server = tokio::spawn(serve(listener, to));
        let api = RuntimeApi { address: address.to_string() };
        let event = message(&[
            (REQUEST_ID, "id-1"),
            ("lambda-runtime-deadline-ms", "1700000000000"),
            ("lambda-runtime-trace-id", "Root=1-2;Sampled=1"),
        ]);
        let (next, ()) = tokio::join!(api.next(), async {
            let Some(ChildRequest::Next(reply)) = requests.recv().await else { panic!("next") };
            reply.send(event_response(event.clone())).unwrap();
        });
        let (request_id, mut given) = next.unwrap();
        // The time of the server's response is not a part of the event.
        given.headers.remove("date");
        assert_eq!((request_id.as_str(), &given.headers), ("id-1", &event.headers));
        assert_eq!(given.body, event.body);

        let error = message(&[(ERROR_TYPE, "Flame.Test")]);
        let (answered, ()) =
            tokio::join!(api.answer("id-1", AnswerKind::Error, error.clone()), async {
                let Some(ChildRequest::Answer { request_id, answer }) = requests.recv().await
                else {
                    panic!("an answer")
                };
                assert_eq!((request_id.as_str(), answer.kind), ("id-1", AnswerKind::Error));
                assert_eq!(answer.message.headers[ERROR_TYPE], "Flame.Test");
                assert_eq!(answer.message.body, error.body);
                let refused = error_response(StatusCode::BAD_REQUEST, "InvalidRequestID");
                answer.reply.send(refused).unwrap();
            });
        assert_eq!(answered.unwrap().status(), StatusCode::BAD_REQUEST);
        server.abort();
    }

    #[tokio::test(start_paused = true)]
    async fn an_api_that_never_answers_is_an_error() {
        let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let api = RuntimeApi { address: silent.local_addr().unwrap().to_string() };
        let error = api.init_error(error_message("Test", "text")).await.unwrap_err();
        assert!(error.to_string().contains("did not answer"), "{error}");
    }

    #[tokio::test]
    async fn a_child_whose_request_is_dropped_gets_an_error_and_not_an_event() {
        let (listener, address) = listen().await.unwrap();
        let (to, mut requests) = mpsc::unbounded_channel();
        let server = tokio::spawn(serve(listener, to));
        let api = RuntimeApi { address: address.to_string() };
        let (next, ()) = tokio::join!(api.next(), async { drop(requests.recv().await) });
        assert!(next.unwrap_err().to_string().contains("410"));
        server.abort();
        let gone = RuntimeApi { address: "127.0.0.1:1".to_owned() };
        assert!(gone.next().await.is_err());
    }

    fn message(headers: &[(&'static str, &str)]) -> HttpMessage {
        let headers = headers.iter().map(|(name, value)| {
            (hyper::header::HeaderName::from_static(name), value.parse().unwrap())
        });
        HttpMessage { headers: headers.collect(), body: Bytes::from_static(b"{\"v\":1}") }
    }

    #[test]
    fn headers_of_one_connection_are_not_passed_on() {
        let mut headers = HeaderMap::new();
        headers.insert(HOST, "127.0.0.1:1".parse().unwrap());
        headers.insert(TRANSFER_ENCODING, "chunked".parse().unwrap());
        headers.insert(REQUEST_ID, "id-1".parse().unwrap());
        let kept = end_to_end(headers);
        assert_eq!(kept.len(), 1);
        assert_eq!(kept[REQUEST_ID], "id-1");
    }
}
