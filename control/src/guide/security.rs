//! Who may connect, what a runner may do, and what to keep secret.
//!
//! # How a connection is secured
//!
//! - The pools of a process share a key, created when the first of them starts. The key never
//!   leaves the parent's memory.
//! - `FLAME_PARENT`, the environment variable with which a runner boots, carries the fingerprint of
//!   that key and a random token of 256 bits.
//! - The runner accepts only the key with that fingerprint, and speaks TLS 1.3 with the parent.
//! - The parent admits only a runner that presents the token of a boot under way. The parent stores
//!   only the token's hash, compares it in constant time, and accepts it once, within
//!   `boot_timeout`.
//! - After its first connection a runner uses another key to reconnect, so a token that is read
//!   later is worthless.
//!
//! # FLAME_PARENT is a password
//!
//! The value of `FLAME_PARENT` is the security boundary:
//!
//! - Anyone who reads `FLAME_PARENT` before the runner connects can impersonate that runner. The
//!   impostor sees the arguments of the calls that it gets, and the parent believes its answers.
//! - Anyone who can start your app with a `FLAME_PARENT` of their own can make it call any
//!   `#[remote]` function with any arguments.
//!
//! So keep the value of `FLAME_PARENT` as secret as a password: it belongs in the environment of
//! one process, and never in a log, a command line, or a tag. No log of this crate contains it. On
//! Linux a runner removes the variable from its environment before `main`, so the commands that it
//! starts don't inherit it.
//!
//! # Remote functions are not an API
//!
//! Treat `#[remote]` functions as functions of your app, and not as an API for others. Anyone who
//! has a valid `FLAME_PARENT` can call every one of them.
//!
//! # Code sync
//!
//! With [`code_sync`](crate::PoolBuilder::code_sync), anyone who has a valid token can read your
//! executable: keep secrets out of it.
//!
//! A runner executes the file that its parent sends, after checking its length and hash. The option
//! is set in the parent alone: a runner accepts any offer of its parent. So anyone who can start
//! your app with a `FLAME_PARENT` of their own can make it run any code, not only remote functions.
//! People who can set the environment of a process can usually do that anyway. The same holds for
//! the generic runner, `flame-runner`, which is made to become any parent's executable.
//!
//! With a code store (`code_store`, feature `code-s3`), anyone who may read the bucket can read
//! your executable. A runner gets a URL with which anyone can download this one object for 15
//! minutes at most. The URL comes over the encrypted connection, and appears in no log. A person
//! who can write to the bucket can't make a runner execute another file: the file must have the
//! SHA-256 that the parent sent.
//!
//! # On AWS
//!
//! - On ECS, `FLAME_PARENT` is part of the task's environment. Anyone who may call `DescribeTasks`
//!   can read it. Its token admits one runner, once, within `boot_timeout`.
//! - On Lambda, anyone who may invoke the function can make it call any remote function.
//! - The pages of the backends list the permissions that a parent needs. A runner on ECS needs none
//!   for flame-aws; a function in a VPC needs AWS's managed policy
//!   `AWSLambdaVPCAccessExecutionRole`.
//!
//! # Robustness
//!
//! Everything that decodes bytes from the network accepts arbitrary bytes without panicking and
//! within bounded memory; property tests and fuzz targets check this. The library contains no
//! `unsafe` code, except for one constructor that runs before `main` on Linux.
