//! The requests that the backend makes to Lambda, without the SDK's types.

use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{Region, SdkConfig};
use aws_sdk_lambda::config::StalledStreamProtectionConfig;
use aws_sdk_lambda::error::SdkError;
use aws_sdk_lambda::operation::RequestId as _;
use aws_sdk_lambda::operation::get_function_configuration::GetFunctionConfigurationOutput;
use aws_sdk_lambda::operation::invoke::InvokeError;
use aws_sdk_lambda::primitives::Blob;
use aws_sdk_lambda::types::{self, LogType};
use aws_smithy_http_client::pool::{Client as HttpClient, ConnectionPool};
use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::tls::Provider;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::function::{self, EventDelivery, FunctionConfig, MAX_TIMEOUT, Mode, Variables};
use super::invoke_failure::InvokeFailure;
use super::outcome::InvokeResponse;
use super::{FunctionRef, InvocationType};
use crate::backend::BackendError;
use crate::backend::aws::api_error::ApiError;
use crate::backend::aws::error_class;
use crate::cost::{Architecture, InstanceSize};

/// A request may wait for minutes without traffic, and a NAT gateway drops an idle connection after
/// 350 s. So the kernel sends TCP keepalive probes.
const TCP_KEEPALIVE: Duration = Duration::from_secs(60);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// How long to wait for Lambda's response beyond the function's timeout.
const RESPONSE_MARGIN: Duration = Duration::from_secs(30);

/// A client for one function.
#[derive(Debug, Clone)]
pub(super) struct Client {
    sdk: aws_sdk_lambda::Client,
    target: FunctionRef,
}

impl Client {
    /// The SDK's retries are off, whatever `config` says: a second Invoke may start a second
    /// runner.
    pub(super) fn new(config: &SdkConfig, target: FunctionRef) -> Result<Self, BackendError> {
        let failed = |error: &dyn std::error::Error| {
            BackendError::new(format!("the HTTP client for Lambda can't be created: {error}"))
        };
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .operation_timeout(super::REQUEST_TIMEOUT)
            .operation_attempt_timeout(super::REQUEST_TIMEOUT);
        let mut builder = aws_sdk_lambda::config::Builder::from(config)
            .retry_config(RetryConfig::disabled())
            .timeout_config(timeouts.build())
            // The protection would mistake a runner that serves for a stalled connection.
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled());
        if config.http_client().is_some() {
            let sdk = aws_sdk_lambda::Client::from_conf(builder.build());
            return Ok(Self { sdk, target });
        }
        let pool = ConnectionPool::builder()
            .tcp_keepalive(TCP_KEEPALIVE)
            .proxy_config(ProxyConfig::from_env())
            .tls_provider(Provider::Rustls(CryptoMode::AwsLc))
            .build_https()
            .map_err(|error| failed(&error))?;
        let http = HttpClient::new(&pool).map_err(|error| failed(&error))?;
        builder = builder.http_client(http);
        Ok(Self { sdk: aws_sdk_lambda::Client::from_conf(builder.build()), target })
    }

    /// The region that requests go to.
    pub(super) fn region(&self) -> Option<&str> {
        self.sdk.config().region().map(Region::as_ref)
    }

    /// Invokes the function. A `RequestResponse` takes as long as the invocation, whose own limit
    /// is `timeout`.
    pub(super) async fn invoke(
        &self,
        invocation_type: InvocationType,
        event: Vec<u8>,
        timeout: Option<Duration>,
    ) -> Result<InvokeResponse, InvokeFailure> {
        let limit = response_timeout(timeout);
        let timeouts =
            TimeoutConfig::builder().operation_timeout(limit).operation_attempt_timeout(limit);
        let config = aws_sdk_lambda::config::Builder::new().timeout_config(timeouts.build());
        let invocation_type = match invocation_type {
            InvocationType::RequestResponse => types::InvocationType::RequestResponse,
            InvocationType::Event => types::InvocationType::Event,
        };
        let request = self
            .sdk
            .invoke()
            .function_name(&self.target.name)
            .set_qualifier(self.target.qualifier.clone())
            .invocation_type(invocation_type)
            .log_type(LogType::Tail)
            .payload(Blob::new(event))
            .customize()
            .config_override(config);
        let output = request.send().await.map_err(|error| failure(&error))?;
        Ok(InvokeResponse {
            status: u16::try_from(output.status_code()).unwrap_or_default(),
            function_error: output.function_error().map(str::to_owned),
            payload: output.payload().map(|blob| blob.as_ref().to_vec()).unwrap_or_default(),
            log: output.log_result().map(lines).unwrap_or_default(),
            request_id: output.request_id().map(str::to_owned),
        })
    }

    /// The function's configuration.
    pub(super) async fn function(&self) -> Result<FunctionConfig, ApiError> {
        let request = self
            .sdk
            .get_function_configuration()
            .function_name(&self.target.name)
            .set_qualifier(self.target.qualifier.clone());
        let actions = &["lambda:GetFunctionConfiguration"];
        let output =
            request.send().await.map_err(|error| error_class::of_request(&error, actions))?;
        let unreadable = output.environment().and_then(|environment| environment.error());
        let variables = match unreadable {
            Some(error) => {
                Variables::Hidden(error.message().or(error.error_code()).unwrap_or("?").to_owned())
            }
            None => {
                let environment = output.environment();
                let variables = environment.and_then(|found| found.variables()).cloned();
                Variables::Known(variables.unwrap_or_default())
            }
        };
        Ok(FunctionConfig {
            billed: billed_size(&output),
            state: output.state().map(|state| state.as_str().to_owned()),
            state_reason: output.state_reason().map(str::to_owned),
            timeout: output
                .timeout()
                .and_then(|seconds| u64::try_from(seconds).ok())
                .map(Duration::from_secs),
            size: function::size(
                output.memory_size().and_then(|mib| u32::try_from(mib).ok()),
                output.ephemeral_storage().and_then(|storage| u32::try_from(storage.size()).ok()),
            ),
            variables,
            modes: modes(&output),
        })
    }

    /// How Lambda redelivers the function's events.
    pub(super) async fn delivery(&self) -> Result<EventDelivery, ApiError> {
        let request = self
            .sdk
            .get_function_event_invoke_config()
            .function_name(&self.target.name)
            .set_qualifier(self.target.qualifier.clone());
        let unset = EventDelivery::default();
        match request.send().await {
            Ok(set) => Ok(EventDelivery {
                retries: set
                    .maximum_retry_attempts()
                    .and_then(|retries| u32::try_from(retries).ok())
                    .unwrap_or(unset.retries),
                max_age: set
                    .maximum_event_age_in_seconds()
                    .and_then(|seconds| u64::try_from(seconds).ok())
                    .map_or(unset.max_age, Duration::from_secs),
            }),
            // The function exists, so only its event configuration can be missing.
            Err(error) => match error.as_service_error() {
                Some(known) if known.is_resource_not_found_exception() => Ok(unset),
                _ => {
                    let actions = &["lambda:GetFunctionEventInvokeConfig"];
                    Err(error_class::of_request(&error, actions))
                }
            },
        }
    }
}

fn billed_size(found: &GetFunctionConfigurationOutput) -> InstanceSize {
    let memory = found.memory_size().and_then(|memory| u32::try_from(memory).ok());
    let architecture = if found.architectures().contains(&types::Architecture::Arm64) {
        Architecture::Arm
    } else {
        Architecture::X86
    };
    memory.map_or(InstanceSize::Unknown, |memory| InstanceSize::Lambda { memory, architecture })
}

fn modes(found: &GetFunctionConfigurationOutput) -> Vec<Mode> {
    let tenants = found.tenancy_config().map(|tenancy| tenancy.tenant_isolation_mode());
    [
        (found.capacity_provider_config().is_some(), Mode::CapacityProvider),
        (found.durable_config().is_some(), Mode::Durable),
        (tenants.is_some(), Mode::PerTenant),
    ]
    .into_iter()
    .filter_map(|(is_there, mode)| is_there.then_some(mode))
    .collect()
}

/// How long to wait for the response: longer than the invocation can last, or the response would be
/// lost. The function's own timeout counts, whatever Lambda's current maximum is.
fn response_timeout(timeout: Option<Duration>) -> Duration {
    timeout.unwrap_or(MAX_TIMEOUT).saturating_add(RESPONSE_MARGIN)
}

fn failure(
    sdk_error: &SdkError<InvokeError, aws_smithy_runtime_api::client::orchestrator::HttpResponse>,
) -> InvokeFailure {
    let actions = &["lambda:InvokeFunction"];
    let mut error = error_class::of_request(sdk_error, actions);
    // EC2's error code tells throttling from a wrong subnet.
    if let Some(InvokeError::Ec2UnexpectedException(exception)) = sdk_error.as_service_error()
        && let Some(code) = exception.ec2_error_code()
        && !error.message.contains(code)
    {
        error.message += &format!(" (EC2's error code is {code})");
    }
    let throttle = match sdk_error.as_service_error() {
        Some(InvokeError::TooManyRequestsException(throttled)) => {
            throttled.reason().map(|reason| reason.as_str().to_owned())
        }
        _ => None,
    };
    InvokeFailure { error, throttle }
}

/// The lines of a base64-encoded log tail.
fn lines(encoded: &str) -> Vec<String> {
    let decoded = STANDARD.decode(encoded).unwrap_or_default();
    let text = String::from_utf8_lossy(&decoded).into_owned();
    text.lines().filter(|line| !line.trim().is_empty()).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use aws_config::BehaviorVersion;

    use super::*;
    use crate::backend::aws::api_error::ApiErrorKind;
    use crate::backend::aws::testing::{config, page_server};

    #[test]
    fn the_response_timeout_is_longer_than_an_invocation_can_last() {
        for seconds in [15, 60, 900, 1_800, 5_400, 86_400] {
            let timeout = Duration::from_secs(seconds);
            assert!(response_timeout(Some(timeout)) > timeout, "{timeout:?}");
        }
        assert!(response_timeout(None) > MAX_TIMEOUT);
    }

    #[test]
    fn unsuitable_features_of_a_function_are_recognised() {
        use aws_sdk_lambda::types::{
            CapacityProviderConfig, DurableConfig, LambdaManagedInstancesCapacityProviderConfig,
            TenancyConfig, TenantIsolationMode,
        };
        let output = GetFunctionConfigurationOutput::builder;
        assert_eq!(modes(&output().build()), []);
        let provider = LambdaManagedInstancesCapacityProviderConfig::builder()
            .capacity_provider_arn("arn:aws:lambda:eu-central-1:1:capacity-provider:x")
            .build()
            .unwrap();
        let provider = CapacityProviderConfig::builder()
            .lambda_managed_instances_capacity_provider_config(provider)
            .build();
        let tenancy =
            TenancyConfig::builder().tenant_isolation_mode(TenantIsolationMode::PerTenant);
        let all = output()
            .capacity_provider_config(provider)
            .durable_config(DurableConfig::builder().build())
            .tenancy_config(tenancy.build().unwrap());
        let found = modes(&all.build());
        assert_eq!(found, [Mode::CapacityProvider, Mode::Durable, Mode::PerTenant]);
    }

    #[test]
    fn an_error_from_ec2_keeps_ec2s_error_code() {
        use aws_sdk_lambda::types::error::Ec2UnexpectedException;
        use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
        use aws_smithy_types::body::SdkBody;
        let message = |code: &str| {
            let error = Ec2UnexpectedException::builder()
                .message("an EC2 client exception")
                .ec2_error_code(code)
                .meta(aws_smithy_types::error::ErrorMetadata::builder().code("EC2").build());
            let raw = HttpResponse::new(502.try_into().unwrap(), SdkBody::empty());
            let error = InvokeError::Ec2UnexpectedException(error.build());
            failure(&SdkError::service_error(error, raw)).error.message
        };
        assert!(
            message("RequestLimitExceeded").contains("EC2's error code is RequestLimitExceeded")
        );
    }

    #[tokio::test]
    async fn a_page_from_another_server_is_not_mistaken_for_lambdas_response() {
        let target = FunctionRef { name: "thumbs".to_owned(), qualifier: None };
        for status in [403, 501, 502] {
            let endpoint = page_server(status, "<html><b>Not here</b></html>").await;
            let client = Client::new(&config(&endpoint), target.clone()).unwrap();
            let config = client.function().await.unwrap_err();
            let request = client.invoke(InvocationType::RequestResponse, b"{}".to_vec(), None);
            for error in [config, request.await.unwrap_err().error] {
                assert_eq!(
                    (error.kind, error.status),
                    (ApiErrorKind::Foreign, Some(status)),
                    "{error:?}"
                );
                assert!(error.to_string().contains(&format!("HTTP {status}: Not here")), "{error}");
            }
        }
    }

    #[test]
    fn a_client_neither_retries_nor_cuts_a_silent_connection_whatever_the_app_sets() {
        let target = FunctionRef { name: "thumbs".to_owned(), qualifier: None };
        let set = SdkConfig::builder()
            .behavior_version(BehaviorVersion::v2026_01_12())
            .retry_config(RetryConfig::standard())
            .stalled_stream_protection(StalledStreamProtectionConfig::enabled().build());
        let unset = SdkConfig::builder().behavior_version(BehaviorVersion::v2026_01_12());
        for config in [set.build(), unset.build()] {
            let client = Client::new(&config, target.clone()).unwrap();
            let config = client.sdk.config();
            let stalled =
                config.stalled_stream_protection().expect("the protection is set explicitly");
            assert!(!stalled.upload_enabled() && !stalled.download_enabled(), "{stalled:?}");
            assert_eq!(config.retry_config().map(RetryConfig::max_attempts), Some(1));
        }
    }

    #[test]
    fn a_log_tail_is_split_into_lines_and_an_invalid_one_has_none() {
        let encoded = STANDARD.encode("START RequestId: 1\n\nit began\r\nEND \u{fffd}\n");
        assert_eq!(lines(&encoded), ["START RequestId: 1", "it began", "END \u{fffd}"]);
        assert!(lines("%%%").is_empty());
        assert_eq!(lines(&STANDARD.encode(b"\xff\xfe cut")).len(), 1);
    }
}
