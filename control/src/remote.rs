//! What an app writes and holds, by the names that it uses: remote functions, works, channels,
//! values that stay. They are made in crates below this one; here they have their examples.

mod block;

/// Marks a function that may run in a copy of the app.
///
/// Calling it gives a [`Work`], a call that is not yet made: awaited, it runs here; given to a
/// [`Pool`], it runs in a copy. So a function that is marked is called as before.
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
/// assert_eq!(shout("hello".to_owned()).await, "HELLO"); // here, and never serialized
/// # }
/// ```
///
/// | the function is | it runs |
/// |---|---|
/// | `async fn` | on the runtime; it must be `Send`, and should not block |
/// | `fn` | on a blocking thread, here and there alike |
/// | `fn` that returns `impl Stream<Item = T>` | on the runtime, as its items are taken; calling it gives a [`StreamWork`] |
///
/// **Arguments** are serde types. References to them are borrowed here and owned on the wire:
/// `&str`, `&[T]`, `&T`. [`Blob`] is for large bytes, a [`Sender`] or a [`Receiver`] of a
/// [`channel()`] may be one, and so may a [`Held`] value of the runner.
///
/// **Results** are serde types, too. A `Result` whose error is not one crosses as a
/// [`RemoteError`], with the whole chain of its messages, if the error can be made of that again:
/// `anyhow::Error` can. One that can be made of a [`CallError`], too, is for [`Pool::try_call`].
///
/// **`#[state]`** parameters are not sent. They are the app's own, given to [`App::state`] on
/// either side; each call gets a clone, and the caller leaves them out:
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
/// **Methods** are marked as well as the impl block, which says whose they are:
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
/// **Under another name.** An app that depends on flame-aws by another name, or by way of another
/// crate, says where it is: `#[remote(crate = my::flame_aws)]`, on an impl block for all of its
/// methods. [`call!`](crate::call) finds it by itself. Or it says so once, at the root of its crate:
/// `extern crate other_name as flame_aws;`.
///
/// What can't be remote (generics, `&mut`, traits, results that borrow ...) is refused by the
/// compiler, with what to write instead.
///
/// [`App::state`]: crate::App::state
/// [`CallError`]: crate::CallError
/// [`Pool`]: crate::Pool
/// [`Pool::try_call`]: crate::Pool::try_call
/// [`RemoteError`]: crate::RemoteError
pub use flame_macros::remote;
/// Bytes that cross beside the value that they are part of, without being copied into it.
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
/// A value that stays where it was made, and calls that go to it.
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
/// // Its runner, and one slot there, are kept until the last handle is dropped.
/// let model = pool.call(load("model.bin".to_owned())).await?;
/// let answer = pool.at(&model).try_call(ask(model.clone(), "why?".to_owned())).await?;
/// # Ok(())
/// # }
/// ```
pub use flame_runner_shim::calling::Held;
/// A call that gives a stream, not yet made: poll it to run it here, or give it to
/// [`Pool::stream`](crate::Pool::stream).
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
/// A call that is not yet made: await it to run it here, or give it to a [`Pool`](crate::Pool).
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
/// // Five minutes in all, in place of the pool's timeout.
/// let slow = index("archive".to_owned()).timeout(Duration::from_secs(300));
/// let there = pool.try_call(slow).await?;
/// // Runs to its end also when its caller is gone, and as long as it takes.
/// let safe = index("archive".to_owned()).detached().timeout(None);
/// let there = pool.try_call(safe).await?;
/// # Ok(())
/// # }
/// ```
pub use flame_runner_shim::calling::Work;
/// A typed channel, either end of which may be an argument of remote work.
///
/// [`Pool::place_child`](crate::Pool::place_child) shows one whose other end is on a runner.
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
pub use flame_runner_shim::calling::{ChannelError, CodecError, NotHere, Receiver, Sender};
/// What a function can know of the call that it serves.
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
