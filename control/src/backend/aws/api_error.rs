//! An SDK error as plain values, without the SDK's types.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use flame_wire::error::sources;

/// A request to AWS that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ApiError {
    pub(crate) kind: ApiErrorKind,
    /// The service's error code, such as `ThrottlingException`.
    pub(crate) code: Option<String>,
    /// The error message of the service, or of the client.
    pub(crate) message: String,
    /// The HTTP status.
    pub(crate) status: Option<u16>,
    /// The service's id of the request, which AWS's support asks for.
    pub(crate) request_id: Option<String>,
    /// How long the service asks the client to wait before the next request (HTTP, Retry-After).
    pub(crate) retry_after: Option<Duration>,
}

/// How far a failed request got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ApiErrorKind {
    /// The request was not sent, so the service can't have carried it out.
    NotSent,
    /// No complete response came. The service may have carried the request out.
    NoResponse,
    /// The service answered with an error.
    Rejected,
    /// Something other than the service answered, such as a proxy.
    Foreign,
}

impl ApiError {
    /// An error of this kind about which nothing else is known.
    pub(crate) fn new(kind: ApiErrorKind) -> Self {
        Self {
            kind,
            code: None,
            message: String::new(),
            status: None,
            request_id: None,
            retry_after: None,
        }
    }

    /// The plain values of an SDK error.
    pub(crate) fn from_sdk<E>(error: &SdkError<E, HttpResponse>) -> Self
    where
        E: ProvideErrorMetadata + Error + 'static,
    {
        let metadata = error.as_service_error().map(ProvideErrorMetadata::meta);
        let code = metadata.and_then(|metadata| metadata.code()).map(str::to_owned);
        let header = |name| error.raw_response().and_then(|raw| raw.headers().get(name));
        // S3 uses the second name.
        let request_id = header("x-amzn-requestid").or_else(|| header("x-amz-request-id"));
        // Every response of AWS has one of the two, whatever the error.
        let is_from_aws = code.is_some() || request_id.is_some();
        let body = error.raw_response().and_then(|raw| raw.body().bytes());
        let is_complete = body.is_some();
        let (kind, status) = match error {
            SdkError::ConstructionFailure(_) => (ApiErrorKind::NotSent, None),
            SdkError::DispatchFailure(failure)
                if failure.is_user() || (failure.is_other() && is_about_credentials(error)) =>
            {
                (ApiErrorKind::NotSent, None)
            }
            SdkError::ServiceError(failure) if is_from_aws => {
                (ApiErrorKind::Rejected, Some(failure.raw().status().as_u16()))
            }
            // A complete response that is not from AWS. A connection that ended in the middle of
            // a response is `NoResponse`.
            SdkError::ServiceError(_) | SdkError::ResponseError(_)
                if is_complete && !is_from_aws =>
            {
                (ApiErrorKind::Foreign, error.raw_response().map(|raw| raw.status().as_u16()))
            }
            _ => (ApiErrorKind::NoResponse, error.raw_response().map(|raw| raw.status().as_u16())),
        };
        let message = match (metadata.and_then(|metadata| metadata.message()), body) {
            (Some(message), _) => message.to_owned(),
            (None, Some(body)) if status.is_some() && code.is_none() => excerpt(body),
            _ => with_sources(error),
        };
        let seconds = header("retry-after").and_then(|seconds| seconds.trim().parse().ok());
        Self {
            kind,
            code,
            message,
            status,
            request_id: request_id.map(str::to_owned),
            retry_after: seconds.map(Duration::from_secs),
        }
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.code, self.status) {
            (Some(code), _) => write!(f, "{code}: ")?,
            (None, Some(status)) => write!(f, "HTTP {status}: ")?,
            (None, None) => {}
        }
        f.write_str(&self.message)?;
        match &self.request_id {
            Some(id) => write!(f, " (request {id})"),
            None => Ok(()),
        }
    }
}

/// Whether there were no credentials to sign the request with. The SDK has no error kind for it. It
/// reports an "other" failure, as it does for a connection that was closed before the response,
/// when the request had already been sent.
fn is_about_credentials(error: &(dyn Error + 'static)) -> bool {
    with_sources(error).to_lowercase().contains("credential")
}

/// The most characters of an unexpected response that an error shows.
const MAX_EXCERPT: usize = 200;

/// The beginning of an unexpected response, in one line, without HTML tags. The token is removed,
/// in case the response repeats the request.
pub(crate) fn excerpt(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    let mut in_tag = false;
    let untagged: String = text
        .chars()
        .map(|c| {
            let was_in_tag = in_tag || c == '<';
            in_tag = was_in_tag && c != '>';
            if was_in_tag { ' ' } else { c }
        })
        .collect();
    // A text that is not HTML may contain `<`, too.
    let shown = if in_tag || untagged.trim().is_empty() { &*text } else { &*untagged };
    let line = without_token(&shown.split_whitespace().collect::<Vec<_>>().join(" "));
    match line.char_indices().nth(MAX_EXCERPT) {
        Some((end, _)) => format!("{}..", line.get(..end).unwrap_or_default()),
        None if line.is_empty() => "an empty response".to_owned(),
        None => line,
    }
}

/// A text from a source that has seen FLAME_PARENT (`flame1.` and so on), with the token hidden.
pub(crate) fn without_token(text: &str) -> String {
    let mut parts = text.split("flame");
    let mut shown = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let rest = part.trim_start_matches(|c: char| c.is_ascii_digit());
        let is_of_token = |c: char| c.is_ascii_alphanumeric() || "-_=".contains(c);
        shown += "flame";
        match rest.strip_prefix('.').filter(|_| rest.len() < part.len()) {
            Some(token) => shown = shown + "(hidden)" + token.trim_start_matches(is_of_token),
            None => shown += part,
        }
    }
    shown
}

/// An error and all its sources, in one line: the SDK's outer errors say next to nothing.
fn with_sources(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    for source in sources(error) {
        let more = source.to_string();
        if !text.contains(&more) {
            text.push_str(": ");
            text.push_str(&more);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use aws_smithy_runtime_api::client::result::ConnectorError;
    use aws_smithy_types::body::SdkBody;
    use aws_smithy_types::error::ErrorMetadata;
    use aws_smithy_types::retry::ErrorKind;

    use super::*;

    type TestError = SdkError<ErrorMetadata, HttpResponse>;

    fn dispatch(error: ConnectorError) -> ApiError {
        ApiError::from_sdk(&TestError::dispatch_failure(error))
    }

    #[test]
    fn a_request_without_a_complete_response_may_have_been_carried_out() {
        let kinds = [
            ConnectorError::io("connection reset".into()),
            ConnectorError::timeout("too slow".into()),
            // hyper's error for a connection that was closed cleanly.
            ConnectorError::other("incomplete message".into(), Some(ErrorKind::TransientError)),
            ConnectorError::other("something new".into(), None),
        ];
        for error in kinds {
            let error = dispatch(error);
            assert_eq!(error.kind, ApiErrorKind::NoResponse, "{error}");
        }
        assert_eq!(
            ApiError::from_sdk(&TestError::timeout_error("10 s")).kind,
            ApiErrorKind::NoResponse
        );
    }

    #[test]
    fn a_request_that_could_not_be_made_was_not_sent() {
        let unsigned = ConnectorError::other("no providers in chain gave credentials".into(), None);
        let unmade = ConnectorError::user("no body".into());
        for error in [dispatch(unsigned), dispatch(unmade)] {
            assert_eq!(error.kind, ApiErrorKind::NotSent, "{error}");
        }
        let error = ApiError::from_sdk(&TestError::construction_failure("no region"));
        assert_eq!(error.kind, ApiErrorKind::NotSent);
        assert!(error.to_string().contains("no region"), "{error}");
    }

    #[test]
    fn an_error_of_the_service_shows_its_code_and_message() {
        let metadata = ErrorMetadata::builder().code("ClientException").message("no such thing");
        let raw = HttpResponse::new(400.try_into().unwrap(), SdkBody::empty());
        let error = ApiError::from_sdk(&TestError::service_error(metadata.build(), raw));
        assert_eq!((error.kind, error.status), (ApiErrorKind::Rejected, Some(400)));
        assert_eq!(error.to_string(), "ClientException: no such thing");
    }

    fn response_error(
        status: u16,
        headers: &[(&'static str, &'static str)],
        body: &str,
    ) -> ApiError {
        let body = SdkBody::from(body);
        let mut raw = HttpResponse::new(status.try_into().unwrap(), body);
        for (name, value) in headers {
            raw.headers_mut().insert(*name, *value);
        }
        ApiError::from_sdk(&TestError::service_error(ErrorMetadata::builder().build(), raw))
    }

    #[test]
    fn a_foreign_response_is_recognised_and_shown_with_its_status_and_text() {
        let page = "<html><head><title>502 Bad Gateway</title></head>\n<body><h1>The  proxy\n \
                    failed</h1></body></html>";
        let error = response_error(502, &[], page);
        assert_eq!(
            (error.kind, error.status, &error.code),
            (ApiErrorKind::Foreign, Some(502), &None)
        );
        let text = error.to_string();
        assert!(text.contains("HTTP 502") && text.contains("The proxy failed"), "{text}");
        assert!(!text.contains('<'), "{text}");
        let long = response_error(200, &[], &"x".repeat(100_000)).to_string();
        assert!(long.contains("HTTP 200") && long.len() < 400, "{long}");
        assert!(response_error(404, &[], "").to_string().contains("HTTP 404"));
    }

    #[test]
    fn a_response_with_a_request_id_is_from_aws_even_without_an_error_code() {
        let error = response_error(500, &[("x-amzn-requestid", "r-1")], "odd");
        assert_eq!(error.kind, ApiErrorKind::Rejected);
        let text = error.to_string();
        assert!(
            text.contains("HTTP 500") && text.contains("odd") && text.contains("r-1"),
            "{text}"
        );
    }

    #[test]
    fn a_response_that_repeats_the_request_shows_no_token() {
        let echo = response_error(200, &[], r#"{"FLAME_PARENT":"flame1.c2VjcmV0","v":1}"#);
        assert!(!echo.to_string().contains("c2VjcmV0"), "{echo}");
    }

    #[test]
    fn only_a_token_is_hidden() {
        for (text, shown) in [
            ("flame", "flame"),
            ("a flame. flame-aws flames.x", "a flame. flame-aws flames.x"),
            ("x flame1.aB-_9\" y", "x flame(hidden)\" y"),
            ("flame12.a,flame1.b", "flame(hidden),flame(hidden)"),
        ] {
            assert_eq!(without_token(text), shown);
        }
    }

    #[test]
    fn the_delay_that_a_service_asks_for_is_read() {
        let delay = |value| response_error(429, &[("retry-after", value)], "").retry_after;
        assert_eq!(delay("7"), Some(Duration::from_secs(7)));
        assert_eq!(delay("Wed, 21 Oct 2026 07:28:00 GMT"), None);
        assert_eq!(delay("-1"), None);
    }
}
