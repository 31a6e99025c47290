use flame_aws::remote;

#[remote]
trait Render {
    async fn render(&self);
}

fn main() {}
