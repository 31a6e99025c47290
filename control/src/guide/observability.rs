//! Observability: how to see what pools do.
//!
//! # A live page
//!
//! With the feature `dashboard`, [`Pool::dashboard`](crate::Pool::dashboard) gives a page as an axum
//! router, which an app mounts where it likes:
//!
//! ```text
//! let app = Router::new().nest("/pools", pool.dashboard().into_router());
//! ```
//!
//! The page shows:
//!
//! - each runner with its state, its slots, its age and its instance, and on ECS a link to the task in
//!   the AWS console;
//! - the calls that wait and run, and the last 100 calls with their phases on one axis of time: queue,
//!   boot of the call's runner, run, reply;
//! - the last 20 errors, with the last lines that a runner printed if its boot failed;
//! - the last 100 events of the pool as sentences, and what
//!   [`Pool::explain`](crate::Pool::explain) says;
//! - the durations of calls and boots, and the totals, which are those of
//!   [`metrics`](crate::metrics).
//!
//! It is updated while it is open, at most four times a second. It works on a phone, with a keyboard
//! and with a screen reader, in light and dark, and needs no other file and no other host. Several
//! pools share a page with `Dashboard::of`. With `Dashboard::control`, the page can also drain and
//! stop runners, as [`Pool::drain_runner`](crate::Pool::drain_runner) and
//! [`Pool::stop_runner`](crate::Pool::stop_runner) do.
//!
//! **The page has no login.** It shows names of functions, texts of errors, and what runners printed:
//! mount it behind the app's own authentication. The module `dashboard` says more about that.
//!
//! `flame-top` shows the same in a terminal. Its argument is the address of the page:
//!
//! ```console
//! $ flame-top http://127.0.0.1:3000/pools
//! ```
