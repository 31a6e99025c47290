#![deny(unused_must_use)]

use flame_aws::remote;

#[remote]
async fn double(number: u32) -> u32 {
    number * 2
}

fn caller() {
    double(2);
}

fn main() {}
