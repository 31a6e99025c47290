//! What to do about a failed RunTask. There are two ways to fail, and both are read: `failures[]`
//! inside an answer that is no error (AWS documentation, "API failure reasons"), and exceptions.

use crate::backend::aws::class::{self, Class};
use crate::backend::aws::fault::Fault;
use crate::backend::aws::words::{self, Row};

/// Why a task was not placed, out of an answer that is no error.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Failure {
    pub(super) arn: Option<String>,
    pub(super) reason: String,
    pub(super) detail: Option<String>,
}

impl std::fmt::Display for Failure {
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

/// What the words of a refusal mean, in an exception and in `failures[]` alike: both bring the same
/// ones. The order counts.
const WORDS: &[Row<Class>] = &[
    // Too many tasks of a cluster are in PROVISIONING, which passes (botocore 1.44.8, ecs 2014-11-13,
    // RunTask: ClientException).
    Row { phrases: &["provisioning capacity limit exceeded"], means: Class::Capacity },
    // AWS's knowledge centre.
    Row { phrases: &["Capacity is unavailable"], means: Class::Capacity },
    Row { phrases: words::THROTTLED, means: Class::Throttled },
    // dask-cloudprovider, issue 299, says "above your limit" of CPU; AWS documentation, "Stopped tasks
    // error messages", "reached the limit" of tasks and vCPUs.
    Row {
        phrases: &[
            "above your limit",
            "reached the limit",
            "limit on the number of vCPUs",
            "quota",
        ],
        means: Class::Quota,
    },
    Row { phrases: &["limit on vCPUs", "vCPU limit"], means: Class::Quota },
];

/// What `failures[]` has besides (AWS documentation, "API failure reasons").
const PLACING: &[Row<Class>] =
    &[Row { phrases: &["RESOURCE:", "capacity", "agent"], means: Class::Capacity }];

/// What the words of ECS mean, whichever way they came, if they are known.
pub(super) fn by_words(said: &str) -> Option<Class> {
    words::meaning(WORDS, said).copied()
}

/// The class of a task that was not placed.
pub(super) fn of_failure(failure: &Failure) -> Class {
    // Not its ARN: a cluster may be called anything.
    let said = format!("{}: {}", failure.reason, failure.detail.as_deref().unwrap_or_default());
    by_words(&said).or_else(|| words::meaning(PLACING, &said).copied()).unwrap_or(Class::Config)
}

/// The class of an exception.
pub(super) fn of_fault(fault: &Fault) -> Class {
    match fault.code.as_deref().unwrap_or_default() {
        "ConflictException" => Class::Conflict,
        "LimitExceededException" => Class::Quota,
        // These two stand for a wrong parameter, for quotas, for EC2's throttling and for Fargate
        // without room. Of the others the name says all.
        "ClientException" | "InvalidParameterException" => {
            by_words(&fault.message).unwrap_or_else(|| Class::of(fault))
        }
        _ => Class::of(fault),
    }
}

/// What a person can do about it.
pub(super) fn advice(class: Class, fault: &Fault) -> String {
    let code = fault.code.as_deref().unwrap_or_default();
    let advice = match (class, code) {
        (Class::Quota | Class::Capacity | Class::Throttled, _) => advice_on_failure(class),
        (_, "ClusterNotFoundException") => {
            "look at `cluster` (FLAME_ECS_CLUSTER) and at the region"
        }
        (_, "InvalidParameterException") if is_about_providers(fault) => {
            "associate the capacity provider with the cluster (PutClusterCapacityProviders), or \
             name another"
        }
        (_, "BlockedException") => "AWS has blocked the account: ask its support",
        (_, "PlatformUnknownException" | "PlatformTaskDefinitionIncompatibilityException") => {
            "look at `platform_version`, or leave it out"
        }
        (_, "UnsupportedFeatureException") => {
            "the task definition asks for what this region has not"
        }
        (Class::Config, _) => class::advice(fault).unwrap_or(CONFIG),
        _ => class::advice(fault).unwrap_or("AWS had a fault of its own: call again"),
    };
    advice.to_owned()
}

fn is_about_providers(fault: &Fault) -> bool {
    fault.message.contains("capacity provider")
}

/// What a person can do about a task that was not placed.
pub(super) fn advice_on_failure(class: Class) -> &'static str {
    match class {
        Class::Capacity => CAPACITY,
        Class::Quota => QUOTA,
        Class::Throttled => THROTTLED,
        _ => CONFIG,
    }
}

const CONFIG: &str = "correct what it names: in the backend's settings, or in the task definition";
const THROTTLED: &str = "AWS takes so many requests a second of an account and region, those of \
                         EC2's API behind ECS included: boot fewer at a time, or give the boot \
                         more time (`boot_timeout`)";
const QUOTA: &str = "the account may not run more: raise the quota of Fargate vCPUs (Service \
                     Quotas, AWS Fargate), or lower `max`, `cpu` or `memory`; new accounts begin \
                     with very few";
const CAPACITY: &str = "there is no room for it at the moment: add subnets in other availability \
                        zones, or another capacity provider, or call again later";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::aws::fault::Got;

    fn exception(code: &str, status: u16, message: &str) -> Fault {
        let (code, message) = (Some(code.to_owned()), message.to_owned());
        Fault { code, message, status: Some(status), ..Fault::new(Got::Refused) }
    }

    fn failure(reason: &str) -> Failure {
        Failure { reason: reason.to_owned(), ..Failure::default() }
    }

    #[test]
    fn each_exception_of_runtask_has_its_class() {
        let table = [
            ("ThrottlingException", 400, "Rate exceeded", Class::Throttled),
            ("ServerException", 500, "", Class::Transient),
            ("ConflictException", 400, "", Class::Conflict),
            ("ClusterNotFoundException", 400, "Cluster not found.", Class::Config),
            ("InvalidParameterException", 400, "Unknown container", Class::Config),
            ("ClientException", 400, "TaskDefinition is inactive", Class::Config),
            ("AccessDeniedException", 400, "is not authorized", Class::Config),
            ("BlockedException", 400, "", Class::Config),
            ("PlatformUnknownException", 400, "", Class::Config),
            ("UnsupportedFeatureException", 400, "", Class::Config),
        ];
        for (code, status, message, class) in table {
            let fault = exception(code, status, message);
            assert_eq!(of_fault(&fault), class, "{code}");
            assert!(!advice(class, &fault).is_empty());
        }
    }

    #[test]
    fn the_quota_of_vcpus_is_a_client_exception_by_its_words() {
        let told = "You've reached the limit on the number of vCPUs you can run concurrently";
        let fault = exception("ClientException", 400, told);
        assert_eq!(of_fault(&fault), Class::Quota);
        assert!(advice(Class::Quota, &fault).contains("quota"));
        assert_eq!(of_failure(&failure(told)), Class::Quota);
    }

    #[test]
    fn fargate_without_room_is_told_in_both_ways() {
        let told = "Capacity is unavailable at this time. Please try again later or in a \
                    different availability zone";
        assert_eq!(of_fault(&exception("ClientException", 400, told)), Class::Capacity);
        for reason in [told, "RESOURCE:FARGATE", "RESOURCE:CPU", "RESOURCE:MEMORY", "RESOURCE:ENI"]
        {
            assert_eq!(of_failure(&failure(reason)), Class::Capacity, "{reason}");
        }
    }

    #[test]
    fn throttling_by_ec2_is_throttling_whatever_the_name_of_the_error() {
        for told in [
            "Error retrieving subnet information for [subnet-0a1]: Rate exceeded (ErrorCode: \
             Throttling)",
            "Error retrieving security group information for [sg-0a1]: Request limit exceeded. \
             (ErrorCode: RequestLimitExceeded)",
        ] {
            for code in ["InvalidParameterException", "ClientException"] {
                let fault = exception(code, 400, told);
                assert_eq!(of_fault(&fault), Class::Throttled, "{told}");
                assert!(advice(Class::Throttled, &fault).contains("boot_timeout"));
            }
            assert_eq!(of_failure(&failure(told)), Class::Throttled, "{told}");
        }
        let wrong = exception(
            "InvalidParameterException",
            400,
            "Error retrieving subnet information for [subnet-0a1]: The subnet ID 'subnet-0a1' does \
             not exist (ErrorCode: InvalidSubnetID.NotFound)",
        );
        assert_eq!(of_fault(&wrong), Class::Config);
    }

    #[test]
    fn a_quota_is_told_in_both_ways() {
        for told in [
            "The requested CPU configuration is above your limit",
            "The requested MEMORY configuration is above your limit",
            "You've reached the limit on the number of tasks you can run concurrently",
            "You've reached the limit on the number of vCPUs you can run concurrently",
        ] {
            for code in ["ClientException", "InvalidParameterException"] {
                assert_eq!(of_fault(&exception(code, 400, told)), Class::Quota, "{told}");
            }
            assert_eq!(of_failure(&failure(told)), Class::Quota, "{told}");
        }
    }

    #[test]
    fn tasks_that_wait_for_a_place_are_room_that_comes_back_and_no_quota() {
        let told = "Provisioning capacity limit exceeded.";
        assert_eq!(of_fault(&exception("ClientException", 400, told)), Class::Capacity);
        assert_eq!(of_failure(&failure(told)), Class::Capacity);
    }

    #[test]
    fn words_in_the_name_of_a_resource_change_no_refusal() {
        let told =
            "User: arn:aws:sts::1:assumed-role/quota is not authorized to perform: ecs:RunTask";
        assert_eq!(of_fault(&exception("AccessDeniedException", 400, told)), Class::Config);
    }

    #[test]
    fn any_other_failure_is_for_a_person() {
        for reason in ["MISSING", "INACTIVE", "ATTRIBUTE", "something new"] {
            assert_eq!(of_failure(&failure(reason)), Class::Config, "{reason}");
        }
        let arn = Some("arn:aws:ecs:eu-central-1:1:container-instance/capacity/quota".to_owned());
        assert_eq!(of_failure(&Failure { arn, ..failure("MISSING") }), Class::Config);
    }

    #[test]
    fn a_failure_is_told_in_full() {
        let failure = Failure {
            arn: Some("arn:1".to_owned()),
            reason: "RESOURCE:CPU".to_owned(),
            detail: Some("none left".to_owned()),
        };
        assert_eq!(failure.to_string(), "RESOURCE:CPU: none left (arn:1)");
    }
}
