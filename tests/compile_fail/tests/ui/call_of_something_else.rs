async fn caller(pool: flame_aws::Pool) {
    let _ = flame_aws::call!(pool, 1 + 1).await;
}

fn main() {}
