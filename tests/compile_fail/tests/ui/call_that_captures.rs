async fn caller(pool: flame_aws::Pool) {
    let a = 1;
    let b = 2;
    let _ = flame_aws::call!(pool, async |a: u32| -> u32 { a + b }).await;
}

fn main() {}
