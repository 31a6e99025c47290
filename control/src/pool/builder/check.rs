//! Which values the options may have. All are checked before anything is started, and all that are
//! wrong are named at once, each by the name of its method. One function for each family.
//!
//! Zero is allowed where it has a meaning: a `shutdown_timeout` of zero cancels calls at once, and a
//! runner may end as soon as it is idle. Times that a runner is told have at least the millisecond
//! in which they are told.

use std::time::Duration;

use flame_wire::parent;

use super::PoolBuilder;
use super::connection_times::LEAST_KEEPALIVE_TIMEOUT;
use crate::backend::Backend;
use crate::error::{BadOption, PoolError};

/// The least time that a runner can be told.
const MILLISECOND: Duration = Duration::from_millis(1);
/// The least `max_message`: the header of a call, and some arguments.
const LEAST_MESSAGE: u64 = 1024;

/// What is wrong with a pool's options.
#[derive(Default)]
struct Wrong(Vec<BadOption>);

impl Wrong {
    fn unless(&mut self, so: bool, option: &'static str, why: impl FnOnce() -> String) {
        if !so {
            self.0.push(BadOption { option, why: why() });
        }
    }

    fn at_least(&mut self, least: Duration, option: &'static str, is: Duration) {
        self.unless(is >= least, option, || format!("is {is:?}, but must be at least {least:?}"));
    }
}

impl PoolBuilder {
    pub(super) fn check(&self) -> Result<(), PoolError> {
        let mut wrong = Wrong::default();
        self.check_name(&mut wrong);
        wrong.0.extend(self.limits().wrong());
        self.check_calls(&mut wrong);
        self.check_lives(&mut wrong);
        self.check_connection(&mut wrong);
        self.check_burst(&mut wrong);
        PoolError::of_options(wrong.0)
    }

    fn check_name(&self, wrong: &mut Wrong) {
        if let Err(why) = parent::check_pool(&self.name) {
            let Self { name, .. } = self;
            wrong.unless(false, "name", || format!("is {name:?}, which {why}"));
        }
    }

    /// What calls may take.
    fn check_calls(&self, wrong: &mut Wrong) {
        wrong.unless(self.timeout != Some(Duration::ZERO), "timeout", || {
            "is zero, so each call would be late: give calls some time, or `None` for no limit"
                .to_owned()
        });
        let Self { max_message, max_depth, .. } = self;
        wrong.unless(*max_message >= LEAST_MESSAGE, "max_message", || {
            format!("is {max_message}, but must be at least {LEAST_MESSAGE} bytes")
        });
        wrong.unless(*max_depth >= 1, "max_depth", || {
            "is 0, so no call could be made: 1 allows calls, but none within them".to_owned()
        });
    }

    /// How runners begin and end.
    fn check_lives(&self, wrong: &mut Wrong) {
        let times = [("boot_timeout", self.boot_timeout), ("max_lifetime", self.max_lifetime)];
        for (option, time) in times {
            wrong.at_least(MILLISECOND, option, time.unwrap_or(MILLISECOND));
        }
    }

    /// How runners reach this process, and when a connection counts as lost.
    fn check_connection(&self, wrong: &mut Wrong) {
        let times = self.connection_times();
        let (keepalive_timeout, reconnect_timeout, least) =
            (times.keepalive_timeout, times.reconnect_timeout, times.least_reconnect_timeout());
        wrong.at_least(LEAST_KEEPALIVE_TIMEOUT, "keepalive_timeout", keepalive_timeout);
        wrong.unless(reconnect_timeout >= least, "reconnect_timeout", || {
            format!(
                "is {reconnect_timeout:?}, but must be at least {least:?} with a `keepalive_timeout` of {keepalive_timeout:?}: where \
                 only one side sees a connection break, the other comes back only after `keepalive_timeout`; \
                 raise `reconnect_timeout`, or lower `keepalive_timeout`"
            )
        });
        if let Some(address) = &self.advertise
            && let Err(why) = check_address(address)
        {
            wrong.unless(false, "advertise", || {
                format!("is {address:?}, which {why}: write `ws://host:port` or `wss://host`")
            });
        }
    }

    fn check_burst(&self, wrong: &mut Wrong) {
        wrong.unless(self.burst_max >= 1, "burst_max", || {
            "is 0, but must be at least 1: for no burst leave out `burst`".to_owned()
        });
    }
}

/// Whether a runner can dial `address`.
fn check_address(address: &str) -> Result<(), String> {
    parent::check_address(address)?;
    if flame_link::is_address(address) {
        return Ok(());
    }
    Err("is no address".to_owned())
}

/// What the backends say of themselves.
pub(super) fn of_backends(
    boot_timeout: Duration,
    burst: Option<&dyn Backend>,
) -> Result<(), PoolError> {
    let mut wrong = Wrong::default();
    wrong.unless(boot_timeout >= MILLISECOND, "boot_timeout", || {
        format!("is {boot_timeout:?} by default of the backend, but must be at least 1 ms: set it")
    });
    let of_burst = burst.map_or(MILLISECOND, Backend::boot_timeout);
    wrong.unless(of_burst >= MILLISECOND, "burst", || {
        format!("has a backend whose boot timeout is {of_burst:?}, but must be at least 1 ms")
    });
    PoolError::of_options(wrong.0)
}

#[cfg(test)]
mod tests;
