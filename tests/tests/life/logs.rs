//! What runners print and log, in their parent's log.

use flame_tests::program::Program;
use flame_tests::{Test, tests};

pub(crate) fn tests() -> Vec<Test> {
    tests![
        without_a_subscriber_a_runners_words_are_on_the_parents_standard_error,
        with_a_subscriber_a_runners_words_are_events_with_runner_and_call,
        a_pool_can_be_deaf_to_its_runners,
        a_runner_whose_functions_never_yield_complains,
        a_parent_whose_standard_error_nobody_reads_goes_on,
        a_parent_whose_subscriber_is_stuck_goes_on,
        what_a_reader_is_too_slow_for_is_counted,
        a_reader_gets_all_that_a_runner_prints_in_order,
        errors_of_a_runner_are_errors_in_its_parents_log,
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
    let complaint = line(&log, "every worker thread of this runner's runtime");
    assert!(complaint.contains("plain function"), "it says what to do: {complaint}");
}

async fn a_parent_whose_standard_error_nobody_reads_goes_on() {
    let printed = Program::start("unheard", &[]).finish_unheard().await;
    assert_eq!(printed, "drained\n");
}

async fn a_parent_whose_subscriber_is_stuck_goes_on() {
    let printed = Program::start("unheard", &[("DEMO_SUBSCRIBER", "1")]).finish_unheard().await;
    assert_eq!(printed, "drained\n");
}

/// The numbers of the lines of a flood, and how many were dropped as the log says.
fn flood(log: &str) -> (Vec<usize>, usize) {
    let number = |line: &str| line.split_once("] line ")?.1.split_once(' ')?.0.parse().ok();
    let dropped = |line: &str| {
        let (number, _) =
            line.strip_prefix("flame-aws: ")?.split_once(" lines of runners were ")?;
        number.parse::<usize>().ok()
    };
    (log.lines().filter_map(number).collect(), log.lines().filter_map(dropped).sum())
}

async fn what_a_reader_is_too_slow_for_is_counted() {
    let lines = 50_000;
    let stays = flame_tests::Folder::new();
    let count = lines.to_string();
    let file = stays.path().to_str().expect("text").to_owned();
    let variables = [("DEMO_LINES", count.as_str()), ("DEMO_STAY_WHILE", file.as_str())];
    let mut floods = Program::start("floods", &variables);
    // All of it is printed before anybody reads.
    floods.until_ready().await;
    let mut log = floods.heard(1024 * 1024).await;
    drop(stays);
    let (_, rest) = floods.finish().await;
    log.extend(rest.into_bytes());
    let log = String::from_utf8(log).expect("text");
    let (numbers, dropped) = flood(&log);
    assert!(dropped > 0 && !numbers.is_empty(), "{} and {dropped}", numbers.len());
    assert_eq!(numbers.len() + dropped, lines);
}

async fn a_reader_gets_all_that_a_runner_prints_in_order() {
    let lines = 40_000;
    let (_, log) = Program::start("floods", &[("DEMO_LINES", &lines.to_string())]).finish().await;
    let (numbers, dropped) = flood(&log);
    assert_eq!((numbers.len(), dropped), (lines, 0));
    for stream in [0, 1] {
        let of_stream = numbers.iter().filter(|number| *number % 2 == stream);
        assert!(of_stream.is_sorted(), "the lines of a stream are in order");
    }
}

async fn errors_of_a_runner_are_errors_in_its_parents_log() {
    // The level is that of production, and the subscriber is set before `App::run`.
    let variables = [("DEMO_TRACE", "warn"), ("NO_COLOR", "1")];
    let (_, log) = Program::start("levels", &variables).finish().await;
    for (level, words) in [
        ("ERROR", "the disk is full disk=7"),
        (" WARN", "the disk was nearly full"),
        ("ERROR", "panicked at"),
        ("ERROR", "a thread of the function panics"),
    ] {
        let line = line(&log, words);
        assert!(line.contains(&format!("Z {level} flame::runner: ")), "{line}");
        assert_eq!(line.matches("Z ").count(), 1, "it has one timestamp: {line}");
    }
    assert!(!log.contains('\x1b') && !log.contains("[31m"), "{log}");
}
