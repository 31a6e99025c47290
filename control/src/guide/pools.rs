//! Pools: options, growth, signals, and the lifetime of runners.
//!
//! ```no_run
//! use std::time::Duration;
//!
//! use flame_aws::{Idle, Placement, Pool, PoolEvent};
//!
//! # async fn example() -> Result<(), flame_aws::PoolError> {
//! let pool = Pool::builder("thumbs")
//!     .min(1)
//!     .max(8)
//!     .max_concurrency(2)
//!     .timeout(Duration::from_secs(60))
//!     .idle_shutdown_after(Duration::from_secs(10))
//!     .min_idle_shutdown_after(Idle::Never)
//!     .placement(Placement::Pack)
//!     .on_grow_end(|event| {
//!         if let PoolEvent::GrowEnd { failure: Some(failure), .. } = event {
//!             eprintln!("a boot failed: {failure}");
//!         }
//!     })
//!     .start()
//!     .await?;
//! pool.ready().await; // one runner is up
//! # Ok(())
//! # }
//! ```
//!
//! # Options
//!
//! Each option is a method of [`PoolBuilder`](crate::PoolBuilder), which documents it in full.
//! [`start`](crate::PoolBuilder::start) checks all options and names every one that is wrong.
//!
//! **Size**
//!
//! | option | default | meaning |
//! |---|---|---|
//! | `min` | 0 | number of runners that are kept up |
//! | `max` | 4 | maximum number of instances, including those booting or shutting down |
//! | `max_concurrency` | 100 | number of calls that one runner serves at a time, at most 32,768 |
//! | `single_use` | false | each runner serves one call and then shuts down |
//! | `max_queue` | 10,000 | number of calls that may wait for a slot |
//! | `min_free_slots` | 0 | number of slots that are kept free ahead of demand, within `max` |
//! | `placement` | `Spread` | which runner gets a call: the least loaded one, or the most loaded one with `Pack` |
//!
//! **Time**
//!
//! | option | default | meaning |
//! |---|---|---|
//! | `timeout` | 30 s | deadline of a call: queue, boot, run and reply together |
//! | `boot_timeout` | the backend's: `Process` 10 s, `Lambda` 30 s, `Ecs` 120 s | maximum time from requesting an instance until its runner connects |
//! | `shutdown_timeout` | 30 s | how long calls may continue on a runner that must shut down |
//! | `idle_shutdown_after` | 30 s | how long a runner is idle before it shuts down; [`App::idle_when`](crate::App::idle_when) adds a condition |
//! | `min_idle_shutdown_after` | never | the same for the runners that make up `min` |
//! | `max_lifetime` | none | maximum lifetime of a runner |
//! | `boot_backoff` | 250 ms, 30 s | first and longest pause after failed boots |
//! | `boot_breaker` | 5, 30 s | number of failed boots in a row after which the pool stops booting, and for how long |
//!
//! **Connection**
//!
//! | option | default | meaning |
//! |---|---|---|
//! | `listen` | 127.0.0.1, a free port | address on which the pool accepts runners; pools with the same address share one port |
//! | `advertise` | the listener's address | address to which runners connect: `ws://host:port`, or `wss://host` if a load balancer terminates TLS |
//! | `relay` | `FLAME_RELAY_URL`, if it is set | relays through which runners connect, in place of `listen`; see [below](#relays) |
//! | `keepalive_timeout` | 30 s, or half of `reconnect_timeout` if that is shorter | how long a connection may be silent before it is closed |
//! | `reconnect_timeout` | 60 s, or twice `keepalive_timeout` if that is longer | how long a runner may take to reconnect before it counts as lost |
//! | `max_message` | 1 GiB | maximum size of the arguments or the result of one call |
//!
//! `reconnect_timeout` must be at least 1.5 times `keepalive_timeout`, or 10 s longer than it,
//! whichever is less. The reason: when only one side notices that a connection broke, the other
//! side notices it after `keepalive_timeout`, and the runner reconnects only then.
//!
//! **Everything else**
//!
//! | option | default | meaning |
//! |---|---|---|
//! | `backend` | `Process` | where runners come from; see [`backend`](crate::backend) |
//! | `burst`, `burst_max` | none, 100 | a second backend, which serves calls that find no slot while the first backend boots; see [`burst`](crate::PoolBuilder::burst) |
//! | `code_sync` | false | a runner of another build fetches this executable and becomes it; on Lambda only with `flame-runner` as the bootstrap; see [`code_sync`](crate::PoolBuilder::code_sync) |
//! | `code_store` | none | with the feature `code-s3`: an S3 bucket from which such runners fetch the executable, which is uploaded once; see [`code_store`](crate::PoolBuilder#method.code_store) |
//! | `budget` | none | the most that the pool may cost per hour, by an estimate; see [`budget`](crate::PoolBuilder::budget) |
//! | `prices` | AWS's public prices | the prices of that estimate; see [`cost`](crate::cost) |
//! | `max_depth` | 8 | how deep calls may nest, at most 254; on Lambda about 15 |
//! | `log` | true | whether the output and the `tracing` events of runners appear in the parent's log |
//! | `on_grow_start`, `on_grow_end`, `on_shrink` | none | callbacks |
//!
//! # Watching and resizing
//!
//! [`pool.snapshot()`](crate::Pool::snapshot) returns the pool's runners, queue and slots.
//! [`pool.explain()`](crate::Pool::explain) says in a sentence why the pool grows or does not grow.
//! [`pool.costs()`](crate::Pool::costs) estimates what the pool costs.
//! [`pool.events()`](crate::Pool::events) returns the events of the pool from then on.
//! [`pool.drain_runner(..)`](crate::Pool::drain_runner) and
//! [`pool.stop_runner(..)`](crate::Pool::stop_runner) end a single runner. [A live
//! page](super::observability) shows all of this in a browser.
//! [`pool.resize(..)`](crate::Pool::resize) changes limits while the pool runs; a lower `max` first
//! shuts down idle runners, and then busy ones when their calls have ended.
//!
//! ```
//! use flame_aws::backend::Local;
//! use flame_aws::{LimitsChange, Pool, PoolEvent};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), flame_aws::PoolError> {
//! // `Local` runs in this process, so the example starts no child process.
//! let pool = Pool::builder("demo").min(1).backend(Local::new()).start().await?;
//! let mut events = pool.events();
//! pool.ready().await;
//! assert_eq!(pool.snapshot().up, 1);
//! println!("{}", pool.explain());
//! pool.resize(LimitsChange::new().max(8).min_free_slots(4))?;
//! pool.drain().await;
//! while let Some(Ok(event)) = events.next().await {
//!     if matches!(event, PoolEvent::Drained) {
//!         break;
//!     }
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # Guarantees
//!
//! 1. A pool has at most `max` instances, and a runner at most `max_concurrency` calls.
//! 2. Each call is answered once: with its result, or with a typed error.
//! 3. When a call waits, a boot is under way, or `explain` gives the reason why not.
//! 4. A runner that is shutting down never gets a call.
//! 5. `min` runners are kept up.
//! 6. No instance is forgotten: the pool sees each one dead, or reports it as
//!    [`StopFailed`](crate::PoolEvent::StopFailed).
//! 7. A lost connection loses no call, and makes no call run twice.
//! 8. A child process does not outlive its parent, even if the parent is killed with `kill -9`
//!    (Linux). This still holds if the child gives up its privileges in `main`.
//!
//! Each guarantee is tested; ARCHITECTURE.md in the repository names the tests.
//!
//! # Shutting down
//!
//! [`pool.drain()`](crate::Pool::drain) ends a pool. Calls that wait, and new calls, get
//! `Draining`. Calls in flight may continue for `shutdown_timeout`, and then get `Cancelled`.
//! [`pool.drain_within(d)`](crate::Pool::drain_within) does the same with a shorter time. Dropping
//! the last handle of a pool drains it in the background.
//!
//! # Signals
//!
//! Child processes have a process group of their own and no terminal. Ctrl-C, Ctrl-\\, Ctrl-Z and a
//! hangup of the terminal therefore reach only the parent.
//!
//! - A parent that handles a signal itself can finish its work, because its runners continue.
//! - A parent that handles no signals is ended by the signal, as any process is. Its child
//!   processes end with it.
//! - A parent with [`App::drain_on_signals`](crate::App::drain_on_signals) shuts down step by step:
//!
//! | SIGINT, SIGTERM or SIGHUP | effect |
//! |---|---|
//! | first signal | All pools drain: waiting calls get `Draining`, and calls in flight have `shutdown_timeout`. `main` continues, and should return when its calls have ended. |
//! | second signal | Calls in flight get `Cancelled`. If `main` has not returned 5 s after the runners are gone, or 25 s after the signal, the process exits with 128 + the signal's number. |
//! | third signal, or any signal after `main` has returned | The process exits. |
//!
//! ```no_run
//! # async fn parent() -> Result<(), flame_aws::AppError> { Ok(()) }
//! #[tokio::main]
//! async fn main() -> Result<(), flame_aws::AppError> {
//!     flame_aws::App::new().drain_on_signals().run(parent).await
//! }
//! ```
//!
//! # Logs and traces
//!
//! The log events and the output of runners appear in the parent's log, and calls are spans of
//! `tracing` and of OpenTelemetry: see [observability](super::observability).
//!
//! # Relays
//!
//! A parent that its runners can't reach, such as a laptop, needs no listener: the parent and its
//! runners both connect to a relay, the program `flame-relay`. The relay sees only ciphertext.
//! Nothing else of the pool changes:
//!
//! ```no_run
//! use flame_aws::{Pool, Relay};
//!
//! # async fn example(key: String) -> Result<(), flame_aws::PoolError> {
//! let relay = Relay::new("wss://relay.example.com").key(key);
//! let pool = Pool::builder("thumbs").relay(relay).code_sync(true).start().await?;
//! # Ok(())
//! # }
//! ```
//!
//! With [`code_sync`](crate::PoolBuilder::code_sync), runners can begin as `flame-runner`, a
//! program without an app, and become this executable. So one image or function, deployed once,
//! runs any app of its platform. With the feature `code-s3` and the option `code_store`, a parent
//! with a slow upload sends its executable once, to S3, and not to each runner.
//!
//! A relay may be lost or restarted at any time. Calls go on once parent and runner have connected
//! again, within [`reconnect_timeout`](crate::PoolBuilder::reconnect_timeout): through the same relay,
//! through another one that [`Relay::or`](crate::Relay::or) names, or through another node of several
//! behind one URL.
//!
//! # Environment variables
//!
//! The variables of the AWS backends are on [the page about AWS](super::aws#settings).
//!
//! | variable | read by | meaning |
//! |---|---|---|
//! | `FLAME_LOG` | runner | lowest level that the runner sends: `info` by default |
//! | `FLAME_BUILD_ID` | both | name of the build, for parents and runners that are not the same file |
//! | `FLAME_CODE_DIR` | runner | cache folder for fetched executables; default `flame-code-<user id>` in the folder for temporary files |
//! | `FLAME_RUNNER=lambda` | runner | makes a Lambda function a runner |
//! | `FLAME_RELAY_URL` | parent | relays, up to three, separated by commas; used if neither `relay`, `listen` nor `advertise` is called |
//! | `FLAME_RELAY_KEY` | parent | the key that the relays expect |
//! | `FLAME_PARENT` | runner | set by the pool that boots the runner; never set it yourself |
//!
//! # Limits
//!
//! **Child processes**
//!
//! - **A child starts as its parent did**: with the same arguments, the same environment, and
//!   everything that `main` does before `App::run`. A process therefore boots children only after
//!   it has reached `App::run`. A runner starts no pool before it serves
//!   ([`PoolError::NotServing`](crate::PoolError::NotServing)).
//! - **A `main` must not replace its process with `exec` before `App::run`.** On Linux
//!   `FLAME_PARENT` has been removed from the environment by then, so the new program would be a
//!   parent.
//! - **A process that a function starts ends with the runner**, unless it leaves the runner's
//!   process group. The processes of the group get SIGKILL, even if the parent itself is killed. On
//!   ECS they end with the container. On Lambda they live until the environment ends. In a `Local`
//!   pool they are children of the app itself.
//! - **A process that leaves its process group is not found.** `setsid`, GNU `timeout`, daemons,
//!   and shells with job control create such processes, which outlive their runner. End them
//!   yourself. The same applies to every process of a function if the parent is killed and the
//!   machine has no `/bin/sh`, which otherwise ends them.
//! - **A parent that gives up its privileges** can't stop children that it started before. Give up
//!   privileges before the pool starts, or in the children as well.
//! - **Deadlines continue while a parent is stopped** by Ctrl-Z or by a debugger. Its children wait
//!   for it.
//! - **The name of a child** in `ps -e` and `top` is `app:pool` on Linux, cut to the kernel's limit
//!   of 15 bytes. Its command line is that of its parent.
//!
//! **All runners**
//!
//! - **Runners end with their parent.** Work does not survive the end of its parent.
//! - **On ECS, a task that hangs before `App::run` may run for ever** if its parent was killed and
//!   did not run on ECS itself. ECS has no time limit for tasks, so stop such a task yourself.
//! - **Linux first.** On Linux the kernel ties a child to its parent, and the child is started from
//!   the running file even if that file was replaced on disk. On other systems a thread watches the
//!   parent, and the file is found by its path. Neither is tested there.
//!
//! **Build setting**
//!
//! Build your app with `AWS_LC_SYS_NO_JITTER_ENTROPY=1` in the environment, as this repository's
//! `.cargo/config.toml` does. Without it, the TLS library gathers entropy of its own each time a
//! process starts, which delays every boot. With it, randomness comes from the kernel alone.
