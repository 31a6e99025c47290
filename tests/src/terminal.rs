//! A pseudo-terminal for a program, whose keys the test presses.

use std::fs::{File, OpenOptions};
use std::io::Write;

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

/// The variable with the path of the terminal that a program takes as its controlling terminal.
pub const ENV: &str = "DEMO_TERMINAL";

/// Ctrl-C: the terminal sends SIGINT to its foreground process group.
pub const CTRL_C: u8 = 0x03;
/// Ctrl-\: the terminal sends SIGQUIT to its foreground process group.
pub const CTRL_BACKSLASH: u8 = 0x1c;

/// The keyboard's side of a terminal. Dropping it hangs up, and the program gets SIGHUP.
#[derive(Debug)]
pub struct Terminal {
    keyboard: File,
    name: String,
}

impl Terminal {
    /// Opens a terminal that no process uses yet.
    #[must_use]
    pub fn new() -> Self {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let keyboard = openpt(flags).expect("the kernel has a free terminal");
        grantpt(&keyboard).expect("the terminal belongs to this user");
        unlockpt(&keyboard).expect("the terminal belongs to this user");
        let name = ptsname(&keyboard, Vec::new()).expect("the terminal has a path");
        Self { keyboard: keyboard.into(), name: name.into_string().expect("the path is text") }
    }

    /// The terminal's path, for [`ENV`].
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Presses a key.
    pub fn press(&self, key: u8) {
        (&self.keyboard).write_all(&[key]).expect("the terminal is open");
    }
}

impl Default for Terminal {
    fn default() -> Self {
        Self::new()
    }
}

/// Makes the terminal named by [`ENV`] this process's controlling terminal, with the process in the
/// foreground, as a shell does for a job. The terminal stays open until the returned file is
/// dropped.
pub(crate) fn take() -> Option<File> {
    let name = std::env::var_os(ENV)?;
    rustix::process::setsid().expect("this process leads no process group");
    // The first terminal that the leader of a session opens becomes the controlling terminal.
    Some(OpenOptions::new().read(true).write(true).open(name).expect("the terminal exists"))
}
