//! What the backends on AWS share: settings, the SDK's configuration, and error handling.
//!
//! ```text
//! settings    builder, environment variables, FLAME_AWS     api_error    an SDK error as plain values
//! sdk         the SDK's configuration, its retries off      error_class  what to do about an error
//! rate_limit  requests per second                           backoff      delays between attempts
//! address     an address that runners can reach             ec2          the EC2 instance's metadata
//! phrases     what AWS's error texts mean where no error code tells
//! ```
//!
//! The SDK's retries are off. What is safe to repeat, and for how long, depends on the request, so
//! the backends retry, and retries never multiply.

pub(crate) mod address;
pub(crate) mod api_error;
pub(crate) mod backoff;
pub(crate) mod ec2;
pub(crate) mod error_class;
pub(crate) mod phrases;
pub(crate) mod rate_limit;
pub(crate) mod sdk;
pub(crate) mod settings;
#[cfg(test)]
pub(crate) mod testing;
