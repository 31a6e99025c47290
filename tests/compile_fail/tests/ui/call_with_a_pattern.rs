async fn caller(pool: flame_aws::Pool) {
    let _ = flame_aws::call!(pool, async |(a, b): (u32, u32)| -> u32 { a + b }).await;
}

fn main() {}
