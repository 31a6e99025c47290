//! The conformance suite, run against the crate's own backends, against the guide's example, and
//! against broken backends whose defects it has to detect. For Fly it has a stand-in. Where runners have
//! sockets, they connect directly and through a relay. On request the suite runs on containers of a
//! Docker engine instead.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::process::ExitCode;

use flame_aws::Relay;
use flame_aws::backend::{DockerBuilder, FlyBuilder, Local, Process, PullPolicy};
use flame_aws::testing::Conformance;
use flame_tests::{conformance, conformance_in_both_modes, docker, fly, relay};
use libtest_mimic::Trial;

mod broken_backends;
#[path = "../../../control/examples/own_backend/backend.rs"]
#[expect(unreachable_pub, reason = "written as in a crate of its own")]
mod own_backend;

use own_backend::OwnBackend;

fn main() -> ExitCode {
    flame_tests::suite_with(Vec::new(), || if docker::asked_for() { on_docker() } else { trials() })
}

/// The stand-in for Fly, whose machines connect over IPv6.
fn on_fly() -> Conformance {
    let backend = |change: fn(FlyBuilder) -> FlyBuilder| {
        move || change(fly::shared().suite_app().backend()).build()
    };
    Conformance::of(backend(|backend| backend))
        .listen((Ipv6Addr::LOCALHOST, 0).into())
        .rejects("an unknown app", backend(|it| it.app("nowhere")))
        .rejects("a wrong token", backend(|it| it.token("nobody")))
        .rejects("a CPU too many", backend(|it| it.cpus(3)))
        .rejects("a variable of the pool", backend(|it| it.env("FLAME_PARENT", "x")))
        .rejects("an API that is not there", backend(|it| it.host("http://127.0.0.1:1")))
}

fn on_docker() -> Vec<Trial> {
    let backend = |change: fn(DockerBuilder) -> DockerBuilder| {
        move || change(docker::shared().backend()).build()
    };
    conformance("docker", move || {
        Conformance::of(backend(|backend| backend))
            .listen((Ipv4Addr::UNSPECIFIED, 0).into())
            .rejects("a missing image", backend(|it| it.image("nowhere:1").pull(PullPolicy::Never)))
            .rejects("an unknown network", backend(|it| it.network("nowhere")))
            .rejects("no CPUs", backend(|it| it.cpus(0.0)))
            .rejects("a variable of the pool", backend(|it| it.env("FLAME_PARENT", "x")))
            .rejects("an engine that is not there", backend(|it| it.host("unix:///nowhere.sock")))
    })
}

fn trials() -> Vec<Trial> {
    let process = || {
        Conformance::of(Process::new)
            .rejects("a program that does not exist", || Process::new().program("/nowhere/app"))
            .rejects("a program that is not in PATH", || Process::new().program("nowhere-app"))
            .rejects("a program that is not executable", || {
                Process::new().program(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"))
            })
    };
    let own = || {
        Conformance::of(OwnBackend::new)
            .rejects("a program that does not exist", || OwnBackend::new().program("/nowhere/app"))
    };
    let trials = [
        // Its runners connect within this process.
        conformance("local", || Conformance::of(Local::new)),
        conformance_in_both_modes("process", process),
        conformance_in_both_modes("own", own),
        conformance("fly", on_fly),
        vec![relay_with_a_wrong_key()],
        broken_backends::trials(),
    ];
    trials.into_iter().flatten().collect()
}

/// A suite that did not use its relay would need no key.
fn relay_with_a_wrong_key() -> Trial {
    Trial::test("own::a_relay_that_rejects_the_key_is_named", || {
        let url = relay::shared().url();
        let relay = Relay::new(&url).key("not-a-key-of-this-relay-0123456789");
        let checks = Conformance::of(OwnBackend::new).relay(relay).checks();
        let check = checks.iter().find(|check| check.name().contains("serves_calls"));
        let check = check.ok_or("there is no such check")?;
        match flame_tests::runtime().block_on(check.run()) {
            Err(failure) if failure.to_string().contains(&url) => Ok(()),
            passed => Err(format!("{}: {passed:?}", check.name()).into()),
        }
    })
}
