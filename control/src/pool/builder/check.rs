//! Checks the options of a pool before anything starts. The error names every option that is wrong,
//! by the name of its method.
//!
//! Zero is valid where it has a meaning: a `shutdown_timeout` of zero cancels calls at once, and a
//! runner may end as soon as it is idle. Times that are sent to a runner are at least one
//! millisecond, because they are sent in milliseconds.

use std::time::Duration;

use flame_wire::parent;

use super::PoolBuilder;
use super::connection_times::LEAST_KEEPALIVE_TIMEOUT;
use crate::backend::Backend;
use crate::error::{BadOption, PoolError};

/// The shortest time that can be sent to a runner.
const MILLISECOND: Duration = Duration::from_millis(1);
/// The smallest `max_message`: enough for the header of a call and some arguments.
const LEAST_MESSAGE: u64 = 1024;

/// The options that are wrong.
#[derive(Default)]
struct WrongOptions(Vec<BadOption>);

impl WrongOptions {
    fn unless(&mut self, valid: bool, option: &'static str, why: impl FnOnce() -> String) {
        if !valid {
            self.0.push(BadOption { option, why: why() });
        }
    }

    fn at_least(&mut self, least: Duration, option: &'static str, is: Duration) {
        self.unless(is >= least, option, || format!("is {is:?}, but must be at least {least:?}"));
    }
}

impl PoolBuilder {
    pub(super) fn check(&self) -> Result<(), PoolError> {
        let mut wrong = WrongOptions::default();
        self.check_name(&mut wrong);
        wrong.0.extend(self.budget.and_then(|budget| budget.check()));
        wrong.0.extend(self.limits().wrong());
        self.check_calls(&mut wrong);
        self.check_runner_times(&mut wrong);
        if let Some(why) = self.size.problem() {
            wrong.unless(false, "size", || why.to_owned());
        }
        self.check_connection(&mut wrong);
        self.check_burst(&mut wrong);
        #[cfg(feature = "code-s3")]
        self.check_code_store(&mut wrong);
        PoolError::of_options(wrong.0)
    }

    fn check_name(&self, wrong: &mut WrongOptions) {
        if let Err(why) = parent::check_pool(&self.name) {
            let Self { name, .. } = self;
            wrong.unless(false, "name", || format!("is {name:?}, which {why}"));
        }
    }

    /// The limits of calls.
    fn check_calls(&self, wrong: &mut WrongOptions) {
        wrong.unless(self.timeout != Some(Duration::ZERO), "timeout", || {
            "is zero, so every call would time out: set a longer time, or `None` for no limit"
                .to_owned()
        });
        let Self { max_message, max_depth, .. } = self;
        wrong.unless(*max_message >= LEAST_MESSAGE, "max_message", || {
            format!("is {max_message}, but must be at least {LEAST_MESSAGE} bytes")
        });
        wrong.unless(*max_depth >= 1, "max_depth", || {
            "is 0, so no call could be made: 1 allows calls, but no calls inside them".to_owned()
        });
    }

    /// The times of a runner's life.
    fn check_runner_times(&self, wrong: &mut WrongOptions) {
        let times = [("boot_timeout", self.boot_timeout), ("max_lifetime", self.max_lifetime)];
        for (option, time) in times {
            wrong.at_least(MILLISECOND, option, time.unwrap_or(MILLISECOND));
        }
    }

    /// How runners connect, and when a connection counts as lost.
    fn check_connection(&self, wrong: &mut WrongOptions) {
        let times = self.connection_times();
        let (keepalive_timeout, reconnect_timeout, least) =
            (times.keepalive_timeout, times.reconnect_timeout, times.least_reconnect_timeout());
        wrong.at_least(LEAST_KEEPALIVE_TIMEOUT, "keepalive_timeout", keepalive_timeout);
        wrong.unless(reconnect_timeout >= least, "reconnect_timeout", || {
            format!(
                "is {reconnect_timeout:?}, but must be at least {least:?} with a `keepalive_timeout` \
                 of {keepalive_timeout:?}: if only one side sees a connection break, the runner \
                 reconnects only after `keepalive_timeout`; raise `reconnect_timeout`, or lower \
                 `keepalive_timeout`"
            )
        });
        if let Some(relay) = &self.relay {
            wrong.unless(self.listen.is_none() && self.advertise.is_none(), "relay", || {
                "can't be combined with `listen` or `advertise`, because with a relay the parent \
                 listens nowhere: leave out one of them"
                    .to_owned()
            });
            if let Err(why) = relay.check() {
                wrong.unless(false, "relay", || why);
            }
        }
        if let Some(address) = &self.advertise
            && let Err(why) = check_address(address)
        {
            wrong.unless(false, "advertise", || {
                format!("is {address:?}, which {why}: write `ws://host:port` or `wss://host`")
            });
        }
    }

    fn check_burst(&self, wrong: &mut WrongOptions) {
        wrong.unless(self.burst_max >= 1, "burst_max", || {
            "is 0, but must be at least 1: for no burst backend, leave out `burst`".to_owned()
        });
    }
}

#[cfg(feature = "code-s3")]
impl PoolBuilder {
    fn check_code_store(&self, wrong: &mut WrongOptions) {
        let Some(store) = &self.code_store else { return };
        wrong.unless(self.code_sync, "code_store", || {
            "is set, but `code_sync` is off, so no runner would use it: leave out one of them"
                .to_owned()
        });
        if let Err(why) = store.check() {
            wrong.unless(false, "code_store", || why);
        }
    }
}

/// Whether a runner can connect to `address`.
fn check_address(address: &str) -> Result<(), String> {
    parent::check_address(address)?;
    if flame_link::is_address(address) {
        return Ok(());
    }
    Err("is not an address".to_owned())
}

/// Checks the boot timeouts, which may be the backends' own.
pub(super) fn boot_timeouts(
    boot_timeout: Duration,
    burst: Option<&dyn Backend>,
) -> Result<(), PoolError> {
    let mut wrong = WrongOptions::default();
    wrong.unless(boot_timeout >= MILLISECOND, "boot_timeout", || {
        format!("is {boot_timeout:?} by the backend's default, but must be at least 1 ms: set `boot_timeout`")
    });
    let of_burst = burst.map_or(MILLISECOND, Backend::boot_timeout);
    wrong.unless(of_burst >= MILLISECOND, "burst", || {
        format!("has a backend whose boot timeout is {of_burst:?}, but must be at least 1 ms")
    });
    PoolError::of_options(wrong.0)
}

#[cfg(test)]
mod tests;
