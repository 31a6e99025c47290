//! Which values the fields of a FLAME_PARENT may have, for the side that writes it and the side
//! that reads it alike; and, for those that an app chooses, for the pool that is to be started with
//! them.

use super::{FlameParent, MAX_ADDRESS, MAX_POOL, ParentError, RunnerLimits};
use crate::time::MAX_MS;

pub(super) fn all(parent: &FlameParent) -> Result<(), ParentError> {
    check_address(&parent.address).map_err(|reason| ParentError::bad("address", reason))?;
    check_pool(&parent.pool).map_err(|reason| ParentError::bad("pool", reason))?;
    limits(&parent.limits)
}

fn ensure(fine: bool, reason: &str) -> Result<(), String> {
    if fine { Ok(()) } else { Err(reason.to_owned()) }
}

fn no_longer_than(max: usize, text: &str) -> Result<(), String> {
    if text.len() <= max {
        return Ok(());
    }
    Err(format!("is longer than {max} bytes"))
}

/// Whether runners can be told to dial this address: `ws://host:port` or `wss://host`, with a path
/// or without; at most [`MAX_ADDRESS`] bytes.
///
/// # Errors
/// What is wrong with it, as in "the address {}".
pub fn check_address(address: &str) -> Result<(), String> {
    no_longer_than(MAX_ADDRESS, address)?;
    ensure(
        address.bytes().all(|byte| byte.is_ascii_graphic()),
        "has spaces or other characters than printable ASCII",
    )?;
    let rest = address.strip_prefix("ws://").or_else(|| address.strip_prefix("wss://"));
    ensure(rest.is_some(), "does not begin with `ws://` or `wss://`")?;
    let authority = rest.unwrap_or_default().split(['/', '?', '#']).next().unwrap_or_default();
    ensure(!authority.contains('@'), "has a user or password, which don't belong there")?;
    let (host, port) = match authority.rsplit_once(':') {
        // A colon within brackets is part of an IPv6 address.
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (authority, None),
    };
    ensure(!host.is_empty(), "has no host")?;
    let bracketed = host.starts_with('[') && host.ends_with(']');
    ensure(bracketed || !host.contains(':'), "has an IPv6 host without brackets")?;
    let is_port = |port: &str| {
        port.bytes().all(|digit| digit.is_ascii_digit()) && port.parse().is_ok_and(|n: u16| n > 0)
    };
    ensure(port.is_none_or(is_port), "has a port that is no number from 1 to 65535")
}

/// Whether a pool can have this name: 1 to [`MAX_POOL`] bytes without control characters.
///
/// # Errors
/// What is wrong with it, as in "the name {}".
pub fn check_pool(name: &str) -> Result<(), String> {
    ensure(!name.is_empty(), "is empty")?;
    no_longer_than(MAX_POOL, name)?;
    ensure(!name.chars().any(char::is_control), "has control characters")
}

fn limits(limits: &RunnerLimits) -> Result<(), ParentError> {
    let ensure = |fine, field, reason: &str| {
        if fine { Ok(()) } else { Err(ParentError::bad(field, reason)) }
    };
    ensure(
        limits.failsafe_ms > 0,
        "limits.failsafe_ms",
        "is 0, so the runner could never connect",
    )?;
    ensure(limits.ping_ms > 0, "limits.ping_ms", "is 0, so pings would never cease")?;
    ensure(
        limits.keepalive_timeout_ms.min(MAX_MS) > limits.ping_ms.min(MAX_MS),
        "limits.keepalive_timeout_ms",
        "is not more than ping_ms, so a quiet link would count as lost",
    )?;
    ensure(
        limits.reconnect_timeout_ms
            >= RunnerLimits::least_reconnect_timeout_ms(limits.keepalive_timeout_ms),
        "limits.reconnect_timeout_ms",
        "is too short beside keepalive_timeout_ms: where only one side sees a connection break, the other \
         side would come back too late",
    )?;
    ensure(limits.max_message > 0, "limits.max_message", "is 0, so nothing could be sent")
}
