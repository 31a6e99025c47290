//! The settings of a Lambda backend, from the app or from the environment.

use aws_config::SdkConfig;

use super::super::aws::sdk::SdkOverrides;
use super::super::aws::settings::{HowToSet, Settings};
use super::{FunctionRef, InvocationType, Lambda};
use crate::backend::BackendError;

const SECTION: &str = "lambda";
const NAMES: &[&str] = &["function", "qualifier", "invocation", "region", "endpoint_url"];

/// The options of a [`Lambda`] backend.
///
/// A setting that is not set here comes from the environment: from its own variable, such as
/// `FLAME_LAMBDA_FUNCTION`, or else from `FLAME_AWS`, which holds all settings as JSON:
/// `{"lambda": {"function": "thumbs", "qualifier": "live"}}`. All settings are checked when a pool
/// starts.
#[derive(Debug, Clone, Default)]
#[must_use = "call `build` to get the backend"]
pub struct LambdaBuilder {
    function: Option<String>,
    qualifier: Option<String>,
    invocation: Option<InvocationType>,
    overrides: SdkOverrides,
    pub(super) sdk: Option<SdkConfig>,
}

impl LambdaBuilder {
    /// The function's name or ARN. Required: set it here, in `FLAME_LAMBDA_FUNCTION`, or as
    /// `lambda.function` in `FLAME_AWS`.
    pub fn function(mut self, function: impl Into<String>) -> Self {
        self.function = Some(function.into());
        self
    }

    /// A version or an alias of the function. `FLAME_LAMBDA_QUALIFIER`; default: the unpublished
    /// version, `$LATEST`. With a version for each build, a deployment can replace the function
    /// while old parents keep using the version of their own build. The parent's policy must name
    /// the version or alias: `..:function:thumbs:live`, or `..:function:thumbs:7` for version 7.
    pub fn qualifier(mut self, qualifier: impl Into<String>) -> Self {
        self.qualifier = Some(qualifier.into());
        self
    }

    /// How the function is invoked. `FLAME_LAMBDA_INVOCATION`: `request-response` or `event`;
    /// default: [`InvocationType::RequestResponse`].
    pub fn invocation(mut self, invocation: InvocationType) -> Self {
        self.invocation = Some(invocation);
        self
    }

    /// The function's region. `FLAME_LAMBDA_REGION`; default: the region in the function's ARN, or
    /// else the region that the SDK finds, such as `AWS_REGION`.
    pub fn region(mut self, region: impl Into<String>) -> Self {
        self.overrides.region = Some(region.into());
        self
    }

    /// Another endpoint of Lambda's API, such as an emulator's. `FLAME_LAMBDA_ENDPOINT_URL`;
    /// default: the endpoint that the SDK finds, such as `AWS_ENDPOINT_URL_LAMBDA` or
    /// `AWS_ENDPOINT_URL`.
    pub fn endpoint_url(mut self, url: impl Into<String>) -> Self {
        self.overrides.endpoint = Some(url.into());
        self
    }

    /// The SDK configuration to use instead of the environment's: credentials, region, endpoint,
    /// HTTP client. Its retries and timeouts are ignored: a second request could start a second
    /// runner, and a request lasts as long as the runner lives.
    pub fn sdk_config(mut self, config: SdkConfig) -> Self {
        self.sdk = Some(config);
        self
    }

    /// The backend. The environment is read when a pool starts.
    #[must_use]
    pub fn build(self) -> Lambda {
        Lambda { options: self }
    }

    /// Merges the builder's settings with the environment's, and checks them.
    pub(super) fn resolve(
        &self,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<LambdaSettings, BackendError> {
        let settings = Settings::read(SECTION, NAMES, variable)?;
        let or_environment =
            |own: &Option<String>, name| own.clone().or_else(|| settings.text(name));
        let mut problems = Vec::new();
        let function = or_environment(&self.function, "function").unwrap_or_default();
        if function.trim().is_empty() {
            let place = HowToSet(SECTION, "function");
            problems.push(format!("`function` is missing: set {place}"));
        } else if !function.chars().all(is_name_char) {
            problems.push(format!(
                "`{function}` is not the name or ARN of a function, which may contain letters, \
                 digits, `-`, `_`, `.` and `:`; set a version or an alias as `qualifier`"
            ));
        }
        let invocation = match (self.invocation, settings.text("invocation").as_deref()) {
            (Some(invocation), _) => invocation,
            (None, None | Some("request-response")) => InvocationType::RequestResponse,
            (None, Some("event")) => InvocationType::Event,
            (None, Some(other)) => {
                let place = HowToSet(SECTION, "invocation");
                problems.push(format!(
                    "`invocation` is `{other}`: set `request-response` or `event` by {place}"
                ));
                InvocationType::RequestResponse
            }
        };
        if !problems.is_empty() {
            let problems = problems.join("; and ");
            return Err(BackendError::new(format!("the Lambda backend can't start: {problems}")));
        }
        // Lambda's API in another region than the ARN's does not know the function.
        let arn_region = function.strip_prefix("arn:").and_then(|rest| rest.split(':').nth(2));
        let region = or_environment(&self.overrides.region, "region")
            .or_else(|| arn_region.map(str::to_owned));
        Ok(LambdaSettings {
            target: FunctionRef {
                name: function,
                qualifier: or_environment(&self.qualifier, "qualifier"),
            },
            invocation,
            overrides: SdkOverrides {
                region,
                endpoint: or_environment(&self.overrides.endpoint, "endpoint_url"),
            },
        })
    }
}

/// Whether a name or ARN may contain the character (botocore 1.44.8, lambda 2015-03-31,
/// `NamespacedFunctionName`); `$` is in `$LATEST`.
fn is_name_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || "-_.:$".contains(c)
}

/// The resolved settings of a Lambda backend.
#[derive(Debug)]
pub(super) struct LambdaSettings {
    pub(super) target: FunctionRef,
    pub(super) invocation: InvocationType,
    pub(super) overrides: SdkOverrides,
}

impl LambdaSettings {
    /// Rejects a parent that would invoke its own Lambda function: each runner would be a parent,
    /// too, and would boot runners without end. A runner on Lambda may boot runners of its own,
    /// since their depth is bounded.
    pub(super) fn reject_own_function(
        &self,
        is_runner: bool,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<(), BackendError> {
        let Some(own) = variable("AWS_LAMBDA_FUNCTION_NAME").filter(|_| !is_runner) else {
            return Ok(());
        };
        // `name`, `name:alias`, `account:function:name`, or an ARN with such an end.
        let function = self.target.name.as_str();
        let tail = function.rsplit_once("function:").map_or(function, |(_, tail)| tail);
        if tail.split(':').next() != Some(own.as_str()) {
            return Ok(());
        }
        Err(BackendError::new(format!(
            "this process runs as the Lambda function `{own}`, so its runners would be parents, too. \
             Deploy the same code as a second function with FLAME_RUNNER=lambda, and set that \
             function by {}",
            HowToSet(SECTION, "function")
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
    fn the_environment_alone_is_enough() {
        let set = &[
            ("FLAME_AWS", r#"{"lambda": {"function": "other", "qualifier": "live"}}"#),
            ("FLAME_LAMBDA_FUNCTION", "thumbs"),
            ("FLAME_LAMBDA_INVOCATION", "event"),
        ];
        let settings = LambdaBuilder::default().resolve(variables(set)).unwrap();
        assert_eq!(settings.target.to_string(), "the Lambda function `thumbs:live`");
        assert_eq!(settings.invocation, InvocationType::Event);
    }

    #[test]
    fn the_builder_precedes_the_environment() {
        let set = &[("FLAME_LAMBDA_FUNCTION", "other"), ("FLAME_LAMBDA_REGION", "eu-west-1")];
        let options = Lambda::builder().function("own").qualifier("7").region("eu-central-1");
        let settings = options.resolve(variables(set)).unwrap();
        assert_eq!(settings.target.to_string(), "the Lambda function `own:7`");
        assert_eq!(settings.overrides.region.as_deref(), Some("eu-central-1"));
        assert_eq!(settings.invocation, InvocationType::RequestResponse);
    }

    #[test]
    fn missing_and_invalid_settings_are_reported_with_where_to_set_them() {
        let set = &[("FLAME_LAMBDA_INVOCATION", "dry-run")];
        let error = LambdaBuilder::default().resolve(variables(set)).unwrap_err().to_string();
        for part in ["FLAME_LAMBDA_FUNCTION", "`lambda.function` in FLAME_AWS", "`dry-run`"] {
            assert!(error.contains(part), "{error}");
        }
        let error = Lambda::builder().function("my function").resolve(|_| None).unwrap_err();
        assert!(error.to_string().contains("not the name or ARN of a function"), "{error}");
    }

    /// The model's pattern (botocore 1.44.8, `NamespacedFunctionName`).
    #[test]
    fn a_name_may_contain_what_lambdas_pattern_allows() {
        for name in ["thumbs.v2", "my_function-1", "123456789012:function:thumbs", "f:$LATEST"] {
            assert!(Lambda::builder().function(name).resolve(|_| None).is_ok(), "{name}");
        }
    }

    #[test]
    fn the_region_of_an_arn_is_the_default_region() {
        let arn = "arn:aws:lambda:eu-central-1:123456789012:function:thumbs";
        let settings = Lambda::builder().function(arn).resolve(|_| None).unwrap();
        assert_eq!(settings.overrides.region.as_deref(), Some("eu-central-1"));
        let settings =
            Lambda::builder().function(arn).region("eu-west-1").resolve(|_| None).unwrap();
        assert_eq!(
            settings.overrides.region.as_deref(),
            Some("eu-west-1"),
            "an explicit region wins"
        );
    }

    #[test]
    fn a_parent_on_lambda_does_not_invoke_its_own_function() {
        let here = variables(&[("AWS_LAMBDA_FUNCTION_NAME", "thumbs")]);
        let arn = "arn:aws:lambda:eu-central-1:123456789012:function:thumbs";
        let versioned = format!("{arn}:live");
        for function in ["thumbs", "thumbs:7", "123456789012:function:thumbs", arn, &versioned] {
            let settings = Lambda::builder().function(function).resolve(|_| None).unwrap();
            let error = settings.reject_own_function(false, &here).unwrap_err().to_string();
            assert!(error.contains("a second function with FLAME_RUNNER=lambda"), "{error}");
            assert!(settings.reject_own_function(true, &here).is_ok(), "a runner may boot runners");
            assert!(
                settings.reject_own_function(false, |_| None).is_ok(),
                "this process is not on Lambda"
            );
        }
        let other = Lambda::builder().function("runners").resolve(|_| None).unwrap();
        assert!(other.reject_own_function(false, &here).is_ok());
    }
}
