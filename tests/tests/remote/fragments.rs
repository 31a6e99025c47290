//! Remote functions that a `macro_rules` macro writes from fragments of every kind.

#![allow(clippy::init_numbered_fields, reason = "a tuple struct in braces is one of the cases")]

use flame_aws::{AppError, Receiver, Sender, call, channel, remote};
use futures_util::{Stream, StreamExt, stream};
use serde::{Deserialize, Serialize};

use super::pool;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Label(String);

#[derive(Clone, PartialEq)]
struct Setting(u32);

/// The state for the apps of this suite, which all have these functions.
pub(super) fn setting() -> impl Clone + Send + Sync + 'static {
    Setting(3)
}

/// Uses each kind of fragment where it may occur.
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
    /// A reference that arrives as a `ty` fragment.
    length(text => &str) -> usize { text.len() }
    pub(super) sum(numbers => &[u32]) -> u32 { numbers.iter().sum() }
    #[allow(clippy::ptr_arg)]
    pub first(labels => &Vec<Label>) -> Option<Label> { labels.first().cloned() }
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
        fn streamed(labels: Vec<$t>) -> $stream {
            stream::iter(labels)
        }

        #[remote]
        fn streamed_items(labels: Vec<$t>) -> impl Stream<Item = $item> + Send {
            stream::iter(labels)
        }

        #[remote]
        async fn stateful(#[state] lent: $state, #[state] own: $state_owned) -> u32 {
            lent.0 + own.0
        }

        #[remote]
        async fn passes_on(mut from: Receiver<$t>, to: Sender<$t>) {
            while let Ok(Some(label)) = from.recv().await {
                to.send(label).await.unwrap();
            }
        }

        #[remote]
        impl $t {
            #[remote]
            fn joined(&self, other: &Self, times: $item) -> Self {
                Self(format!("{}{}{}!", self.0, other.0, times.0))
            }
        }
    };
}

of_type!(Label, impl Stream<Item = Label> + Send, Label, &Setting, Setting);

macro_rules! whole {
    ($item:item) => {
        #[remote]
        $item
    };
}

whole! { async fn item(text: &str) -> String { text.to_uppercase() } }

/// A type that passes through a second macro has another invisible group around it.
macro_rules! passed_on {
    ($name:ident: $t:ty) => { passed_on!(@ $name, $t); };
    (@ $name:ident, $t:ty) => {
        #[remote]
        fn $name(value: $t, other: $t) -> bool { value == other }
    };
}

passed_on! { equal: &Label }

/// One name from two sources is two parameters, by hygiene.
macro_rules! hygienic {
    ($name:ident, $same:ident) => {
        #[remote]
        async fn $name(same: u32, $same: u32) -> u32 {
            same * 10 + $same
        }
    };
}

hygienic!(two_of_a_name, same);

/// Expressions that the operators around them would split if their groups got lost.
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
            if $new == (Setting { 0: 1 }) {
                results.push(if matches!(results.len() as i64, $three_or_four) { 0 } else { 1 });
            }
            results
        }

        fn without_the_attribute(numbers: [i64; $sum]) -> Vec<i64> {
            let mut results = <$list>::new();
            results.extend(<$list>::from([numbers.iter().sum::<i64>() * $sum]));
            results.extend(vec![$sum * 2, i64::pow($literal, 2), $literal.pow(2)]);
            results.extend($range.rev());
            results.push($closure(1) * 10);
            results.push(-$cast.abs());
            if $new == (Setting { 0: 1 }) {
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
    grouped,
    1 + 1,
    0_i64..3,
    |number: i64| number + 1,
    -7_i64,
    8_u8 as i64 - 9,
    Setting { 0: 1 },
    Vec<i64>,
    3 | 9
);

#[tokio::test]
async fn macro_fragments_mean_the_same_in_a_remote_function() {
    let expected = without_the_attribute([5, 6]);
    assert_eq!(expected, [22, 4, 49, 49, 2, 1, 0, 20, -1, 0]);
    assert_eq!(grouped([5, 6]).await, expected);
    let pool = pool().await;
    assert_eq!(pool.call(grouped([5, 6])).await.unwrap(), expected);
    assert_eq!(in_a_block(&pool, [5, 6]).await, 10);
}

#[tokio::test]
async fn a_function_written_by_a_macro_works_like_any_other() {
    let label = || Label("la".to_owned());
    let run = super::app().run(async || {
        same_here_and_there!(
            length("four"),
            sum(&[1, 2]),
            first(&vec![label()]),
            pair((1, 2), ()),
            parenthesised("both"),
            nothing_named(),
            inside(vec![label()], [label(), label()], Some(Box::new(label()))),
            stateful(),
            label().joined(&label(), label()),
            item("up"),
            equal(&label(), &label()),
            two_of_a_name(1, 2),
        );
        Ok::<_, AppError>(())
    });
    run.await.unwrap();
    assert_eq!(two_of_a_name(1, 2).await, 12);
    let pool = pool().await;
    assert_eq!(pool.try_call(fails("7")).await.unwrap(), 7);
    let streams =
        [pool.stream(streamed(vec![label(); 2])), pool.stream(streamed_items(vec![label(); 2]))];
    for stream in streams {
        assert_eq!(stream.map(Result::unwrap).collect::<Vec<_>>().await, [label(), label()]);
    }
    let (labels, receiver) = channel(1);
    let (sender, mut back) = channel(1);
    let child = pool.place_child(passes_on(receiver, sender)).await.unwrap();
    labels.send(label()).await.unwrap();
    assert_eq!(back.recv().await.unwrap(), Some(label()));
    drop(labels);
    child.join().await.unwrap();
}

/// Several `call!` blocks from one macro call have the same line in the app, but must still be
/// separate functions.
macro_rules! three_blocks {
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
    let all = three_blocks!(pool, text: &str => usize, { text.len() * 10 }, |text: &str| -> usize {
        text.len()
    });
    assert_eq!(all, (40, 400, 4));
    let run = super::app().run(async || Ok::<_, AppError>(()));
    run.await.unwrap();
}
