use flame_aws::remote;

struct Socket;

#[remote]
async fn f(_sockets: flame_aws::Sender<Socket>) {}

fn main() {}
