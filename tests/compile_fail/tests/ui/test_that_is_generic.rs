#[flame_aws::test]
async fn doubles<T: Default>() {
    let _ = T::default();
}

fn main() {}
