//! Tests of code that uses pools.
//!
//! A runner is a copy of the running program, and becomes a runner when its `main` reaches
//! [`App::run`](crate::App::run). A test program has the `main` of the test harness, which never
//! reaches it: a copy would only run the tests once more. So a pool in a plain `#[test]` or
//! `#[tokio::test]` boots no copy, and its calls fail at once with a
//! [`BootFailed`](crate::CallError::BootFailed) that explains this.
//!
//! There are four ways to test:
//!
//! | | the function runs | it tests |
//! |---|---|---|
//! | await the work, without a pool | in the test | what the function does |
//! | the backend [`Local`](crate::backend::Local) | in a task of the test's process | the code around the pool |
//! | [`#[flame_aws::test]`](macro@crate::test) | in a real copy | that arguments, state and results cross processes |
//! | `harness = false` | in a real copy | the same, in a suite with its own test runner |
//!
//! # Without a pool
//!
//! A [`Work`](crate::Work) that is awaited runs in the current process, so a remote function is
//! tested like any other function:
//!
//! ```
//! #[flame_aws::remote]
//! async fn double(n: u32) -> u32 {
//!     n * 2
//! }
//!
//! # /*
//! #[tokio::test]
//! # */
//! async fn it_doubles() {
//!     assert_eq!(double(21).await, 42);
//! }
//! # tokio::runtime::Runtime::new().unwrap().block_on(it_doubles());
//! ```
//!
//! # With `Local`
//!
//! The runners of the backend [`Local`](crate::backend::Local) are tasks of the test's process.
//! They boot in no time, and a debugger sees them together with the test. Queues, limits,
//! deadlines, events and errors work as in any pool, and arguments and results are encoded. There
//! are two differences: a runner shares its statics, state and working directory with the test; and
//! a function that ends its process ends the test.
//!
//! Pass the pool, or its backend, to the code under test:
//!
//! ```
//! use flame_aws::backend::Local;
//! use flame_aws::{CallError, Pool, remote};
//!
//! #[remote]
//! async fn double(n: u32) -> u32 {
//!     n * 2
//! }
//!
//! async fn doubled(pool: &Pool, numbers: &[u32]) -> Result<u32, CallError> {
//!     let mut sum = 0;
//!     for number in numbers {
//!         sum += pool.call(double(*number)).await?;
//!     }
//!     Ok(sum)
//! }
//!
//! # /*
//! #[tokio::test]
//! # */
//! async fn it_doubles_all() {
//!     let pool = Pool::builder("test").backend(Local::new()).start().await.unwrap();
//!     assert_eq!(doubled(&pool, &[1, 20]).await.unwrap(), 42);
//! }
//! # tokio::runtime::Runtime::new().unwrap().block_on(it_doubles_all());
//! ```
//!
//! # With real copies
//!
//! Write [`#[flame_aws::test]`](macro@crate::test) instead of `#[tokio::test]`. It runs the test
//! inside [`App::run`](crate::App::run), and starts each copy with arguments that make its test
//! harness run only this test; there the copy becomes a runner. It works under `cargo test` and
//! `cargo nextest`, in unit tests and in `tests/`. Use the default backend,
//! [`Process`](crate::backend::Process).
//!
//! ```no_run
//! # fn main() {}
//! use flame_aws::{App, Pool, remote};
//!
//! #[derive(Clone)]
//! struct Db(&'static str);
//!
//! #[remote]
//! async fn where_is_it(#[state] db: Db) -> (String, u32) {
//!     (db.0.to_owned(), std::process::id())
//! }
//!
//! fn app() -> App {
//!     App::new().state(Db("in memory"))
//! }
//!
//! #[flame_aws::test(app = app())]
//! async fn a_copy_has_a_database() -> anyhow::Result<()> {
//!     let pool = Pool::builder("test").max(1).start().await?;
//!     let (db, pid) = pool.call(where_is_it()).await?;
//!     assert_eq!(db, "in memory");
//!     assert_ne!(pid, std::process::id());
//!     pool.drain().await;
//!     Ok(())
//! }
//! ```
//!
//! - A test binary contains all remote functions of its crates. Each test's app must register the
//!   state that the functions it calls need.
//! - A copy boots in milliseconds. Every test boots its own copies. The lines that a copy prints,
//!   including two lines of its test harness, are in the test's output; set `.log(false)` on the
//!   pool to leave them out.
//! - Don't call [`App::run`](crate::App::run) in a plain test: each copy would run all tests.
//!
//! # With a `main` of your own
//!
//! A test target with `harness = false` is a program like any other:
//!
//! ```toml
//! [[test]]
//! name = "copies"
//! harness = false
//! ```
//!
//! Its `main` ends in [`App::run`](crate::App::run), so each copy of it becomes a runner. The
//! closure calls the tests, or a test runner such as `libtest-mimic`:
//!
//! ```no_run
//! use flame_aws::{App, Pool, remote};
//!
//! #[remote]
//! async fn double(n: u32) -> u32 {
//!     n * 2
//! }
//!
//! #[tokio::main]
//! async fn main() -> anyhow::Result<()> {
//!     App::new().run(tests).await // a copy serves calls here, and exits
//! }
//!
//! async fn tests() -> anyhow::Result<()> {
//!     let pool = Pool::builder("test").start().await?;
//!     assert_eq!(pool.call(double(21)).await?, 42);
//!     pool.drain().await;
//!     println!("ok");
//!     Ok(())
//! }
//! ```
