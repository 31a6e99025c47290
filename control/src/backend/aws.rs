//! What the backends on AWS share: their settings, the SDK's, and how failures are told apart.
//!
//! ```text
//! settings   builder, environment variables, FLAME_AWS       fault   what an SDK's error says
//! sdk        the SDK's configuration, its retries off        class   what to do about it
//! bucket     requests per second                             pace    pauses between tries
//! address    what runners can dial                           ec2     the instance, if it is one
//! words      what AWS's sentences mean, where no code tells
//! ```
//!
//! The SDK retries nothing by itself: what is safe to repeat, and for how long, depends on the
//! request, so the backends do that, and nothing multiplies.

pub(crate) mod address;
pub(crate) mod bucket;
pub(crate) mod class;
pub(crate) mod ec2;
pub(crate) mod fault;
pub(crate) mod pace;
pub(crate) mod sdk;
pub(crate) mod settings;
#[cfg(test)]
pub(crate) mod testing;
pub(crate) mod words;
