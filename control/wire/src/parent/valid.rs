//! Which values the fields of a FLAME_PARENT may have. The side that encodes it and the side that
//! decodes it check the same rules. A pool that starts checks the values that the app has chosen.

use super::{
    FlameParent, MAX_ADDRESS, MAX_ADDRESSES, MAX_ADDRESSES_BYTES, MAX_POOL, ParentError,
    RunnerLimits,
};
use crate::time::MAX_MS;

pub(super) fn all(parent: &FlameParent) -> Result<(), ParentError> {
    check_addresses(&parent.addresses).map_err(|reason| ParentError::bad("addresses", reason))?;
    check_pool(&parent.pool).map_err(|reason| ParentError::bad("pool", reason))?;
    limits(&parent.limits)
}

fn ensure(valid: bool, reason: &str) -> Result<(), String> {
    if valid { Ok(()) } else { Err(reason.to_owned()) }
}

fn no_longer_than(max: usize, text: &str) -> Result<(), String> {
    if text.len() <= max {
        return Ok(());
    }
    Err(format!("is longer than {max} bytes"))
}

/// Checks the addresses of one parent: 1 to [`MAX_ADDRESSES`], each valid for [`check_address`],
/// and together at most [`MAX_ADDRESSES_BYTES`].
///
/// # Errors
/// The error says what is wrong, to be printed as "the list of addresses {}". The text contains
/// no address.
pub fn check_addresses(addresses: &[String]) -> Result<(), String> {
    ensure(!addresses.is_empty(), "contains no address")?;
    let count = addresses.len();
    if count > MAX_ADDRESSES {
        return Err(format!("contains {count} addresses, but at most {MAX_ADDRESSES} are allowed"));
    }
    for (address, number) in addresses.iter().zip(1..) {
        check_address(address)
            .map_err(|reason| format!("contains an address (number {number}) that {reason}"))?;
    }
    let total: usize = addresses.iter().map(String::len).sum();
    if total > MAX_ADDRESSES_BYTES {
        return Err(format!(
            "contains addresses of {total} bytes in total, but at most {MAX_ADDRESSES_BYTES} fit: give \
             fewer addresses, or shorter ones"
        ));
    }
    Ok(())
}

/// Checks that runners can connect to this address: `ws://host:port` or `wss://host`, with or
/// without a path, at most [`MAX_ADDRESS`] bytes. A query or a fragment is not allowed.
///
/// # Errors
/// The error says what is wrong, to be printed as "the address {}".
pub fn check_address(address: &str) -> Result<(), String> {
    no_longer_than(MAX_ADDRESS, address)?;
    ensure(
        address.bytes().all(|byte| byte.is_ascii_graphic()),
        "contains spaces or characters that are not printable ASCII",
    )?;
    let rest = address.strip_prefix("ws://").or_else(|| address.strip_prefix("wss://"));
    ensure(rest.is_some(), "does not begin with `ws://` or `wss://`")?;
    ensure(
        !address.contains(['?', '#']),
        "contains `?` or `#`, but an address has no query and no fragment",
    )?;
    let authority = rest.unwrap_or_default().split('/').next().unwrap_or_default();
    ensure(!authority.contains('@'), "contains a user name or password, which is not allowed")?;
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
    ensure(port.is_none_or(is_port), "has a port that is not a number from 1 to 65535")
}

/// Checks that a pool can have this name: 1 to [`MAX_POOL`] bytes without control characters.
///
/// # Errors
/// The error says what is wrong, to be printed as "the name {}".
pub fn check_pool(name: &str) -> Result<(), String> {
    ensure(!name.is_empty(), "is empty")?;
    no_longer_than(MAX_POOL, name)?;
    ensure(!name.chars().any(char::is_control), "contains control characters")
}

fn limits(limits: &RunnerLimits) -> Result<(), ParentError> {
    let ensure = |valid, field, reason: &str| {
        if valid { Ok(()) } else { Err(ParentError::bad(field, reason)) }
    };
    ensure(
        limits.failsafe_ms > 0,
        "limits.failsafe_ms",
        "is 0, so the runner could never connect",
    )?;
    ensure(
        limits.ping_ms > 0,
        "limits.ping_ms",
        "is 0, so the runner would send pings without pause",
    )?;
    ensure(
        limits.keepalive_timeout_ms.min(MAX_MS) > limits.ping_ms.min(MAX_MS),
        "limits.keepalive_timeout_ms",
        "is not longer than ping_ms, so an idle link would count as lost",
    )?;
    ensure(
        limits.reconnect_timeout_ms
            >= RunnerLimits::min_reconnect_timeout_ms(limits.keepalive_timeout_ms),
        "limits.reconnect_timeout_ms",
        "is too short compared with keepalive_timeout_ms: if only one side notices that a connection \
         has broken, the other side would reconnect too late",
    )?;
    ensure(limits.max_message > 0, "limits.max_message", "is 0, so nothing could be sent")
}
