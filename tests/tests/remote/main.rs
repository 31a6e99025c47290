//! The expansion of `#[remote]` and `call!` for functions of every shape. The calls use the real
//! serialization, within this process.

#![forbid(unsafe_code)]

use std::collections::HashSet;
use std::time::Duration;

use flame_aws::backend::Local;
use flame_aws::{App, Pool, remote};
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

mod arguments;
mod attributes;
mod blocks;
mod channels;
mod fragments;
mod lints;
mod methods;
mod names;
mod no_runtime;
mod results;
mod shadows;
mod states;
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

#[derive(Clone)]
struct Db(&'static str);

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
fn panics() -> u32 {
    panic!("at the disco")
}

#[tokio::test]
async fn a_plain_function_that_panics_in_this_process_panics_in_its_caller() {
    let error = tokio::spawn(panics()).await.unwrap_err();
    assert_eq!(error.into_panic().downcast_ref(), Some(&"at the disco"));
}

#[tokio::test]
async fn options_have_no_effect_on_an_awaited_work() {
    let hour = Duration::from_secs(3600);
    assert_eq!(plain(1).timeout(hour).detached().await, 2);
    assert_eq!(plain(1).timeout(None).await, 2);
    let names: HashSet<_> = [plain(1).name(), fibonacci(1).name(), nothing().name()].into();
    assert_eq!(names.len(), 3);
}
