//! Remote functions that a `macro_rules` writes, of fragments of every kind.

#![allow(clippy::init_numbered_fields, reason = "a struct with braces is one of the cases")]

use flame_aws::{AppError, Receiver, Sender, call, channel, remote};
use futures_util::{Stream, StreamExt, stream};
use serde::{Deserialize, Serialize};

use super::pool;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Song(String);

#[derive(Clone, PartialEq)]
struct Volume(u32);

/// For the apps of other tests, which have these functions, too.
pub(super) fn volume() -> impl Clone + Send + Sync + 'static {
    Volume(3)
}

/// Each kind of fragment in its place.
macro_rules! functions {
    ($(
        $(#[$meta:meta])*
        $vis:vis $name:ident($($argument:pat => $of:ty),*) -> $result:ty $body:block
    )*) => { $(
        $(#[$meta])*
        #[remote]
        $vis async fn $name($($argument: $of),*) -> $result $body
    )* };
}

functions! {
    /// What the case was: a reference that comes as a type.
    length(text => &str) -> usize { text.len() }
    pub(super) sum(numbers => &[u32]) -> u32 { numbers.iter().sum() }
    #[allow(clippy::ptr_arg)]
    pub first(songs => &Vec<Song>) -> Option<Song> { songs.first().cloned() }
    pair((a, mut b) => (u32, u32), _ => ()) -> u32 { b += 1; a + b }
    parenthesised(text => (&str)) -> (String) { text.to_owned() }
    nothing_named() -> () {}
    fails(text => &str) -> anyhow::Result<u32> { Ok(text.parse()?) }
}

macro_rules! of_type {
    ($t:ty, $stream:ty, $item:ty, $state:ty, $state_owned:ty) => {
        #[remote]
        fn inside(list: Vec<$t>, array: [$t; 2], function: Option<Box<$t>>) -> Vec<$t> {
            list.into_iter().chain(array).chain(function.map(|boxed| *boxed)).collect()
        }

        #[remote]
        fn streamed(songs: Vec<$t>) -> $stream {
            stream::iter(songs)
        }

        #[remote]
        fn streamed_items(songs: Vec<$t>) -> impl Stream<Item = $item> + Send {
            stream::iter(songs)
        }

        #[remote]
        async fn stateful(#[state] lent: $state, #[state] own: $state_owned) -> u32 {
            lent.0 + own.0
        }

        #[remote]
        async fn passes_on(mut from: Receiver<$t>, to: Sender<$t>) {
            while let Ok(Some(song)) = from.recv().await {
                to.send(song).await.unwrap();
            }
        }

        #[remote]
        impl $t {
            #[remote]
            fn louder(&self, other: &Self, times: $item) -> Self {
                Self(format!("{}{}{}!", self.0, other.0, times.0))
            }
        }
    };
}

of_type!(Song, impl Stream<Item = Song> + Send, Song, &Volume, Volume);

macro_rules! whole {
    ($item:item) => {
        #[remote]
        $item
    };
}

whole! { async fn item(text: &str) -> String { text.to_uppercase() } }

/// A type that goes through a second macro stands in one group more.
macro_rules! handed_on {
    ($name:ident: $t:ty) => { handed_on!(@ $name, $t); };
    (@ $name:ident, $t:ty) => {
        #[remote]
        fn $name(value: $t, other: $t) -> bool { value == other }
    };
}

handed_on! { equal: &Song }

/// One name by two ways is two parameters.
macro_rules! hygienic {
    ($name:ident, $same:ident) => {
        #[remote]
        async fn $name(same: u32, $same: u32) -> u32 {
            same * 10 + $same
        }
    };
}

hygienic!(two_of_a_name, same);

/// Expressions that a neighbour would tear apart, were they not kept together.
macro_rules! kept_together {
    (
        $name:ident, $sum:expr, $range:expr, $closure:expr, $literal:literal, $cast:expr, $new:expr,
        $list:ty, $three_or_four:pat
    ) => {
        #[remote]
        async fn $name(numbers: [i64; $sum]) -> Vec<i64> {
            let mut results = <$list>::new();
            results.extend(<$list>::from([numbers.iter().sum::<i64>() * $sum]));
            results.extend(vec![$sum * 2, i64::pow($literal, 2), $literal.pow(2)]);
            results.extend($range.rev());
            results.push($closure(1) * 10);
            results.push(-$cast.abs());
            if $new == (Volume { 0: 1 }) {
                results.push(if matches!(results.len() as i64, $three_or_four) { 0 } else { 1 });
            }
            results
        }

        fn as_it_is(numbers: [i64; $sum]) -> Vec<i64> {
            let mut results = <$list>::new();
            results.extend(<$list>::from([numbers.iter().sum::<i64>() * $sum]));
            results.extend(vec![$sum * 2, i64::pow($literal, 2), $literal.pow(2)]);
            results.extend($range.rev());
            results.push($closure(1) * 10);
            results.push(-$cast.abs());
            if $new == (Volume { 0: 1 }) {
                results.push(if matches!(results.len() as i64, $three_or_four) { 0 } else { 1 });
            }
            results
        }

        async fn in_a_block(pool: &flame_aws::Pool, numbers: [i64; $sum]) -> i64 {
            call!(pool, |numbers: [i64; $sum]| -> i64 { numbers[0] * $sum }).await.unwrap()
        }
    };
}

kept_together!(
    torn,
    1 + 1,
    0_i64..3,
    |number: i64| number + 1,
    -7_i64,
    8_u8 as i64 - 9,
    Volume { 0: 1 },
    Vec<i64>,
    3 | 9
);

#[tokio::test]
async fn macro_fragments_mean_the_same_in_a_remote_function() {
    let expected = as_it_is([5, 6]);
    assert_eq!(expected, [22, 4, 49, 49, 2, 1, 0, 20, -1, 0]);
    assert_eq!(torn([5, 6]).await, expected);
    let pool = pool().await;
    assert_eq!(pool.call(torn([5, 6])).await.unwrap(), expected);
    assert_eq!(in_a_block(&pool, [5, 6]).await, 10);
}

#[tokio::test]
async fn a_function_written_by_a_macro_works_like_any_other() {
    let song = || Song("la".to_owned());
    let run = super::app().run(async || {
        same_here_and_there!(
            length("four"),
            sum(&[1, 2]),
            first(&vec![song()]),
            pair((1, 2), ()),
            parenthesised("both"),
            nothing_named(),
            inside(vec![song()], [song(), song()], Some(Box::new(song()))),
            stateful(),
            song().louder(&song(), song()),
            item("up"),
            equal(&song(), &song()),
            two_of_a_name(1, 2),
        );
        Ok::<_, AppError>(())
    });
    run.await.unwrap();
    assert_eq!(two_of_a_name(1, 2).await, 12);
    let pool = pool().await;
    assert_eq!(pool.try_call(fails("7")).await.unwrap(), 7);
    let streams =
        [pool.stream(streamed(vec![song(); 2])), pool.stream(streamed_items(vec![song(); 2]))];
    for stream in streams {
        assert_eq!(stream.map(Result::unwrap).collect::<Vec<_>>().await, [song(), song()]);
    }
    let (songs, theirs) = channel(1);
    let (sender, mut back) = channel(1);
    let child = pool.place_child(passes_on(theirs, sender)).await.unwrap();
    songs.send(song()).await.unwrap();
    assert_eq!(back.recv().await.unwrap(), Some(song()));
    drop(songs);
    child.join().await.unwrap();
}

/// Two blocks that a macro writes are in one line of the app's, and still two functions.
macro_rules! both {
    ($pool:expr, $argument:ident: $of:ty => $result:ty, $body:block, $block:expr) => {
        (
            call!($pool, async |$argument: $of| -> $result $body).await.unwrap(),
            call!($pool, |$argument: $of| -> $result { $argument.len() * 100 }).await.unwrap(),
            call!($pool, $block).await.unwrap(),
        )
    };
}

#[tokio::test]
async fn blocks_written_by_a_macro_are_separate_functions() {
    let pool = pool().await;
    let text = "four";
    let all = both!(pool, text: &str => usize, { text.len() * 10 }, |text: &str| -> usize {
        text.len()
    });
    assert_eq!(all, (40, 400, 4));
    let run = super::app().run(async || Ok::<_, AppError>(()));
    run.await.unwrap();
}
