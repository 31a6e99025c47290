//! What to do about a failed RunTask. It fails in two ways, and both are classified: by an
//! exception, and by `failures[]` in a successful response (AWS documentation, "API failure
//! reasons").

use crate::backend::aws::api_error::ApiError;
use crate::backend::aws::error_class::{self, ErrorClass};
use crate::backend::aws::phrases::{self, PhraseRule};

/// Why a task was not placed: an entry of `failures[]`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct PlacementFailure {
    pub(super) arn: Option<String>,
    pub(super) reason: String,
    pub(super) detail: Option<String>,
}

impl std::fmt::Display for PlacementFailure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.reason)?;
        if let Some(detail) = self.detail.as_deref().filter(|detail| !detail.is_empty()) {
            write!(f, ": {detail}")?;
        }
        match self.arn.as_deref().filter(|arn| !arn.is_empty()) {
            Some(arn) => write!(f, " ({arn})"),
            None => Ok(()),
        }
    }
}

/// What a text means, whether it comes in an exception or in `failures[]`: the same texts come in
/// both. The order of the rules counts.
const RULES: &[PhraseRule<ErrorClass>] = &[
    // Too many tasks of the cluster are in PROVISIONING, which passes (botocore 1.44.8, ecs
    // 2014-11-13, RunTask: ClientException).
    PhraseRule {
        phrases: &["provisioning capacity limit exceeded"],
        meaning: ErrorClass::Capacity,
    },
    // AWS's knowledge centre.
    PhraseRule { phrases: &["Capacity is unavailable"], meaning: ErrorClass::Capacity },
    PhraseRule { phrases: phrases::THROTTLED, meaning: ErrorClass::Throttled },
    // dask-cloudprovider, issue 299, says "above your limit" of CPU; AWS documentation, "Stopped
    // tasks error messages", "reached the limit" of tasks and vCPUs.
    PhraseRule {
        phrases: &[
            "above your limit",
            "reached the limit",
            "limit on the number of vCPUs",
            "quota",
        ],
        meaning: ErrorClass::Quota,
    },
    PhraseRule { phrases: &["limit on vCPUs", "vCPU limit"], meaning: ErrorClass::Quota },
];

/// No instance has a required attribute or satisfies a placement constraint.
const PLACEMENT_PHRASES: &[&str] = &["ATTRIBUTE", "placement constraint"];

/// What further texts mean in `failures[]` only (AWS documentation, "API failure reasons"). An
/// instance that lacks an attribute, or that a placement constraint excludes, will not do later
/// either.
const PLACEMENT_RULES: &[PhraseRule<ErrorClass>] = &[
    PhraseRule { phrases: PLACEMENT_PHRASES, meaning: ErrorClass::Misconfigured },
    PhraseRule {
        phrases: &["RESOURCE:", "capacity", "agent", "AGENT"],
        meaning: ErrorClass::Capacity,
    },
];

/// The class of an error text of ECS, if the text is known.
fn of_text(text: &str) -> Option<ErrorClass> {
    phrases::first_match(RULES, text).copied()
}

/// The class of a task that was not placed.
pub(super) fn of_failure(failure: &PlacementFailure) -> ErrorClass {
    // The ARN is left out: a cluster may have any name.
    let text = format!("{}: {}", failure.reason, failure.detail.as_deref().unwrap_or_default());
    of_text(&text)
        .or_else(|| phrases::first_match(PLACEMENT_RULES, &text).copied())
        .unwrap_or(ErrorClass::Misconfigured)
}

/// The class of an exception.
pub(super) fn of_error(error: &ApiError) -> ErrorClass {
    match error.code.as_deref().unwrap_or_default() {
        "ConflictException" => ErrorClass::Conflict,
        "LimitExceededException" => ErrorClass::Quota,
        // These two codes stand for a wrong parameter, a quota, EC2's throttling, and Fargate
        // without capacity. For all others the code is enough.
        "ClientException" | "InvalidParameterException" => {
            of_text(&error.message).unwrap_or_else(|| ErrorClass::of(error))
        }
        _ => ErrorClass::of(error),
    }
}

/// What a person can do about an exception.
pub(super) fn advice(class: ErrorClass, error: &ApiError) -> String {
    let code = error.code.as_deref().unwrap_or_default();
    let advice = match (class, code) {
        (ErrorClass::Quota | ErrorClass::Capacity | ErrorClass::Throttled, _) => {
            advice_on_failure(class)
        }
        (_, "ClusterNotFoundException") => "check `cluster` (FLAME_ECS_CLUSTER) and the region",
        (_, "InvalidParameterException") if is_about_providers(error) => {
            "associate the capacity provider with the cluster (PutClusterCapacityProviders), or \
             name another"
        }
        (_, "BlockedException") => "AWS has blocked the account: contact AWS support",
        (_, "PlatformUnknownException" | "PlatformTaskDefinitionIncompatibilityException") => {
            "correct `platform_version`, or leave it out"
        }
        (_, "UnsupportedFeatureException") => {
            "the task definition uses a feature that this region does not have"
        }
        (ErrorClass::Misconfigured, _) => error_class::advice(error).unwrap_or(MISCONFIGURED),
        _ => error_class::advice(error).unwrap_or("ECS had an internal error: call again"),
    };
    advice.to_owned()
}

fn is_about_providers(error: &ApiError) -> bool {
    error.message.contains("capacity provider")
}

/// What a person can do about a task that was not placed.
pub(super) fn advice_on_placement(class: ErrorClass, failure: &PlacementFailure) -> &'static str {
    let is_placement =
        phrases::contains_any(&failure.reason, &["ATTRIBUTE", "placement constraint"]);
    if is_placement { PLACEMENT } else { advice_on_failure(class) }
}

fn advice_on_failure(class: ErrorClass) -> &'static str {
    match class {
        ErrorClass::Capacity => CAPACITY,
        ErrorClass::Quota => QUOTA,
        ErrorClass::Throttled => THROTTLED,
        _ => MISCONFIGURED,
    }
}

const MISCONFIGURED: &str =
    "correct what the message names, in the backend's settings or in the task definition";
const THROTTLED: &str = "AWS limits the requests per second of an account in a region, including \
                         requests to EC2's API behind ECS: boot fewer runners at a time, or allow \
                         more time for a boot (`boot_timeout`)";
const QUOTA: &str = "the account's Fargate quota is used up: raise the quota of Fargate vCPUs \
                     (Service Quotas, AWS Fargate), or lower `max`, `cpu` or `memory`; new accounts \
                     start with very few vCPUs";
const CAPACITY: &str = "there is no capacity for the task at the moment: add another capacity \
                        provider, or call again later; on Fargate, add subnets in other \
                        availability zones; on instances, raise the maximum of their Auto Scaling \
                        group, or choose a size of task that one instance has room for";
const PLACEMENT: &str = "no instance satisfies the task's placement constraints or required \
                         attributes, such as its architecture or a GPU: correct the task \
                         definition, or name a capacity provider with such instances";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::aws::api_error::ApiErrorKind;

    fn exception(code: &str, status: u16, message: &str) -> ApiError {
        let (code, message) = (Some(code.to_owned()), message.to_owned());
        ApiError { code, message, status: Some(status), ..ApiError::new(ApiErrorKind::Rejected) }
    }

    fn failure(reason: &str) -> PlacementFailure {
        PlacementFailure { reason: reason.to_owned(), ..PlacementFailure::default() }
    }

    #[test]
    fn each_exception_of_runtask_has_its_class() {
        let table = [
            ("ThrottlingException", 400, "Rate exceeded", ErrorClass::Throttled),
            ("ServerException", 500, "", ErrorClass::Transient),
            ("ConflictException", 400, "", ErrorClass::Conflict),
            ("ClusterNotFoundException", 400, "Cluster not found.", ErrorClass::Misconfigured),
            ("InvalidParameterException", 400, "Unknown container", ErrorClass::Misconfigured),
            ("ClientException", 400, "TaskDefinition is inactive", ErrorClass::Misconfigured),
            ("AccessDeniedException", 400, "is not authorized", ErrorClass::Misconfigured),
            ("BlockedException", 400, "", ErrorClass::Misconfigured),
            ("PlatformUnknownException", 400, "", ErrorClass::Misconfigured),
            ("UnsupportedFeatureException", 400, "", ErrorClass::Misconfigured),
        ];
        for (code, status, message, class) in table {
            let error = exception(code, status, message);
            assert_eq!(of_error(&error), class, "{code}");
            assert!(!advice(class, &error).is_empty());
        }
    }

    #[test]
    fn a_used_up_vcpu_quota_is_recognised_by_its_text() {
        let text = "You've reached the limit on the number of vCPUs you can run concurrently";
        let error = exception("ClientException", 400, text);
        assert_eq!(of_error(&error), ErrorClass::Quota);
        assert!(advice(ErrorClass::Quota, &error).contains("quota"));
        assert_eq!(of_failure(&failure(text)), ErrorClass::Quota);
    }

    #[test]
    fn fargate_without_capacity_is_recognised_in_both_ways() {
        let text = "Capacity is unavailable at this time. Please try again later or in a \
                    different availability zone";
        assert_eq!(of_error(&exception("ClientException", 400, text)), ErrorClass::Capacity);
        for reason in [text, "RESOURCE:FARGATE", "RESOURCE:CPU", "RESOURCE:MEMORY", "RESOURCE:ENI"]
        {
            assert_eq!(of_failure(&failure(reason)), ErrorClass::Capacity, "{reason}");
        }
    }

    #[test]
    fn throttling_by_ec2_is_throttling_whatever_the_error_code() {
        for text in [
            "Error retrieving subnet information for [subnet-0a1]: Rate exceeded (ErrorCode: \
             Throttling)",
            "Error retrieving security group information for [sg-0a1]: Request limit exceeded. \
             (ErrorCode: RequestLimitExceeded)",
        ] {
            for code in ["InvalidParameterException", "ClientException"] {
                let error = exception(code, 400, text);
                assert_eq!(of_error(&error), ErrorClass::Throttled, "{text}");
                assert!(advice(ErrorClass::Throttled, &error).contains("boot_timeout"));
            }
            assert_eq!(of_failure(&failure(text)), ErrorClass::Throttled, "{text}");
        }
        let wrong = exception(
            "InvalidParameterException",
            400,
            "Error retrieving subnet information for [subnet-0a1]: The subnet ID 'subnet-0a1' does \
             not exist (ErrorCode: InvalidSubnetID.NotFound)",
        );
        assert_eq!(of_error(&wrong), ErrorClass::Misconfigured);
    }

    #[test]
    fn a_used_up_quota_is_recognised_in_both_ways() {
        for text in [
            "The requested CPU configuration is above your limit",
            "The requested MEMORY configuration is above your limit",
            "You've reached the limit on the number of tasks you can run concurrently",
            "You've reached the limit on the number of vCPUs you can run concurrently",
        ] {
            for code in ["ClientException", "InvalidParameterException"] {
                assert_eq!(of_error(&exception(code, 400, text)), ErrorClass::Quota, "{text}");
            }
            assert_eq!(of_failure(&failure(text)), ErrorClass::Quota, "{text}");
        }
    }

    #[test]
    fn a_full_provisioning_queue_is_a_lack_of_capacity_and_not_a_quota() {
        let text = "Provisioning capacity limit exceeded.";
        assert_eq!(of_error(&exception("ClientException", 400, text)), ErrorClass::Capacity);
        assert_eq!(of_failure(&failure(text)), ErrorClass::Capacity);
    }

    #[test]
    fn phrases_in_the_name_of_a_resource_are_ignored() {
        let text =
            "User: arn:aws:sts::1:assumed-role/quota is not authorized to perform: ecs:RunTask";
        assert_eq!(
            of_error(&exception("AccessDeniedException", 400, text)),
            ErrorClass::Misconfigured
        );
    }

    #[test]
    fn any_other_failure_is_a_misconfiguration() {
        for reason in ["MISSING", "INACTIVE", "something new"] {
            assert_eq!(of_failure(&failure(reason)), ErrorClass::Misconfigured, "{reason}");
        }
        let arn = Some("arn:aws:ecs:eu-central-1:1:container-instance/capacity/quota".to_owned());
        assert_eq!(
            of_failure(&PlacementFailure { arn, ..failure("MISSING") }),
            ErrorClass::Misconfigured
        );
    }

    #[test]
    fn a_lack_of_room_and_an_unsatisfied_constraint_are_told_apart() {
        for reason in ["ATTRIBUTE", "MemberOf placement constraint unsatisfied."] {
            let failure = failure(reason);
            let class = of_failure(&failure);
            assert_eq!(class, ErrorClass::Misconfigured, "{reason}");
            assert!(advice_on_placement(class, &failure).contains("constraints"), "{reason}");
        }
        for reason in ["RESOURCE:GPU", "AGENT"] {
            let failure = failure(reason);
            let class = of_failure(&failure);
            assert_eq!(class, ErrorClass::Capacity, "{reason}");
            assert!(advice_on_placement(class, &failure).contains("room"), "{reason}");
        }
    }

    #[test]
    fn a_failure_shows_reason_detail_and_arn() {
        let failure = PlacementFailure {
            arn: Some("arn:1".to_owned()),
            reason: "RESOURCE:CPU".to_owned(),
            detail: Some("none left".to_owned()),
        };
        assert_eq!(failure.to_string(), "RESOURCE:CPU: none left (arn:1)");
    }
}
