//! What runners print and log, in their parent's log.

use flame_tests::program::Program;
use flame_tests::{Test, tests};

pub(crate) fn tests() -> Vec<Test> {
    tests![
        without_a_subscriber_a_runners_words_are_on_the_parents_standard_error,
        with_a_subscriber_a_runners_words_are_events_with_runner_and_call,
        a_pool_can_be_deaf_to_its_runners,
        a_runner_whose_functions_never_yield_complains,
    ]
}

/// The line of the log with these words.
fn line<'a>(log: &'a str, words: &str) -> &'a str {
    let line = log.lines().find(|line| line.contains(words));
    line.unwrap_or_else(|| panic!("nobody has heard {words:?}:\n{log}"))
}

fn runner(printed: &str) -> &str {
    printed.trim().strip_prefix("runner ").unwrap()
}

async fn without_a_subscriber_a_runners_words_are_on_the_parents_standard_error() {
    let (printed, log) = Program::start("talks", &[]).finish().await;
    let of_a_call = format!("[{} c-", runner(&printed));
    for words in ["printed on stderr", "Info flame_tests::mischief: logged answer=42"] {
        assert!(line(&log, words).starts_with(&of_a_call), "{log}");
    }
    let first = line(&log, "] printed");
    assert!(first.starts_with(&of_a_call) && first.ends_with("] printed"), "{log}");
    assert!(!log.contains("too fine"), "{log}");
}

async fn with_a_subscriber_a_runners_words_are_events_with_runner_and_call() {
    let (printed, log) = Program::start("talks", &[("DEMO_SUBSCRIBER", "1")]).finish().await;
    let runner = format!("runner={}", runner(&printed));
    for (words, from) in [
        ("printed on stderr", "stream=\"stderr\""),
        ("logged answer=42", "from=\"flame_tests::mischief\""),
    ] {
        let line = line(&log, words);
        assert!(line.contains("INFO flame::runner: "), "{line}");
        assert!(line.contains(&runner), "{line}");
        assert!(line.contains("call=c-"), "{line}");
        assert!(line.contains(from), "{line}");
    }
}

async fn a_pool_can_be_deaf_to_its_runners() {
    let (_, log) = Program::start("talks", &[("DEMO_DEAF", "1")]).finish().await;
    assert_eq!(log, "");
    let deaf = [("DEMO_DEAF", "1"), ("DEMO_SUBSCRIBER", "1")];
    let (_, log) = Program::start("talks", &deaf).finish().await;
    assert!(!log.contains("printed") && !log.contains("logged"), "{log}");
}

async fn a_runner_whose_functions_never_yield_complains() {
    let (_, log) = Program::start("hogs", &[]).finish().await;
    let complaint = line(&log, "every worker of this runner's runtime");
    assert!(complaint.contains("plain function"), "it says what to do: {complaint}");
}
