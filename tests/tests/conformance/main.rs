//! The conformance suite, run against the crate's own backends, against the guide's example, and
//! against broken backends whose defects it has to detect. For Fly it has a stand-in. On request it
//! runs on containers of a Docker engine instead.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::process::ExitCode;

use flame_aws::backend::{DockerBuilder, FlyBuilder, Local, Process, PullPolicy};
use flame_aws::testing::{Check, Conformance};
use flame_aws::{App, AppError};
use flame_tests::{docker, fly};
use libtest_mimic::{Arguments, Failed, Trial};
use tokio::runtime::{Builder, Runtime};

mod broken_backends;
#[path = "../../../control/examples/own_backend/backend.rs"]
#[expect(unreachable_pub, reason = "written as in a crate of its own")]
mod own_backend;

use own_backend::OwnBackend;

fn main() -> ExitCode {
    // A runner serves calls here, and exits.
    let parent = async || Ok::<_, AppError>(());
    let served = runtime().map_err(|error| error.to_string()).and_then(|runtime| {
        runtime.block_on(App::new().run(parent)).map_err(|error| error.to_string())
    });
    if let Err(error) = served {
        eprintln!("{error}");
        return ExitCode::FAILURE;
    }
    if docker::asked_for() {
        return on_docker();
    }
    let process = Conformance::of(Process::new)
        .rejects("a program that does not exist", || Process::new().program("/nowhere/app"))
        .rejects("a program that is not in PATH", || Process::new().program("nowhere-app"))
        .rejects("a program that is not executable", || {
            Process::new().program(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"))
        });
    let own = Conformance::of(OwnBackend::new)
        .rejects("a program that does not exist", || OwnBackend::new().program("/nowhere/app"));
    let trials = [
        ("local", Conformance::of(Local::new)),
        ("process", process),
        ("own", own),
        ("fly", on_fly()),
    ];
    let trials = trials.into_iter().flat_map(|(backend, suite)| {
        suite.checks().into_iter().map(move |check| trial(backend, check))
    });
    let trials = trials.chain(broken_backends::trials()).collect();
    conclude(&libtest_mimic::run(&Arguments::from_args(), trials))
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

fn conclude(conclusion: &libtest_mimic::Conclusion) -> ExitCode {
    for ended in [docker::end(), fly::end()] {
        if let Err(leftover) = ended {
            eprintln!("{leftover}");
            return ExitCode::FAILURE;
        }
    }
    conclusion.exit_code()
}

fn on_docker() -> ExitCode {
    let engine = docker::shared();
    let backend = |change: fn(DockerBuilder) -> DockerBuilder| {
        let engine = engine.clone();
        move || change(engine.backend()).build()
    };
    let suite = Conformance::of(backend(|backend| backend))
        .listen((Ipv4Addr::UNSPECIFIED, 0).into())
        .rejects("a missing image", backend(|it| it.image("nowhere:1").pull(PullPolicy::Never)))
        .rejects("an unknown network", backend(|it| it.network("nowhere")))
        .rejects("no CPUs", backend(|it| it.cpus(0.0)))
        .rejects("a variable of the pool", backend(|it| it.env("FLAME_PARENT", "x")))
        .rejects("an engine that is not there", backend(|it| it.host("unix:///nowhere.sock")));
    let trials = suite.checks().into_iter().map(|check| trial("docker", check)).collect();
    conclude(&libtest_mimic::run(&Arguments::from_args(), trials))
}

fn trial(backend: &str, check: Check) -> Trial {
    let name = format!("{backend}::{}", check.name());
    Trial::test(name, move || runtime()?.block_on(check.run()).map_err(Failed::from))
}

fn runtime() -> std::io::Result<Runtime> {
    Builder::new_multi_thread().worker_threads(2).enable_all().build()
}
