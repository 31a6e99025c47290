use flame_aws::remote;

struct Page;

#[remote]
impl Page {
    async fn render() {}
}

fn main() {}
