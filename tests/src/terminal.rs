//! A terminal for a program of a test: a pseudo-terminal whose keys the test presses.

use std::fs::{File, OpenOptions};
use std::io::Write;

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

/// The variable that names the terminal which a program takes for its own.
pub const ENV: &str = "DEMO_TERMINAL";

/// Ctrl-C: the terminal sends SIGINT to the processes in its foreground.
pub const CTRL_C: u8 = 0x03;
/// Ctrl-\: the terminal sends SIGQUIT.
pub const CTRL_BACKSLASH: u8 = 0x1c;

/// A terminal, seen from its keyboard. Dropping it hangs up: SIGHUP.
#[derive(Debug)]
pub struct Terminal {
    keyboard: File,
    name: String,
}

impl Terminal {
    /// A terminal that nobody uses yet.
    #[must_use]
    pub fn new() -> Self {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let keyboard = openpt(flags).expect("the kernel has terminals");
        grantpt(&keyboard).expect("it is ours");
        unlockpt(&keyboard).expect("it is ours");
        let name = ptsname(&keyboard, Vec::new()).expect("it has a name");
        Self { keyboard: keyboard.into(), name: name.into_string().expect("it is a path") }
    }

    /// Its path, for [`ENV`].
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

/// Makes the terminal that is named this process's own, as a shell's job in the foreground has it.
/// The terminal stays open until what this gives is dropped.
pub(crate) fn take() -> Option<File> {
    let name = std::env::var_os(ENV)?;
    rustix::process::setsid().expect("it leads no group");
    // The first terminal that the leader of a session opens becomes that of the session.
    Some(OpenOptions::new().read(true).write(true).open(name).expect("the terminal is there"))
}
