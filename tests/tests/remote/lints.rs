//! An app's code under strict lints: the macros' output triggers none of them. The compiler checks
//! its lints whenever this file compiles; clippy checks its own whenever it runs over the tests.

#![deny(clippy::pedantic, clippy::nursery)]
#![allow(clippy::unused_async, reason = "the functions themselves need no await")]
#![allow(clippy::redundant_pub_crate, reason = "the helper is for the other tests")]
#![deny(missing_docs, missing_debug_implementations, unreachable_pub, unused_qualifications)]
#![deny(elided_lifetimes_in_paths, explicit_outlives_requirements, let_underscore_drop)]
#![deny(redundant_lifetimes, single_use_lifetimes, trivial_casts, trivial_numeric_casts)]
#![deny(unused_lifetimes, unused_results, variant_size_differences, warnings)]
#![forbid(unsafe_code)]

use flame_aws::{AppError, CallError, Pool, call, remote};
use futures_util::{Stream, stream};
use serde::{Deserialize, Serialize};

/// The app's state.
#[derive(Clone, Debug)]
struct Store(u64);

/// The state for all apps of this suite.
pub(super) const fn store() -> impl Clone + Send + Sync + 'static {
    Store(7)
}

/// A word.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Word(String);

/// Doubles a number.
#[remote]
async fn double(number: u64) -> u64 {
    number.saturating_mul(2)
}

/// Borrows its arguments, and may fail.
#[remote]
async fn parsed(text: &str, list: &[u64]) -> Result<u64, String> {
    let number = text.parse::<u64>().map_err(|error| error.to_string())?;
    Ok(list.iter().fold(number, |sum, next| sum.saturating_add(*next)))
}

/// A plain function with state.
#[remote]
fn stored(word: &Word, #[state] store: Store) -> u64 {
    store.0.saturating_add(u64::try_from(word.0.len()).unwrap_or_default())
}

/// Borrows its state.
#[remote]
async fn lent(#[state] store: &Store) -> u64 {
    store.0
}

/// Streams numbers.
#[remote]
fn below(end: u64) -> impl Stream<Item = u64> {
    stream::iter(0..end)
}

#[remote]
impl Word {
    /// The word's length.
    #[remote]
    async fn length(&self, at_least: usize) -> usize {
        self.0.len().max(at_least)
    }

    /// Repeats the word.
    #[remote]
    fn repeated(self, times: usize) -> Self {
        Self(self.0.repeat(times))
    }

    /// Makes a word of text.
    #[remote]
    fn of(text: &str) -> Self {
        Self(text.to_owned())
    }
}

/// Calls a block.
async fn called(pool: &Pool, number: u64) -> Result<u64, CallError> {
    call!(pool, async |number: u64| -> u64 { number.saturating_add(1) }).await
}

#[tokio::test]
async fn strict_lints_find_nothing_in_what_the_macros_write() -> Result<(), AppError> {
    super::app()
        .run(async || {
            let pool = super::pool().await;
            let word = Word("four".to_owned());
            assert_eq!(called(&pool, 1).await.ok(), Some(2));
            assert_eq!(pool.call(double(2)).await.ok(), Some(4));
            assert_eq!(pool.call(parsed("1", &[2])).await.ok(), Some(Ok(3)));
            assert_eq!(pool.call(stored(&word)).await.ok(), Some(11));
            assert_eq!(pool.call(lent()).await.ok(), Some(7));
            assert_eq!(pool.call(word.length(9)).await.ok(), Some(9));
            assert_eq!(pool.call(word.repeated(2)).await.ok().map(|word| word.0.len()), Some(8));
            assert_eq!(
                pool.call(Word::of("x")).await.ok().map(|word| word.0),
                Some("x".to_owned())
            );
            drop(pool.stream(below(2)));
            Ok(())
        })
        .await
}
