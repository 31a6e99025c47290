//! Runners on AWS: Amazon ECS with Fargate, AWS Lambda, or both.
//!
//! Only the pool's backend changes. The image of the task, or of the function, is the app itself:
//! the same executable as the parent. The backends are behind the features `ecs` and `lambda`.
//!
#![cfg_attr(all(feature = "ecs", feature = "lambda"), doc = "```no_run")]
#![cfg_attr(not(all(feature = "ecs", feature = "lambda")), doc = "```ignore")]
//! use flame_aws::Pool;
//! use flame_aws::backend::{Ecs, Lambda};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let pool = Pool::builder("thumbs")
//!     .listen("0.0.0.0:4100".parse()?) // the only port to which runners connect
//!     .backend(Ecs::from_env()) // Fargate: boots in 15 to 60 s, then runs as long as needed
//!     .burst(Lambda::from_env()) // Lambda: boots at once, ends at the function's timeout
//!     .start()
//!     .await?;
//! # let _ = pool;
//! # Ok(())
//! # }
//! ```
//!
//! # Which backend
//!
//! | | `Process` | `Ecs` | `Lambda` |
//! |---|---|---|---|
//! | a runner is | a child process | a Fargate task | one invocation |
//! | use it for | a laptop, or all cores of one machine | long work, much memory, Spot | short bursts |
//! | boot time | milliseconds | 15 to 60 s, depending on the image's size | 100 ms to seconds, less when warm |
//! | a runner lives | as long as its parent | as long as needed | until the function's timeout, 1,800 s at most |
//! | it needs | nothing | a cluster, a task definition, subnets, a role; a parent that is an ECS task needs no settings | a function with `FLAME_RUNNER=lambda`, a role |
//! | its settings | none | `FLAME_ECS_..`, or `FLAME_AWS` | `FLAME_LAMBDA_..`, or `FLAME_AWS` |
//!
//! The pages of the two backends, `flame_aws::backend::Ecs` and `flame_aws::backend::Lambda`, list
//! everything that each backend needs, with the complete IAM policy, the costs, and the failures. In
//! the repository these pages are `control/src/backend/ecs/README.md` and
//! `control/src/backend/lambda/README.md`.
//!
//! To send metrics with `metrics::CloudWatch` (feature `cloudwatch`), the parent needs
//! cloudwatch:PutMetricData: see [`observability`](super::observability).
//!
//! With a code store (`PoolBuilder::code_store`, feature `code-s3`), the parent also needs
//! s3:GetObject and s3:PutObject on the objects of the store. Runners need no permission for it, but
//! a route to S3. The page of that option has the policy statement.
//!
//! The pool's [`size`](crate::PoolBuilder::size) sets the processors, the memory, the GPUs and the
//! storage of a runner. For GPUs, and for work that keeps runners busy most of the time, ECS can
//! use EC2 instances: see the page of `Ecs`.
//!
//! # Fargate and Lambda together
//!
//! With [`burst`](crate::PoolBuilder::burst), calls run on Lambda while Fargate boots tasks for
//! them. When Fargate's tasks are up, new calls go to them. A call that may take longer than Lambda
//! allows waits for Fargate.
//!
//! # Network
//!
//! A runner connects to its parent; the parent never connects to a runner. So the parent's security
//! group must admit the runners' security group on the port on which the pool listens, and runners need
//! no inbound rule. On ECS and EC2 the pool finds the parent's private address by itself. Elsewhere,
//! set [`advertise`](crate::PoolBuilder::advertise).
//!
//! Nothing can connect to a laptop behind NAT, or to a Lambda function. A parent in such a place
//! connects to a [relay](super::pools#relays), and so do its runners.
//!
//! # Settings
//!
//! Each backend reads a setting from its builder first, then from its own environment variable, then
//! from the JSON document in `FLAME_AWS`. `FLAME_AWS` is meant for deployments, which can set one
//! variable for everything:
//!
//! ```text
//! FLAME_AWS={"ecs": {"cluster": "main", "taskDefinition": "thumbs", "subnets": ["subnet-0a"]}}
//! ```
//!
//! | `Ecs` | `Lambda` |
//! |---|---|
//! | `FLAME_ECS_CLUSTER` | `FLAME_LAMBDA_FUNCTION` |
//! | `FLAME_ECS_TASK_DEFINITION` | `FLAME_LAMBDA_QUALIFIER` |
//! | `FLAME_ECS_CONTAINER` | `FLAME_LAMBDA_INVOCATION` |
//! | `FLAME_ECS_SUBNETS` | `FLAME_LAMBDA_REGION` |
//! | `FLAME_ECS_SECURITY_GROUPS` | `FLAME_LAMBDA_ENDPOINT_URL` |
//! | `FLAME_ECS_ASSIGN_PUBLIC_IP` | |
//! | `FLAME_ECS_CPU`, `FLAME_ECS_MEMORY`, `FLAME_ECS_EPHEMERAL_STORAGE` | |
//! | `FLAME_ECS_CAPACITY_PROVIDER` | |
//! | `FLAME_ECS_PLATFORM_VERSION` | |
//! | `FLAME_ECS_REGION`, `FLAME_ECS_ENDPOINT_URL` | |
//!
//! Lists are separated by commas. In `FLAME_AWS` the names are in camel case. `env` and `tags` of ECS
//! are objects, so only `FLAME_AWS` and the builder can set them. Both backends check their settings
//! when the pool starts: one error names everything that is missing or wrong.
//!
//! # Trying it without an account
//!
//! The repository has an emulator of AWS whose tasks and functions are real processes of your machine:
//!
//! ```sh
//! cargo run --release --example thumbnails -- --backend burst --emulated
//! ```
//!
//! # What is tested
//!
//! None of this has been run against AWS itself. It is tested with AWS's own SDK against the emulator.
//! `control/src/backend/aws/README.md` lists the known pitfalls of AWS, with the test for each.
