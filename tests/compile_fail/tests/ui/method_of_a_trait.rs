use flame_aws::remote;

trait Render {
    #[remote]
    async fn render(&self);
}

fn main() {}
