//! The behaviour of a copy of the suite, which runs no tests.
//!
//! Variables of its environment change how a copy behaves:
//!
//! | variable | in | effect |
//! |---|---|---|
//! | `DEMO_WRITE_PARENT_TO` | runners | writes its FLAME_PARENT to a file in that folder, named by its process id |
//! | `DEMO_DROP_PRIVILEGES` | runners | becomes another user's process before anything else |
//! | `DEMO_HANG_IN_BOOT` | runners | never reaches `App::run` |
//! | `DEMO_HANG_WHILE_EXISTS` | runners | reaches `App::run` only once that file is gone |
//! | `DEMO_EXIT_IF_EXISTS` | runners | exits with code 7 if that file exists |
//! | `DEMO_EXIT_IN_BOOT` | runners | exits with that code |
//! | `DEMO_IDLE_WHEN` | runners | its app decides whether it may idle out |
//! | `DEMO_DRAIN_ON_SIGNALS` | all | its app drains at signals |
//! | `DEMO_EMF` | all | its app prints metrics in CloudWatch's embedded metric format |
//! | `DEMO_TERMINAL` | programs | takes that terminal as its controlling terminal |
//! | `DEMO_TRACE` | all | logs with that filter |
//! | `DEMO_SPANS_TO` | runners | writes its OpenTelemetry spans to a file in that folder when it ends |
//! | `DEMO_SPANS_LEVEL` | all | the level of those spans |

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use flame_aws::App;
use flame_aws::metrics::Emf;
use flame_runner_shim::boot_variables::boot_variables;

use super::runtime;
use crate::demo::{Db, probes};
use crate::otel::{self, ExportedSpans};
use crate::program::{self, before_run};
use crate::terminal;

/// Runs this process to its end if it is a copy: a runner, or a [`program`]. Returns its exit code,
/// or `None` if this process is to run the tests.
pub fn run_copy() -> Option<ExitCode> {
    if flame_aws::is_runner() {
        misbehave_in_boot();
    }
    let _terminal = if flame_aws::is_runner() { None } else { terminal::take() };
    if let Ok(filter) = std::env::var("DEMO_TRACE") {
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    }
    let spans_to = std::env::var_os(otel::SPANS_TO).filter(|_| flame_aws::is_runner());
    let spans = spans_to.map(|folder| (ExportedSpans::install(true), folder));
    if let Ok(name) = std::env::var(before_run::ENV) {
        return match runtime().block_on(before_run::run(&name)) {
            Ok(()) => Some(ExitCode::SUCCESS),
            Err(error) => {
                eprintln!("{error}");
                Some(ExitCode::FAILURE)
            }
        };
    }
    let program = std::env::var(program::ENV).ok();
    let run = async {
        let mut app = App::new().state(Db("demo".to_owned()));
        if std::env::var_os("DEMO_IDLE_WHEN").is_some() {
            app = app.idle_when(probes::idle_predicate);
        }
        if std::env::var_os("DEMO_DRAIN_ON_SIGNALS").is_some() {
            app = app.drain_on_signals();
        }
        if std::env::var_os("DEMO_EMF").is_some() {
            app = app.metrics(Emf::new("demo"));
        }
        if let Some((spans, folder)) = spans {
            app = app.on_runner_end(move || spans.write_to(Path::new(&folder)));
        }
        app.run(async || {
            if let Some(program) = &program {
                program::run(program).await;
            }
            Ok::<_, flame_aws::AppError>(())
        })
        .await
    };
    if let Err(error) = runtime().block_on(run) {
        let source = std::error::Error::source(&error);
        eprintln!("{error}: {}", source.map(ToString::to_string).unwrap_or_default());
        return Some(ExitCode::FAILURE);
    }
    program.is_some().then_some(ExitCode::SUCCESS)
}

fn misbehave_in_boot() {
    let variable = |name| std::env::var_os(name);
    if let Some(folder) = variable("DEMO_WRITE_PARENT_TO") {
        write_parent_to(Path::new(&folder));
    }
    if variable("DEMO_DROP_PRIVILEGES").is_some() {
        // This changes one thread's user, and the process has only one thread yet.
        let nobody = 65_534;
        rustix::thread::set_thread_gid(rustix::process::Gid::from_raw(nobody)).expect("root may");
        rustix::thread::set_thread_uid(rustix::process::Uid::from_raw(nobody)).expect("root may");
    }
    if variable("DEMO_HANG_IN_BOOT").is_some() {
        loop {
            std::thread::park();
        }
    }
    while variable("DEMO_HANG_WHILE_EXISTS").is_some_and(|file| Path::new(&file).exists()) {
        std::thread::sleep(Duration::from_millis(5));
    }
    if variable("DEMO_EXIT_IF_EXISTS").is_some_and(|file| Path::new(&file).exists()) {
        std::process::exit(7);
    }
    let code = variable("DEMO_EXIT_IN_BOOT").and_then(|code| code.to_str()?.parse().ok());
    if let Some(code) = code {
        eprintln!("the database is not there");
        std::process::exit(code);
    }
}

fn write_parent_to(folder: &Path) {
    let file = folder.join(std::process::id().to_string());
    let parent = boot_variables().parent().unwrap_or_default();
    // The file gets its name last, so that a test never reads half of it.
    let draft = file.with_extension("draft");
    std::fs::write(&draft, parent.as_encoded_bytes()).expect("the folder exists");
    std::fs::rename(draft, file).expect("the folder exists");
}
