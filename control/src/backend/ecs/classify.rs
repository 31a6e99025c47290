//! What to do about a failed RunTask. There are two ways to fail, and both are read: `failures[]`
//! inside an answer that is no error (AWS documentation, "API failure reasons"), and exceptions.

use crate::backend::aws::class::{self, Class};
use crate::backend::aws::fault::Fault;

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

/// The class of a task that was not placed.
pub(super) fn of_failure(failure: &Failure) -> Class {
    let reason = failure.reason.to_lowercase();
    let has = |text: &str| reason.contains(text);
    if has("vcpu") && has("limit") || has("quota") {
        Class::Quota
    } else if has("resource:") || has("capacity") || has("agent") {
        Class::Capacity
    } else {
        Class::Config
    }
}

/// The class of an exception.
pub(super) fn of_fault(fault: &Fault) -> Class {
    let code = fault.code.as_deref().unwrap_or_default();
    let said = fault.message.to_lowercase();
    match code {
        "ConflictException" => Class::Conflict,
        // By its words: the same name stands for a wrong parameter, for the quota of vCPUs and for
        // Fargate without room.
        "ClientException" if said.contains("vcpu") || said.contains("quota") => Class::Quota,
        "ClientException" | "InvalidParameterException" if said.contains("capacity is unavail") => {
            Class::Capacity
        }
        "LimitExceededException" => Class::Quota,
        _ => Class::of(fault),
    }
}

/// What a person can do about it.
pub(super) fn advice(class: Class, fault: &Fault) -> String {
    let code = fault.code.as_deref().unwrap_or_default();
    let advice = match (class, code) {
        (Class::Quota, _) => QUOTA,
        (Class::Capacity, _) => CAPACITY,
        (Class::Throttled, _) => {
            "others in this account use the same requests per second; boot fewer at a time, or \
             give the boot more time (`boot_timeout`)"
        }
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
        (Class::Config, _) => class::advice(fault).unwrap_or(
            "correct what it names: in the backend's settings, or in the task definition",
        ),
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
        _ => "correct what it names: in the backend's settings, or in the task definition",
    }
}

const QUOTA: &str = "the account may not run more: raise the quota of Fargate vCPUs (Service \
                     Quotas, AWS Fargate), or lower `max` or `cpu`; new accounts begin with very few";
const CAPACITY: &str = "there is no room for it at the moment: add subnets in other availability \
                        zones, or another capacity provider, or call again later";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::aws::fault::Got;

    fn exception(code: &str, status: u16, message: &str) -> Fault {
        Fault {
            got: Got::Refused,
            code: Some(code.to_owned()),
            message: message.to_owned(),
            status: Some(status),
            request_id: None,
        }
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
    fn any_other_failure_is_for_a_person() {
        for reason in ["MISSING", "INACTIVE", "ATTRIBUTE", "something new"] {
            assert_eq!(of_failure(&failure(reason)), Class::Config, "{reason}");
        }
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
