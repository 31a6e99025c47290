//! `call!`: an inline block of code that runs in a copy of the app.

/// Runs a block of code in a copy of the app: a remote function that is written where it is called.
///
/// ```no_run
/// use flame_aws::{CallError, Pool, call};
///
/// async fn example(pool: Pool) -> Result<(), CallError> {
///     let (text, times) = ("ho ".to_owned(), 3);
///     let laugh = call!(pool, async |text: String, times: usize| -> String {
///         text.repeat(times)
///     });
///     assert_eq!(laugh.await?, "ho ho ho ");
///     Ok(())
/// }
/// ```
///
/// The block captures no variables. Its parameters name the local variables that it takes, by
/// value, and their types. Without `async` the block runs on a blocking thread. The type after `->`
/// may be left out if the block returns nothing. `mut` before a parameter's name is allowed.
///
/// The result is that of [`Pool::call`](crate::Pool::call): a future of `Result<R, CallError>`. The
/// arguments are encoded at once, and the future borrows nothing.
#[macro_export]
macro_rules! call {
    ($pool:expr, $($block:tt)+) => {
        ($pool).call($crate::__private::block!($crate; $($block)+))
    };
    ($pool:expr $(,)?) => {
        ::core::compile_error!(
            "`call!` takes a pool and a block: `call!(pool, async |a: A| -> R { .. })`"
        )
    };
}
