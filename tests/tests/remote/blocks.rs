//! Blocks of code: `call!`.

use flame_aws::{AppError, Pool, call};

use super::{Db, Video, app, pool, video};

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
