//! Runs before `main`: takes the variables, and ties a child to its parent.

use super::{NAMES, boot_variables};

// SAFETY: runs before `main`, on the only thread. So no other code reads or changes the
// environment, which the loader has set up by then. Apart from that it only makes system calls; it
// relies on nothing that std prepares in `main`, and can't unwind.
#[ctor::ctor]
unsafe fn before_main() {
    boot_variables();
    #[expect(unsafe_code, reason = "the environment is changed while there is only one thread")]
    for name in NAMES {
        // SAFETY: as above.
        unsafe { std::env::remove_var(name) };
    }
    crate::lifeline::tie();
}
