//! Shows the screen in the terminal until the user quits.

use std::time::Duration;

use anyhow::Context;
use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event};
use tokio::sync::mpsc;
use tokio::time::{Instant, interval, sleep};

use crate::draw;
use crate::screen::Screen;
use crate::source::{Events, Source};
use crate::sse::SseEvent;

/// The pause before the first attempt to connect again. Each further one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(15);
/// How often ages are drawn anew.
const REDRAW_EVERY: Duration = Duration::from_secs(1);

/// Shows the events until the user quits. Changes the terminal, and changes it back in any case:
/// also after an error or a panic.
pub(crate) async fn run(source: Source, events: Events) -> anyhow::Result<()> {
    // This sets a panic hook that restores the terminal.
    let terminal = ratatui::try_init().context("this is not a terminal that can be drawn on")?;
    let shown = show(terminal, source, events).await;
    ratatui::try_restore().context("the terminal can't be changed back: try `reset`")?;
    shown
}

async fn show(mut terminal: DefaultTerminal, source: Source, events: Events) -> anyhow::Result<()> {
    let mut screen = Screen { url: source.page().to_owned(), ..Screen::default() };
    let mut keys = read_keys();
    let mut news = follow(source, events);
    let mut tick = interval(REDRAW_EVERY);
    let mut taken = Instant::now();
    loop {
        // Without a connection, time stands still.
        if screen.lost.is_none() {
            screen.view_age = taken.elapsed();
        }
        terminal.draw(|frame| draw::draw(frame, &screen)).context("can't draw")?;
        tokio::select! {
            key = keys.recv() => match key {
                Some(key) if screen.input(&key) => {}
                // The user quits, or the terminal is gone.
                _ => return Ok(()),
            },
            Some(news) = news.recv() => match news {
                News::Events(events) => {
                    let wrong = events.iter().find_map(|event| screen.view.take(event).err());
                    screen.lost = wrong.map(|error| format!("an event can't be read: {error}"));
                    taken = Instant::now();
                }
                News::Lost(why) => screen.lost = Some(why),
            },
            _ = tick.tick() => {}
        }
    }
}

/// Events of the server, or the reason why it can't be reached.
enum News {
    Events(Vec<SseEvent>),
    Lost(String),
}

/// Follows the events in a task, over one connection after another. The task ends when all pools
/// have ended, or when the news is no longer received.
fn follow(source: Source, first: Events) -> mpsc::Receiver<News> {
    let (sender, news) = mpsc::channel(16);
    tokio::spawn(async move {
        let mut connected = Ok(first);
        let mut pause = FIRST_PAUSE;
        loop {
            let lost = match connected {
                Ok(mut events) => loop {
                    match events.next().await {
                        Ok(events) => {
                            pause = FIRST_PAUSE;
                            let ended = events.iter().any(|event| event.name == "end");
                            if sender.send(News::Events(events)).await.is_err() || ended {
                                return;
                            }
                        }
                        Err(error) => break error,
                    }
                },
                Err(error) => error,
            };
            if sender.send(News::Lost(format!("{lost:#}"))).await.is_err() {
                return;
            }
            sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
            connected = source.connect().await;
        }
    });
    news
}

/// Reads keys on a thread, because reading blocks. The thread ends with the process.
fn read_keys() -> mpsc::Receiver<Event> {
    let (sender, keys) = mpsc::channel(16);
    std::thread::spawn(move || {
        while let Ok(event) = event::read() {
            if sender.blocking_send(event).is_err() {
                return;
            }
        }
    });
    keys
}
