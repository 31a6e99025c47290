use flame_aws::remote;

struct Socket;

#[remote]
async fn f(_socket: &Socket) {}

fn main() {}
