//! What happens before `main`: the variables are taken, and a child ties itself to its parent.

use super::{NAMES, boot_variables};

// SAFETY: runs before `main`, on the only thread. So nobody else reads or changes the environment,
// which the loader has set up by then. Beside that it makes plain system calls; it relies on
// nothing that std prepares in `main`, and can't unwind.
#[ctor::ctor]
unsafe fn before_main() {
    boot_variables();
    #[expect(unsafe_code, reason = "the environment is changed while there is one thread")]
    for name in NAMES {
        // SAFETY: as above.
        unsafe { std::env::remove_var(name) };
    }
    crate::lifeline::tie();
}
