//! Remote functions, and the ways to call them.
//!
//! # A call is a value
//!
//! [`#[remote]`](macro@crate::remote) goes on an ordinary function. Calling the function then
//! returns a [`Work`]: a call that has not been made yet. Await the work, and the function runs in
//! this process. Give the work to a [`Pool`], and the function runs in a copy of the app.
//!
//! ```no_run
//! use flame_aws::{Pool, remote};
//!
//! #[remote]
//! async fn word_count(text: String) -> usize {
//!     text.split_whitespace().count()
//! }
//!
//! # async fn example(pool: Pool) -> Result<(), flame_aws::CallError> {
//! let here = word_count("to be or not to be".to_owned()).await;
//! let there = pool.call(word_count("to be or not to be".to_owned())).await?;
//! assert_eq!(here, there);
//! # Ok(())
//! # }
//! ```
//!
//! No code crosses the connection. The parent sends the function's name and its encoded arguments.
//! The runner is the same executable, so it finds the function in its own table.
//!
//! # Ways to call
//!
//! | | |
//! |---|---|
//! | [`pool.call(work)`](crate::Pool::call) | returns the result, or a [`CallError`] |
//! | [`pool.try_call(work)`](crate::Pool::try_call) | for functions that return a `Result`: returns one `Result`, with the function's own error type |
//! | [`pool.cast(work)`](crate::Pool::cast) | returns as soon as a runner has accepted the call; the result is dropped |
//! | [`pool.stream(work)`](crate::Pool::stream) | returns the items of a function that returns `impl Stream`; the runner is at most 256 items ahead of the reader |
//! | [`pool.map(works)`](crate::Pool::map) | makes many calls and returns their results in order |
//! | [`pool.place_child(work)`](crate::Pool::place_child) | starts long-lived work, which talks to the parent through [channels](crate::channel()) |
//! | [`pool.at(&held)`](crate::Pool::at) | makes calls on the runner that holds a [`Held`] value |
//! | [`call!(pool, async \|a: A\| -> R { .. })`](crate::call) | runs a block of code without declaring a function |
//!
//! Options of a single call are methods of [`Work`]: `.timeout(duration)`, `.detached()`, and
//! `.trace(context)`.
//!
//! # What a function may look like
//!
//! | the function is | it runs |
//! |---|---|
//! | `async fn` | on the runner's async runtime; it should not block |
//! | `fn` | on a blocking thread, both here and on a runner |
//! | `fn` that returns `impl Stream<Item = T>` | on the runner's async runtime, as its items are read |
//!
//! Methods can be remote, too: put `#[remote]` on the method and on its `impl` block. Arguments and
//! results are serde types. Parameters of type `&str`, `&[T]` and `&T` borrow here, and arrive as
//! owned values on the runner. Use [`Blob`](crate::Blob) for large binary data: its bytes are sent
//! beside the encoded value instead of being copied into it. The compiler rejects a function that
//! can't be remote, and its message says what to write instead.
//!
//! # State
//!
//! A parameter marked `#[state]` is not sent. Each process creates its own state before
//! [`App::run`](crate::App::run), and each call receives a clone of it. The caller leaves the
//! parameter out:
//!
//! ```no_run
//! use flame_aws::{App, Pool, is_runner, remote};
//!
//! #[derive(Clone)]
//! struct Db {
//!     connections: u32,
//! }
//!
//! #[remote]
//! async fn titles(author: &str, #[state] db: Db) -> anyhow::Result<Vec<String>> {
//!     # let _ = db.connections;
//!     Ok(vec![format!("a book by {author}")])
//! }
//!
//! #[tokio::main]
//! async fn main() -> anyhow::Result<()> {
//!     // A runner serves a few calls at a time, so it needs fewer connections.
//!     let db = Db { connections: if is_runner() { 1 } else { 10 } };
//!     App::new().state(db).run(parent).await
//! }
//!
//! async fn parent() -> anyhow::Result<()> {
//!     let pool = Pool::builder("library").start().await?;
//!     let titles = pool.try_call(titles("Ursula")).await?;
//!     println!("{titles:?}");
//!     pool.drain().await;
//!     Ok(())
//! }
//! ```
//!
//! # One deadline
//!
//! A call has one deadline, which starts when the call is made. It covers waiting for a slot,
//! booting a runner, running the function, and receiving the result. The pool's `timeout` (30 s by
//! default) sets it, and `work.timeout(..)` sets it for one call. When the deadline passes, the
//! error says [in which phase](super::errors#timeouts).
//!
//! The time of a stream starts when the stream is first polled. `cast` and `place_child` work
//! differently: the pool's `timeout` limits only how long a runner may take to accept the call.
//! After that the function has no deadline unless `work.timeout(..)` sets one.
//!
//! ```no_run
//! use std::time::Duration;
//!
//! use flame_aws::{Pool, remote};
//!
//! #[remote]
//! fn index(folder: String) -> anyhow::Result<u64> {
//!     Ok(folder.len() as u64)
//! }
//!
//! # async fn example(pool: Pool) -> anyhow::Result<()> {
//! // Five minutes instead of the pool's timeout.
//! let documents = index("archive".to_owned()).timeout(Duration::from_secs(300));
//! println!("{} documents", pool.try_call(documents).await?);
//! # Ok(())
//! # }
//! ```
//!
//! # Cancelling
//!
//! Dropping the future of a call cancels the call, on the runner as well. With `.detached()` the
//! function runs to its end even if the caller is gone. An `async` function is dropped at its next
//! `.await`. A plain function can't be interrupted: it runs to its end, and its slot stays taken
//! until then.
//!
//! # Streams
//!
//! ```no_run
//! use flame_aws::{Pool, remote};
//! use futures_util::{Stream, StreamExt, stream};
//!
//! #[remote]
//! fn countdown(from: u32) -> impl Stream<Item = u32> {
//!     stream::iter((0..from).rev())
//! }
//!
//! # async fn example(pool: Pool) -> Result<(), flame_aws::CallError> {
//! let mut items = pool.stream(countdown(3));
//! while let Some(item) = items.next().await {
//!     println!("{}", item?);
//! }
//! # Ok(())
//! # }
//! ```
//!
//! The reader sets the pace: the runner produces at most 256 items, and at most 512 KiB plus one
//! item, ahead of the reader. Dropping the stream cancels the function.
//!
//! # Many calls
//!
//! `pool.map` takes works from an iterator and returns a stream of results in the same order. The
//! calls in flight and the results that are not read yet never exceed the pool's slots (`max` times
//! `max_concurrency`), or `max_queue` where that is less. Each call runs in a task of its own, so a
//! slow reader delays none of them.
//!
//! ```no_run
//! use flame_aws::{Pool, remote};
//! use futures_util::TryStreamExt;
//!
//! #[remote]
//! fn square(n: u64) -> u64 {
//!     n * n
//! }
//!
//! # async fn example(pool: Pool) -> Result<(), flame_aws::CallError> {
//! let squares: Vec<u64> = pool.map((0..100).map(square)).try_collect().await?;
//! # let _ = squares;
//! # Ok(())
//! # }
//! ```
//!
//! # Long-lived work
//!
//! A child is work that stays on a runner: a worker, a cache, a simulation. It takes one slot and
//! is never restarted. Channels carry messages in both directions; either end of a
//! [`channel()`](crate::channel()) may be an argument.
//!
//! ```no_run
//! use flame_aws::{Pool, Receiver, Sender, channel, remote};
//!
//! #[remote]
//! async fn squares(mut numbers: Receiver<u64>, results: Sender<u64>) -> anyhow::Result<()> {
//!     while let Some(n) = numbers.recv().await? {
//!         results.send(n * n).await?;
//!     }
//!     Ok(())
//! }
//!
//! # async fn example(pool: Pool) -> anyhow::Result<()> {
//! let (numbers, their_numbers) = channel(8);
//! let (their_results, mut results) = channel(8);
//! let child = pool.place_child(squares(their_numbers, their_results)).await?;
//! numbers.send(12).await?;
//! assert_eq!(results.recv().await?, Some(144));
//! drop(numbers); // the function's loop ends
//! child.join().await??;
//! # Ok(())
//! # }
//! ```
//!
//! Across a connection, a `channel(n)` holds up to n messages on each side before `send` waits. A
//! runner delivers every message that `send` has accepted before it shuts down. If a message is
//! lost, the receiver gets [`ChannelError::Lost`](crate::ChannelError::Lost); `None` means that
//! every message was delivered.
//!
//! # Values that stay on a runner
//!
//! A function can return a [`Held`] value: a loaded model, an open file, a connection. The value
//! stays on its runner, and the parent gets a handle. The runner, and one slot on it, are kept
//! until the last clone of the handle is dropped.
//!
//! ```no_run
//! use flame_aws::{Held, Pool, remote};
//!
//! struct Model(String);
//!
//! #[remote]
//! async fn load(path: String) -> Held<Model> {
//!     Held::new(Model(path))
//! }
//!
//! #[remote]
//! async fn ask(model: Held<Model>, question: String) -> anyhow::Result<String> {
//!     Ok(format!("{} answers: {question}", model.get()?.0))
//! }
//!
//! # async fn example(pool: Pool) -> anyhow::Result<()> {
//! let model = pool.call(load("model.bin".to_owned())).await?;
//! let answer = pool.at(&model).try_call(ask(model.clone(), "why?".to_owned())).await?;
//! # let _ = answer;
//! # Ok(())
//! # }
//! ```
//!
//! # A block of code
//!
//! ```no_run
//! use flame_aws::{CallError, Pool, call};
//!
//! # async fn example(pool: Pool) -> Result<(), CallError> {
//! let (text, times) = ("ho ".to_owned(), 3);
//! let laugh = call!(pool, async |text: String, times: usize| -> String { text.repeat(times) });
//! assert_eq!(laugh.await?, "ho ho ho ");
//! # Ok(())
//! # }
//! ```
//!
//! The block captures nothing implicitly: its parameters name the local variables that it takes.
//!
//! # Limits
//!
//! **Functions**
//!
//! - **An `async` function must not block.** A runner answers its parent from the same runtime that
//!   runs your `async` functions. While they compute on every worker thread, the runner answers
//!   nothing. After `keepalive_timeout` its connection is closed, and after `reconnect_timeout`
//!   more the runner is lost. Long before that, the runner prints a warning on its standard error.
//!   Make such functions plain functions: these run on threads of their own.
//! - **A plain function can't be stopped.** When its call is cancelled or times out, the caller
//!   continues at once. The function runs to its end, and its slot is taken until then.
//! - **At most 512 plain functions run at a time on one runner.** This is tokio's default number of
//!   blocking threads. Further calls wait for a thread. A call that is cancelled while it waits
//!   does not run.
//! - **A task that a function spawns is not part of the call.** It may be cut off when the runner
//!   shuts down.
//! - **With `panic = "abort"` a panic can't be caught.** It ends the runner, and all calls on that
//!   runner are lost.
//!
//! **Calls**
//!
//! - **The deadline of a stream covers the whole stream**, including the time that its reader takes
//!   for the items.
//! - **A call that is not polled keeps its slot.** Its deadline passes meanwhile. Await the call or
//!   spawn it, even if you collect many calls with `buffered`. `pool.map` does this for you.
//! - **An unread channel keeps its runner for one `shutdown_timeout`.** A runner that shuts down
//!   first delivers what `send` has accepted, and counts against `max` until then. Messages that
//!   are still unread after that are lost, and the receiver gets an error.
//! - **A `Held` value may be in a result, but not in the items of a stream.** Return a `Vec` of
//!   held values instead.
//!
//! **Values**
//!
//! - **Values nest at most 256 levels deep.** Lists, maps, structs, enum variants and `Some`s each
//!   count as a level. Encoding a deeper value is a `Codec` error.
//! - **`flatten`, `tag` and `untagged` have serde's restrictions.** Behind them serde keeps values
//!   in a buffer of its own, which has no room for `u128`, `i128` and serde_json's `RawValue`:
//!   these are a `Codec` error there. A large `Vec<u8>` is slow there, so use `Blob`. An untagged
//!   type becomes the first variant that fits, as with JSON: `None` and `()` look the same, and so
//!   do a `char` and a string of one character.
//!
//! [`CallError`]: crate::CallError
//! [`Held`]: crate::Held
//! [`Pool`]: crate::Pool
//! [`Pool::at`]: crate::Pool::at
//! [`Pool::call`]: crate::Pool::call
//! [`Work`]: crate::Work
