use flame_aws::remote;

#[remote]
async fn double(number: u32) -> u32 {
    number * 2
}

fn caller() -> u32 {
    double(2) + 1
}

fn main() {}
