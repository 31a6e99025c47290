use flame_aws::remote;

struct Page<T>(T);

#[remote]
impl<T> Page<T> {
    #[remote]
    async fn render() {}
}

fn main() {}
