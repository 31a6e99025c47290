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
            SdkError::DispatchFailure(failure)
                if failure.is_user() || (failure.is_other() && is_about_credentials(error)) =>
            {
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

/// Whether there were no credentials to sign with. The SDK has no kind for it: it is an "other"
/// failure, as is a connection that was closed before the answer, by when the request was out.
fn is_about_credentials(error: &dyn Error) -> bool {
    whole(error).to_lowercase().contains("credential")
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
}
