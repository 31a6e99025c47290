//! Phrases in the error texts of several AWS services.

#[cfg_attr(not(feature = "ecs"), allow(unused_imports, reason = "each feature uses its part"))]
pub(crate) use crate::backend::phrases::{PhraseRule, contains_any, first_match};

/// A service behind the one that was called has throttled it: the throttling of EC2 behind ECS
/// appears inside an `InvalidParameterException` (dagster, issue 33439; dask-cloudprovider, issue
/// 56), and that of Fargate in a task's stopped reason.
pub(crate) const THROTTLED: &[&str] = &[
    "rate exceeded",
    "rate limit exceeded",
    "request limit exceeded",
    "RequestLimitExceeded",
    "Throttling",
    "ThrottlingException",
    "TooManyRequestsException",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ec2s_texts_about_throttling_are_recognised() {
        for text in [
            "Rate exceeded (ErrorCode: Throttling)",
            "Request limit exceeded. (ErrorCode: RequestLimitExceeded)",
            "Rate limit exceeded while preparing network interface to be attached to instance",
        ] {
            assert!(contains_any(text, THROTTLED), "{text}");
        }
        assert!(!contains_any("Provisioning capacity limit exceeded", THROTTLED));
    }
}
