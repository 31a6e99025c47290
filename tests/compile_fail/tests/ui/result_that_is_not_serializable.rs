use flame_aws::remote;

struct Socket;

#[remote]
async fn f() -> Socket {
    Socket
}

fn main() {}
