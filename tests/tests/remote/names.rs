//! flame-aws under another name, or re-exported by another crate.

use flame_aws::backend::Local;
use futures_util::{Stream, StreamExt, stream};
use serde::{Deserialize, Serialize};

/// Stands for a crate that re-exports flame-aws.
mod platform {
    pub(super) mod compute {
        pub(in super::super) use flame_aws::{
            __private, App, Pool, StreamWork, Work, call, remote, test,
        };
    }
}

use platform::compute;

#[compute::remote(crate = compute)]
async fn double(n: u32) -> u32 {
    n * 2
}

#[compute::remote(crate = self::platform::compute)]
fn plainly(text: &str) -> usize {
    text.len()
}

#[compute::remote(crate = crate::names::platform::compute,)]
fn below(n: u32) -> impl Stream<Item = u32> {
    stream::iter(0..n)
}

#[derive(Serialize, Deserialize)]
struct Word(String);

#[compute::remote(crate = compute)]
impl Word {
    #[compute::remote]
    async fn length(&self) -> usize {
        self.0.len()
    }
}

#[tokio::test]
async fn functions_may_give_the_path_of_flame_aws() {
    let pool = compute::Pool::builder("names").backend(Local::new()).start().await.unwrap();
    assert_eq!(pool.call(double(2)).await.unwrap(), 4);
    assert_eq!(pool.call(plainly("four")).await.unwrap(), 4);
    assert_eq!(pool.call(Word("five!".to_owned()).length()).await.unwrap(), 5);
    let numbers: Vec<_> = pool.stream(below(2)).map(Result::unwrap).collect().await;
    assert_eq!(numbers, [0, 1]);
    let n = 4_u32;
    assert_eq!(compute::call!(pool, |n: u32| -> u32 { n + 1 }).await.unwrap(), 5);
}

#[compute::test(crate = compute, app = super::app())]
async fn tests_may_give_the_path_of_flame_aws() {
    let pool = compute::Pool::builder("names").max(1).start().await.unwrap();
    assert_eq!(pool.call(double(2)).await.unwrap(), 4);
    pool.drain().await;
}

#[compute::test(app = super::app(), worker_threads = 2, crate = self::platform::compute)]
async fn the_path_may_follow_other_options() {
    let pool = compute::Pool::builder("names").max(1).start().await.unwrap();
    assert_eq!(pool.call(double(3)).await.unwrap(), 6);
    pool.drain().await;
}
