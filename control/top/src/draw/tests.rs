use ratatui::Terminal;
use ratatui::backend::TestBackend;

use super::*;
use crate::sse::SseEvent;

const VIEW: &str = r#"{"now": 10000, "control": false, "pools": [{
    "name": "thumbs", "stage": "open", "explanation": "1 up (3 free slots)", "up": 1, "queued": 7,
    "leased": 1, "free": 3,
    "runners": [{"runner": "f-0123456789abcdef", "host": "process", "state": "up", "leases": 1,
        "slots": 4, "calls_done": 12, "since": 5000, "instance": "4711", "pid": 4711}],
    "calls": [{"id": "1", "function": "app::jobs::resize", "runner": "f-01234567", "since": 9000,
        "started": 9500}],
    "finished": [{"id": "2", "function": "app::jobs::crop", "runner": "f-01234567",
        "outcome": "panicked", "start": 8000, "queue": 0, "boot": 500, "run": 500, "reply": 0}],
    "events": [{"id": 1, "at": 9000, "text": "Runner f-01234567 is up."}],
    "errors": [{"id": 2, "at": 9000, "title": "A call of crop failed", "message": "no picture",
        "log_tail": ["first line", "last line"], "times": 2}],
    "metrics": [{"name": "flame.call.duration", "attribute": "run", "unit": "s", "host": "process",
            "burst": false, "count": 12, "p50": 20.0, "p99": 500.0},
        {"name": "flame.calls", "attribute": "ok", "unit": "", "host": "process", "burst": false,
            "total": 11.0}]
    }, {"name": "other", "stage": "drained"}]}"#;

fn screen(view: &str) -> Screen {
    let mut screen = Screen { url: "http://host/pools".to_owned(), ..Screen::default() };
    let event = SseEvent { name: "view".to_owned(), data: view.to_owned() };
    screen.view.take(&event).unwrap();
    screen
}

fn drawn(screen: &Screen, width: u16, height: u16) -> Vec<String> {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| draw(frame, screen)).unwrap();
    let buffer = terminal.backend().buffer();
    let rows = buffer.content().chunks(usize::from(width));
    rows.map(|row| row.iter().map(|cell| cell.symbol()).collect()).collect()
}

#[test]
fn everything_of_a_pool_is_shown() {
    let rows = drawn(&screen(VIEW), 100, 30);
    let row = |text: &str| {
        let found = rows.iter().find(|row| row.contains(text));
        found.unwrap_or_else(|| panic!("no {text:?} in\n{}", rows.join("\n")))
    };
    assert!(rows[0].contains("http://host/pools") && rows[0].contains("live"), "{}", rows[0]);
    assert!(
        rows[1].contains("thumbs (open)") && rows[1].contains("other (drained)"),
        "{}",
        rows[1]
    );
    row("7 calls waiting; 1 slots in use, 3 free");
    row("1 up (3 free slots)");
    let runner = row("f-01234567 up");
    for text in ["1 of 4", " 12 ", "5.00 s", "process", "4711"] {
        assert!(runner.contains(text), "{text:?} in {runner:?}");
    }
    // 2 s in 50 cells.
    let running = row("resize");
    assert!(running.contains("runs") && running.contains("1.00 s"), "{running}");
    let phases = format!("{}{}", "░".repeat(13), "█".repeat(12));
    assert!(running.trim_end().ends_with(&phases), "{running}");
    assert!(row("panicked").contains(&format!("{}{}", "▒".repeat(13), "█".repeat(12))));
    row("A call of crop failed (2 times)");
    row("no picture");
    row("last line");
    row("Runner f-01234567 is up.");
    row("call run: 12 x, p50 20 ms, p99 500 ms");
    row("calls ok: 11");
}

#[test]
fn the_selected_pool_is_shown() {
    let mut screen = screen(VIEW);
    screen.selected = 1;
    let all = drawn(&screen, 100, 30).join("\n");
    assert!(!all.contains("resize") && all.contains("0 calls waiting"), "{all}");
}

#[test]
fn a_lost_connection_is_shown_with_its_reason_and_the_last_view() {
    let mut screen = screen(VIEW);
    screen.lost = Some("the connection broke".to_owned());
    let rows = drawn(&screen, 100, 30);
    assert!(rows[0].contains("connection lost, trying again: the connection broke"), "{}", rows[0]);
    assert!(rows.join("\n").contains("resize"));
}

#[test]
fn hostile_texts_change_no_other_cell() {
    let hostile = VIEW.replace("no picture", r"\u001b[2J\u001b]0;owned\u0007\r\nfake row\u202e");
    let rows = drawn(&screen(&hostile), 100, 30);
    let all = rows.join("\n");
    assert!(!all.contains('\x1b') && !all.contains('\x07'), "{all:?}");
    assert!(all.contains(" [2J ]0;owned"), "{all}");
}

#[test]
fn every_size_can_be_drawn() {
    for (width, height) in [(1, 1), (2, 40), (200, 2), (20, 10), (80, 24), (250, 80)] {
        assert_eq!(drawn(&screen(VIEW), width, height).len(), usize::from(height));
    }
}
