async fn caller(pool: flame_aws::Pool) {
    let _ = flame_aws::call!(pool).await;
}

fn main() {}
