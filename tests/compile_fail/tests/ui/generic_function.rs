use flame_aws::remote;

#[remote]
async fn f<T: Into<String>>(t: T) -> String {
    t.into()
}

fn main() {}
