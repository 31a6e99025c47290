use flame_aws::remote;

#[remote]
async fn f(list: &mut Vec<u8>) {
    list.push(1);
}

fn main() {}
