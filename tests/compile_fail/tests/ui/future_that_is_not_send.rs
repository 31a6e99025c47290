use flame_aws::remote;

#[remote]
async fn f() -> u32 {
    let number = std::rc::Rc::new(1);
    std::future::ready(()).await;
    *number
}

fn main() {}
