use flame_aws::remote;

struct Socket;

#[remote]
async fn f(_number: u32, _socket: Socket) {}

fn main() {}
