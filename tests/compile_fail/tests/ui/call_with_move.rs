async fn caller(pool: flame_aws::Pool) {
    let a = 1;
    let _ = flame_aws::call!(pool, async move |a: u32| -> u32 { a + 1 }).await;
}

fn main() {}
