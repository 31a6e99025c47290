//! The options of the code that runners of another build fetch.

use super::PoolBuilder;
#[cfg(feature = "code-s3")]
use crate::code::CodeStore;

impl PoolBuilder {
    /// Whether a runner of another build fetches this process's executable and becomes it, instead
    /// of failing its boot. Default false.
    ///
    /// Use it for a parent that is deployed before its runners' image, or for a build on a laptop
    /// that calls containers with an older one. Both builds must use this version of flame-aws,
    /// because the runner's own build does the fetching.
    ///
    /// A runner of another build that connects is offered the executable's length and SHA-256, over
    /// the same encrypted connection. It looks into its cache, fetches the executable if it is
    /// missing (1 GiB at most), checks length and hash, and executes it, with the same process id,
    /// arguments and environment. So the code in `main` before [`App::run`](crate::App::run) runs
    /// again. A boot does this once: a runner that is still of another build, for example because
    /// of a `FLAME_BUILD_ID` in its environment, is rejected, and the error names both builds.
    ///
    /// **Cost.** [`start`](Self::start) reads and hashes the executable, once per process. The
    /// first boot on a host transfers all of it. Every boot of another build hashes the cached
    /// file, and starts the app twice. All of this counts towards
    /// [`boot_timeout`](Self::boot_timeout): raise it for large executables or slow networks. The
    /// runner's disk keeps the newest three executables.
    ///
    /// **What must match.** Operating system and architecture, which are checked before anything is
    /// sent. The dynamic loader and the shared libraries that the executable needs must be on the
    /// runner's machine, which the runner checks before it executes the file: link statically, or
    /// use the same base image. Files beside the executable are not sent.
    ///
    /// **Where it works.** On hosts of kind [`Process`](crate::HostKind::Process),
    /// [`Ecs`](crate::HostKind::Ecs), [`Docker`](crate::HostKind::Docker) and
    /// [`Fly`](crate::HostKind::Fly), including your own backends; see
    /// [`Backend::supports_code_sync`](crate::backend::Backend::supports_code_sync). On Lambda it
    /// works for a function whose bootstrap is the generic runner, `flame-runner`: its supervisor
    /// keeps the invocation open while the runner becomes another program. A Lambda function with
    /// another bootstrap can't become another program, so there a runner of another build still
    /// fails its boot, and the failure says so.
    ///
    /// The cache is the folder that `FLAME_CODE_DIR` names in the runner's environment, or
    /// `flame-code-<user id>` in the folder for temporary files. It is created with mode 0700. A
    /// folder that another user owns or can write to is rejected, and so is one on a file system
    /// mounted with `noexec`. A failure is a [`BootFailed`](crate::CallError::BootFailed) that says
    /// what to do, and the runner exits with code 85.
    ///
    /// **Security.** A runner executes only what comes from the parent whose key is pinned in its
    /// FLAME_PARENT. The parent alone enables this option, and a runner follows the offer of the
    /// parent that booted it. So anyone who can start the app with a FLAME_PARENT of their own can
    /// make it run any code, not only its remote functions; but anyone who can set a process's
    /// environment can usually do that anyway. And anyone who has a valid token of a pool with this
    /// option can read the executable: keep secrets out of it.
    ///
    /// ```no_run
    /// use std::time::Duration;
    ///
    /// # async fn example() -> Result<(), flame_aws::PoolError> {
    /// let pool = flame_aws::Pool::builder("thumbs")
    ///     .code_sync(true)
    ///     .boot_timeout(Duration::from_secs(60))
    ///     .start()
    ///     .await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn code_sync(mut self, sync: bool) -> Self {
        self.code_sync = sync;
        self
    }

    /// An S3 bucket from which runners of another build fetch this process's executable. Turns
    /// [`code_sync`](Self::code_sync) on. Default: they fetch it from this process.
    ///
    /// Use it when the executable is large, the pool has many runners, and this process has a slow
    /// upload: it uploads the executable once, and the runners download it at the speed of S3.
    ///
    /// The object is `prefix/<SHA-256>`. When the first runner needs it, this process looks for it
    /// in the bucket and uploads it if it is missing, so later pools and later runs of the same
    /// build upload nothing. Each runner that needs it gets a presigned URL over its encrypted
    /// connection. The URL is valid until the boot times out, for 15 minutes at most, and not
    /// longer than this process's credentials. The runner checks length and SHA-256 as without a
    /// store. Nothing is ever deleted: let a lifecycle rule of the bucket expire old objects.
    ///
    /// **If the store fails**, runners fetch the executable from this process, as without a store.
    /// No boot fails. The log says why: if the bucket is missing or denied, if the upload takes
    /// longer than half of the boot timeout, or if a runner can't download the object.
    ///
    /// **Permissions.** This process needs these; runners need none, and no AWS credentials:
    ///
    /// ```json
    /// {
    ///   "Effect": "Allow",
    ///   "Action": ["s3:GetObject", "s3:PutObject"],
    ///   "Resource": "arn:aws:s3:::my-bucket/flame/*"
    /// }
    /// ```
    ///
    /// If the bucket is encrypted with a KMS key, add kms:GenerateDataKey and kms:Decrypt for that
    /// key. With s3:ListBucket on the bucket a missing object is reported as missing rather than
    /// as denied; this makes no difference here. Let nobody else write under the prefix. Others
    /// can't make a runner execute anything, because of the SHA-256, but they can make downloads
    /// fail.
    ///
    /// **Network.** Runners connect to S3 directly, without a proxy: through a NAT gateway, a
    /// public address, or a VPC endpoint for S3. `AWS_ENDPOINT_URL_S3` and `AWS_ENDPOINT_URL` apply
    /// to this process, and the URLs for the runners have the same host.
    ///
    /// **Runners.** `flame-runner` can download from a store, and so can an app that is built with
    /// this feature. Other runners fetch the executable from this process.
    ///
    /// ```no_run
    /// # async fn example() -> Result<(), flame_aws::PoolError> {
    /// let pool = flame_aws::Pool::builder("thumbs").code_store("s3://my-bucket/flame").start().await?;
    /// # Ok(())
    /// # }
    /// ```
    #[cfg(feature = "code-s3")]
    pub fn code_store(mut self, store: impl Into<CodeStore>) -> Self {
        self.code_store = Some(store.into());
        self.code_sync = true;
        self
    }
}
