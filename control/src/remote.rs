//! The types and macros that an app writes remote functions with: works, channels, held values.
//! They are defined in the crates below this one; here are their examples.

mod block;

/// Marks a function that may run in a copy of the app.
///
/// Calling the function returns a [`Work`], which is a call that has not been made. If the work is
/// awaited, the function runs in this process. If it is given to a [`Pool`], the function runs in a
/// copy. So existing calls of the function keep working.
///
/// ```
/// use flame_aws::remote;
///
/// /// Its arguments and its result are serde types.
/// #[remote]
/// async fn shout(text: String) -> String {
///     text.to_uppercase()
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// assert_eq!(shout("hello".to_owned()).await, "HELLO"); // in this process, without serialization
/// # }
/// ```
///
/// | function | where it runs |
/// |---|---|
/// | `async fn` | on the runtime; its future must be `Send`, and should not block |
/// | `fn` | on a blocking thread, in this process and in a copy alike |
/// | `fn` that returns `impl Stream<Item = T>` | on the runtime, as its items are taken; calling it returns a [`StreamWork`] |
///
/// **Arguments** are serde types, or references to them (`&str`, `&[T]`, `&T`), which the function
/// borrows wherever it runs. An argument may also be a [`Blob`] (for large byte strings), a
/// [`Sender`] or a [`Receiver`] of a [`channel()`], or a [`Held`] value of the runner.
///
/// **Results** are serde types, too. If the error type of a `Result` is not a serde type, the error
/// is sent as a [`RemoteError`], with the messages of its whole source chain, and converted back.
/// This needs an error type that can be made from a [`RemoteError`], as `anyhow::Error` can. If the
/// error type can be made from a [`CallError`] as well, use [`Pool::try_call`].
///
/// **`#[state]`** parameters are not sent, and the caller leaves them out. The function gets a
/// clone of the value that [`App::state`] was given in the process where it runs:
///
/// ```no_run
/// use flame_aws::{Pool, remote};
///
/// #[derive(Clone)]
/// struct Db;
///
/// #[remote]
/// async fn titles(author: &str, #[state] db: Db) -> anyhow::Result<Vec<String>> {
///     # let _ = db;
///     Ok(vec![format!("a book by {author}")])
/// }
///
/// # async fn example(pool: Pool) -> anyhow::Result<()> {
/// let titles = pool.try_call(titles("Ursula")).await?;
/// # Ok(())
/// # }
/// ```
///
/// **Methods** are marked, and their impl block is marked too, so that the macro knows their type:
///
/// ```
/// use flame_aws::remote;
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Clone, Serialize, Deserialize)]
/// struct Video(String);
///
/// #[remote]
/// impl Video {
///     #[remote]
///     async fn frame(&self, at: u32) -> String {
///         format!("{}-{at}.jpg", self.0)
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// assert_eq!(Video("cat".to_owned()).frame(7).await, "cat-7.jpg");
/// # }
/// ```
///
/// **Under another name.** If an app depends on flame-aws under another name, or through another
/// crate, the attribute needs the path: `#[remote(crate = my::flame_aws)]`. On an impl block, the
/// path is for all of its methods. [`call!`](crate::call) needs no path. Alternatively, name the
/// crate once, at the root of the app: `extern crate other_name as flame_aws;`.
///
/// Functions that can't be remote are rejected at compile time: those with generic parameters,
/// `&mut` arguments, results that borrow, and so on. The error says what to write instead.
///
/// [`App::state`]: crate::App::state
/// [`CallError`]: crate::CallError
/// [`Pool`]: crate::Pool
/// [`Pool::try_call`]: crate::Pool::try_call
/// [`RemoteError`]: crate::RemoteError
pub use flame_macros::remote;
/// A byte string that is sent beside the value that it is part of, without being copied into it.
///
/// ```
/// use flame_aws::{Blob, remote};
///
/// #[remote]
/// async fn invert(image: Blob) -> Blob {
///     image.iter().map(|byte| !byte).collect()
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let inverted = invert(vec![0; 1 << 20].into()).await;
/// assert_eq!(inverted[0], 255);
/// # }
/// ```
pub use flame_runner_shim::calling::Blob;
/// A value that stays on the runner where it was made. Calls that need it go to that runner.
///
/// ```no_run
/// use flame_aws::{Held, Pool, remote};
///
/// struct Model(String);
///
/// #[remote]
/// async fn load(path: String) -> Held<Model> {
///     Held::new(Model(path))
/// }
///
/// #[remote]
/// async fn ask(model: Held<Model>, question: String) -> anyhow::Result<String> {
///     Ok(format!("{} says: {question}", model.get()?.0))
/// }
///
/// # async fn example(pool: Pool) -> anyhow::Result<()> {
/// // The value keeps its runner and one slot there until the last handle is dropped.
/// let model = pool.call(load("model.bin".to_owned())).await?;
/// let answer = pool.at(&model).try_call(ask(model.clone(), "why?".to_owned())).await?;
/// # Ok(())
/// # }
/// ```
pub use flame_runner_shim::calling::Held;
/// A call of a function that returns a stream. The call has not been made: poll this to run the
/// function in this process, or give it to [`Pool::stream`](crate::Pool::stream).
///
/// ```
/// use flame_aws::remote;
/// use futures_util::{Stream, StreamExt, stream};
///
/// #[remote]
/// fn countdown(from: u32) -> impl Stream<Item = u32> {
///     stream::iter((0..from).rev())
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// assert_eq!(countdown(3).collect::<Vec<_>>().await, [2, 1, 0]);
/// # }
/// ```
pub use flame_runner_shim::calling::StreamWork;
/// A call that has not been made: await it to run the function in this process, or give it to a
/// [`Pool`](crate::Pool).
///
/// ```no_run
/// use std::time::Duration;
///
/// use flame_aws::{Pool, remote};
///
/// #[remote]
/// async fn index(folder: String) -> anyhow::Result<u64> {
///     # let _ = folder;
///     Ok(0)
/// }
///
/// # async fn example(pool: Pool) -> anyhow::Result<()> {
/// let here = index("books".to_owned()).await?;
/// let there = pool.try_call(index("books".to_owned())).await?;
/// // Five minutes in all, instead of the pool's timeout.
/// let slow = index("archive".to_owned()).timeout(Duration::from_secs(300));
/// let there = pool.try_call(slow).await?;
/// // Runs to its end even if its caller goes away, and has no deadline.
/// let safe = index("archive".to_owned()).detached().timeout(None);
/// let there = pool.try_call(safe).await?;
/// # Ok(())
/// # }
/// ```
pub use flame_runner_shim::calling::Work;
/// Makes a typed channel. Either end may be an argument of a remote function.
///
/// The example of [`Pool::place_child`](crate::Pool::place_child) has one whose other end is on a
/// runner.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), flame_aws::ChannelError> {
/// let (jobs, mut todo) = flame_aws::channel::<String>(8);
/// jobs.send("sweep".to_owned()).await?;
/// drop(jobs);
/// assert_eq!(todo.recv().await?.as_deref(), Some("sweep"));
/// assert_eq!(todo.recv().await?, None, "every sender has been dropped");
/// # Ok(())
/// # }
/// ```
pub use flame_runner_shim::calling::channel;
pub use flame_runner_shim::calling::codec::Part as CodecPart;
pub use flame_runner_shim::calling::{ChannelError, CodecError, NotHere, Receiver, Sender};
/// Facts about the call that a function serves.
///
/// ```
/// use flame_aws::{CallContext, remote};
///
/// #[remote]
/// async fn hello() -> String {
///     match CallContext::current() {
///         Some(call) => format!("hello from runner {}, call {}", call.runner, call.call),
///         None => "hello from here".to_owned(),
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// assert_eq!(hello().await, "hello from here");
/// # }
/// ```
pub use flame_runner_shim::context::CallContext;
