#[flame_aws::test]
struct Doubles;

fn main() {}
