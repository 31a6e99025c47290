//! What an SDK's error says, without its types.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;

/// A request that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) got: Got,
    /// The service's name of the error: `ThrottlingException`.
    pub(crate) code: Option<String>,
    /// The service's words, or the client's.
    pub(crate) message: String,
    /// The HTTP status.
    pub(crate) status: Option<u16>,
    /// The service's name of the request, for its support.
    pub(crate) request_id: Option<String>,
    /// How long the service asks to be left alone before the next request (HTTP, Retry-After).
    pub(crate) retry_after: Option<Duration>,
}

/// How far a request has got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Got {
    /// It was not sent: the service can't have carried it out.
    Nowhere,
    /// No whole answer came: the service may have carried it out.
    NoAnswer,
    /// The service refused it.
    Refused,
    /// Something else answered in the service's place, such as a proxy.
    Foreign,
}

impl Fault {
    /// One of which nothing else is known.
    pub(crate) fn new(got: Got) -> Self {
        Self {
            got,
            code: None,
            message: String::new(),
            status: None,
            request_id: None,
            retry_after: None,
        }
    }

    /// What the SDK's error says.
    pub(crate) fn of<E>(error: &SdkError<E, HttpResponse>) -> Self
    where
        E: ProvideErrorMetadata + Error + 'static,
    {
        let told = error.as_service_error().map(ProvideErrorMetadata::meta);
        let code = told.and_then(|meta| meta.code()).map(str::to_owned);
        let header = |name| error.raw_response().and_then(|raw| raw.headers().get(name));
        let request_id = header("x-amzn-requestid");
        // Each answer of AWS's has one of the two, however it failed.
        let is_awss = code.is_some() || request_id.is_some();
        let body = error.raw_response().and_then(|raw| raw.body().bytes());
        let is_whole = body.is_some();
        let (got, status) = match error {
            SdkError::ConstructionFailure(_) => (Got::Nowhere, None),
            SdkError::DispatchFailure(failure)
                if failure.is_user() || (failure.is_other() && is_about_credentials(error)) =>
            {
                (Got::Nowhere, None)
            }
            SdkError::ServiceError(failure) if is_awss => {
                (Got::Refused, Some(failure.raw().status().as_u16()))
            }
            // Whole, and yet of no use: not so where the connection ended in the middle of it.
            SdkError::ServiceError(_) | SdkError::ResponseError(_) if is_whole && !is_awss => {
                (Got::Foreign, error.raw_response().map(|raw| raw.status().as_u16()))
            }
            _ => (Got::NoAnswer, error.raw_response().map(|raw| raw.status().as_u16())),
        };
        let message = match (told.and_then(|meta| meta.message()), body) {
            (Some(message), _) => message.to_owned(),
            (None, Some(body)) if status.is_some() && code.is_none() => excerpt(body),
            _ => whole(error),
        };
        let seconds = header("retry-after").and_then(|seconds| seconds.trim().parse().ok());
        Self {
            got,
            code,
            message,
            status,
            request_id: request_id.map(str::to_owned),
            retry_after: seconds.map(Duration::from_secs),
        }
    }
}

impl fmt::Display for Fault {
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

/// Whether there were no credentials to sign with. The SDK has no kind for it: it is an "other"
/// failure, as is a connection that was closed before the answer, by when the request was out.
fn is_about_credentials(error: &dyn Error) -> bool {
    whole(error).to_lowercase().contains("credential")
}

/// How much of an answer that can't be read is shown, in characters.
const SHOWN: usize = 200;

/// The beginning of an answer that can't be read, in one line: without the tags of HTML, and without
/// the token, should it repeat the request.
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
    // What is no HTML may have `<` for its own reasons.
    let shown = if in_tag || untagged.trim().is_empty() { &*text } else { &*untagged };
    let line = without_token(&shown.split_whitespace().collect::<Vec<_>>().join(" "));
    match line.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}..", line.get(..end).unwrap_or_default()),
        None if line.is_empty() => "an empty answer".to_owned(),
        None => line,
    }
}

/// A text of somebody who may have seen FLAME_PARENT (`flame1.` and so on), without it.
pub(crate) fn without_token(text: &str) -> String {
    let mut parts = text.split("flame");
    let mut shown = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let rest = part.trim_start_matches(|c: char| c.is_ascii_digit());
        let is_of_it = |c: char| c.is_ascii_alphanumeric() || "-_=".contains(c);
        shown += "flame";
        match rest.strip_prefix('.').filter(|_| rest.len() < part.len()) {
            Some(token) => shown = shown + "(hidden)" + token.trim_start_matches(is_of_it),
            None => shown += part,
        }
    }
    shown
}

/// An error and all that is behind it, in one line: the SDK's outer errors say next to nothing.
fn whole(error: &dyn Error) -> String {
    let mut said = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !said.contains(&more) {
            said.push_str(": ");
            said.push_str(&more);
        }
        cause = error.source();
    }
    said
}

#[cfg(test)]
mod tests {
    use aws_smithy_runtime_api::client::result::ConnectorError;
    use aws_smithy_types::body::SdkBody;
    use aws_smithy_types::error::ErrorMetadata;
    use aws_smithy_types::retry::ErrorKind;

    use super::*;

    type Failure = SdkError<ErrorMetadata, HttpResponse>;

    fn dispatch(error: ConnectorError) -> Fault {
        Fault::of(&Failure::dispatch_failure(error))
    }

    #[test]
    fn a_connection_that_ends_before_its_answer_may_have_carried_the_request() {
        let kinds = [
            ConnectorError::io("connection reset".into()),
            ConnectorError::timeout("too slow".into()),
            // What hyper says of a connection that was closed in good order.
            ConnectorError::other("incomplete message".into(), Some(ErrorKind::TransientError)),
            ConnectorError::other("something new".into(), None),
        ];
        for error in kinds {
            let fault = dispatch(error);
            assert_eq!(fault.got, Got::NoAnswer, "{fault}");
        }
        assert_eq!(Fault::of(&Failure::timeout_error("10 s")).got, Got::NoAnswer);
    }

    #[test]
    fn a_request_that_could_not_be_made_was_not_sent() {
        let unsigned = ConnectorError::other("no providers in chain gave credentials".into(), None);
        let unmade = ConnectorError::user("no body".into());
        for fault in [dispatch(unsigned), dispatch(unmade)] {
            assert_eq!(fault.got, Got::Nowhere, "{fault}");
        }
        let fault = Fault::of(&Failure::construction_failure("no region"));
        assert_eq!(fault.got, Got::Nowhere);
        assert!(fault.to_string().contains("no region"), "{fault}");
    }

    #[test]
    fn what_the_service_says_is_told_with_its_name() {
        let told = ErrorMetadata::builder().code("ClientException").message("no such thing");
        let raw = HttpResponse::new(400.try_into().unwrap(), SdkBody::empty());
        let fault = Fault::of(&Failure::service_error(told.build(), raw));
        assert_eq!((fault.got, fault.status), (Got::Refused, Some(400)));
        assert_eq!(fault.to_string(), "ClientException: no such thing");
    }

    fn answered(status: u16, headers: &[(&'static str, &'static str)], body: &str) -> Fault {
        let body = SdkBody::from(body);
        let mut raw = HttpResponse::new(status.try_into().unwrap(), body);
        for (name, value) in headers {
            raw.headers_mut().insert(*name, *value);
        }
        Fault::of(&Failure::service_error(ErrorMetadata::builder().build(), raw))
    }

    #[test]
    fn an_answer_that_is_not_awss_is_told_as_that_with_its_status_and_its_words() {
        let page = "<html><head><title>502 Bad Gateway</title></head>\n<body><h1>The  proxy\n \
                    failed</h1></body></html>";
        let fault = answered(502, &[], page);
        assert_eq!((fault.got, fault.status, &fault.code), (Got::Foreign, Some(502), &None));
        let told = fault.to_string();
        assert!(told.contains("HTTP 502") && told.contains("The proxy failed"), "{told}");
        assert!(!told.contains('<'), "{told}");
        let long = answered(200, &[], &"x".repeat(100_000)).to_string();
        assert!(long.contains("HTTP 200") && long.len() < 400, "{long}");
        assert!(answered(404, &[], "").to_string().contains("HTTP 404"));
    }

    #[test]
    fn an_answer_with_a_request_id_is_awss_also_without_the_name_of_an_error() {
        let fault = answered(500, &[("x-amzn-requestid", "r-1")], "odd");
        assert_eq!(fault.got, Got::Refused);
        let told = fault.to_string();
        assert!(
            told.contains("HTTP 500") && told.contains("odd") && told.contains("r-1"),
            "{told}"
        );
    }

    #[test]
    fn an_answer_that_repeats_the_request_shows_no_token() {
        let echo = answered(200, &[], r#"{"FLAME_PARENT":"flame1.c2VjcmV0","v":1}"#);
        assert!(!echo.to_string().contains("c2VjcmV0"), "{echo}");
    }

    #[test]
    fn nothing_but_a_token_is_hidden() {
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
    fn a_pause_that_the_service_asks_for_is_read() {
        let asked = |value| answered(429, &[("retry-after", value)], "").retry_after;
        assert_eq!(asked("7"), Some(Duration::from_secs(7)));
        assert_eq!(asked("Wed, 21 Oct 2026 07:28:00 GMT"), None);
        assert_eq!(asked("-1"), None);
    }
}
