//! The block form, `call!`: inline code that runs in a copy of the app.

/// Runs a block of code on a runner of a pool: `call!(pool, async |a: A, b: B| -> R { .. })`.
///
/// The block is a remote function written where it is called. It captures nothing by itself: its
/// parameters name the local variables that it takes, by value, and their types. Without `async`
/// it runs on a blocking thread.
///
/// It gives what `pool.call(work)` gives: a future of `Result<R, CallError>`, for which the
/// arguments are encoded at once and which borrows nothing.
///
/// ```text
/// let video = Video::open("cat.mp4")?;
/// let every = 5;
/// let frames = call!(pool, async |video: Video, every: u32| -> Vec<Frame> {
///     video.frames().step_by(every as usize).collect()
/// })
/// .await?;
/// ```
///
/// The type after `->` may be left out if the block gives nothing. `mut` before a parameter's name
/// is allowed.
#[macro_export]
macro_rules! call {
    ($pool:expr, $($block:tt)+) => {
        ($pool).call(::flame_aws::__private::block!($($block)+))
    };
    ($pool:expr $(,)?) => {
        ::core::compile_error!(
            "`call!` takes a pool and a block: `call!(pool, async |a: A| -> R { .. })`"
        )
    };
}
