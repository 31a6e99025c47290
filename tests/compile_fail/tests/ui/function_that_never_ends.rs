use flame_aws::remote;

#[remote]
async fn f() -> ! {
    loop {}
}

fn main() {}
