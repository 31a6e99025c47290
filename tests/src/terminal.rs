//! A pseudo-terminal for a program, whose keys the test presses.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::thread::JoinHandle;

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize};

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

    /// Sets the size of the screen.
    pub fn resize(&self, columns: u16, rows: u16) {
        let size = Winsize { ws_col: columns, ws_row: rows, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&self.keyboard, size).expect("the terminal is open");
    }

    /// Opens the program's side of the terminal, for its standard streams.
    #[must_use]
    pub fn screen(&self) -> File {
        let screen = OpenOptions::new().read(true).write(true).open(&self.name);
        screen.expect("the terminal exists")
    }

    /// Whether the terminal edits lines and shows the keys that are pressed, as it does for a shell.
    #[must_use]
    pub fn is_cooked(&self) -> bool {
        let modes = tcgetattr(&self.keyboard).expect("the terminal is open").local_modes;
        modes.contains(LocalModes::ICANON | LocalModes::ECHO)
    }

    /// Collects what programs write to the screen, on a thread that ends when no program has the
    /// screen open.
    pub fn collect(&self, write: impl Fn(&[u8]) + Send + 'static) -> JoinHandle<()> {
        let mut written = self.keyboard.try_clone().expect("the terminal is open");
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(count @ 1..) = written.read(&mut bytes) {
                write(&bytes[..count]);
            }
        })
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
