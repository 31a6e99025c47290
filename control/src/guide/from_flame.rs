//! From Elixir's FLAME to this crate.
//!
//! The idea, and most of the names, come from Elixir's [FLAME](https://hex.pm/packages/flame). The
//! biggest difference: a closure can't be sent to another process in Rust, so the unit of work is a
//! function marked `#[remote]`, and captured variables become arguments.
//!
//! | FLAME | flame-aws |
//! |---|---|
//! | `FLAME.call(pool, fn -> .. end)` | [`pool.call(function(args))`](crate::Pool::call), or [`call!(pool, async \|..\| { .. })`](crate::call) |
//! | `FLAME.cast` | [`pool.cast`](crate::Pool::cast) |
//! | `FLAME.place_child` | [`pool.place_child`](crate::Pool::place_child) |
//! | `Task.async_stream` around `FLAME.call` | [`pool.map`](crate::Pool::map) |
//! | variables that the closure captures | arguments |
//! | `link: false` | `work.detached()` |
//! | `timeout:` of a call | `work.timeout(..)`; one deadline for the whole call, not one for the queue and one for the run |
//! | `{FLAME.Pool, name: .., min: .., max: ..}` | [`Pool::builder(name)`](crate::Pool::builder)`.min(..).max(..).start()` |
//! | `FLAME.Parent.get()` | [`is_runner()`](crate::is_runner) |
//! | children that the supervisor leaves out on a runner | the closure of [`App::run`](crate::App::run), which runs only in the parent |
//! | `FLAME.Trackable`, `track_resources` | [`Held<T>`](crate::Held), [`pool.at(&held)`](crate::Pool::at); always on |
//! | `idle_shutdown_after: {time, predicate}` | `.idle_shutdown_after(..)` and [`App::idle_when(..)`](crate::App::idle_when) |
//! | `FLAME.Backend` | [`backend::Backend`](crate::backend::Backend); the [guide](super::backends) shows how to write one |
//! | `FLAME.LocalBackend` | [`backend::Local`](crate::backend::Local); also [`backend::Process`](crate::backend::Process), the default |
//! | `FLAME.FlyBackend` | `backend::Fly`, with the feature `fly`; on AWS `backend::Ecs` and `backend::Lambda`, see [AWS](super::aws) |
//! | `FLAME.Terminator` | the private module `runner::terminator` of `flame-runner-shim` |
//! | `on_grow_start`, `on_grow_end`, `on_shrink` | the same names, and [`pool.events()`](crate::Pool::events) |
//! | an exit of the caller | always a [`CallError`](crate::CallError) |
//! | `code_sync` | [`.code_sync(true)`](crate::PoolBuilder::code_sync): a runner of another build becomes its parent's executable |
//!
//! The same work in both languages:
//!
//! ```elixir
//! def generate_thumbnails(%Video{} = vid, interval) do
//!   FLAME.call(MyApp.FFMpegRunner, fn ->
//!     Thumbnails.generate(vid.url, interval)
//!   end)
//! end
//! ```
//!
//! ```no_run
//! use flame_aws::{Pool, remote};
//!
//! #[remote]
//! async fn generate_thumbnails(url: String, interval: u32) -> anyhow::Result<Vec<String>> {
//!     // The body is what the closure would do.
//!     Ok(vec![format!("{url}-{interval}.jpg")])
//! }
//!
//! # async fn example(ffmpeg_runner: Pool, url: String) -> anyhow::Result<()> {
//! let thumbnails = ffmpeg_runner.try_call(generate_thumbnails(url, 5)).await?;
//! # let _ = thumbnails;
//! # Ok(())
//! # }
//! ```
