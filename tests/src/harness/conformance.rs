//! The conformance suite for backends, in the modes of the harness.

use std::net::Ipv4Addr;

use flame_aws::testing::{Check, Conformance};
use libtest_mimic::Trial;

use super::in_time;
use super::pools::{self, Connection, PoolMode};
use crate::emulator::advertised;
use crate::relay;

/// Returns a trial of each check twice: with runners that connect directly, and through a relay.
/// The names begin with `name`.
pub fn conformance_in_both_modes(
    name: &str,
    suite: impl Fn() -> Conformance + Clone + Send + 'static,
) -> Vec<Trial> {
    let modes = [Connection::Direct, Connection::Relay];
    modes.into_iter().flat_map(|connection| conformance_trials(name, connection, &suite)).collect()
}

/// Returns a trial of each check, with runners that connect directly.
pub fn conformance(
    name: &str,
    suite: impl Fn() -> Conformance + Clone + Send + 'static,
) -> Vec<Trial> {
    conformance_trials(name, Connection::Direct, &suite)
}

fn conformance_trials<S>(name: &str, connection: Connection, suite: &S) -> Vec<Trial>
where
    S: Fn() -> Conformance + Clone + Send + 'static,
{
    let mode = PoolMode { connection, ..PoolMode::DEFAULT };
    let names = suite().checks().into_iter().map(|check| format!("{name}::{}", check.name()));
    let trials = names.enumerate().map(|(nth, name)| {
        let suite = suite.clone();
        mode.mark(Trial::test(name, move || {
            let run = async move { run_nth(suite, nth).await };
            Ok(in_time(pools::in_mode(mode, run))?)
        }))
    });
    trials.collect()
}

async fn run_nth(suite: impl Fn() -> Conformance, nth: usize) -> Result<(), String> {
    let check = conformance_checks(suite).into_iter().nth(nth).ok_or("there is no such check")?;
    check.run().await.map_err(|failure| failure.to_string())
}

/// Returns the checks of a conformance suite, in the mode of the test that calls this. Each check
/// gets a suite of its own, so that all pools can be reachable at the same time.
pub fn conformance_checks(suite: impl Fn() -> Conformance) -> Vec<Check> {
    let all = 0..suite().checks().len();
    all.filter_map(|nth| reachable(suite()).checks().into_iter().nth(nth)).collect()
}

/// Makes the pools of a suite reachable for their runners.
fn reachable(suite: Conformance) -> Conformance {
    if pools::is_relayed() {
        return suite.relay(relay::shared().option());
    }
    match advertised() {
        None => suite,
        Some((port, address)) => {
            suite.listen((Ipv4Addr::UNSPECIFIED, port).into()).advertise(address)
        }
    }
}
