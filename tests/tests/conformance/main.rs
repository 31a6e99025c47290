//! The conformance suite, run against the crate's own backends, against the guide's example, and
//! against broken backends whose defects it has to detect.

use std::process::ExitCode;

use flame_aws::backend::{Local, Process};
use flame_aws::testing::{Check, Conformance};
use flame_aws::{App, AppError};
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
    let process = Conformance::of(Process::new)
        .rejects("a program that does not exist", || Process::new().program("/nowhere/app"))
        .rejects("a program that is not in PATH", || Process::new().program("nowhere-app"))
        .rejects("a program that is not executable", || {
            Process::new().program(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"))
        });
    let own = Conformance::of(OwnBackend::new)
        .rejects("a program that does not exist", || OwnBackend::new().program("/nowhere/app"));
    let trials = [("local", Conformance::of(Local::new)), ("process", process), ("own", own)];
    let trials = trials.into_iter().flat_map(|(backend, suite)| {
        suite.checks().into_iter().map(move |check| trial(backend, check))
    });
    libtest_mimic::run(&Arguments::from_args(), trials.chain(broken_backends::trials()).collect())
        .exit_code()
}

fn trial(backend: &str, check: Check) -> Trial {
    let name = format!("{backend}::{}", check.name());
    Trial::test(name, move || runtime()?.block_on(check.run()).map_err(Failed::from))
}

fn runtime() -> std::io::Result<Runtime> {
    Builder::new_multi_thread().worker_threads(2).enable_all().build()
}
