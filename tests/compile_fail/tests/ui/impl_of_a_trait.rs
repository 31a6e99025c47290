use flame_aws::remote;

struct Page;

#[remote]
impl std::ops::Drop for Page {
    #[remote]
    fn drop(&mut self) {}
}

fn main() {}
