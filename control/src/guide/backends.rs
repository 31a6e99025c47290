//! How to write a backend.
//!
//! A backend boots copies of the app: as processes on this machine, as containers, as machines
//! elsewhere. It does three things: it starts a copy with one environment variable, it stops a
//! copy, and it notices when a copy has died. The pool does everything else, in the same way for
//! all backends: it decides when to boot and how many, gives out slots, and looks after links,
//! calls, timeouts and idle runners.
//!
//! # The life of an instance
//!
//! ```text
//!  pool                          backend                      instance: a copy of the app
//!  ────                          ───────                      ───────────────────────────
//!  start ──────── start ────────▶ checks its configuration
//!
//!  demand ──── remote_boot ────▶ requests an instance ──────▶ main
//!         ◀──── Instance ───────                              App::run finds FLAME_PARENT
//!         ──────── watch ──────▶ waits for its death
//!                                                             connects, proves its token
//!  up     ◀───────────────────── hello ──────────────────────
//!         ◀════════ calls, over the link: the backend takes no part ═══════▶ serves
//!
//!  idle   ◀───────────────────── may I exit? ────────────────
//!         ────────────────────── drain ─────────────────────▶ accepts no more calls, finishes
//!         ◀───────────────────── goodbye ────────────────────
//!         ◀────── Death ──────── notices it ◀──────────────── exits with code 0
//!
//!  or, if the pool no longer wants the instance, or the instance does not obey:
//!         ──────── stop ───────▶ kills it ──────────────────▶ dies
//!         ◀────── Death ──────── notices it
//! ```
//!
//! Every instance that was requested is eventually reported dead by [`watch`], or the pool reports
//! that it could not be stopped ([`PoolEvent::StopFailed`]). The pool forgets none.
//!
//! # A complete backend
//!
//! This backend starts copies of the app by [`std::process::Command`]. `cargo run --example
//! own_backend` runs a call on it, and it passes the conformance suite that is described below. It
//! has two types, as every backend does: a [`Backend`] with the configuration, and the
//! [`Instances`] that [`start`] creates from it for one pool.
//!
//! This backend leaves out three things that [`Process`](crate::backend::Process) does. It does not
//! log the lines that its children print, which go to the output of this process. It notices a
//! death up to 20 ms late. And if this process is killed, its children are not killed with it: they
//! exit after `reconnect_timeout`.
//!
//! ```no_run
#![doc = include_str!("../../examples/own_backend/backend.rs")]
//! ```
//!
//! # The configuration: `Backend`
//!
//! [`kind`] tells the runner how to read its environment. Return [`HostKind::Process`] if you start a
//! process with an environment: a child, a container, a machine that you reach by ssh. [`kind`]
//! must always return the same value.
//!
//! [`boot_timeout`] is the default of the pool's option of that name: how long a boot may take, from
//! requesting an instance until its runner connects. Return the time that the platform needs on a
//! bad day.
//!
//! [`start`] checks everything that can be checked without booting: that required names are set, that
//! the account has the permissions, that the image exists. If something is wrong, return an error that
//! names it and says how to fix it; the pool then does not start. Keep what you need of the
//! [`PoolInfo`]. If the pool has a [`PoolInfo::size`] that the platform can't provide, return an error
//! that says what it can provide. If the lines that instances print reach the backend, pass them to
//! [`PoolInfo::output`], and the pool logs them. If the backend stops instances of parents that are
//! gone, call [`PoolInfo::orphan_stopped`] for each, and the pool's metrics count them. If the
//! platform reports how long the parts of a boot took, implement [`boot_times`].
//!
//! The other methods have defaults:
//!
//! - [`address`]: the address at which runners reach this process, if the platform tells it.
//! - [`starts_this_executable`]: return `true` if each copy runs this executable with
//!   [`PoolInfo::args`]. The pool then boots nothing before this process has reached
//!   [`App::run`](crate::App::run): a copy of a program that never reaches it would not become a
//!   runner.
//! - [`supports_code_sync`]: return `false` if a process on the platform can't write a file and execute
//!   it.
//! - [`connection_advice`]: what a runner needs on this platform to reach the pool. It becomes part of
//!   the error that says that a runner never connected.
//!
//! # Booting: `remote_boot`
//!
//! The pool calls [`remote_boot`] once for each boot, and several times concurrently. Start one copy of
//! the app, of the same build as this process, with the environment variable `FLAME_PARENT` set to
//! [`BootSpec::flame_parent`]. Return the [`Instance`] as soon as the platform has accepted the
//! request. The pool waits for the runner to connect.
//!
//! - FLAME_PARENT is a secret until the runner has connected. Put it into the environment, never into
//!   arguments, tags or logs.
//! - Limit the time that a request takes. The boot fails at the boot timeout. The pool then waits one
//!   more minute for the answer, because only the answer tells whether there is an instance to stop.
//! - [`BootSpec::runner`] is unique and has 34 characters. Use it as the idempotency token of the
//!   request, and as a tag by which to find an instance that was left behind.
//! - [`Instance::id`] is the backend's own id, unique among all that it has booted. If the runner is a
//!   process that you have started, use `pid-` and its process id: the runner reports the same.
//! - Return an error only if there is no instance. If there may be one, return it, and the pool stops
//!   it. Put the platform's own explanation into the [`BootFailure`], and set its [kind]: every caller
//!   that waits for the boot gets it.
//!
//! # Noticing a death: `watch`
//!
//! The pool calls [`watch`] after each boot, and may call it again. Return a future that completes when
//! the instance has died, for any reason, and at once if the instance is dead or unknown. The future
//! borrows nothing. [`InstanceTable`] does all of this: register each instance with
//! [`insert`](crate::backend::InstanceTable::insert), and report its death with
//! [`record_death`](crate::backend::InstanceTable::record_death).
//!
//! A pool learns of a crash only from `watch`. A broken connection could also be the network, and the
//! pool waits for the runner to reconnect. So notice deaths as soon as possible. If you have to poll the
//! platform, poll for all instances at once. Put everything that the platform knows into [`Death`]: its
//! explanation, the exit code, the last lines that the instance printed.
//!
//! # Stopping: `stop`
//!
//! The pool calls [`stop`] if a boot takes too long, if a link is lost, if a runner does not exit when
//! it is told to, or if the pool itself is gone. Kill the instance at once: it has already had its time
//! to shut down. `stop` is idempotent, works while the instance boots, and succeeds for an instance that
//! is gone.
//!
//! The pool tries five times, for at most 30 s each, and after each attempt waits up to 30 s for the
//! death. There is one exception: if the pool's runtime ends before the pool does, nobody is left to
//! wait, and `stop` is polled only once. So do what you can before the first `await`.
//!
//! When the last handle of a pool is dropped, its runners drain and exit as usual; then the pool drops
//! its [`Instances`]. Stop every instance that is left in `Drop`.
//!
//! # Three more methods
//!
//! - [`size`] returns the size of an instance, so that the pool can estimate its costs and keep a
//!   budget.
//! - [`longest_call`] is for platforms that end each instance after a fixed time: the longest time that
//!   a call can run on a fresh instance. The pool rejects calls that may take longer. (A runner tells
//!   the pool how much time it has left when it connects, so a call that would be cut off goes to
//!   another runner.)
//! - [`notify`] tells the backend that a runner has connected, or is about to exit. It is for platforms
//!   that do not report by themselves whether a request was carried out, or when an instance ends.
//!
//! # The runner's side
//!
//! The copy is the app. Its `main` calls [`App::run`](crate::App::run), which looks for FLAME_PARENT:
//!
//! - If it is not set, this process is a parent, and `run` calls the app's closure.
//! - If it is valid, the process is a runner. It serves calls, and then exits; `run` does not return.
//! - If it is invalid, `run` returns [`AppError::Parent`](crate::AppError::Parent). Return the error from
//!   `main`, so that the process exits with it. Such a process never runs as a parent.
//!
//! So a runner, too, does everything that `main` does before `run`, and that time is part of the boot.
//!
//! On some platforms one process can be several runners, one after another, each with a FLAME_PARENT of
//! its own: `FLAME_RUNNER=lambda` makes a Lambda function do this. A process with FLAME_RUNNER is never
//! a parent, and a process with both variables exits with an error.
//!
//! On Linux a process removes both variables from its environment before its `main`, so that commands
//! which a remote function starts do not become runners. If `main` replaces its process by another
//! program before it calls `run`, that program is a parent.
//!
//! | exit code | meaning |
//! |---|---|
//! | 0 | the runner shut down, and no call was cut off |
//! | 81 | the runner did not reach its parent within the boot timeout |
//! | 82 | its parent was gone, or out of reach for longer than `reconnect_timeout` |
//! | 83 | `shutdown_timeout` passed, and calls that were still running were ended |
//! | 84 | the parent rejected the runner; the runner's last printed line says why |
//! | 85 | the runner could not become its parent's executable (`code_sync`); its last printed line says why |
//! | 128 + n | the runner received signal n a second time, and exited at once |
//!
//! SIGTERM and SIGINT make a runner shut down: it tells its parent, accepts no more calls once the
//! parent has agreed, finishes its calls within `shutdown_timeout`, says goodbye, and exits. So a
//! platform that stops an instance with SIGTERM and a pause interrupts no call, if the pause is longer
//! than `shutdown_timeout`.
//!
//! A runner also exits without its backend: if it never connects to its parent, if it can't reach
//! its parent for `reconnect_timeout`, and at the end of its `max_lifetime`. If the parent is
//! killed, the runners that were connected to it exit within `reconnect_timeout`.
//!
//! # Testing a backend
//!
//! `flame_aws::testing` is a conformance suite: it boots real copies through the backend, and says which
//! promise the backend breaks. It needs the feature `testing`:
//!
//! ```toml
//! [dev-dependencies]
//! flame-aws = { version = "0.1", features = ["testing"] }
//! libtest-mimic = "0.8"
//!
//! [[test]]
//! name = "conformance"
//! harness = false
//! ```
//!
//! The runners are copies of the test executable, so the test has a `main` that calls
//! [`App::run`](crate::App::run):
//!
#![cfg_attr(feature = "testing", doc = "```no_run")]
#![cfg_attr(not(feature = "testing"), doc = "```text")]
//! # use flame_aws::backend::Process as MyBackend;
//! # trait Image { fn image(self, _: &str) -> Self; }
//! # impl Image for MyBackend { fn image(self, _: &str) -> Self { self } }
//! use flame_aws::testing::Conformance;
//! use flame_aws::{App, AppError};
//! use libtest_mimic::{Arguments, Trial};
//! use tokio::runtime::Runtime;
//!
//! fn main() -> std::process::ExitCode {
//!     // A runner serves calls here, and exits.
//!     let parent = async || Ok::<_, AppError>(());
//!     Runtime::new().unwrap().block_on(App::new().run(parent)).unwrap();
//!
//!     let suite = Conformance::of(MyBackend::new)
//!         .rejects("a missing image", || MyBackend::new().image(""));
//!     let trials = suite.checks().into_iter().map(|check| {
//!         Trial::test(check.name().to_owned(), move || {
//!             Ok(Runtime::new()?.block_on(check.run())?)
//!         })
//!     });
//!     libtest_mimic::run(&Arguments::from_args(), trials.collect()).exit_code()
//! }
//! ```
//!
//! The pools of the suite listen on an address that runners connect to. With
//! `Conformance::relay` their runners connect through a relay.
//!
//! # Checklist
//!
//! - `start` rejects every configuration that can't work, and names what is missing.
//! - The copy is of the same build. That means: the same executable; or an executable with the same
//!   `FLAME_BUILD_ID`; or any build, if the pool has [`code_sync`](crate::PoolBuilder::code_sync) and
//!   the platform lets a process write a file and execute it.
//! - FLAME_PARENT reaches the copy unchanged, and appears in no log, argument or tag.
//! - The runner can reach the pool: the pool [listens](crate::PoolBuilder::listen) on an address that
//!   the runner can reach, and [advertises](crate::PoolBuilder::advertise) it, or it has a
//!   [relay](crate::PoolBuilder::relay). If `start` can tell that one of [`PoolInfo::addresses`] is out
//!   of the runners' reach, it returns an error that says so.
//! - `remote_boot` has a time limit of its own, works concurrently, and retries only what is idempotent.
//! - Each instance has a unique id.
//! - `stop` works while an instance boots, while it serves and when it is dead, and can be repeated.
//! - `watch` completes for every death, with a reason, and at once for the dead.
//! - A dead instance leaves nothing behind: no zombie process, no file, no entry in a map.
//! - If the parent is killed, its instances exit by themselves, and can be found by their tag.
//! - The conformance suite passes.
//!
//! [`Backend`]: crate::backend::Backend
//! [`kind`]: crate::backend::Backend::kind
//! [`boot_timeout`]: crate::backend::Backend::boot_timeout
//! [`address`]: crate::backend::Backend::address
//! [`start`]: crate::backend::Backend::start
//! [`starts_this_executable`]: crate::backend::Backend::starts_this_executable
//! [`supports_code_sync`]: crate::backend::Backend::supports_code_sync
//! [`connection_advice`]: crate::backend::Backend::connection_advice
//! [`Instances`]: crate::backend::Instances
//! [`remote_boot`]: crate::backend::Instances::remote_boot
//! [`watch`]: crate::backend::Instances::watch
//! [`stop`]: crate::backend::Instances::stop
//! [`longest_call`]: crate::backend::Instances::longest_call
//! [`size`]: crate::backend::Instances::size
//! [`notify`]: crate::backend::Instances::notify
//! [`InstanceTable`]: crate::backend::InstanceTable
//! [`PoolInfo`]: crate::backend::PoolInfo
//! [`PoolInfo::addresses`]: crate::backend::PoolInfo::addresses
//! [`PoolInfo::args`]: crate::backend::PoolInfo::args
//! [`PoolInfo::orphan_stopped`]: crate::backend::PoolInfo::orphan_stopped
//! [`PoolInfo::output`]: crate::backend::PoolInfo::output
//! [`PoolInfo::size`]: crate::backend::PoolInfo::size
//! [`boot_times`]: crate::backend::Instances::boot_times
//! [`BootSpec::flame_parent`]: crate::backend::BootSpec::flame_parent
//! [`BootSpec::runner`]: crate::backend::BootSpec::runner
//! [`Instance`]: crate::backend::Instance
//! [`Instance::id`]: crate::backend::Instance::id
//! [`Death`]: crate::backend::Death
//! [`BootFailure`]: crate::BootFailure
//! [kind]: crate::BootFailureKind
//! [`HostKind::Process`]: crate::HostKind::Process
//! [`PoolEvent::StopFailed`]: crate::PoolEvent::StopFailed
