//! The state of the screen, and the keys that change it. Pure.

use std::time::Duration;

use ratatui::crossterm::event::{Event, KeyCode, KeyEventKind, KeyModifiers};

use crate::model::PageView;

/// The state of the screen.
#[derive(Debug, Default)]
pub(crate) struct Screen {
    pub(crate) url: String,
    pub(crate) view: PageView,
    /// The time since the view was received.
    pub(crate) view_age: Duration,
    /// The pool that is shown.
    pub(crate) selected: usize,
    /// Why there is no connection, if there is none.
    pub(crate) lost: Option<String>,
}

impl Screen {
    /// The server's clock now: milliseconds since the Unix epoch.
    pub(crate) fn now(&self) -> f64 {
        self.view.now + self.view_age.as_secs_f64() * 1e3
    }

    /// Takes a key, or a new size of the terminal. Returns whether the program goes on.
    pub(crate) fn input(&mut self, event: &Event) -> bool {
        let Event::Key(key) = event else { return true };
        if key.kind == KeyEventKind::Release {
            return true;
        }
        let pools = self.view.pools.len().max(1);
        match key.code {
            KeyCode::Char('q') | KeyCode::Esc => return false,
            KeyCode::Char('c') if key.modifiers.contains(KeyModifiers::CONTROL) => return false,
            KeyCode::Tab | KeyCode::Right => self.selected = (self.selected + 1) % pools,
            KeyCode::BackTab | KeyCode::Left => self.selected = (self.selected + pools - 1) % pools,
            _ => {}
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use ratatui::crossterm::event::KeyEvent;

    use super::*;
    use crate::model::PoolView;

    fn press(screen: &mut Screen, code: KeyCode, modifiers: KeyModifiers) -> bool {
        screen.input(&Event::Key(KeyEvent::new(code, modifiers)))
    }

    #[test]
    fn q_escape_and_ctrl_c_quit_and_no_other_key_does() {
        let none = KeyModifiers::NONE;
        let mut screen = Screen::default();
        for quits in [KeyCode::Char('q'), KeyCode::Esc] {
            assert!(!press(&mut screen, quits, none));
        }
        assert!(!press(&mut screen, KeyCode::Char('c'), KeyModifiers::CONTROL));
        for goes_on in [KeyCode::Char('c'), KeyCode::Enter, KeyCode::Tab, KeyCode::Left] {
            assert!(press(&mut screen, goes_on, none));
        }
        assert!(screen.input(&Event::Resize(1, 1)));
    }

    #[test]
    fn tab_goes_around_the_pools_in_both_directions() {
        let mut screen = Screen::default();
        screen.view.pools = (0..3).map(|_| PoolView::default()).collect();
        let mut seen = Vec::new();
        for key in [KeyCode::Tab, KeyCode::Tab, KeyCode::Tab, KeyCode::BackTab, KeyCode::Left] {
            press(&mut screen, key, KeyModifiers::NONE);
            seen.push(screen.selected);
        }
        assert_eq!(seen, [1, 2, 0, 2, 1]);
    }
}
