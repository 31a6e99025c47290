//! Classifies failed requests by the error codes that all AWS services share.
//!
//! Each backend handles its service's own error codes, and asks here about the rest.

use std::error::Error;

use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;

use super::api_error::{ApiError, ApiErrorKind};
use crate::backend::BootFailureKind;

/// The kind of problem that an error reports, which decides whether to retry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ErrorClass {
    /// Too many requests: retry later.
    Throttled,
    /// The platform has no capacity at the moment: retry later.
    Capacity,
    /// A quota of the account is used up: a person must raise it.
    Quota,
    /// The request may or may not have been carried out: retry if that can't do it twice.
    Transient,
    /// Another request has used the same idempotency token.
    Conflict,
    /// The request is wrong or not allowed, and stays so: a person must correct something.
    Misconfigured,
}

const THROTTLED: &[&str] = &[
    "BandwidthLimitExceeded",
    "EC2ThrottledException",
    "LimitExceededException",
    "PriorRequestNotComplete",
    "RequestLimitExceeded",
    "RequestThrottled",
    "RequestThrottledException",
    "SlowDown",
    "ThrottledException",
    "Throttling",
    "ThrottlingException",
    "TooManyRequestsException",
];

const TRANSIENT: &[&str] = &[
    "InternalError",
    "InternalFailure",
    "InternalServerError",
    "InternalServerException",
    "RequestTimeout",
    "RequestTimeoutException",
    "ServerException",
    "ServiceException",
    "ServiceUnavailable",
    "ServiceUnavailableException",
];

const DENIED: &[&str] = &["AccessDenied", "AccessDeniedException", "UnauthorizedOperation"];

const BAD_CREDENTIALS: &[&str] = &[
    "ExpiredToken",
    "ExpiredTokenException",
    "IncompleteSignature",
    "IncompleteSignatureException",
    "InvalidClientTokenId",
    "InvalidSignatureException",
    "MissingAuthenticationToken",
    "MissingAuthenticationTokenException",
    "NotAuthorized",
    "OptInRequired",
    "RequestExpired",
    "SignatureDoesNotMatch",
    "UnrecognizedClientException",
];

impl ErrorClass {
    /// The class of an error without an error code of the service's own.
    pub(crate) fn of(error: &ApiError) -> Self {
        let code = error.code.as_deref().unwrap_or_default();
        match (error.kind, error.status) {
            (ApiErrorKind::NoResponse, _) => ErrorClass::Transient,
            (ApiErrorKind::NotSent, _) => ErrorClass::Misconfigured,
            // The server does not offer the operation. LocalStack answers InternalFailure if its
            // licence does not cover it.
            (_, Some(501 | 505)) => ErrorClass::Misconfigured,
            // The code says more than the status: ECS throttles with status 400.
            _ if THROTTLED.contains(&code) => ErrorClass::Throttled,
            _ if TRANSIENT.contains(&code) => ErrorClass::Transient,
            (_, Some(429)) => ErrorClass::Throttled,
            (_, Some(500..)) => ErrorClass::Transient,
            _ => ErrorClass::Misconfigured,
        }
    }
}

impl From<ErrorClass> for BootFailureKind {
    fn from(class: ErrorClass) -> Self {
        match class {
            ErrorClass::Throttled => BootFailureKind::Throttled,
            ErrorClass::Capacity => BootFailureKind::Capacity,
            ErrorClass::Quota => BootFailureKind::Quota,
            ErrorClass::Transient => BootFailureKind::Unavailable,
            ErrorClass::Misconfigured => BootFailureKind::Misconfigured,
            ErrorClass::Conflict => BootFailureKind::Other,
        }
    }
}

/// Whether this process lacks a permission.
pub(crate) fn is_denied(error: &ApiError) -> bool {
    error.code.as_deref().is_some_and(|code| DENIED.contains(&code))
}

/// The error of a request that needs these permissions.
pub(crate) fn of_request<E>(error: &SdkError<E, HttpResponse>, actions: &[&str]) -> ApiError
where
    E: ProvideErrorMetadata + Error + 'static,
{
    naming(ApiError::from_sdk(error), actions)
}

/// Names the permissions that a request needs, if it was denied and the service has named none of
/// them. S3 and others answer only "Access Denied".
fn naming(mut error: ApiError, actions: &[&str]) -> ApiError {
    let is_named = actions.iter().any(|action| error.message.contains(action));
    if is_denied(&error) && !is_named {
        error.message = format!("{} (the request needs {})", error.message, actions.join(", "));
    }
    error
}

/// Advice about an error, if it means the same for all services.
pub(crate) fn advice(error: &ApiError) -> Option<&'static str> {
    let code = error.code.as_deref().unwrap_or_default();
    if is_denied(error) {
        return Some(
            "grant this process's role the permission that the message names; the backend's \
             documentation has the complete policy",
        );
    }
    if BAD_CREDENTIALS.contains(&code) {
        return Some("check this process's credentials, its region and its clock");
    }
    match error.kind {
        ApiErrorKind::NotSent => Some(
            "the request was not sent: check the credentials (a role, AWS_PROFILE, or \
             AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY) and the region (AWS_REGION)",
        ),
        ApiErrorKind::NoResponse => Some(
            "check that this process can reach AWS: routes, DNS, proxies, the service's VPC \
             endpoint, and AWS_ENDPOINT_URL if it is set",
        ),
        ApiErrorKind::Foreign => Some(
            "this response did not come from AWS: check what is between this process and AWS (a \
             proxy set by HTTPS_PROXY, a login page of the network), and AWS_ENDPOINT_URL if it is \
             set",
        ),
        ApiErrorKind::Rejected if matches!(error.status, Some(501 | 505)) => Some(
            "the server that answered does not offer this operation: check AWS_ENDPOINT_URL; an \
             emulator may need another licence for it",
        ),
        ApiErrorKind::Rejected => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rejected(code: &str, status: u16) -> ApiError {
        let (code, message) = (Some(code.to_owned()), "text".to_owned());
        ApiError { code, message, status: Some(status), ..ApiError::new(ApiErrorKind::Rejected) }
    }

    fn unanswered(kind: ApiErrorKind) -> ApiError {
        ApiError { message: "text".to_owned(), ..ApiError::new(kind) }
    }

    fn foreign(status: u16) -> ApiError {
        ApiError { status: Some(status), ..unanswered(ApiErrorKind::Foreign) }
    }

    #[test]
    fn an_error_code_says_more_than_its_status() {
        assert_eq!(ErrorClass::of(&rejected("ThrottlingException", 400)), ErrorClass::Throttled);
        assert_eq!(ErrorClass::of(&rejected("ServerException", 400)), ErrorClass::Transient);
        assert_eq!(
            ErrorClass::of(&rejected("TooManyRequestsException", 429)),
            ErrorClass::Throttled
        );
    }

    #[test]
    fn an_unknown_code_is_classified_by_its_status() {
        assert_eq!(ErrorClass::of(&rejected("NewException", 429)), ErrorClass::Throttled);
        assert_eq!(ErrorClass::of(&rejected("NewException", 503)), ErrorClass::Transient);
        assert_eq!(ErrorClass::of(&rejected("NewException", 400)), ErrorClass::Misconfigured);
    }

    #[test]
    fn a_lost_response_is_transient_and_an_unsent_request_is_not() {
        assert_eq!(ErrorClass::of(&unanswered(ApiErrorKind::NoResponse)), ErrorClass::Transient);
        assert_eq!(ErrorClass::of(&unanswered(ApiErrorKind::NotSent)), ErrorClass::Misconfigured);
    }

    #[test]
    fn a_foreign_response_is_retried_only_if_the_error_may_pass() {
        assert_eq!(ErrorClass::of(&foreign(429)), ErrorClass::Throttled);
        for status in [500, 502, 503, 504] {
            assert_eq!(ErrorClass::of(&foreign(status)), ErrorClass::Transient, "{status}");
        }
        for status in [200, 302, 400, 403, 404, 407, 501, 505] {
            assert_eq!(ErrorClass::of(&foreign(status)), ErrorClass::Misconfigured, "{status}");
        }
        assert!(advice(&foreign(502)).is_some_and(|text| text.contains("AWS_ENDPOINT_URL")));
    }

    #[test]
    fn an_operation_that_is_not_offered_is_not_retried_whatever_its_error_code() {
        let unlicensed = rejected("InternalFailure", 501);
        assert_eq!(ErrorClass::of(&unlicensed), ErrorClass::Misconfigured);
        assert!(advice(&unlicensed).is_some_and(|text| text.contains("AWS_ENDPOINT_URL")));
        assert_eq!(ErrorClass::of(&rejected("InternalFailure", 500)), ErrorClass::Transient);
    }

    #[test]
    fn a_denied_request_names_what_it_needs_unless_the_service_does() {
        let actions = ["ecs:RunTask", "iam:PassRole"];
        let denied = naming(rejected("AccessDeniedException", 400), &actions);
        assert_eq!(denied.message, "text (the request needs ecs:RunTask, iam:PassRole)");
        let mut named = rejected("AccessDeniedException", 400);
        named.message = "not authorized to perform: iam:PassRole".to_owned();
        assert_eq!(naming(named.clone(), &actions), named);
        let throttled = rejected("ThrottlingException", 400);
        assert_eq!(naming(throttled.clone(), &actions), throttled);
    }

    #[test]
    fn an_error_that_a_person_must_correct_has_advice() {
        for code in
            ["AccessDeniedException", "UnrecognizedClientException", "ExpiredTokenException"]
        {
            let error = rejected(code, 400);
            assert_eq!(ErrorClass::of(&error), ErrorClass::Misconfigured, "{code}");
            assert!(advice(&error).is_some(), "{code}");
        }
        assert!(is_denied(&rejected("AccessDeniedException", 400)));
        assert!(
            advice(&unanswered(ApiErrorKind::NotSent))
                .is_some_and(|text| text.contains("AWS_REGION"))
        );
        assert_eq!(advice(&rejected("ClientException", 400)), None);
    }
}
