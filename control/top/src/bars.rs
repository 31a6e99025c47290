//! The phases of calls as bars on one axis of time. Pure.

use ratatui::style::Color;
use ratatui::text::{Line, Span};

use crate::model::PoolView;

/// The phases in their order, with the sign and the colour of each. The signs tell them apart where
/// there are no colours.
pub(crate) const PHASES: [(&str, &str, Color); 4] = [
    ("queue", "░", Color::Yellow),
    ("boot", "▒", Color::Magenta),
    ("run", "█", Color::Blue),
    ("reply", "▓", Color::Green),
];

/// A call as it is shown.
#[derive(Debug, PartialEq)]
pub(crate) struct ShownCall<'a> {
    pub(crate) function: &'a str,
    pub(crate) runner: &'a str,
    pub(crate) outcome: &'a str,
    start: f64,
    phases: [f64; 4],
}

impl ShownCall<'_> {
    /// The time of all phases, in milliseconds.
    pub(crate) fn total(&self) -> f64 {
        self.phases.iter().sum()
    }

    fn end(&self) -> f64 {
        self.start + self.total()
    }
}

/// The first `most` calls: those under way, then the last ones.
pub(crate) fn calls(pool: &PoolView, now: f64, most: usize) -> Vec<ShownCall<'_>> {
    let under_way = pool.calls.iter().map(|call| {
        let sent = call.started.unwrap_or(now);
        ShownCall {
            function: &call.function,
            runner: call.runner.as_deref().unwrap_or_default(),
            outcome: if call.started.is_some() { "runs" } else { "waits" },
            start: call.since,
            phases: [(sent - call.since).max(0.0), 0.0, (now - sent).max(0.0), 0.0],
        }
    });
    let finished = pool.finished.iter().map(|call| ShownCall {
        function: &call.function,
        runner: call.runner.as_deref().unwrap_or_default(),
        outcome: &call.outcome,
        start: call.start,
        phases: [call.queue, call.boot, call.run, call.reply],
    });
    // Of many calls under way, some room is left for those that have ended.
    let room = most.saturating_sub(pool.finished.len().min(most / 2));
    under_way.take(room).chain(finished).take(most).collect()
}

/// A bar of `width` cells for each call, all on one axis.
pub(crate) fn bars(calls: &[ShownCall<'_>], width: u16) -> Vec<Line<'static>> {
    let from = calls.iter().map(|call| call.start).fold(f64::INFINITY, f64::min);
    let to = calls.iter().map(ShownCall::end).fold(f64::NEG_INFINITY, f64::max);
    let scale = f64::from(width) / (to - from).max(1e-3);
    let cell = |at: f64| ((at - from) * scale).clamp(0.0, f64::from(width));
    calls.iter().map(|call| bar(call, width, cell)).collect()
}

fn bar(call: &ShownCall<'_>, width: u16, cell: impl Fn(f64) -> f64) -> Line<'static> {
    // The first cell of the bar is always drawn, so that each call is seen.
    let first = (cell(call.start).floor() as usize).min(usize::from(width).saturating_sub(1));
    let mut spans = vec![Span::raw(" ".repeat(first))];
    let mut drawn = first;
    let mut at = call.start;
    for ((_, sign, colour), time) in PHASES.into_iter().zip(call.phases) {
        at += time;
        let end = (cell(at).round() as usize).max(drawn);
        spans.push(Span::styled(sign.repeat(end - drawn), colour));
        drawn = end;
    }
    if drawn == first {
        let longest = PHASES.iter().zip(call.phases).max_by(|a, b| a.1.total_cmp(&b.1));
        spans.extend(longest.map(|((_, sign, colour), _)| Span::styled(*sign, *colour)));
    }
    Line::from(spans)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{FinishedCallRow, LiveCallRow};

    fn finished(start: f64, phases: [f64; 4]) -> FinishedCallRow {
        let [queue, boot, run, reply] = phases;
        FinishedCallRow { start, queue, boot, run, reply, ..FinishedCallRow::default() }
    }

    fn drawn(pool: &PoolView, now: f64) -> Vec<String> {
        bars(&calls(pool, now, 10), 20).iter().map(|bar| bar.to_string()).collect()
    }

    #[test]
    fn calls_are_on_one_axis_with_their_phases() {
        let pool = PoolView {
            calls: vec![LiveCallRow {
                since: 150.0,
                started: Some(175.0),
                ..LiveCallRow::default()
            }],
            finished: vec![
                finished(0.0, [25.0, 50.0, 100.0, 25.0]),
                finished(100.0, [0.04, 0.0, 0.0, 0.0]),
            ],
            ..PoolView::default()
        };
        // 200 ms in 20 cells.
        let expected =
            ["               ░░░██", "░░░▒▒▒▒▒██████████▓▓", "          ░"].map(str::to_owned);
        assert_eq!(drawn(&pool, 200.0), expected);
    }

    #[test]
    fn strange_times_draw_no_bar_beyond_its_width() {
        for (start, time) in [(f64::NAN, 1.0), (1e300, 1e300), (-1e300, f64::NAN), (0.0, -5.0)] {
            let pool =
                PoolView { finished: vec![finished(start, [time; 4])], ..PoolView::default() };
            for bar in drawn(&pool, 0.0) {
                assert!(bar.chars().count() <= 20, "{start} {time}: {bar:?}");
            }
        }
    }

    #[test]
    fn many_calls_under_way_leave_room_for_finished_ones() {
        let pool = PoolView {
            calls: (0..50).map(|_| LiveCallRow::default()).collect(),
            finished: (0..50).map(|_| finished(0.0, [1.0; 4])).collect(),
            ..PoolView::default()
        };
        let shown = calls(&pool, 0.0, 10);
        assert_eq!(shown.iter().filter(|call| call.outcome == "waits").count(), 5);
        assert_eq!(shown.len(), 10);
    }
}
