//! What an SDK's error says, without its types.

use std::error::Error;
use std::fmt;

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
}

impl Fault {
    /// What the SDK's error says.
    pub(crate) fn of<E>(error: &SdkError<E, HttpResponse>) -> Self
    where
        E: ProvideErrorMetadata + Error + 'static,
    {
        let (got, status) = match error {
            SdkError::ConstructionFailure(_) => (Got::Nowhere, None),
            SdkError::DispatchFailure(failure) if failure.is_user() || failure.is_other() => {
                (Got::Nowhere, None)
            }
            SdkError::ServiceError(failure) => {
                (Got::Refused, Some(failure.raw().status().as_u16()))
            }
            _ => (Got::NoAnswer, error.raw_response().map(|raw| raw.status().as_u16())),
        };
        let told = error.as_service_error().map(ProvideErrorMetadata::meta);
        let request_id = error.raw_response().and_then(|raw| raw.headers().get("x-amzn-requestid"));
        Self {
            got,
            code: told.and_then(|meta| meta.code()).map(str::to_owned),
            message: match told.and_then(|meta| meta.message()) {
                Some(message) => message.to_owned(),
                None => whole(error),
            },
            status,
            request_id: request_id.map(str::to_owned),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(code) = &self.code {
            write!(f, "{code}: ")?;
        }
        f.write_str(&self.message)?;
        match &self.request_id {
            Some(id) => write!(f, " (request {id})"),
            None => Ok(()),
        }
    }
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
