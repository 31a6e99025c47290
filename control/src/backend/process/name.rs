//! The name of a child in lists of processes.
//!
//! A copy is started from `/proc/self/exe`, so the kernel would name it `exe`. It is named
//! `app:pool` instead, shortened to the kernel's limit. Its command line stays its parent's,
//! because an app may look for its own name there.

use std::ffi::OsStr;
use std::path::Path;

/// The longest name of a process on Linux, in bytes.
const MAX_LEN: usize = 15;
/// The bytes that are reserved for the app's name, if it needs them.
const MIN_APP_LEN: usize = 7;

/// The name of a pool's child that runs this program, or this executable if there is none.
pub(super) fn of(program: Option<&OsStr>, pool: &str) -> String {
    let own = std::env::current_exe().ok();
    let file = program.map(Path::new).or(own.as_deref()).and_then(Path::file_name);
    let app = file.unwrap_or_default().to_string_lossy();
    // The kernel adds this if the file was replaced.
    let app = app.strip_suffix(" (deleted)").unwrap_or(&app);
    short(app, pool)
}

/// Joins both names, shortened so that a part of each is left.
fn short(app: &str, pool: &str) -> String {
    let pool = plain(pool);
    let room = MAX_LEN - 1;
    let app = cut(&plain(app), room.saturating_sub(pool.len()).max(MIN_APP_LEN)).to_owned();
    let pool = cut(&pool, room - app.len());
    format!("{app}:{pool}")
}

/// The name without characters that would break a line of a list.
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
    fn a_name_contains_a_part_of_both() {
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
    fn a_child_is_named_after_its_program() {
        assert_eq!(of(Some(OsStr::new("/opt/tools/render")), "p"), "render:p");
    }

    proptest! {
        #[test]
        fn a_name_fits_the_limit(app in ".{0,40}", pool in ".{1,40}") {
            let name = short(&app, &pool);
            prop_assert!(name.len() <= MAX_LEN && !name.contains('\0'), "{name:?}");
            prop_assert!(name.contains(':'));
        }
    }
}
