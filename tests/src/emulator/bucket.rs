//! A bucket in an account's S3.

use aws_config::SdkConfig;
use aws_sdk_s3::Client;
use aws_sdk_s3::config::{Builder, Credentials, SharedCredentialsProvider};
use aws_sdk_s3::operation::put_object::builders::PutObjectFluentBuilder;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{BucketLocationConstraint, ChecksumAlgorithm, CreateBucketConfiguration};
use flame_aws::CodeStore;

use super::{Account, REGION};

/// A bucket for executables, in one account.
#[derive(Debug, Clone)]
pub struct Bucket {
    client: Client,
    /// The bucket's name. These names are global.
    pub name: String,
    /// The account.
    pub account: Account,
}

impl Bucket {
    /// The prefix of the store in the bucket.
    pub const PREFIX: &'static str = "stored/here";
    /// The only secret key whose presigned URLs the emulator accepts.
    const SECRET: &'static str = "test";

    /// Creates the bucket in this account.
    pub async fn create(account: Account) -> Self {
        let bucket = Self::missing(account).await;
        let home = BucketLocationConstraint::from(REGION);
        let home = CreateBucketConfiguration::builder().location_constraint(home).build();
        let created = bucket.client.create_bucket().bucket(&bucket.name);
        created.create_bucket_configuration(home).send().await.expect("a bucket");
        bucket
    }

    /// Returns a bucket that does not exist.
    pub async fn missing(account: Account) -> Self {
        let config = Builder::from(&Self::sdk(&account).await).force_path_style(true).build();
        let name = format!("flame-code-{}", account.id);
        Self { client: Client::from_conf(config), name, account }
    }

    /// The account's configuration of the SDK, with the secret key for presigned URLs.
    async fn sdk(account: &Account) -> SdkConfig {
        let credentials = Credentials::new(&account.id, Self::SECRET, None, None, "tests");
        let credentials = SharedCredentialsProvider::new(credentials);
        let config = account.sdk().await.into_builder();
        config.credentials_provider(credentials).build()
    }

    /// Returns the store for a pool of this process. Pools share it only if they have the same value
    /// or clones of it.
    pub async fn store(&self) -> CodeStore {
        CodeStore::new(self.url()).sdk_config(Self::sdk(&self.account).await)
    }

    /// Returns the variables that make a process use the account and the store.
    #[must_use]
    pub fn variables(&self) -> Vec<(&'static str, String)> {
        let mut variables = self.account.variables().to_vec();
        variables.retain(|(name, _)| *name != "AWS_SECRET_ACCESS_KEY");
        variables.push((crate::program::code_store::URL_ENV, self.url()));
        variables.push(("AWS_SECRET_ACCESS_KEY", Self::SECRET.to_owned()));
        variables
    }

    /// Returns the URL of the store.
    #[must_use]
    pub fn url(&self) -> String {
        format!("s3://{}/{}", self.name, Self::PREFIX)
    }

    /// Puts an object into the store.
    pub async fn put(&self, name: &str, bytes: Vec<u8>) {
        self.put_object(name, bytes).send().await.expect("an object");
    }

    /// Puts an object into the store, which also stores the SHA-256 of these bytes.
    pub async fn put_with_sha256(&self, name: &str, bytes: Vec<u8>) {
        let put = self.put_object(name, bytes).checksum_algorithm(ChecksumAlgorithm::Sha256);
        put.send().await.expect("an object");
    }

    fn put_object(&self, name: &str, bytes: Vec<u8>) -> PutObjectFluentBuilder {
        let key = format!("{}/{name}", Self::PREFIX);
        self.client.put_object().bucket(&self.name).key(key).body(ByteStream::from(bytes))
    }

    /// Returns the keys of all objects.
    pub async fn keys(&self) -> Vec<String> {
        let listed = self.client.list_objects_v2().bucket(&self.name).send().await.expect("a list");
        let keys = listed.contents().iter().filter_map(|object| object.key());
        keys.map(str::to_owned).collect()
    }
}
