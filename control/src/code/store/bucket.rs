//! The requests to S3, without the SDK's types.
//!
//! An executable is stored with its SHA-256, which S3 checks when it receives the object. So an
//! object whose stored SHA-256 is right has the right bytes.

use std::path::Path;
use std::time::Duration;

use aws_config::SdkConfig;
use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_sdk_s3::Client;
use aws_sdk_s3::config::{RequestChecksumCalculation, ResponseChecksumValidation};
use aws_sdk_s3::error::SdkError;
use aws_sdk_s3::presigning::PresigningConfig;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::ChecksumMode;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flame_wire::code::{CodeHash, InvalidUrl, Offer, PresignedUrl};

use super::location::StoreLocation;
use crate::backend::BackendError;
use crate::backend::aws::api_error::ApiError;
use crate::backend::aws::sdk::{self, SdkOverrides};
use crate::backend::aws::{address, error_class};

/// The time limit of a request without a body.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// Why the bucket can't be used. No text contains a URL.
#[derive(Debug, thiserror::Error)]
pub(super) enum StoreError {
    #[error(transparent)]
    Setup(#[from] BackendError),
    #[error("`region` is missing: set `CodeStore::region`, AWS_REGION, or a region in the profile")]
    NoRegion,
    #[error("{action} on the bucket `{bucket}` failed: {error}{}", advice(.error))]
    Request { action: &'static str, bucket: String, error: Box<ApiError> },
    #[error("the executable of this process can't be read: {0}")]
    Unreadable(String),
    #[error("the URL for a runner can't be signed: {0}")]
    Presign(String),
    #[error("the URL for a runner can't be used: {0}")]
    Url(#[from] InvalidUrl),
    #[error("the upload took longer than {0:?}")]
    TimedOut(Duration),
}

/// A client of S3.
#[derive(Debug)]
pub(super) struct Bucket(Client);

impl Bucket {
    /// A client with this configuration, or with what the SDK finds in the environment.
    pub(super) async fn open(
        config: Option<&SdkConfig>,
        region: Option<String>,
    ) -> Result<Self, StoreError> {
        sdk::check_roots(config).await?;
        let overrides = SdkOverrides { region, endpoint: None };
        let config = match config {
            Some(config) => overrides.apply(config.clone()),
            None => sdk::load(&overrides, None).await,
        };
        if config.region().is_none() {
            return Err(StoreError::NoRegion);
        }
        Ok(Self(Client::from_conf(client_config(&config))))
    }

    /// Whether the bucket has the executable.
    pub(super) async fn has(&self, at: &StoreLocation, offer: &Offer) -> Result<bool, StoreError> {
        let request = self.0.head_object().bucket(at.bucket()).key(at.key(&offer.hash));
        let request = request.checksum_mode(ChecksumMode::Enabled).customize();
        let timeouts = TimeoutConfig::builder().operation_timeout(REQUEST_TIMEOUT).build();
        let request =
            request.config_override(aws_sdk_s3::config::Builder::new().timeout_config(timeouts));
        match request.send().await {
            Ok(found) => {
                let is_whole = found.content_length().and_then(|len| u64::try_from(len).ok())
                    == Some(offer.len);
                let sha256 = found.checksum_sha256();
                Ok(is_whole && sha256.is_none_or(|found| found == encoded(&offer.hash)))
            }
            Err(error) if is_missing(&error) => Ok(false),
            Err(error) => Err(failed("s3:GetObject (HeadObject)", at, &error)),
        }
    }

    /// Uploads the executable.
    pub(super) async fn put(
        &self,
        at: &StoreLocation,
        offer: &Offer,
        path: &Path,
    ) -> Result<(), StoreError> {
        let body = ByteStream::from_path(path)
            .await
            .map_err(|error| StoreError::Unreadable(error.to_string()))?;
        let request = self.0.put_object().bucket(at.bucket()).key(at.key(&offer.hash)).body(body);
        let request = request.checksum_sha256(encoded(&offer.hash));
        let sent = request.content_type("application/octet-stream").send().await;
        sent.map(|_| ()).map_err(|error| failed("s3:PutObject", at, &error))
    }

    /// A URL for one GET request of the executable.
    pub(super) async fn presign(
        &self,
        at: &StoreLocation,
        offer: &Offer,
        valid_for: Duration,
    ) -> Result<PresignedUrl, StoreError> {
        let presign = |error: &dyn std::fmt::Display| StoreError::Presign(error.to_string());
        let expiry = PresigningConfig::expires_in(valid_for).map_err(|error| presign(&error))?;
        let request = self.0.get_object().bucket(at.bucket()).key(at.key(&offer.hash));
        let presigned = request.presigned(expiry).await;
        let presigned =
            presigned.map_err(|error| failed("signing a URL for s3:GetObject", at, &error))?;
        if presigned.headers().next().is_some() {
            return Err(presign(&"the SDK has signed a header that a runner does not send"));
        }
        Ok(PresignedUrl::try_from(presigned.uri().to_owned())?)
    }
}

/// Each request is safe to repeat: the key names the content.
fn client_config(config: &SdkConfig) -> aws_sdk_s3::Config {
    let timeouts = TimeoutConfig::builder().connect_timeout(sdk::CONNECT_TIMEOUT);
    aws_sdk_s3::config::Builder::from(config)
        .retry_config(RetryConfig::standard())
        // The upload as a whole has a limit of its own.
        .timeout_config(timeouts.build())
        // An own endpoint is an emulator, another vendor's store, or a VPC endpoint. Few of them
        // know the bucket by a host name.
        .force_path_style(has_endpoint(config))
        // The SHA-256 of the executable is known, and the runner checks it. The checksums that the
        // SDK adds by itself need headers that a presigned request does not have.
        .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
        .response_checksum_validation(ResponseChecksumValidation::WhenRequired)
        .build()
}

fn has_endpoint(config: &SdkConfig) -> bool {
    address::endpoint(config, "S3", |name| std::env::var(name).ok()).is_some()
}

/// Whether S3 answers that there is no such object. Without the permission s3:ListBucket it answers
/// 403 (Amazon S3 API reference, HeadObject). A HEAD response has no body that could tell more.
fn is_missing<E>(error: &SdkError<E, HttpResponse>) -> bool {
    error.raw_response().is_some_and(|raw| matches!(raw.status().as_u16(), 403 | 404))
}

fn failed<E>(
    action: &'static str,
    at: &StoreLocation,
    error: &SdkError<E, HttpResponse>,
) -> StoreError
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    let (bucket, error) = (at.bucket().to_owned(), Box::new(ApiError::from_sdk(error)));
    StoreError::Request { action, bucket, error }
}

fn encoded(hash: &CodeHash) -> String {
    STANDARD.encode(hash.0)
}

/// Advice about a failed request.
fn advice(error: &ApiError) -> String {
    let own = match error.code.as_deref() {
        Some("NoSuchBucket") => Some("create the bucket, or correct `code_store`"),
        Some(
            "PermanentRedirect"
            | "AuthorizationHeaderMalformed"
            | "IllegalLocationConstraintException",
        ) => Some("the bucket is in another region: set `CodeStore::region`"),
        _ if error_class::is_denied(error) => Some(
            "allow s3:PutObject and s3:GetObject on the bucket's prefix to this process's role, and \
             kms:GenerateDataKey and kms:Decrypt if the bucket has a KMS key",
        ),
        _ => error_class::advice(error),
    };
    own.map(|advice| format!(": {advice}")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use flame_wire::ids::BuildId;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;
    use crate::backend::aws::testing::{config, page_server};

    /// A server that reads one whole request before it answers.
    async fn server(status: u16, page: &'static str) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move {
            let (mut socket, _) = listener.accept().await.unwrap();
            let mut request = Vec::new();
            let is_whole = |request: &[u8]| {
                let text = String::from_utf8_lossy(request).to_lowercase();
                let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
                let len = head.split_once("content-length: ").map_or("0", |(_, rest)| rest);
                let len = len.split("\r\n").next().unwrap_or_default().parse::<usize>().unwrap();
                body.len() >= len
            };
            while !is_whole(&request) {
                socket.read_buf(&mut request).await.unwrap();
            }
            let head = format!("HTTP/1.1 {status} -\r\ncontent-length: {}\r\n\r\n", page.len());
            socket.write_all(format!("{head}{page}").as_bytes()).await.unwrap();
        });
        endpoint
    }

    fn location() -> StoreLocation {
        StoreLocation::parse("s3://my-bucket/flame").unwrap()
    }

    fn offer() -> Offer {
        let (build, hash) = (BuildId::new("b"), CodeHash([7; 32]));
        Offer { build, len: 10, hash, target: "here".to_owned(), in_store: true }
    }

    async fn bucket(endpoint: &str) -> Bucket {
        Bucket::open(Some(&config(endpoint)), None).await.unwrap()
    }

    #[tokio::test]
    async fn a_url_needs_no_header_and_ends_with_the_boot() {
        let bucket = bucket("http://127.0.0.1:1").await;
        let url = bucket.presign(&location(), &offer(), Duration::from_secs(77)).await.unwrap();
        let key = format!("http://127.0.0.1:1/my-bucket/flame/{}?", offer().hash);
        assert!(url.as_str().starts_with(&key), "{}", url.as_str());
        assert!(url.as_str().contains("X-Amz-Expires=77&"), "{}", url.as_str());
        assert!(url.as_str().contains("X-Amz-SignedHeaders=host&"), "{}", url.as_str());
    }

    #[tokio::test]
    async fn an_object_that_is_missing_or_hidden_is_uploaded() {
        for status in [403, 404] {
            let bucket = bucket(&page_server(status, "").await).await;
            assert!(!bucket.has(&location(), &offer()).await.unwrap(), "{status}");
        }
    }

    #[tokio::test]
    async fn an_object_of_another_length_is_uploaded_again() {
        let bucket = bucket(&page_server(200, "eleven byte").await).await;
        assert!(!bucket.has(&location(), &offer()).await.unwrap());
        let right = Offer { len: 11, ..offer() };
        assert!(bucket.has(&location(), &right).await.unwrap());
    }

    #[tokio::test]
    async fn an_error_names_the_action_the_bucket_and_what_to_do() {
        for (body, parts) in [
            (
                "<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>",
                ["AccessDenied", "allow s3:PutObject and s3:GetObject"],
            ),
            (
                "<Error><Code>NoSuchBucket</Code><Message>-</Message></Error>",
                ["NoSuchBucket", "create the bucket"],
            ),
            (
                "<Error><Code>PermanentRedirect</Code><Message>-</Message></Error>",
                ["PermanentRedirect", "CodeStore::region"],
            ),
        ] {
            let bucket = bucket(&server(403, body).await).await;
            let small = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"));
            let put = bucket.put(&location(), &offer(), small).await;
            let error = put.unwrap_err().to_string();
            for part in ["s3:PutObject on the bucket `my-bucket`"].iter().chain(&parts) {
                assert!(error.contains(part), "{error} does not contain {part}");
            }
        }
    }

    #[tokio::test]
    async fn a_configuration_without_a_region_is_an_error_that_says_what_to_set() {
        let unset = SdkConfig::builder()
            .behavior_version(aws_config::BehaviorVersion::v2026_01_12())
            .build();
        let error = Bucket::open(Some(&unset), None).await.unwrap_err();
        assert!(error.to_string().contains("CodeStore::region"), "{error}");
        assert!(Bucket::open(Some(&unset), Some("eu-central-1".to_owned())).await.is_ok());
    }
}
