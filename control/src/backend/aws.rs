//! The parts that the backends on AWS share: settings, the SDK's configuration, and error handling.
//!
//! ```text
//! settings    builder, environment variables, FLAME_AWS     api_error    an SDK error as plain values
//! sdk         the SDK's configuration, its retries off      error_class  what to do about an error
//! phrases     what AWS's error texts mean                   ec2          the EC2 instance's metadata
//! address     an address that runners can reach
//! ```
//!
//! The SDK's retries are off. What is safe to repeat, and for how long, depends on the request, so
//! the backends retry, and retries never multiply.

use std::time::Duration;

use flame_wire::backoff::Backoff;

pub(crate) mod address;
pub(crate) mod api_error;
pub(crate) mod ec2;
pub(crate) mod error_class;
pub(crate) mod phrases;
pub(crate) mod sdk;
pub(crate) mod settings;
#[cfg(test)]
pub(crate) mod testing;

/// The pauses between the attempts at a request to AWS. Three quarters of each are random, so that
/// clients that were throttled together do not come back together.
pub(crate) const fn jittered_backoff(first: Duration, max: Duration) -> Backoff {
    Backoff::new(first, max).with_jitter(0.75)
}
