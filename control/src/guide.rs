//! The guide. One page for each question:
//!
//! - [`calls`]: how to write remote functions, and how to call them.
//! - [`pools`]: options, growth, signals, logs, and environment variables.
//! - [`errors`]: every error, whether the function ran, and what to do.
//! - [`aws`]: runners on ECS and Lambda.
//! - [`security`]: who may connect, and what to keep secret.
//! - [`from_flame`]: from Elixir's FLAME to this crate.
//! - [`testing`]: tests of code that uses pools.
//!
//! The rest of this page shows how to write a backend.
//!
//! Implementing a backend. For tests of code that uses pools see [`testing`].
//!
//! A backend is where copies of the app come from: a process here, a container, a machine
//! elsewhere. It does three things: it starts a copy with one environment variable, it ends a copy,
//! and it sees a copy dead. All else is the pool's, once for all backends: when to boot and how
//! many, who gets a slot, the link to the runner, calls, retries, timeouts, idleness.
//!
//! # The life of an instance
//!
//! ```text
//!  pool                          backend                      instance: a copy of the app
//!  ────                          ───────                      ───────────────────────────
//!  start ──────── init ────────▶ checks its configuration
//!
//!  demand ──── remote_boot ────▶ orders an instance ────────▶ main
//!         ◀──── Instance ───────                              App::run finds FLAME_PARENT
//!         ──────── watch ──────▶ waits for its death
//!                                                             dials home, shows its token
//!  up     ◀───────────────────── hello ──────────────────────
//!         ◀═════════ calls, on the link: the backend is not asked ═════════▶ serves
//!
//!  idle   ◀───────────────────── may I go? ──────────────────
//!         ────────────────────── drain ─────────────────────▶ takes no more calls, finishes
//!         ◀───────────────────── goodbye ────────────────────
//!         ◀────── Death ──────── sees it dead ◀────────────── exits with code 0
//!
//!  or, whenever it is not wanted any more, or does not do what it is told:
//!         ──────── stop ───────▶ ends it ───────────────────▶ dies
//!         ◀────── Death ──────── sees it dead
//! ```
//!
//! An instance that was ordered is seen dead in the end, by [`watch`], or the pool says that it
//! could not be stopped ([`PoolEvent::StopFailed`]). None is forgotten.
//!
//! # The methods
//!
//! [`kind`] says how a copy learns that it is a runner, and how it ends. For whatever starts a
//! process with an environment it is [`HostKind::Process`]: a child, a container, a machine that is
//! reached by a shell. It must not change while a pool runs.
//!
//! [`boot_timeout`] is called once, at the pool's start. It is the default of the pool's option of
//! that name: how long an instance may take from its order until it dials home. Give what the
//! platform needs on a bad day.
//!
//! [`longest_call`] is for platforms that end each instance after a fixed time: how long a call can
//! take on a fresh one. The pool refuses a call that may take longer. The time that is left to a
//! runner comes with its hello, and calls that would be cut off go to another.
//!
//! [`address`] is for backends that know by which address runners reach this process, as where the
//! platform tells it. A pool that listens on all addresses then tells its runners to dial that one.
//!
//! [`init`] is called once, before anything is booted. Check here all that can be checked without
//! booting: that names are given, that the account may do what it has to, that the image is there.
//! Give an error that names what is missing and what to do; the pool then does not start. Keep
//! [`PoolInfo::output`] if the lines that instances print reach the backend: the pool puts them
//! into the parent's log.
//!
//! [`starts_this_executable`] is for backends that start each copy as this process was started: this
//! executable, with [`PoolInfo::args`]. The pool then boots none before this process has reached
//! [`App::run`](crate::App::run), since the copies of a program that never does are no runners.
//!
//! [`remote_boot`] is called for each boot, for several at the same time. Start one copy of the
//! app, the same build as this one, with the environment variable `FLAME_PARENT` set to
//! [`BootSpec::flame_parent`]. Return the [`Instance`] as soon as the platform has taken the order;
//! that the copy dials home is the pool's to see.
//! - Bound the time that this takes. At the boot timeout the boot has failed, and the pool waits for
//!   the answer for another minute, since only that tells whether there is an instance to stop.
//! - [`BootSpec::runner`] is the boot's own name, 34 characters. Use it as the token that makes the
//!   order idempotent, and as a tag by which to find what was left behind.
//! - The name in [`Instance`] is the backend's own, unique among all it has booted. A process of
//!   its own calls itself `pid-` and its process id.
//! - An error means that there is no instance. If there may be one, return it: the pool stops it.
//!   Say in [`BootFailure`] what the platform said, and of which [kind] it is: it reaches every
//!   caller that waited.
//! - FLAME_PARENT is a secret until the copy has dialled home. It belongs into the environment,
//!   never into arguments, tags or logs.
//!
//! [`watch`] is called after each boot, and may be called again. Give a future that is ready when
//! the instance has died, for whatever reason, and at once for one that is dead or not known any
//! more. It borrows nothing. A pool learns of a crash from here: a connection that breaks could as
//! well be the network, and is waited for. So the sooner the better; where a platform has to be
//! asked, ask for all instances at once. Put into [`Death`] all that the platform knows: its reason,
//! the exit code, the last lines that were printed.
//!
//! [`stop`] is called when an instance must end: its boot took too long, its link is lost, it did
//! not go when it was told to, or its pool is gone. Not for one that is seen dead already. End it
//! at once: whatever could end in good order has had the time to. Stopping is idempotent, works
//! while the instance boots, and is no error for one that is gone. The pool tries five times, for
//! at most 30 s each, and after each waits up to 30 s for the death. Only where the runtime of a
//! pool ends before the pool does, nobody is left to wait: `stop` is then polled once, so do what
//! can be done before the first `await`.
//!
//! [`heard`] tells what a runner has said on its link: hello, and goodbye. It is for platforms that
//! don't tell by themselves whether an order was carried out, or when an instance ends; most
//! backends leave it as it is.
//!
//! All of them may be called at the same time. When the last handle of a pool is dropped, its
//! instances drain and end as ever. When the backend itself is dropped, end what is left.
//!
//! # The runner's side
//!
//! The copy is the app. Its `main` calls [`App::run`](crate::App::run), which looks for
//! FLAME_PARENT:
//!
//! - It is not there: this process is a parent, and the app's own closure runs.
//! - It is good: the process is a runner. It serves calls until it ends, and exits; `run` does not
//!   return.
//! - It is bad: `run` gives [`AppError::Parent`](crate::AppError::Parent). Return it from `main`, so
//!   that the process ends with an error. It is never silently a parent.
//!
//! So whatever `main` does before `run` happens on a runner, too, and takes boot time.
//!
//! A process can be one runner after the other, where its platform hands it one FLAME_PARENT after
//! the other: that is what `FLAME_RUNNER=lambda` makes of a Lambda function. A process with
//! FLAME_RUNNER is never a parent, and one with both variables ends with an error.
//!
//! On Linux a process takes both out of its environment before its `main`, so that commands which a
//! remote function starts are no runners. A `main` that replaces its process by another program before
//! `run` makes a parent of that.
//!
//! | exit code | what it means |
//! |---|---|
//! | 0 | it ended in good order and cut no call off |
//! | 81 | it never connected to its parent, within the boot timeout |
//! | 82 | its parent was gone, or out of reach for longer than the grace |
//! | 83 | the shutdown window was over, and calls under way were ended |
//! | 84 | the parent refused it; the last line that it prints says why |
//! | 85 | it was to become its parent's executable (`code_sync`), and could not; that line says why |
//! | 128 + n | signal n came a second time, and it went at once |
//!
//! SIGTERM and SIGINT ask a runner to end: it tells its parent, takes no new work once the parent
//! has agreed, finishes what it has within the pool's `shutdown_timeout`, says goodbye, exits. So a
//! platform that ends an instance with SIGTERM and a pause loses no call, if the pause is longer
//! than `shutdown_timeout`.
//!
//! A runner ends by itself also where its backend can't end it any more: when it has never reached
//! its parent, when its parent was out of reach for the pool's `reconnect_timeout`, when its `max_lifetime` is over.
//! An instance that a parent leaves behind when it is killed is gone after the grace at the latest.
//!
//! # A backend
//!
//! It starts copies of the app by [`std::process::Command`]. It is complete; the suite that is
//! described below runs against it. `cargo run --example own_backend` makes a call on it.
//!
//! Of what [`Process`](crate::backend::Process) does it leaves out three things: what children
//! print is not taken, but goes where this process prints; a child is seen dead 20 ms late; and if
//! this process is killed, its children are not killed with it, but end when the grace is over.
//!
//! ```no_run
#![doc = include_str!("../examples/own_backend/backend.rs")]
//! ```
//!
//! # Does it keep its promises?
//!
//! `flame_aws::testing` is a conformance suite: it boots real copies by the backend, and says in
//! words what is wrong. It needs the feature `testing`:
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
//! The runners are copies of the test itself, so it has a `main` that serves where it is one:
//!
//! ```text
//! fn main() -> std::process::ExitCode {
//!     // A runner serves here, and ends.
//!     let parent = async || Ok::<_, flame_aws::AppError>(());
//!     runtime().block_on(App::new().run(parent)).expect("an app");
//!
//!     let suite = Conformance::of(MyBackend::new)
//!         .refuses("a missing image", || MyBackend::new().image(""));
//!     let trials = suite.checks().into_iter().map(|check| {
//!         Trial::test(check.name().to_owned(), move || Ok(runtime().block_on(check.run())?))
//!     });
//!     libtest_mimic::run(&Arguments::from_args(), trials.collect()).exit_code()
//! }
//! ```
//!
//! # Checklist
//!
//! - `init` refuses every configuration that can't work, and names what is missing.
//! - The copy is of the same build: the same executable, or one with the same `FLAME_BUILD_ID`; or
//!   the pool has [`code_sync`](crate::PoolBuilder::code_sync), and the platform lets a process
//!   execute a file that it has written.
//! - FLAME_PARENT arrives unchanged, and stands in no log, argument or tag.
//! - The runner can reach the pool: [`listen`](crate::PoolBuilder::listen) on an address that it
//!   sees, and [`advertise`](crate::PoolBuilder::advertise) that. Where `init` can tell that
//!   [`PoolInfo::address`](crate::backend::PoolInfo::address) is out of reach, it says so.
//! - `remote_boot` has a time limit of its own, works side by side, and retries only what is
//!   idempotent.
//! - Each instance has a name of its own.
//! - `stop` works on what boots, what serves and what is dead, and as often as it is called.
//! - `watch` is ready for every death, with a reason, and at once for the dead.
//! - What dies leaves nothing: no zombie, no file, no entry in a map.
//! - What is left behind by a parent that was killed ends by itself, and can be found by its tag.
//! - The conformance suite passes.
//!
//! [`kind`]: crate::backend::Backend::kind
//! [`boot_timeout`]: crate::backend::Backend::boot_timeout
//! [`longest_call`]: crate::backend::Backend::longest_call
//! [`address`]: crate::backend::Backend::address
//! [`init`]: crate::backend::Backend::init
//! [`starts_this_executable`]: crate::backend::Backend::starts_this_executable
//! [`PoolInfo::args`]: crate::backend::PoolInfo::args
//! [`remote_boot`]: crate::backend::Backend::remote_boot
//! [`watch`]: crate::backend::Backend::watch
//! [`heard`]: crate::backend::Backend::heard
//! [`stop`]: crate::backend::Backend::stop
//! [`PoolInfo::output`]: crate::backend::PoolInfo::output
//! [`BootSpec::flame_parent`]: crate::backend::BootSpec::flame_parent
//! [`BootSpec::runner`]: crate::backend::BootSpec::runner
//! [`Instance`]: crate::backend::Instance
//! [`Death`]: crate::backend::Death
//! [`BootFailure`]: crate::BootFailure
//! [kind]: crate::BootFailureKind
//! [`HostKind::Process`]: crate::HostKind::Process
//! [`PoolEvent::StopFailed`]: crate::PoolEvent::StopFailed

pub mod aws;
pub mod calls;
pub mod errors;
pub mod from_flame;
pub mod pools;
pub mod security;
pub mod testing;
