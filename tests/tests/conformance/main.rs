//! The conformance suite, run against the backends that come with the crate, against the one that
//! the guide shows, and against some that it has to find out.

use std::process::ExitCode;

use flame_aws::backend::{Local, Process};
use flame_aws::testing::{Check, Conformance};
use flame_aws::{App, AppError};
use libtest_mimic::{Arguments, Failed, Trial};
use tokio::runtime::{Builder, Runtime};

mod flawed;
#[path = "../../../control/examples/own_backend/backend.rs"]
#[expect(unreachable_pub, reason = "written as it would be in a crate of its own")]
mod own_backend;

use own_backend::OwnBackend;

fn main() -> ExitCode {
    // A runner serves here, and ends.
    let parent = async || Ok::<_, AppError>(());
    let served = runtime().map_err(|error| error.to_string()).and_then(|runtime| {
        runtime.block_on(App::new().run(parent)).map_err(|error| error.to_string())
    });
    if let Err(error) = served {
        eprintln!("{error}");
        return ExitCode::FAILURE;
    }
    let process = Conformance::of(Process::new)
        .refuses("a program that is not there", || Process::new().program("/nowhere/app"))
        .refuses("a program that is not in path", || Process::new().program("nowhere-app"))
        .refuses("a program that is not executable", || {
            Process::new().program(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"))
        });
    let own = Conformance::of(OwnBackend::new)
        .refuses("a program that is not there", || OwnBackend::new().program("/nowhere/app"));
    let trials = [("local", Conformance::of(Local::new)), ("process", process), ("own", own)];
    let trials = trials.into_iter().flat_map(|(backend, suite)| {
        suite.checks().into_iter().map(move |check| trial(backend, check))
    });
    libtest_mimic::run(&Arguments::from_args(), trials.chain(flawed::trials()).collect())
        .exit_code()
}

fn trial(backend: &str, check: Check) -> Trial {
    let name = format!("{backend}::{}", check.name());
    Trial::test(name, move || runtime()?.block_on(check.run()).map_err(Failed::from))
}

fn runtime() -> std::io::Result<Runtime> {
    Builder::new_multi_thread().worker_threads(2).enable_all().build()
}
