//! What a backend on Lambda has to be told: by the app, or by its environment.

use aws_config::SdkConfig;

use super::super::aws::sdk::Overrides;
use super::super::aws::settings::{Settings, Where};
use super::{Invoked, Lambda, Target};
use crate::backend::BackendError;

const SECTION: &str = "lambda";
const NAMES: &[&str] = &["function", "qualifier", "invocation", "region", "endpoint_url"];

/// The options of a [`Lambda`] backend. What is not set here is looked for in the environment: first
/// in a variable of its own, such as `FLAME_LAMBDA_FUNCTION`, then in `FLAME_AWS`, which holds all
/// settings as JSON: `{"lambda": {"function": "thumbs", "qualifier": "live"}}`.
#[derive(Debug, Clone, Default)]
#[must_use = "it is no backend before `build`"]
pub struct LambdaBuilder {
    function: Option<String>,
    qualifier: Option<String>,
    invocation: Option<Invoked>,
    overrides: Overrides,
    pub(super) sdk: Option<SdkConfig>,
}

impl LambdaBuilder {
    /// The function: its name, or its ARN. Must be set here, as `FLAME_LAMBDA_FUNCTION`, or as
    /// `lambda.function` in `FLAME_AWS`.
    pub fn function(mut self, function: impl Into<String>) -> Self {
        self.function = Some(function.into());
        self
    }

    /// A version or an alias of it; `FLAME_LAMBDA_QUALIFIER`. Default: the unpublished version,
    /// `$LATEST`. With an alias a deployment can replace the function while old parents go on with
    /// the version of their own build. The parent's policy must name it: `..:function:thumbs:live`, or
    /// `..:function:thumbs:7` for version 7.
    pub fn qualifier(mut self, qualifier: impl Into<String>) -> Self {
        self.qualifier = Some(qualifier.into());
        self
    }

    /// How Lambda is asked; `FLAME_LAMBDA_INVOCATION`, `request-response` or `event`. Default:
    /// [`Invoked::RequestResponse`].
    pub fn invocation(mut self, how: Invoked) -> Self {
        self.invocation = Some(how);
        self
    }

    /// The function's region; `FLAME_LAMBDA_REGION`. Default: that of the function's ARN, or what the
    /// SDK finds, as in `AWS_REGION`.
    pub fn region(mut self, region: impl Into<String>) -> Self {
        self.overrides.region = Some(region.into());
        self
    }

    /// Where Lambda's API is, if it is not AWS's; `FLAME_LAMBDA_ENDPOINT_URL`. Default: what the SDK
    /// finds, as in `AWS_ENDPOINT_URL_LAMBDA` or `AWS_ENDPOINT_URL`.
    pub fn endpoint_url(mut self, url: impl Into<String>) -> Self {
        self.overrides.endpoint = Some(url.into());
        self
    }

    /// A configuration of the SDK, in place of what it finds by itself: credentials, region,
    /// endpoint, HTTP client. Its retries and timeouts are not used: a second request could be a
    /// second runner, and one lasts as long as a runner lives.
    pub fn sdk_config(mut self, config: SdkConfig) -> Self {
        self.sdk = Some(config);
        self
    }

    /// The backend. The environment is read, and all of it checked, when a pool starts with it.
    #[must_use]
    pub fn build(self) -> Lambda {
        Lambda { options: self }
    }

    /// All settings together.
    pub(super) fn plan(
        &self,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Plan, BackendError> {
        let found = Settings::read(SECTION, NAMES, variable)?;
        let or = |own: &Option<String>, name| own.clone().or_else(|| found.text(name));
        let mut wrong = Vec::new();
        let function = or(&self.function, "function").unwrap_or_default();
        if function.trim().is_empty() {
            let place = Where(SECTION, "function");
            wrong.push(format!("the function's name is missing: set it by {place}"));
        } else if !function.chars().all(is_of_a_name) {
            wrong.push(format!(
                "`{function}` is no function's name or ARN, which has letters, digits, `-`, `_`, `.` \
                 and `:` alone; a version or an alias is the `qualifier`"
            ));
        }
        let invocation = match (self.invocation, found.text("invocation").as_deref()) {
            (Some(how), _) => how,
            (None, None | Some("request-response")) => Invoked::RequestResponse,
            (None, Some("event")) => Invoked::Event,
            (None, Some(other)) => {
                let place = Where(SECTION, "invocation");
                wrong.push(format!(
                    "`{other}` is no way to invoke: set `request-response` or `event` by {place}"
                ));
                Invoked::RequestResponse
            }
        };
        if !wrong.is_empty() {
            let wrong = wrong.join("; and ");
            return Err(BackendError::new(format!("the Lambda backend can't be used: {wrong}")));
        }
        // An ARN says where its function is, and Lambda's API of another region does not know it.
        let of_arn = function.strip_prefix("arn:").and_then(|rest| rest.split(':').nth(2));
        let region = or(&self.overrides.region, "region").or_else(|| of_arn.map(str::to_owned));
        Ok(Plan {
            target: Target { function, qualifier: or(&self.qualifier, "qualifier") },
            how: invocation,
            overrides: Overrides { region, endpoint: or(&self.overrides.endpoint, "endpoint_url") },
        })
    }
}

/// Of names and ARNs (botocore 1.44.8, lambda 2015-03-31, `NamespacedFunctionName`); `$` is in
/// `$LATEST`.
fn is_of_a_name(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || "-_.:$".contains(letter)
}

/// What a pool's start goes by.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) target: Target,
    pub(super) how: Invoked,
    pub(super) overrides: Overrides,
}

impl Plan {
    /// A function that boots itself, and does not know that it is to be a runner, would be one more
    /// parent each time. A runner on Lambda that boots runners of its own is fine: their depth is
    /// bounded.
    pub(super) fn refuse_itself(
        &self,
        is_runner: bool,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<(), BackendError> {
        let Some(own) = variable("AWS_LAMBDA_FUNCTION_NAME").filter(|_| !is_runner) else {
            return Ok(());
        };
        // `name`, `name:alias`, `account:function:name`, or an ARN that ends so.
        let function = self.target.function.as_str();
        let tail = function.rsplit_once("function:").map_or(function, |(_, tail)| tail);
        if tail.split(':').next() != Some(own.as_str()) {
            return Ok(());
        }
        Err(BackendError::new(format!(
            "this process is the Lambda function `{own}` itself, as a parent: its runners would be \
             parents, too. Deploy the same code as a second function with FLAME_RUNNER=lambda, and \
             name that one by {}",
            Where(SECTION, "function")
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variables(set: &'static [(&str, &str)]) -> impl Fn(&str) -> Option<String> {
        move |name| set.iter().find(|(known, _)| *known == name).map(|(_, v)| (*v).to_owned())
    }

    #[test]
    fn the_environment_is_enough() {
        let set = &[
            ("FLAME_AWS", r#"{"lambda": {"function": "theirs", "qualifier": "live"}}"#),
            ("FLAME_LAMBDA_FUNCTION", "thumbs"),
            ("FLAME_LAMBDA_INVOCATION", "event"),
        ];
        let plan = LambdaBuilder::default().plan(variables(set)).unwrap();
        assert_eq!(plan.target.to_string(), "the Lambda function `thumbs:live`");
        assert_eq!(plan.how, Invoked::Event);
    }

    #[test]
    fn what_the_app_says_goes_before_the_environment() {
        let set = &[("FLAME_LAMBDA_FUNCTION", "theirs"), ("FLAME_LAMBDA_REGION", "eu-west-1")];
        let options = Lambda::builder().function("mine").qualifier("7").region("eu-central-1");
        let plan = options.plan(variables(set)).unwrap();
        assert_eq!(plan.target.to_string(), "the Lambda function `mine:7`");
        assert_eq!(plan.overrides.region.as_deref(), Some("eu-central-1"));
        assert_eq!(plan.how, Invoked::RequestResponse);
    }

    #[test]
    fn what_is_missing_or_wrong_is_told_at_once_with_where_to_set_it() {
        let set = &[("FLAME_LAMBDA_INVOCATION", "dry-run")];
        let error = LambdaBuilder::default().plan(variables(set)).unwrap_err().to_string();
        for part in ["FLAME_LAMBDA_FUNCTION", "`lambda.function` in FLAME_AWS", "`dry-run`"] {
            assert!(error.contains(part), "{error}");
        }
        let error = Lambda::builder().function("my function").plan(|_| None).unwrap_err();
        assert!(error.to_string().contains("no function's name"), "{error}");
    }

    /// As the pattern of the model has it (botocore 1.44.8, `NamespacedFunctionName`).
    #[test]
    fn a_name_may_have_what_lambdas_pattern_takes() {
        for name in ["thumbs.v2", "my_function-1", "123456789012:function:thumbs", "f:$LATEST"] {
            assert!(Lambda::builder().function(name).plan(|_| None).is_ok(), "{name}");
        }
    }

    #[test]
    fn an_arn_is_a_function_and_says_its_region() {
        let arn = "arn:aws:lambda:eu-central-1:123456789012:function:thumbs";
        let plan = Lambda::builder().function(arn).plan(|_| None).unwrap();
        assert_eq!(plan.overrides.region.as_deref(), Some("eu-central-1"));
        let plan = Lambda::builder().function(arn).region("eu-west-1").plan(|_| None).unwrap();
        assert_eq!(plan.overrides.region.as_deref(), Some("eu-west-1"), "it was said");
    }

    #[test]
    fn a_parent_does_not_boot_the_function_that_it_is_itself() {
        let here = variables(&[("AWS_LAMBDA_FUNCTION_NAME", "thumbs")]);
        let arn = "arn:aws:lambda:eu-central-1:123456789012:function:thumbs";
        let versioned = format!("{arn}:live");
        for function in ["thumbs", "thumbs:7", "123456789012:function:thumbs", arn, &versioned] {
            let plan = Lambda::builder().function(function).plan(|_| None).unwrap();
            let error = plan.refuse_itself(false, &here).unwrap_err().to_string();
            assert!(error.contains("a second function with FLAME_RUNNER=lambda"), "{error}");
            assert!(plan.refuse_itself(true, &here).is_ok(), "a runner may nest");
            assert!(plan.refuse_itself(false, |_| None).is_ok(), "it is not on Lambda");
        }
        let other = Lambda::builder().function("runners").plan(|_| None).unwrap();
        assert!(other.refuse_itself(false, &here).is_ok());
    }
}
