//! What a child is called where processes are listed.
//!
//! A copy is started from `/proc/self/exe`, and so the kernel would call it `exe`. It is called
//! `app:pool` instead, as far as the kernel has room for it. Its command line is its parent's, since
//! an app may look at its own name there.

use std::ffi::OsStr;
use std::path::Path;

/// The room that Linux has for the name of a process, in bytes.
const ROOM: usize = 15;
/// What an app's name has of it at least, if it needs it.
const APP: usize = 7;

/// The name of a child that runs this program, or this executable if there is none, for a pool.
pub(super) fn of(program: Option<&OsStr>, pool: &str) -> String {
    let own = std::env::current_exe().ok();
    let file = program.map(Path::new).or(own.as_deref()).and_then(Path::file_name);
    let app = file.unwrap_or_default().to_string_lossy();
    // The kernel says so of a file that was replaced.
    let app = app.strip_suffix(" (deleted)").unwrap_or(&app);
    short(app, pool)
}

/// Shortens both so that something of each is left.
fn short(app: &str, pool: &str) -> String {
    let pool = plain(pool);
    let room = ROOM - 1;
    let app = cut(&plain(app), room.saturating_sub(pool.len()).max(APP)).to_owned();
    let pool = cut(&pool, room - app.len());
    format!("{app}:{pool}")
}

/// Without what would spoil a list.
fn plain(name: &str) -> String {
    name.chars().map(|c| if c.is_control() || c.is_whitespace() { '_' } else { c }).collect()
}

fn cut(text: &str, room: usize) -> &str {
    text.get(..text.floor_char_boundary(room)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_name_has_something_of_both() {
        for (app, pool, name) in [
            ("web", "fractals", "web:fractals"),
            ("thumbnails", "thumbs", "thumbnai:thumbs"),
            ("thumbnails", "looks", "thumbnail:looks"),
            ("an-app-of-many-words", "a-pool-of-many-words", "an-app-:a-pool-"),
            ("app", "a-pool-of-many-words", "app:a-pool-of-m"),
            ("an-app-of-many-words", "p", "an-app-of-man:p"),
            ("", "pool", ":pool"),
            ("bäckerei", "brötchen", "bäcker:brötch"),
            ("app", "two words\n", "app:two_words_"),
        ] {
            assert_eq!(short(app, pool), name);
        }
    }

    #[test]
    fn a_program_that_is_named_is_what_the_child_is_called_after() {
        assert_eq!(of(Some(OsStr::new("/opt/tools/render")), "p"), "render:p");
    }

    proptest! {
        #[test]
        fn a_name_fits(app in ".{0,40}", pool in ".{1,40}") {
            let name = short(&app, &pool);
            prop_assert!(name.len() <= ROOM && !name.contains('\0'), "{name:?}");
            prop_assert!(name.contains(':'));
        }
    }
}
