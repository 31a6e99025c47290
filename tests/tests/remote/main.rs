//! The expansion of `#[remote]` and `call!` for functions of every shape. The calls use the real
//! serialization, within this process.

#![forbid(unsafe_code)]

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use flame_aws::backend::Local;
use flame_aws::{
    App, AppError, Blob, CallError, Pool, Receiver, RemoteError, Sender, call, channel, remote,
};
use futures_util::{Stream, StreamExt, stream};
use serde::{Deserialize, Serialize};

/// An app with all states of this suite's functions: `App::run` checks that none is missing.
fn app() -> App {
    App::new().state(Db("db")).state(fragments::setting()).state(lints::store())
}

async fn pool() -> Pool {
    Pool::builder("remote").max(1).backend(Local::new()).start().await.unwrap()
}

/// Checks that awaiting each work and calling it on a pool give the same result.
macro_rules! same_here_and_there {
    ($($work:expr),+ $(,)?) => {{
        let pool = pool().await;
        $(assert_eq!($work.await, pool.call($work).await.unwrap());)+
    }};
}

mod fragments;
mod lints;
mod names;
mod thread_safety;

#[remote]
async fn nothing() {}

#[remote]
fn plain(number: u32) -> u64 {
    u64::from(number) * 2
}

#[remote]
async fn fibonacci(n: u64) -> u64 {
    if n < 2 { n } else { fibonacci(n - 1).await + fibonacci(n - 2).await }
}

#[tokio::test]
async fn async_and_plain_functions_run_in_this_process_and_on_a_runner() {
    same_here_and_there!(nothing(), plain(21), fibonacci(10));
}

#[tokio::test]
async fn a_work_is_a_future_like_any_other() {
    assert_eq!(tokio::spawn(plain(2)).await.unwrap(), 4);
    let (a, b) = tokio::join!(plain(1), fibonacci(7));
    assert_eq!((a, b), (2, 13));
    let all = futures_util::future::join_all((0..3).map(plain)).await;
    assert_eq!(all, [0, 2, 4]);
}

/// An argument that is not `Clone`.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Video {
    name: String,
    frames: u32,
}

fn video() -> Video {
    Video { name: "cat".to_owned(), frames: 3 }
}

#[remote]
async fn borrows(text: &str, list: &[u16], path: &Path, video: &Video, owned: String) -> String {
    tokio::task::yield_now().await;
    format!("{text} {list:?} {} {} {owned}", path.display(), video.name)
}

#[remote]
fn plain_borrows(bytes: &[u8], path: &Path, scaler: &Scaler) -> (usize, PathBuf, u32) {
    (bytes.iter().map(|byte| usize::from(*byte)).sum(), path.to_owned(), scaler.by)
}

#[tokio::test]
async fn arguments_are_borrowed_in_this_process_and_owned_on_a_runner() {
    let (path, scaler) = (Path::new("/tmp/x"), Scaler { by: 3 });
    let video = video();
    same_here_and_there!(
        borrows("a", &[1, 2], path, &video, "o".to_owned()),
        plain_borrows(&[200, 100], path, &scaler),
    );
}

#[remote]
async fn patterns((a, b): (u32, u32), mut c: u32, _: u32, Video { frames, .. }: Video) -> u32 {
    c += frames;
    a + b + c
}

#[remote]
async fn r#loop(r#type: u8) -> u8 {
    r#type
}

#[remote]
#[expect(clippy::too_many_arguments, reason = "serde's tuples end at sixteen")]
async fn many(
    a: u8,
    b: u8,
    c: u8,
    d: u8,
    e: u8,
    f: u8,
    g: u8,
    h: u8,
    i: u8,
    j: u8,
    k: u8,
    l: u8,
    m: u8,
    n: u8,
    o: u8,
    p: u8,
    q: u8,
    r: &str,
) -> String {
    format!("{:?}{r}", [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q])
}

#[tokio::test]
async fn parameters_may_be_patterns_keywords_and_many() {
    same_here_and_there!(
        patterns((1, 2), 3, 4, video()),
        r#loop(9),
        many(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, "r"),
    );
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Scaler {
    by: u32,
}

#[remote]
impl Scaler {
    const WIDTH: usize = 2;

    /// Methods by reference and by value follow, and functions without `self`.
    #[remote]
    async fn scale(&self, number: u32) -> u32 {
        self.twice_here(number) / 2
    }

    #[remote]
    pub(crate) fn plain_scale(&self, number: u32) -> u32 {
        self.by * number
    }

    #[remote]
    async fn into_pair(mut self, pair: [u32; Self::WIDTH]) -> ([u32; Self::WIDTH], Option<Self>) {
        self.by += 1;
        (pair.map(|number| number * self.by), Some(self))
    }

    #[remote]
    fn new(by: u32) -> Self {
        Self { by }
    }

    #[remote]
    fn steps(self) -> impl Stream<Item = Self> {
        stream::iter(1..=self.by).map(|by| Self { by })
    }

    fn twice_here(&self, number: u32) -> u32 {
        2 * self.by * number
    }
}

#[remote]
impl Video {
    #[remote]
    fn new() -> Self {
        video()
    }
}

#[tokio::test]
async fn methods_and_associated_functions_are_remote() {
    let scaler = Scaler { by: 3 };
    same_here_and_there!(
        scaler.scale(5),
        scaler.plain_scale(5),
        scaler.clone().into_pair([1, 2]),
        Scaler::new(7),
        Video::new(),
    );
    let pool = pool().await;
    let there: Vec<_> = pool.stream(scaler.clone().steps()).map(Result::unwrap).collect().await;
    assert_eq!(there, scaler.steps().collect::<Vec<_>>().await);
    assert_eq!(there.len(), 3);
    assert!(Video::new().name().ends_with("::Video::new"), "{:?}", Video::new());
}

#[derive(Clone)]
struct Db(&'static str);

#[remote]
async fn with_state(greeting: &str, #[state] db: Db, #[state] again: &Db) -> String {
    tokio::task::yield_now().await;
    format!("{greeting} {} {}", db.0, again.0)
}

#[remote]
fn plain_with_state(#[state] Db(name): Db, #[state] again: &Db) -> String {
    format!("{name} {}", again.0)
}

#[tokio::test]
async fn state_is_not_sent_but_taken_from_the_process_that_runs_the_function() {
    let run = app().run(async || {
        same_here_and_there!(with_state("hi"), plain_with_state());
        Ok::<_, AppError>(())
    });
    run.await.unwrap();
}

#[tokio::test]
async fn a_dependencys_function_without_its_state_fails_only_when_called() {
    let run = app().run(async || {
        let pool = pool().await;
        let error = pool.call(dependency::needs_state()).await.unwrap_err();
        let CallError::MissingState { function, state } = &error else { panic!("{error:?}") };
        assert_eq!(*function, "dependency::needs_state");
        assert_eq!(state, "dependency::Settings");
        assert!(error.to_string().contains("add `.state(..)`"), "{error}");
        let snapshot = pool.snapshot();
        assert_eq!((snapshot.booting, snapshot.up), (0, 0), "{snapshot:?}");
        Ok::<_, AppError>(())
    });
    run.await.unwrap();
}

#[remote]
fn numbers(to: u32) -> impl Stream<Item = anyhow::Result<u32>> + Send {
    stream::iter(0..to).map(|number| {
        anyhow::ensure!(number != 2, "two");
        Ok(number)
    })
}

#[tokio::test]
async fn a_stream_gives_results_whose_errors_need_no_serde() {
    let pool = pool().await;
    let text = |result: anyhow::Result<u32>| result.map_err(|error| error.to_string());
    let here: Vec<_> = numbers(4).map(text).collect().await;
    let there: Vec<_> = pool.stream(numbers(4)).map(|item| text(item.unwrap())).collect().await;
    assert_eq!(here, [Ok(0), Ok(1), Err("two".to_owned()), Ok(3)]);
    assert_eq!(here, there);
}

/// An app's own error type, which can't be serialized.
#[derive(Debug, thiserror::Error)]
enum OwnError {
    #[error("disk")]
    Io(#[from] std::io::Error),
    #[error(transparent)]
    There(#[from] RemoteError),
    #[error(transparent)]
    Call(#[from] flame_aws::CallError),
}

#[remote]
async fn fails() -> Result<(), OwnError> {
    Err(std::io::Error::other("full").into())
}

#[remote]
async fn fails_boxed() -> Result<u8, Box<dyn std::error::Error + Send + Sync>> {
    Err("boxed".into())
}

#[tokio::test]
async fn an_error_convertible_from_remote_error_crosses_with_its_chain() {
    assert!(matches!(fails().await, Err(OwnError::Io(_))));
    let pool = pool().await;
    let error = pool.try_call(fails()).await.unwrap_err();
    let OwnError::There(error) = error else { panic!("{error:?}") };
    assert_eq!(error.to_string(), "disk");
    assert_eq!(std::error::Error::source(&error).unwrap().to_string(), "full");
    let error = pool.call(fails_boxed()).await.unwrap().unwrap_err();
    assert_eq!(error.to_string(), "boxed");
}

mod attributes {
    //! The lints fail if an attribute ends up on the wrong item.
    #![deny(missing_docs, unused, deprecated, clippy::all)]

    use flame_aws::remote;

    /// Documented and public.
    #[remote]
    #[deprecated = "use another"]
    #[allow(clippy::unused_unit)]
    pub async fn old() -> () {}

    #[remote]
    #[must_use = "counting is expensive"]
    pub(super) async fn count() -> usize {
        1
    }

    #[remote]
    #[must_use]
    pub(super) async fn bare_must_use() -> usize {
        1
    }

    #[remote]
    #[cfg(any())]
    pub(super) async fn absent(number: DoesNotExist) {}

    #[remote]
    #[cfg_attr(all(), expect(unused_variables, reason = "the parameter is unused"))]
    pub(super) async fn expected(number: u8) {}

    /// A public type.
    #[expect(unreachable_pub, reason = "the test is about what the macro keeps")]
    #[derive(Clone, serde::Serialize, serde::Deserialize)]
    pub struct Thing;

    #[remote]
    impl Thing {
        /// Documented.
        #[remote]
        #[cfg(test)]
        #[expect(clippy::needless_return, reason = "the return is needless")]
        pub async fn method(&self) -> u8 {
            return 1;
        }

        /// Removed by `cfg`.
        #[remote]
        #[cfg(any())]
        pub async fn absent(&self, number: DoesNotExist) {}
    }

    #[deprecated]
    #[derive(serde::Serialize, serde::Deserialize)]
    pub(super) struct Old;

    #[remote]
    #[expect(deprecated, reason = "the type is deprecated")]
    impl Old {
        #[remote]
        pub(super) async fn method(&self) -> u8 {
            2
        }

        #[remote]
        #[cfg_attr(all(), cfg(any()), must_use)]
        pub(super) async fn absent(&self, number: DoesNotExist) {}
    }

    #[remote]
    #[cfg(any())]
    impl DoesNotExist {
        #[remote]
        pub(super) async fn absent(&self) {}
    }
}

#[tokio::test]
async fn attributes_stay_on_the_items_that_they_apply_to() {
    #[expect(deprecated, reason = "the attribute has to be on the function that is called")]
    let old = attributes::old();
    old.await;
    let thing = attributes::Thing;
    same_here_and_there!(
        attributes::count(),
        attributes::bare_must_use(),
        attributes::expected(1),
        thing.method(),
    );
    #[expect(deprecated, reason = "the type is deprecated")]
    let old = attributes::Old;
    same_here_and_there!(old.method());
}

mod shadows {
    //! A module that shadows every name that the macros could use.
    #![allow(dead_code, unused_macros)]

    pub(super) struct Option;
    pub(super) struct Result;
    pub(super) struct Box;
    pub(super) struct Vec;
    pub(super) struct String;
    pub(super) struct Work;
    pub(super) trait Send {}
    pub(super) trait Future {}
    pub(super) trait Clone {
        fn encode(&self) {}
        fn decode(&self) {}
        fn get(&self) {}
    }
    impl<T: ?Sized> Clone for T {}
    mod core {}
    mod std {}
    mod flame_aws {}
    macro_rules! concat {
        () => {};
    }
    macro_rules! file {
        () => {};
    }

    #[::flame_aws::remote]
    pub(super) async fn shadowed(
        text: &str,
        list: &[u8],
        #[state] db: super::Db,
    ) -> (usize, usize) {
        (text.len() + db.0.len(), list.len())
    }

    #[::flame_aws::remote]
    pub(super) fn plain_shadowed(text: &str) -> usize {
        text.len()
    }
}

#[tokio::test]
async fn names_that_the_app_shadows_do_not_affect_the_expansion() {
    let run = app().run(async || {
        same_here_and_there!(shadows::shadowed("a", &[1]), shadows::plain_shadowed("abc"));
        Ok::<_, AppError>(())
    });
    run.await.unwrap();
}

macro_rules! generated {
    ($($name:ident($argument:ident: $of:ty) -> $result:ty $body:block)+) => { $(
        #[remote]
        async fn $name($argument: &$of) -> $result $body
    )+ };
}

generated! {
    generated_length(text: str) -> usize { text.len() }
    generated_sum(numbers: [u32]) -> u32 { numbers.iter().sum() }
}

#[tokio::test]
async fn a_macro_may_write_remote_functions() {
    same_here_and_there!(generated_length("four"), generated_sum(&[1, 2, 3]));
}

mod same_name {
    #[flame_aws::remote]
    pub(super) async fn plain(number: u32) -> u64 {
        u64::from(number) * 3
    }
}

#[tokio::test]
async fn functions_of_one_name_in_two_modules_are_two_functions() {
    same_here_and_there!(plain(5), same_name::plain(5));
    assert_eq!(same_name::plain(5).await, 15);
    assert_eq!(plain(5).name(), "remote::plain");
    assert_eq!(same_name::plain(5).name(), "remote::same_name::plain");
}

#[remote]
async fn sums(mut numbers: Receiver<u32>, sums: Sender<u32>) -> anyhow::Result<u32> {
    let mut sum = 0;
    while let Some(number) = numbers.recv().await? {
        sum += number;
        sums.send(sum).await?;
    }
    Ok(sum)
}

#[tokio::test]
async fn a_function_with_channels_runs_in_this_process_as_on_a_runner() {
    let (numbers, receiver) = channel(4);
    let (sender, mut all) = channel(4);
    let work = tokio::spawn(sums(receiver, sender));
    for number in [1, 2, 3] {
        numbers.send(number).await.unwrap();
    }
    drop(numbers);
    assert_eq!(work.await.unwrap().unwrap(), 6);
    let mut received = Vec::new();
    while let Some(sum) = all.recv().await.unwrap() {
        received.push(sum);
    }
    assert_eq!(received, [1, 3, 6]);
}

#[remote]
fn panics() -> u32 {
    panic!("at the disco")
}

#[tokio::test]
async fn a_plain_function_that_panics_in_this_process_panics_in_its_caller() {
    let error = tokio::spawn(panics()).await.unwrap_err();
    assert_eq!(error.into_panic().downcast_ref(), Some(&"at the disco"));
}

#[tokio::test]
async fn a_block_takes_the_local_variables_that_it_names() {
    let pool = pool().await;
    let (video, every) = (video(), 2_u32);
    let frames = call!(pool, async |video: Video, every: u32| -> Vec<u32> {
        tokio::task::yield_now().await;
        (0..video.frames).step_by(every as usize).collect()
    });
    assert_eq!(frames.await.unwrap(), [0, 2]);
}

#[tokio::test]
async fn a_block_may_be_plain_empty_mutable_borrowing_and_stateful() {
    let pool = pool().await;
    let mut count = 1_u32;
    let text = "four".to_owned();
    let text = text.as_str();
    let run = app().run(async || {
        let plain = call!(pool, |mut count: u32| -> u32 {
            count += 1;
            count
        });
        assert_eq!(plain.await.unwrap(), 2);
        call!(pool, async || {}).await.unwrap();
        assert_eq!(call!(&pool, |text: &str| -> usize { text.len() },).await.unwrap(), 4);
        let stated = call!(pool, async |#[state] db: Db| -> String { db.0.to_owned() });
        assert_eq!(stated.await.unwrap(), "db");
        Ok::<_, AppError>(())
    });
    run.await.unwrap();
    count += 1;
    assert_eq!(count, 2, "the block has changed the local variable");
}

#[tokio::test]
async fn a_block_inside_a_generic_function_is_one_function() {
    async fn doubled<T: Into<u32>>(pool: &Pool, number: T) -> u32 {
        let number = number.into();
        call!(pool, |number: u32| -> u32 { number * 2 }).await.unwrap()
    }
    let pool = pool().await;
    assert_eq!(doubled(&pool, 4_u8).await, 8);
    assert_eq!(doubled(&pool, 5_u16).await, 10);
}

#[tokio::test]
async fn blobs_cross_at_any_depth() {
    #[remote]
    async fn reversed(blobs: Vec<Option<Blob>>) -> Vec<Option<Blob>> {
        blobs.into_iter().rev().collect()
    }
    let blobs = vec![Some(Blob::from(vec![7; 100_000])), None, Some(Blob::from(vec![1]))];
    same_here_and_there!(reversed(blobs.clone()));
}

#[tokio::test]
async fn options_have_no_effect_on_an_awaited_work() {
    let hour = Duration::from_secs(3600);
    assert_eq!(plain(1).timeout(hour).detached().await, 2);
    assert_eq!(plain(1).timeout(None).await, 2);
    let names: HashSet<_> = [plain(1).name(), fibonacci(1).name(), nothing().name()].into();
    assert_eq!(names.len(), 3);
}

/// Runs a future on a thread without a runtime.
fn block_on<T>(future: impl Future<Output = T>) -> T {
    struct Unpark(std::thread::Thread);
    impl std::task::Wake for Unpark {
        fn wake(self: std::sync::Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = std::sync::Arc::new(Unpark(std::thread::current())).into();
    let mut context = std::task::Context::from_waker(&waker);
    let mut future = std::pin::pin!(future);
    loop {
        match future.as_mut().poll(&mut context) {
            std::task::Poll::Ready(output) => return output,
            std::task::Poll::Pending => std::thread::park(),
        }
    }
}

#[remote]
async fn never() {
    std::future::pending().await
}

#[test]
fn a_pool_is_used_from_a_thread_without_a_runtime() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let pool = runtime.block_on(pool());
    let (numbers, rx) = channel(1);
    let (tx, mut out) = channel(1);
    let calls = async {
        assert_eq!(pool.call(plain(21)).await.unwrap(), 42);
        let late = pool.call(never().timeout(Duration::from_millis(50))).await;
        assert!(matches!(late, Err(CallError::Timeout { .. })), "{late:?}");
        let items: Vec<_> = pool.stream(items_below(3)).collect().await;
        assert_eq!(items.into_iter().map(Result::unwrap).collect::<Vec<_>>(), [0, 1, 2]);
        assert_eq!(pool.map((0..3).map(plain)).collect::<Vec<_>>().await.len(), 3);
        pool.cast(plain(1)).await.unwrap();
        let child = pool.place_child(passes_on(rx, tx)).await.unwrap();
        numbers.send(3).await.unwrap();
        assert_eq!(out.recv().await.unwrap(), Some(3));
        drop(numbers);
        child.join().await.unwrap();
        pool.drain().await;
    };
    block_on(calls);
}

#[remote]
fn items_below(end: u32) -> impl Stream<Item = u32> {
    stream::iter(0..end)
}

#[remote]
async fn passes_on(mut from: Receiver<u32>, to: Sender<u32>) {
    while let Ok(Some(number)) = from.recv().await {
        to.send(number).await.unwrap();
    }
}
