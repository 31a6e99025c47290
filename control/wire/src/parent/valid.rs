//! Which values the fields of a FLAME_PARENT may have, for the side that writes it and the side
//! that reads it alike.

use super::{FlameParent, MAX_ADDRESS, MAX_POOL, ParentError, RunnerLimits};
use crate::pack::MAX_MS;

pub(super) fn all(parent: &FlameParent) -> Result<(), ParentError> {
    address(&parent.address)?;
    pool(&parent.pool)?;
    limits(&parent.limits)
}

fn ensure(fine: bool, field: &'static str, reason: &str) -> Result<(), ParentError> {
    if fine { Ok(()) } else { Err(ParentError::bad(field, reason)) }
}

fn no_longer_than(max: usize, field: &'static str, text: &str) -> Result<(), ParentError> {
    if text.len() <= max {
        return Ok(());
    }
    Err(ParentError::bad(field, format!("is longer than {max} bytes")))
}

fn address(address: &str) -> Result<(), ParentError> {
    let ensure = |fine, reason| ensure(fine, "address", reason);
    no_longer_than(MAX_ADDRESS, "address", address)?;
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

fn pool(pool: &str) -> Result<(), ParentError> {
    let ensure = |fine, reason| ensure(fine, "pool", reason);
    ensure(!pool.is_empty(), "is empty")?;
    no_longer_than(MAX_POOL, "pool", pool)?;
    ensure(!pool.chars().any(char::is_control), "has control characters")
}

fn limits(limits: &RunnerLimits) -> Result<(), ParentError> {
    ensure(
        limits.failsafe_ms > 0,
        "limits.failsafe_ms",
        "is 0, so the runner could never connect",
    )?;
    ensure(limits.ping_ms > 0, "limits.ping_ms", "is 0, so pings would never cease")?;
    ensure(
        limits.silence_ms.min(MAX_MS) > limits.ping_ms.min(MAX_MS),
        "limits.silence_ms",
        "is not more than ping_ms, so a quiet link would count as lost",
    )?;
    ensure(
        limits.grace_ms >= RunnerLimits::least_grace_ms(limits.silence_ms),
        "limits.grace_ms",
        "is too short beside silence_ms: where only one side sees a connection break, the other \
         side would come back too late",
    )?;
    ensure(limits.max_message > 0, "limits.max_message", "is 0, so nothing could be sent")
}
