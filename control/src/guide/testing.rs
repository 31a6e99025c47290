//! Testing code that uses pools.
//!
//! A runner is a copy of the running program, and becomes a runner when its `main` gets to
//! [`App::run`](crate::App::run). The program that runs tests has a `main` of its own, that of the
//! test harness, which never gets there. So a pool in a plain `#[test]` or `#[tokio::test]` boots no
//! copy. Its calls end at once with a [`BootFailed`](crate::CallError::BootFailed) that says so: a
//! copy would only run the tests once more.
//!
//! There are four ways to test:
//!
//! | | runs the function | for |
//! |---|---|---|
//! | await the work, without a pool | in the test | what the function does |
//! | the backend [`Local`](crate::backend::Local) | in a task of the test's process | what the code around the pool does |
//! | [`#[flame_aws::test]`](macro@crate::test) | in a real copy | that arguments, state and results cross processes |
//! | `harness = false` | in a real copy | suites with a test runner of their own |
//!
//! # Without a pool
//!
//! A [`Work`](crate::Work) that is awaited runs where it is, so a remote function is tested like any
//! other:
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
//! Runners of the backend [`Local`](crate::backend::Local) are tasks of this process. They take no
//! time to boot and can be debugged together with the test. Queues, limits, deadlines, events and
//! errors are those of any pool, and arguments and results are encoded as ever. What differs: statics,
//! state and the working directory are shared with the test, and a function that ends its process
//! ends the test.
//!
//! Let the code under test take its pool, or its backend, from outside:
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
//! [`#[flame_aws::test]`](macro@crate::test) takes the place of `#[tokio::test]`. It runs the test
//! inside [`App::run`](crate::App::run), and starts each copy so that the harness in it runs this one
//! test, which then serves. It works under `cargo test` and `cargo nextest`, in unit tests and in
//! `tests/`. The backend is [`Process`](crate::backend::Process), which is the default.
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
//! - Each binary of tests has all remote functions of its crates, and each test's app must give the
//!   state that they need.
//! - A copy boots in milliseconds, and a pool boots copies for each test that uses it. What a copy
//!   prints, the two lines of its harness among it, is in the test's output; `.log(false)` on the pool
//!   leaves it out.
//! - Don't call [`App::run`](crate::App::run) in a plain test: copies would run all tests.
//!
//! # With a `main` of your own
//!
//! A target with `harness = false` is a program like any other:
//!
//! ```toml
//! [[test]]
//! name = "copies"
//! harness = false
//! ```
//!
//! Its `main` ends in [`App::run`](crate::App::run), so each copy of it is a runner. The tests are
//! functions that the closure calls, or those of a test runner such as `libtest-mimic`:
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
//!     App::new().run(tests).await // a copy serves in here, and ends
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
