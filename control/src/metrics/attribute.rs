//! The attributes of metrics. Each has a small, fixed set of values, so that the number of series is
//! bounded.

use std::fmt;

use crate::backend::BootFailureKind;
use crate::error::CallError;
use crate::pool::state::ShrinkReason;

/// An attribute that tells the series of one metric apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Attribute {
    /// Its key, such as `outcome`.
    pub key: &'static str,
    /// Its values.
    pub values: &'static [&'static str],
}

/// A type whose values are the values of an attribute.
pub(crate) trait AttributeValue: Copy + 'static {
    const ATTRIBUTE: Attribute;

    /// The position of the value's name in [`Attribute::values`].
    fn index(self) -> usize;
}

/// Defines an enum whose variants are the values of an attribute.
macro_rules! attribute_values {
    (
        $(#[$meta:meta])*
        $visibility:vis enum $name:ident = $key:literal {
            $($(#[$variant_meta:meta])* $variant:ident = $value:literal,)+
        }
    ) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        $visibility enum $name {
            $($(#[$variant_meta])* $variant,)+
        }

        impl $name {
            /// The value's name in metrics.
            #[must_use]
            $visibility const fn name(self) -> &'static str {
                match self {
                    $($name::$variant => $value,)+
                }
            }
        }

        impl AttributeValue for $name {
            const ATTRIBUTE: Attribute = Attribute { key: $key, values: &[$($value,)+] };

            fn index(self) -> usize {
                self as usize
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.name())
            }
        }
    };
}

attribute_values! {
    /// How a call ended, as metrics and events show it. The variants are those of
    /// [`CallError`](crate::CallError), and [`Ok`](Self::Ok).
    #[non_exhaustive]
    pub enum CallOutcome = "outcome" {
        /// The function returned. Its own `Result` may be an error.
        Ok = "ok",
        /// The deadline passed.
        Timeout = "timeout",
        /// No runner could be booted.
        BootFailed = "boot_failed",
        /// The runner was lost.
        RunnerLost = "runner_lost",
        /// The function panicked.
        Panicked = "panicked",
        /// The pool's queue was full.
        QueueFull = "queue_full",
        /// The pool's budget paid for no more runners.
        OverBudget = "over_budget",
        /// The runner could take no more streams.
        RunnerFull = "runner_full",
        /// The call could have taken longer than a runner lives.
        TooLong = "too_long",
        /// The pool was draining.
        Draining = "draining",
        /// The runner does not know the function.
        UnknownFunction = "unknown_function",
        /// The call or its result was larger than `max_message`.
        TooLarge = "too_large",
        /// A value could not be encoded or decoded.
        Codec = "codec",
        /// The runner lacks a state that the function needs.
        MissingState = "missing_state",
        /// The pool or the runner cancelled the call, or its caller dropped it.
        Cancelled = "cancelled",
        /// Calls were nested too deeply.
        DepthExceeded = "depth_exceeded",
    }
}

attribute_values! {
    /// A part of the time of a call.
    pub(crate) enum CallPhase = "phase" {
        /// Until the call had a slot. Includes the boot that it waited for.
        Queue = "queue",
        /// From sending the call until its result had arrived.
        Run = "run",
        /// Decoding the result.
        Reply = "reply",
    }
}

attribute_values! {
    /// A part of the time of a boot.
    pub(crate) enum BootPhase = "phase" {
        /// Until the platform had accepted the request.
        Request = "request",
        /// Until the platform had found a place for the instance.
        Provision = "provision",
        /// Until the image was there.
        Pull = "pull",
        /// Until the instance's program ran.
        Start = "start",
        /// Until the runner was connected.
        Connect = "connect",
    }
}

attribute_values! {
    /// Why a boot failed; see [`BootFailureKind`](crate::BootFailureKind).
    pub(crate) enum BootFailureReason = "reason" {
        Throttled = "throttled",
        Capacity = "capacity",
        Quota = "quota",
        Unavailable = "unavailable",
        Misconfigured = "misconfigured",
        Died = "died",
        TimedOut = "timed_out",
        Rejected = "rejected",
        Other = "other",
    }
}

attribute_values! {
    /// Why a runner ended; see [`ShrinkReason`](crate::ShrinkReason).
    pub(crate) enum RunnerExit = "reason" {
        Idle = "idle",
        SingleUse = "single_use",
        Resize = "resize",
        Announced = "announced",
        Expiring = "expiring",
        Requested = "requested",
        PoolDrain = "pool_drain",
        /// Its link broke and was not resumed, or its instance died.
        Lost = "lost",
    }
}

attribute_values! {
    /// The activity of a runner, as gauges show it.
    pub(crate) enum RunnerActivity = "state" {
        Booting = "booting",
        /// Serves at least one call.
        Active = "active",
        /// Is up, and serves no call.
        Idle = "idle",
        /// Accepts no more calls.
        Draining = "draining",
        /// Its instance is being stopped.
        Stopping = "stopping",
    }
}

attribute_values! {
    /// The direction of bytes, as the parent sees it.
    pub(crate) enum Direction = "direction" {
        Sent = "sent",
        Received = "received",
    }
}

attribute_values! {
    /// The step at which a client that wanted to be a runner failed.
    pub(crate) enum RefusedAt = "step" {
        /// The WebSocket handshake or TLS.
        Handshake = "handshake",
        /// The client sent no readable hello.
        Hello = "hello",
        /// The client's hello was rejected: a wrong token, or another build.
        Admission = "admission",
    }
}

impl CallOutcome {
    /// Whether the function returned.
    #[must_use]
    pub fn is_ok(self) -> bool {
        self == CallOutcome::Ok
    }

    /// The outcome of a call that failed with this error.
    pub(crate) fn of(error: &CallError) -> Self {
        match error {
            CallError::Timeout { .. } => Self::Timeout,
            CallError::BootFailed(_) => Self::BootFailed,
            CallError::RunnerLost { .. } => Self::RunnerLost,
            CallError::Panicked { .. } => Self::Panicked,
            CallError::QueueFull { .. } => Self::QueueFull,
            CallError::OverBudget { .. } => Self::OverBudget,
            CallError::RunnerFull { .. } => Self::RunnerFull,
            CallError::TooLong { .. } => Self::TooLong,
            CallError::Draining => Self::Draining,
            CallError::UnknownFunction { .. } => Self::UnknownFunction,
            CallError::TooLarge { .. } => Self::TooLarge,
            CallError::Codec { .. } => Self::Codec,
            CallError::MissingState { .. } => Self::MissingState,
            CallError::Cancelled => Self::Cancelled,
            CallError::DepthExceeded { .. } => Self::DepthExceeded,
        }
    }
}

impl From<BootFailureKind> for BootFailureReason {
    fn from(kind: BootFailureKind) -> Self {
        match kind {
            BootFailureKind::Throttled => Self::Throttled,
            BootFailureKind::Capacity => Self::Capacity,
            BootFailureKind::Quota => Self::Quota,
            BootFailureKind::Unavailable => Self::Unavailable,
            BootFailureKind::Misconfigured => Self::Misconfigured,
            BootFailureKind::Died => Self::Died,
            BootFailureKind::TimedOut => Self::TimedOut,
            BootFailureKind::Rejected => Self::Rejected,
            BootFailureKind::Other => Self::Other,
        }
    }
}

impl From<ShrinkReason> for RunnerExit {
    fn from(reason: ShrinkReason) -> Self {
        match reason {
            ShrinkReason::Idle => Self::Idle,
            ShrinkReason::SingleUse => Self::SingleUse,
            ShrinkReason::Resize => Self::Resize,
            ShrinkReason::Announced => Self::Announced,
            ShrinkReason::Expiring => Self::Expiring,
            ShrinkReason::Requested => Self::Requested,
            ShrinkReason::PoolDrain => Self::PoolDrain,
        }
    }
}
