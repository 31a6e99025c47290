//! The request to CloudWatch, without the SDK's types.

use std::time::Duration;

use aws_config::SdkConfig;
use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_sdk_cloudwatch::primitives::DateTime;
use aws_sdk_cloudwatch::types::{Dimension, MetricDatum, StandardUnit};
use futures_util::future::{BoxFuture, FutureExt};

use super::batches::RequestOutcome;
use super::datum::Datum;
use crate::backend::BackendError;
use crate::backend::aws::api_error::{ApiError, ApiErrorKind};
use crate::backend::aws::error_class::{self, ErrorClass};
use crate::backend::aws::sdk::{self, SdkOverrides};

/// The time limit of a request.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);

/// A client of CloudWatch, for one namespace.
#[derive(Debug)]
pub(super) struct Client {
    sdk: aws_sdk_cloudwatch::Client,
    namespace: String,
}

impl Client {
    /// A client with this configuration, or with the one that the SDK finds in the environment.
    pub(super) async fn open(
        config: Option<SdkConfig>,
        region: Option<String>,
        namespace: String,
    ) -> Result<Self, BackendError> {
        sdk::check_roots(config.as_ref()).await?;
        let overrides = SdkOverrides { region, endpoint: None };
        let config = match config {
            Some(config) => overrides.apply(config),
            None => sdk::load(&overrides, None).await,
        };
        if config.region().is_none() {
            return Err(BackendError::new(
                "`region` is missing: set `CloudWatch::region`, AWS_REGION, or a region in the \
                 profile",
            ));
        }
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(sdk::CONNECT_TIMEOUT)
            .operation_timeout(REQUEST_TIMEOUT)
            .operation_attempt_timeout(REQUEST_TIMEOUT);
        let config = aws_sdk_cloudwatch::config::Builder::from(&config)
            // `Batches` decides what is repeated, and when.
            .retry_config(RetryConfig::disabled())
            .timeout_config(timeouts.build());
        Ok(Self { sdk: aws_sdk_cloudwatch::Client::from_conf(config.build()), namespace })
    }

    /// Sends data.
    pub(super) fn put(&self, data: Vec<Datum>) -> BoxFuture<'static, Result<(), ApiError>> {
        let data = data.iter().map(metric_datum).collect();
        let request = self.sdk.put_metric_data().namespace(&self.namespace);
        let request = request.set_metric_data(Some(data));
        let sent = async move { request.send().await };
        sent.map(|sent| sent.map(|_| ()).map_err(|error| ApiError::from_sdk(&error))).boxed()
    }
}

fn metric_datum(datum: &Datum) -> MetricDatum {
    let dimensions = datum
        .dimensions
        .iter()
        .map(|(name, value)| Dimension::builder().name(*name).value(value).build());
    let (values, counts) = datum.values.iter().copied().unzip();
    MetricDatum::builder()
        .metric_name(&datum.name)
        .set_dimensions(Some(dimensions.collect()))
        .unit(StandardUnit::from(datum.unit))
        .timestamp(DateTime::from(datum.at))
        .set_values(Some(values))
        .set_counts(Some(counts))
        .build()
}

/// What to do after this answer.
pub(super) fn outcome(answer: &Result<(), ApiError>) -> RequestOutcome {
    let Err(error) = answer else { return RequestOutcome::Accepted };
    match ErrorClass::of(error) {
        // The data themselves are wrong: no other cause has advice for all services.
        ErrorClass::Misconfigured
            if error.kind == ApiErrorKind::Rejected && error_class::advice(error).is_none() =>
        {
            RequestOutcome::Rejected
        }
        ErrorClass::Misconfigured => RequestOutcome::Blocked,
        _ => RequestOutcome::TryAgain { after: error.retry_after },
    }
}

/// What to do about a failed request.
pub(super) fn advice(error: &ApiError) -> &'static str {
    if error_class::is_denied(error) {
        return "allow cloudwatch:PutMetricData to this process's role";
    }
    match outcome(&Err(error.clone())) {
        RequestOutcome::Rejected => "these data are dropped",
        _ => error_class::advice(error).unwrap_or("the request is repeated"),
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;
    use crate::backend::aws::testing::config;

    fn datum(values: usize) -> Datum {
        let dimensions = [("App", "my-app".to_owned()), ("Pool", "thumbs".to_owned())];
        Datum {
            name: "flame.call.duration.run".to_owned(),
            dimensions: dimensions.into(),
            unit: "Seconds",
            at: SystemTime::UNIX_EPOCH + Duration::from_millis(1_700_000_000_123),
            values: vec![(0.001_234, 7.0); values],
        }
    }

    /// A server that answers one request with this status and error type. The task returns the
    /// length of the request's body.
    async fn server(status: u16, error: &'static str) -> (String, tokio::task::JoinHandle<usize>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let task = tokio::spawn(async move {
            let (mut socket, _) = listener.accept().await.unwrap();
            let mut request = Vec::new();
            let (head, len) = loop {
                socket.read_buf(&mut request).await.unwrap();
                let Some(end) = request.windows(4).position(|bytes| bytes == b"\r\n\r\n") else {
                    continue;
                };
                let head = String::from_utf8_lossy(&request[..end]).to_lowercase();
                let len = head.split_once("content-length: ").unwrap().1;
                let len: usize = len.split("\r\n").next().unwrap().parse().unwrap();
                break (end + 4, len);
            };
            while request.len() < head + len {
                socket.read_buf(&mut request).await.unwrap();
            }
            // The type of an error, in the protocol that the SDK uses, is in a map of CBOR.
            let mut cbor = vec![0xa1, 0x66];
            cbor.extend_from_slice(b"__type");
            cbor.push(0x78);
            cbor.push(u8::try_from(error.len()).unwrap());
            cbor.extend_from_slice(error.as_bytes());
            let head = format!(
                "HTTP/1.1 {status} -\r\nsmithy-protocol: rpc-v2-cbor\r\ncontent-type: \
                 application/cbor\r\nx-amzn-requestid: r-1\r\ncontent-length: {}\r\n\r\n",
                cbor.len()
            );
            socket.write_all(head.as_bytes()).await.unwrap();
            socket.write_all(&cbor).await.unwrap();
            len
        });
        (endpoint, task)
    }

    async fn client(endpoint: &str) -> Client {
        Client::open(Some(config(endpoint)), None, "Flame".to_owned()).await.unwrap()
    }

    #[tokio::test]
    async fn a_request_is_no_larger_than_its_data_say() {
        // Below the 10 KiB from which the SDK compresses.
        let data = vec![datum(1), datum(150), datum(40), datum(1)];
        let estimate: usize = data.iter().map(Datum::size).sum();
        let (endpoint, task) = server(200, "").await;
        client(&endpoint).await.put(data).await.unwrap();
        let sent = task.await.unwrap();
        assert!(sent <= estimate + 100, "{sent} bytes, and not {estimate}");
        assert!(sent > estimate / 2, "{sent} bytes, and not {estimate}: the estimate is far off");
    }

    #[tokio::test]
    async fn each_error_has_its_outcome_and_advice() {
        for (status, error, expected, advice_has) in [
            (400, "ThrottlingException", RequestOutcome::TryAgain { after: None }, "repeated"),
            (500, "InternalServiceFault", RequestOutcome::TryAgain { after: None }, "repeated"),
            (403, "AccessDenied", RequestOutcome::Blocked, "cloudwatch:PutMetricData"),
            (403, "ExpiredToken", RequestOutcome::Blocked, "credentials"),
            (400, "InvalidParameterValueException", RequestOutcome::Rejected, "dropped"),
        ] {
            let (endpoint, _) = server(status, error).await;
            let answer = client(&endpoint).await.put(vec![datum(1)]).await;
            assert_eq!(outcome(&answer), expected, "{error}");
            let advice = advice(&answer.unwrap_err());
            assert!(advice.contains(advice_has), "{error}: {advice}");
        }
    }

    #[tokio::test]
    async fn a_request_without_an_answer_is_repeated() {
        let answer = client("http://127.0.0.1:1").await.put(vec![datum(1)]).await;
        assert_eq!(outcome(&answer), RequestOutcome::TryAgain { after: None });
    }

    #[tokio::test]
    async fn a_configuration_without_a_region_is_an_error_that_says_what_to_set() {
        let unset = SdkConfig::builder()
            .behavior_version(aws_config::BehaviorVersion::v2026_01_12())
            .build();
        let open = |region| Client::open(Some(unset.clone()), region, "Flame".to_owned());
        let error = open(None).await.unwrap_err();
        assert!(error.to_string().contains("CloudWatch::region"), "{error}");
        assert!(open(Some("eu-central-1".to_owned())).await.is_ok());
    }
}
