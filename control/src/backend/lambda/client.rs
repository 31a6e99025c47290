//! Lambda's API, as far as the backend needs it, without the SDK's types.

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
use aws_sdk_lambda::types::{InvocationType, LogType};
use aws_smithy_http_client::pool::{Client as HttpClient, ConnectionPool};
use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::tls::Provider;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::function::{Delivery, LONGEST, Mode, Seen, Variables};
use super::outcome::Reply;
use super::refusal::Refusal;
use super::{Invoked, Target};
use crate::backend::BackendError;
use crate::backend::aws::fault::Fault;

/// A request waits for minutes without a byte, and what is in between forgets it: a NAT gateway
/// after 350 s. So the kernel probes the connection.
const KEEP_ALIVE: Duration = Duration::from_secs(60);
/// How long to wait for a connection.
const CONNECT: Duration = Duration::from_secs(3);
/// Beyond the function's timeout: until Lambda's answer to it.
const LATER: Duration = Duration::from_secs(30);

/// A client for one function.
#[derive(Debug, Clone)]
pub(super) struct Client {
    sdk: aws_sdk_lambda::Client,
    target: Target,
}

impl Client {
    /// The SDK's retries are off, whatever `config` says: a second Invoke may be a second runner.
    pub(super) fn new(config: &SdkConfig, target: Target) -> Result<Self, BackendError> {
        let failed = |error: &dyn std::error::Error| {
            BackendError::new(format!("the HTTP client for Lambda can't be made: {error}"))
        };
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(CONNECT)
            .operation_timeout(super::PATIENCE)
            .operation_attempt_timeout(super::PATIENCE);
        let mut builder = aws_sdk_lambda::config::Builder::from(config)
            .retry_config(RetryConfig::disabled())
            .timeout_config(timeouts.build())
            // It takes a runner that serves for a connection that is stuck.
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled());
        if config.http_client().is_some() {
            let sdk = aws_sdk_lambda::Client::from_conf(builder.build());
            return Ok(Self { sdk, target });
        }
        let pool = ConnectionPool::builder()
            .tcp_keepalive(KEEP_ALIVE)
            .proxy_config(ProxyConfig::from_env())
            .tls_provider(Provider::Rustls(CryptoMode::AwsLc))
            .build_https()
            .map_err(|error| failed(&error))?;
        let http = HttpClient::new(&pool).map_err(|error| failed(&error))?;
        builder = builder.http_client(http);
        Ok(Self { sdk: aws_sdk_lambda::Client::from_conf(builder.build()), target })
    }

    /// Where the requests go.
    pub(super) fn region(&self) -> Option<&str> {
        self.sdk.config().region().map(Region::as_ref)
    }

    /// Invokes the function; takes as long as the invocation, whose own limit is `timeout`.
    pub(super) async fn invoke(
        &self,
        how: Invoked,
        event: Vec<u8>,
        timeout: Option<Duration>,
    ) -> Result<Reply, Refusal> {
        let limit = patience(timeout);
        let timeouts =
            TimeoutConfig::builder().operation_timeout(limit).operation_attempt_timeout(limit);
        let patient = aws_sdk_lambda::config::Builder::new().timeout_config(timeouts.build());
        let how = match how {
            Invoked::RequestResponse => InvocationType::RequestResponse,
            Invoked::Event => InvocationType::Event,
        };
        let request = self
            .sdk
            .invoke()
            .function_name(&self.target.function)
            .set_qualifier(self.target.qualifier.clone())
            .invocation_type(how)
            .log_type(LogType::Tail)
            .payload(Blob::new(event))
            .customize()
            .config_override(patient);
        let output = request.send().await.map_err(|error| refusal(&error))?;
        Ok(Reply {
            status: u16::try_from(output.status_code()).unwrap_or_default(),
            function_error: output.function_error().map(str::to_owned),
            payload: output.payload().map(|blob| blob.as_ref().to_vec()).unwrap_or_default(),
            log: output.log_result().map(lines).unwrap_or_default(),
            request_id: output.request_id().map(str::to_owned),
        })
    }

    /// The function's configuration.
    pub(super) async fn function(&self) -> Result<Seen, Fault> {
        let request = self
            .sdk
            .get_function_configuration()
            .function_name(&self.target.function)
            .set_qualifier(self.target.qualifier.clone());
        let output = request.send().await.map_err(|error| Fault::of(&error))?;
        let hidden = output.environment().and_then(|environment| environment.error());
        let variables = match hidden {
            Some(error) => {
                Variables::Hidden(error.message().or(error.error_code()).unwrap_or("?").to_owned())
            }
            None => {
                let variables = output.environment().and_then(|found| found.variables()).cloned();
                Variables::Known(variables.unwrap_or_default())
            }
        };
        Ok(Seen {
            state: output.state().map(|state| state.as_str().to_owned()),
            state_reason: output.state_reason().map(str::to_owned),
            timeout: output
                .timeout()
                .and_then(|seconds| u64::try_from(seconds).ok())
                .map(Duration::from_secs),
            variables,
            modes: modes(&output),
        })
    }

    /// What becomes of its events.
    pub(super) async fn delivery(&self) -> Result<Delivery, Fault> {
        let request = self
            .sdk
            .get_function_event_invoke_config()
            .function_name(&self.target.function)
            .set_qualifier(self.target.qualifier.clone());
        let unset = Delivery::default();
        match request.send().await {
            Ok(set) => Ok(Delivery {
                retries: set
                    .maximum_retry_attempts()
                    .and_then(|retries| u32::try_from(retries).ok())
                    .unwrap_or(unset.retries),
                oldest: set
                    .maximum_event_age_in_seconds()
                    .and_then(|seconds| u64::try_from(seconds).ok())
                    .map_or(unset.oldest, Duration::from_secs),
            }),
            // The function is there: this is of its configuration.
            Err(error) => match error.as_service_error() {
                Some(known) if known.is_resource_not_found_exception() => Ok(unset),
                _ => Err(Fault::of(&error)),
            },
        }
    }
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

/// How long to wait for the answer: longer than the invocation can last, or it would be lost. What the
/// function says counts, whatever Lambda's limit is thought to be.
fn patience(timeout: Option<Duration>) -> Duration {
    timeout.unwrap_or(LONGEST).saturating_add(LATER)
}

fn refusal(
    error: &SdkError<InvokeError, aws_smithy_runtime_api::client::orchestrator::HttpResponse>,
) -> Refusal {
    let mut fault = Fault::of(error);
    // What EC2 has said to Lambda, which tells a throttle from a wrong subnet.
    if let Some(InvokeError::Ec2UnexpectedException(of_ec2)) = error.as_service_error()
        && let Some(code) = of_ec2.ec2_error_code()
        && !fault.message.contains(code)
    {
        fault.message += &format!(" (EC2 says {code})");
    }
    let throttle = match error.as_service_error() {
        Some(InvokeError::TooManyRequestsException(throttled)) => {
            throttled.reason().map(|reason| reason.as_str().to_owned())
        }
        _ => None,
    };
    Refusal { fault, throttle }
}

/// The lines of a LogResult.
fn lines(encoded: &str) -> Vec<String> {
    let decoded = STANDARD.decode(encoded).unwrap_or_default();
    let text = String::from_utf8_lossy(&decoded).into_owned();
    text.lines().filter(|line| !line.trim().is_empty()).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use aws_config::BehaviorVersion;

    use super::*;
    use crate::backend::aws::fault::Got;
    use crate::backend::aws::testing::{config, server_of_a_page};

    #[test]
    fn an_answer_is_waited_for_longer_than_an_invocation_can_last() {
        for seconds in [15, 60, 900, 1_800, 5_400, 86_400] {
            let timeout = Duration::from_secs(seconds);
            assert!(patience(Some(timeout)) > timeout, "{timeout:?}");
        }
        assert!(patience(None) > LONGEST);
    }

    #[test]
    fn a_function_that_is_no_ordinary_one_is_seen() {
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
    fn what_ec2_has_said_to_lambda_is_kept() {
        use aws_sdk_lambda::types::error::Ec2UnexpectedException;
        use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
        use aws_smithy_types::body::SdkBody;
        let said = |code: &str| {
            let error = Ec2UnexpectedException::builder()
                .message("an EC2 client exception")
                .ec2_error_code(code)
                .meta(aws_smithy_types::error::ErrorMetadata::builder().code("EC2").build());
            let raw = HttpResponse::new(502.try_into().unwrap(), SdkBody::empty());
            let error = InvokeError::Ec2UnexpectedException(error.build());
            refusal(&SdkError::service_error(error, raw)).fault.message
        };
        assert!(said("RequestLimitExceeded").contains("EC2 says RequestLimitExceeded"));
    }

    #[tokio::test]
    async fn a_page_in_the_place_of_lambda_is_told_as_that_with_its_status() {
        let target = Target { function: "thumbs".to_owned(), qualifier: None };
        for status in [403, 501, 502] {
            let endpoint = server_of_a_page(status, "<html><b>Not here</b></html>").await;
            let client = Client::new(&config(&endpoint), target.clone()).unwrap();
            let looked = client.function().await.unwrap_err();
            let how = Invoked::RequestResponse;
            let invoked = client.invoke(how, b"{}".to_vec(), None).await.unwrap_err().fault;
            for fault in [looked, invoked] {
                assert_eq!((fault.got, fault.status), (Got::Foreign, Some(status)), "{fault:?}");
                assert!(fault.to_string().contains(&format!("HTTP {status}: Not here")), "{fault}");
            }
        }
    }

    #[test]
    fn a_client_neither_retries_nor_gives_up_a_silent_connection_whatever_its_app_has_set() {
        let target = Target { function: "thumbs".to_owned(), qualifier: None };
        let theirs = SdkConfig::builder()
            .behavior_version(BehaviorVersion::v2026_01_12())
            .retry_config(RetryConfig::standard())
            .stalled_stream_protection(StalledStreamProtectionConfig::enabled().build());
        let nothing = SdkConfig::builder().behavior_version(BehaviorVersion::v2026_01_12());
        for config in [theirs.build(), nothing.build()] {
            let client = Client::new(&config, target.clone()).unwrap();
            let made = client.sdk.config();
            let stalled =
                made.stalled_stream_protection().expect("it is set, whatever the default");
            assert!(!stalled.upload_enabled() && !stalled.download_enabled(), "{stalled:?}");
            assert_eq!(made.retry_config().map(RetryConfig::max_attempts), Some(1));
        }
    }

    #[test]
    fn a_log_tail_is_lines_and_one_that_is_broken_is_none() {
        let encoded = STANDARD.encode("START RequestId: 1\n\nit began\r\nEND \u{fffd}\n");
        assert_eq!(lines(&encoded), ["START RequestId: 1", "it began", "END \u{fffd}"]);
        assert!(lines("%%%").is_empty());
        assert_eq!(lines(&STANDARD.encode(b"\xff\xfe cut")).len(), 1);
    }
}
