use flame_aws::remote;

struct Db;

#[remote]
async fn f(#[state(main)] db: Db) {}

fn main() {}
