//! Draws a screen. Pure: the same screen and size give the same cells.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Borders, Cell, Paragraph, Row, Table, Wrap};

use crate::bars::{self, PHASES};
use crate::model::{MetricRow, PoolView, RunnerRow};
use crate::screen::Screen;
use crate::text::{clean, duration};

#[cfg(test)]
mod tests;

const BOLD: Style = Style::new().add_modifier(Modifier::BOLD);
const QUIET: Style = Style::new().add_modifier(Modifier::DIM);

/// Rows of the table of runners, without its title.
const MOST_RUNNERS: u16 = 8;

/// Draws the screen.
pub(crate) fn draw(frame: &mut Frame<'_>, screen: &Screen) {
    let [title, pools, rest] =
        Layout::vertical([Constraint::Length(1), Constraint::Length(1), Constraint::Fill(1)])
            .areas(frame.area());
    frame.render_widget(title_line(screen), title);
    frame.render_widget(pools_line(screen), pools);
    if let Some(pool) = screen.view.pools.get(screen.selected) {
        draw_pool(frame, rest, pool, screen.now());
    }
}

fn title_line(screen: &Screen) -> Line<'static> {
    let status = match &screen.lost {
        Some(why) => {
            let text = format!("connection lost, trying again: {}", clean(why));
            Span::styled(text, Color::Red)
        }
        None if screen.view.ended => Span::raw("all pools have ended"),
        None if screen.view.pools.is_empty() => Span::raw("waiting for the first view"),
        None => Span::styled("live", Color::Green),
    };
    let title = format!("flame-top {}  ", clean(&screen.url));
    Line::from(vec![Span::styled(title, BOLD), status, Span::styled("  q quits", QUIET)])
}

fn pools_line(screen: &Screen) -> Line<'static> {
    let name = |(index, pool): (usize, &PoolView)| {
        let style = if index == screen.selected {
            BOLD.add_modifier(Modifier::REVERSED)
        } else {
            Style::new()
        };
        [
            Span::styled(format!(" {} ({}) ", clean(&pool.name), clean(&pool.stage)), style),
            " ".into(),
        ]
    };
    let mut spans: Vec<_> = screen.view.pools.iter().enumerate().flat_map(name).collect();
    if screen.view.pools.len() > 1 {
        spans.push(Span::styled("Tab: next pool", QUIET));
    }
    Line::from(spans)
}

fn draw_pool(frame: &mut Frame<'_>, area: Rect, pool: &PoolView, now: f64) {
    let runners = u16::try_from(pool.runners.len()).unwrap_or(u16::MAX).clamp(1, MOST_RUNNERS);
    let [summary, runner_table, call_table, below] = Layout::vertical([
        Constraint::Length(3),
        Constraint::Length(runners + 2),
        Constraint::Fill(3),
        Constraint::Fill(2),
    ])
    .areas(area);
    frame.render_widget(summary_lines(pool), summary);
    draw_runners(frame, runner_table, pool, now);
    draw_calls(frame, call_table, pool, now);
    let [events, metrics] =
        Layout::horizontal([Constraint::Percentage(60), Constraint::Percentage(40)]).areas(below);
    frame.render_widget(errors_and_events(pool, events), events);
    frame.render_widget(metric_lines(pool), metrics);
}

fn summary_lines(pool: &PoolView) -> Paragraph<'static> {
    let PoolView { up, booting, queued, leased, free, .. } = pool;
    let numbers = format!(
        "{up} up, {booting} booting; {queued} calls waiting; {leased} slots in use, {free} free"
    );
    let cost = pool.cost.as_ref().map(|cost| format!("; cost: {cost}")).unwrap_or_default();
    let explanation = Line::styled(clean(&format!("{}{cost}", pool.explanation)), QUIET);
    Paragraph::new(vec![Line::raw(numbers), explanation]).wrap(Wrap { trim: true })
}

fn section(title: String) -> Block<'static> {
    Block::new().borders(Borders::TOP).border_style(QUIET).title(Span::styled(title, BOLD))
}

fn draw_runners(frame: &mut Frame<'_>, area: Rect, pool: &PoolView, now: f64) {
    let shown = usize::from(area.height.saturating_sub(2));
    let hidden = pool.runners.len().saturating_sub(shown);
    let title =
        if hidden > 0 { format!("Runners ({hidden} more) ") } else { "Runners ".to_owned() };
    let row = |runner: &RunnerRow| {
        let state = if runner.state == "up" { Color::Green } else { Color::Yellow };
        Row::new([
            Cell::from(short(&runner.runner)),
            Cell::from(clean(&runner.state)).style(state),
            Cell::from(format!("{} of {}", runner.leases, runner.slots)),
            Cell::from(runner.calls_done.to_string()),
            Cell::from(duration((now - runner.since).max(0.0))),
            Cell::from(clean(&runner.host)),
            Cell::from(clean(runner.instance.as_deref().unwrap_or_default())),
        ])
    };
    let widths = [10, 9, 10, 7, 11, 8].map(Constraint::Length);
    let widths = widths.into_iter().chain([Constraint::Fill(1)]);
    let header = Row::new(["runner", "state", "slots", "calls", "age", "host", "instance"]);
    let table = Table::new(pool.runners.iter().take(shown).map(row), widths)
        .header(header.style(QUIET))
        .block(section(title));
    frame.render_widget(table, area);
}

fn short(runner: &str) -> String {
    clean(runner).chars().take(10).collect()
}

fn draw_calls(frame: &mut Frame<'_>, area: Rect, pool: &PoolView, now: f64) {
    let shown = bars::calls(pool, now, usize::from(area.height.saturating_sub(1)));
    let width = area.width / 2;
    let rows = shown.iter().zip(bars::bars(&shown, width)).map(|(call, bar)| {
        let colour = match call.outcome {
            "ok" => Color::Green,
            "waits" | "runs" => Color::Reset,
            _ => Color::Red,
        };
        // The end of a path tells functions apart.
        let function = clean(call.function);
        let function = function.rsplit("::").next().unwrap_or_default().to_owned();
        Row::new([
            Cell::from(function),
            Cell::from(short(call.runner)),
            Cell::from(clean(call.outcome)).style(colour),
            Cell::from(duration(call.total())),
            Cell::from(bar),
        ])
    });
    let widths = [
        Constraint::Fill(1),
        Constraint::Length(10),
        Constraint::Length(12),
        Constraint::Length(9),
        Constraint::Length(width),
    ];
    let legend = PHASES
        .map(|(name, sign, colour)| [Span::styled(sign, colour), Span::raw(format!(" {name}  "))]);
    let mut title = vec![Span::styled("Calls  ", BOLD)];
    title.extend(legend.into_iter().flatten());
    let block = Block::new().borders(Borders::TOP).border_style(QUIET).title(Line::from(title));
    frame.render_widget(Table::new(rows, widths).block(block), area);
}

/// The last error with its log, and the last events.
fn errors_and_events(pool: &PoolView, area: Rect) -> Paragraph<'static> {
    let mut lines = Vec::new();
    if let Some(error) = pool.errors.first() {
        let times =
            if error.times > 1 { format!(" ({} times)", error.times) } else { String::new() };
        let title = format!("{}{times}", clean(&error.title));
        lines.push(Line::styled(title, Style::from(Color::Red).patch(BOLD)));
        lines.push(Line::raw(clean(&error.message)));
        let tail = error.log_tail.iter().rev().take(3).rev();
        lines.extend(tail.map(|line| Line::styled(format!("  {}", clean(line)), QUIET)));
    }
    let room = usize::from(area.height).saturating_sub(lines.len());
    lines.extend(pool.events.iter().take(room).map(|event| Line::raw(clean(&event.text))));
    let (errors, events) = (pool.errors.len(), pool.events.len());
    Paragraph::new(lines).block(section(format!("Last errors ({errors}) and events ({events}) ")))
}

/// The durations, and the totals.
fn metric_lines(pool: &PoolView) -> Paragraph<'static> {
    let line = |metric: &MetricRow| {
        let name = metric.name.trim_start_matches("flame.").trim_end_matches(".duration");
        let name = name.replace('.', " ");
        let name = match &metric.attribute {
            Some(attribute) => format!("{name} {attribute}"),
            None => name,
        };
        let value = match (metric.count, metric.total) {
            (Some(count), _) => {
                let (p50, p99) = (duration(metric.p50), duration(metric.p99));
                format!("{count} x, p50 {p50}, p99 {p99}")
            }
            (None, total) => format!("{} {}", total.unwrap_or_default(), metric.unit),
        };
        Line::raw(clean(&format!("{name}: {value}")))
    };
    Paragraph::new(pool.metrics.iter().map(line).collect::<Vec<_>>())
        .block(section("Since the start ".to_owned()))
}
