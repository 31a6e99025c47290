use flame_aws::remote;

struct Db;

#[remote]
async fn f(_number: u32, #[state] _db: Db) {}

fn main() {}
