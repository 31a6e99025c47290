//! The generic runner: a runner with no app in it. It connects to the parent that its FLAME_PARENT
//! names, downloads the parent's executable, and becomes it.
//!
//! ```text
//!  FLAME_PARENT              a process or an ECS task:  process ──────────────▶ exec ─▶ the app
//!  FLAME_RUNNER=lambda       a Lambda function:         supervisor
//!                                                         │ starts, and serves the Runtime API to
//!    and FLAME_SUPERVISED                                 └▶ invocations ──────▶ exec ─▶ the app
//!  neither                                              an error that says how it is started
//! ```

use std::process::ExitCode;

use flame_runner_shim::log_writer;
use flame_wire::error::Chain;
use flame_wire::ids::BuildId;

use crate::error::RunError;
use crate::role::ProcessRole;

mod error;
mod invocations;
mod process;
mod role;
mod supervisor;

/// The exit code of a process that can't be a runner, because its environment does not make it one.
const EXIT_USAGE: u8 = 2;

fn main() -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let run = async {
        match ProcessRole::of_this_process()? {
            ProcessRole::Process(text) => process::serve(text).await,
            ProcessRole::Supervisor => supervisor::run().await,
            ProcessRole::Invocations => invocations::serve().await,
        }
    };
    let ended = runtime.map_err(RunError::Runtime).and_then(|runtime| runtime.block_on(run));
    // Not with `print_line`: no other thread has to survive a full pipe here.
    match ended {
        Ok(code) => code,
        Err(error) => {
            eprintln!("flame-runner: {}", Chain(&error));
            ExitCode::from(if error.is_usage() { EXIT_USAGE } else { 1 })
        }
    }
}

/// The build of the generic runner. It is never that of an app, not even if FLAME_BUILD_ID is set
/// for both: every parent has to offer its executable.
fn build() -> BuildId {
    BuildId::new(concat!("flame-runner-", env!("CARGO_PKG_VERSION")))
}

/// The code with which a process exits.
async fn exit_code(code: i32) -> ExitCode {
    log_writer::global().flush().await;
    ExitCode::from(u8::try_from(code).unwrap_or(1))
}
