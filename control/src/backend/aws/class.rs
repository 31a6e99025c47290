//! What to do about a failed request, by what all of AWS's services have in common.
//!
//! A service adds its own names for errors and asks here for the rest.

use super::fault::{Fault, Got};
use crate::backend::BootFailureKind;

/// What a failure calls for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Class {
    /// Too many requests: the same again, later.
    Throttled,
    /// The platform has no room at the moment: the same again, later.
    Capacity,
    /// The account may not have more: for a person.
    Quota,
    /// It may have been carried out or not: the same again, if that can't do it twice.
    Transient,
    /// Another request has the same idempotency token.
    Conflict,
    /// It is wrong, or not allowed, and stays so: for a person.
    Config,
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

const CREDENTIALS: &[&str] = &[
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

impl Class {
    /// The class of a failure that the service has no name of its own for.
    pub(crate) fn of(fault: &Fault) -> Self {
        let code = fault.code.as_deref().unwrap_or_default();
        match (fault.got, fault.status) {
            (Got::NoAnswer, _) => Class::Transient,
            (Got::Nowhere, _) => Class::Config,
            // Who answers does not have the operation. LocalStack says InternalFailure where its
            // licence does not cover it.
            (_, Some(501 | 505)) => Class::Config,
            // The name says more than the status: ECS throttles with 400.
            _ if THROTTLED.contains(&code) => Class::Throttled,
            _ if TRANSIENT.contains(&code) => Class::Transient,
            (_, Some(429)) => Class::Throttled,
            (_, Some(500..)) => Class::Transient,
            _ => Class::Config,
        }
    }
}

impl From<Class> for BootFailureKind {
    fn from(class: Class) -> Self {
        match class {
            Class::Throttled => BootFailureKind::Throttled,
            Class::Capacity => BootFailureKind::Capacity,
            Class::Quota => BootFailureKind::Quota,
            Class::Transient => BootFailureKind::Unavailable,
            Class::Config => BootFailureKind::Refused,
            Class::Conflict => BootFailureKind::Other,
        }
    }
}

/// Whether the caller lacks a permission.
pub(crate) fn is_denied(fault: &Fault) -> bool {
    fault.code.as_deref().is_some_and(|code| DENIED.contains(&code))
}

/// What to do about a failure that is the same for all services, if it is such.
pub(crate) fn advice(fault: &Fault) -> Option<&'static str> {
    let code = fault.code.as_deref().unwrap_or_default();
    if is_denied(fault) {
        return Some(
            "give the role of this process the permission that the message names; the \
             documentation of the backend has the whole policy",
        );
    }
    if CREDENTIALS.contains(&code) {
        return Some("look at the credentials, the region and the clock of this process");
    }
    match fault.got {
        Got::Nowhere => Some(
            "the request could not be made: look at the credentials (a role, AWS_PROFILE, or \
             AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY) and the region (AWS_REGION)",
        ),
        Got::NoAnswer => Some(
            "look whether this process reaches AWS: routes, DNS, proxies, a VPC endpoint of the \
             service, or AWS_ENDPOINT_URL, if it is set",
        ),
        Got::Foreign => Some(
            "this did not come from AWS: look at what is between this process and AWS (a proxy by \
             HTTPS_PROXY, a login page of the network), and at AWS_ENDPOINT_URL, if it is set",
        ),
        Got::Refused if matches!(fault.status, Some(501 | 505)) => Some(
            "the server that answers here does not offer this operation: look at AWS_ENDPOINT_URL; \
             an emulator may need another licence for it",
        ),
        Got::Refused => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(code: &str, status: u16) -> Fault {
        let (code, message) = (Some(code.to_owned()), "words".to_owned());
        Fault { code, message, status: Some(status), ..Fault::new(Got::Refused) }
    }

    fn unanswered(got: Got) -> Fault {
        Fault { message: "words".to_owned(), ..Fault::new(got) }
    }

    fn foreign(status: u16) -> Fault {
        Fault { status: Some(status), ..unanswered(Got::Foreign) }
    }

    #[test]
    fn the_name_of_an_error_says_more_than_its_status() {
        assert_eq!(Class::of(&refused("ThrottlingException", 400)), Class::Throttled);
        assert_eq!(Class::of(&refused("ServerException", 400)), Class::Transient);
        assert_eq!(Class::of(&refused("TooManyRequestsException", 429)), Class::Throttled);
    }

    #[test]
    fn an_unknown_name_is_judged_by_its_status() {
        assert_eq!(Class::of(&refused("NewException", 429)), Class::Throttled);
        assert_eq!(Class::of(&refused("NewException", 503)), Class::Transient);
        assert_eq!(Class::of(&refused("NewException", 400)), Class::Config);
    }

    #[test]
    fn a_lost_answer_may_have_been_carried_out_and_an_unsent_request_not() {
        assert_eq!(Class::of(&unanswered(Got::NoAnswer)), Class::Transient);
        assert_eq!(Class::of(&unanswered(Got::Nowhere)), Class::Config);
    }

    #[test]
    fn what_another_server_says_is_repeated_only_where_it_may_pass() {
        assert_eq!(Class::of(&foreign(429)), Class::Throttled);
        for status in [500, 502, 503, 504] {
            assert_eq!(Class::of(&foreign(status)), Class::Transient, "{status}");
        }
        for status in [200, 302, 400, 403, 404, 407, 501, 505] {
            assert_eq!(Class::of(&foreign(status)), Class::Config, "{status}");
        }
        assert!(advice(&foreign(502)).is_some_and(|text| text.contains("AWS_ENDPOINT_URL")));
    }

    #[test]
    fn an_operation_that_is_not_there_is_not_asked_for_again_whatever_its_name_says() {
        let unlicensed = refused("InternalFailure", 501);
        assert_eq!(Class::of(&unlicensed), Class::Config);
        assert!(advice(&unlicensed).is_some_and(|text| text.contains("AWS_ENDPOINT_URL")));
        assert_eq!(Class::of(&refused("InternalFailure", 500)), Class::Transient);
    }

    #[test]
    fn what_a_person_must_mend_comes_with_what_to_do() {
        for code in
            ["AccessDeniedException", "UnrecognizedClientException", "ExpiredTokenException"]
        {
            let fault = refused(code, 400);
            assert_eq!(Class::of(&fault), Class::Config, "{code}");
            assert!(advice(&fault).is_some(), "{code}");
        }
        assert!(is_denied(&refused("AccessDeniedException", 400)));
        assert!(advice(&unanswered(Got::Nowhere)).is_some_and(|text| text.contains("AWS_REGION")));
        assert_eq!(advice(&refused("ClientException", 400)), None);
    }
}
