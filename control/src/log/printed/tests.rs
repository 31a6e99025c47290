use super::*;

fn printed(line: &str) -> (Level, String) {
    let line = strip_escapes(line);
    let (Printed { level, text }, _) = read(&line, Context::None);
    (level, text.into_owned())
}

/// The levels of consecutive lines.
fn levels(lines: &[&str]) -> Vec<Level> {
    let mut context = Context::None;
    let mut level = |line: &&str| {
        let (printed, next) = read(line, context);
        context = next;
        printed.level
    };
    lines.iter().map(&mut level).collect()
}

#[test]
fn events_in_the_usual_formats_keep_their_level_and_lose_their_time() {
    for (line, level, text) in [
        // tracing_subscriber: full, with spans, pretty, uptime.
        ("2026-11-28T18:18:44.123456Z ERROR app::db: no room", Level::Error, "app::db: no room"),
        ("2026-11-28T18:18:44.123456Z  WARN app::db: little", Level::Warn, "app::db: little"),
        ("2026-11-28T18:18:44Z  INFO a{b=1}:c: app: d e=2", Level::Info, "a{b=1}:c: app: d e=2"),
        ("2026-11-28T18:18:44.1+01:00 DEBUG app: fine", Level::Debug, "app: fine"),
        ("  2026-11-28T18:18:44.12Z TRACE app: finer", Level::Trace, "app: finer"),
        ("   0.000123456s ERROR app: early", Level::Error, "app: early"),
        // env_logger.
        ("[2026-11-28T18:18:44Z ERROR app::db] no room", Level::Error, "app::db: no room"),
        ("[2026-11-28T18:18:44.123Z INFO  app] a [b] c", Level::Info, "app: a [b] c"),
        // Others.
        ("18:18:44 [ERROR] no room", Level::Error, "no room"),
        ("18:18:44.123 [WARN ] little", Level::Warn, "little"),
        ("2026-11-28 18:18:44,123 ERROR no room", Level::Error, "no room"),
        ("[2026-11-28 18:18:44.640870 +01:00] INFO [foo::bar] x", Level::Info, "[foo::bar] x"),
        ("2026-11-28 18:18:44 UTC ERROR: no room", Level::Error, "no room"),
        ("2026-11-28T18:18:44Z ERROR", Level::Error, ""),
    ] {
        assert_eq!(printed(line), (level, text.to_owned()), "{line}");
    }
}

#[test]
fn escape_sequences_are_removed() {
    let line = "\x1b[2m2026-11-28T18:18:44.1Z\x1b[0m \x1b[31mERROR\x1b[0m \x1b[2mapp\x1b[0m\x1b[2m:\x1b[0m full";
    assert_eq!(printed(line), (Level::Error, "app: full".to_owned()));
    assert_eq!(printed("\x1b[1mbold\x1b[0m é"), (Level::Info, "bold é".to_owned()));
    // A hyperlink, and an incomplete sequence.
    assert_eq!(printed("\x1b]8;;http://x\x1b\\a\x1b]8;;\x1b\\"), (Level::Info, "a".to_owned()));
    assert_eq!(printed("a\x1b[3"), (Level::Info, "a".to_owned()));
}

#[test]
fn json_of_tracing_subscriber_is_written_as_text() {
    let nested = r#"{"timestamp":"2026-11-28T18:18:44Z","level":"ERROR","fields":{"message":"no room","disk":7,"name":"x"},"target":"app::db","span":{"name":"b"},"spans":[{"name":"a"},{"name":"b"}]}"#;
    let text = r#"app::db: no room disk=7 name="x" spans=[{"name":"a"},{"name":"b"}]"#;
    assert_eq!(printed(nested), (Level::Error, text.to_owned()));
    let flat = r#"{"timestamp":"..","level":"WARN","message":"little","target":"app","left":1}"#;
    assert_eq!(printed(flat), (Level::Warn, "app: little left=1".to_owned()));
    let without_message = r#"{"timestamp":"..","level":"DEBUG","fields":{"a":1},"target":"app"}"#;
    assert_eq!(printed(without_message), (Level::Debug, "app: a=1".to_owned()));
}

#[test]
fn other_lines_stay_as_they_are() {
    for line in [
        "",
        " ",
        "hello",
        "ERRORS: none",
        "WARNING",
        "the ERROR is 7",
        "2026-11-28",
        "2026-11-28T18:18:44Z",
        "2026-11-28T18:18:44Z hello",
        "2026-11-28T18:18:44ZERROR x",
        "12 ERROR",
        "1.5 ERROR x",
        "[2026-11-28T18:18:44Z ERROR",
        "[ERRORS] x",
        "[",
        "  ",
        "\u{e9}\u{e9}\u{e9}\u{e9}-11-28T18:18:44Z ERROR x",
        "{",
        r#"{"level":"ERROR"}"#,
        r#"{"level":"ERROR","timestamp":"..","size":3}"#,
        r#"{"level":"ERROR","timestamp":"..","fields":3}"#,
        r#"{"level":50,"timestamp":"..","message":"x"}"#,
        r#"{"level":"ERROR","timestamp":"..","message":"x"} and more"#,
        "thread pools are used",
        // Levels below INFO are read only after a time, so that a guess hides nothing.
        "DEBUG app: x",
        "TRACE route",
        "[DEBUG] x",
    ] {
        assert_eq!(printed(line), (Level::Info, line.to_owned()));
    }
}

#[test]
fn a_level_without_a_time_raises_the_level_and_leaves_the_text() {
    for (line, level) in [
        ("ERROR app: no room", Level::Error),
        (" WARN app: little", Level::Warn),
        ("ERROR: no room", Level::Error),
        ("[ERROR] no room", Level::Error),
        ("[WARN app::db] little", Level::Warn),
    ] {
        assert_eq!(printed(line), (level, line.to_owned()));
    }
}

#[test]
fn a_panic_is_an_error_with_its_message_and_backtrace() {
    use Level::{Error, Info};
    let lines = [
        "before",
        "thread '<unnamed>' (4711) panicked at src/main.rs:5:9:",
        "assertion `left == right` failed",
        "  left: 1",
        " right: 2",
        "note: run with `RUST_BACKTRACE=1` environment variable to display a backtrace",
        "stack backtrace:",
        "   0: std::panicking::begin_panic_handler",
        "             at /rustc/library/std/src/panicking.rs:689:5",
        "printed after it",
        "  and this",
    ];
    let [first, middle @ .., a, b] = &levels(&lines)[..] else { unreachable!() };
    assert_eq!((*first, *a, *b), (Info, Info, Info));
    assert!(middle.iter().all(|level| *level == Error), "{middle:?}");
    // The format of an older compiler; and lines that follow no panic.
    let old =
        levels(&["thread 'main' panicked at 'x', src/main.rs:1:1", "note: run with", "note: x"]);
    assert_eq!(old, [Error, Error, Error]);
    assert_eq!(levels(&["note: x", "stack backtrace:"]), [Info, Info]);
    assert_eq!(levels(&["thread 'main' (7) has overflowed its stack"]), [Error]);
    assert_eq!(levels(&["fatal runtime error: stack overflow, aborting"]), [Error]);
}

#[test]
fn indented_lines_belong_to_the_event_before_them() {
    use Level::{Error, Info};
    let pretty = [
        "  2026-11-28T18:18:44.1Z ERROR app: no room",
        "    at src/main.rs:5 on main",
        "    in app::save with id: 7",
        "",
        "  a line of the app's own",
    ];
    assert_eq!(levels(&pretty), [Error, Error, Error, Info, Info]);
    let next = ["2026-11-28T18:18:44Z ERROR a", "2026-11-28T18:18:44Z  INFO b", "  c"];
    assert_eq!(levels(&next), [Error, Info, Info]);
}

proptest::proptest! {
    #[test]
    fn any_line_is_read(line in ".*", cut in 0_usize..60) {
        let known = "[2026-11-28T18:18:44.123456+01:00 ERROR app::db] thread 'x' panicked at";
        let (head, _) = known.split_at(cut);
        for context in [Context::None, Context::Event(Level::Warn), Context::PanicHead, Context::Panic] {
            let line = format!("{head}{line}");
            let plain = strip_escapes(&line);
            let (printed, _) = read(&plain, context);
            proptest::prop_assert!(printed.text.len() <= plain.len());
        }
    }
}
