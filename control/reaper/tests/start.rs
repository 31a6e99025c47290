//! How the executable starts, or says why it does not.

use std::process::{Command, Stdio};

#[test]
fn outside_of_lambda_it_says_which_settings_are_missing() {
    let mut reaper = Command::new(env!("CARGO_BIN_EXE_flame-reaper"));
    for name in ["AWS_LAMBDA_RUNTIME_API", "FLAME_REAPER_CLUSTER"] {
        reaper.env_remove(name);
    }
    let ended = reaper.stdin(Stdio::null()).output().unwrap();
    let error = String::from_utf8(ended.stderr).unwrap();
    assert_eq!(ended.status.code(), Some(2), "{error}");
    assert!(error.contains("FLAME_REAPER_CLUSTER"), "{error}");
    assert!(error.contains("Lambda function"), "{error}");
}
