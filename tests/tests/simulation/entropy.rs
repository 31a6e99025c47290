//! Makes the randomness of a simulation repeatable.
//!
//! Jitter, references of runners, the order of hash maps and of `select!` come from generators that
//! are seeded by the operating system. On Linux they all ask for it by calling the C library's
//! `getrandom`. This file defines a function of that name, which the linker prefers. On the thread
//! of a simulation it returns numbers that follow from the seed; on any other thread it returns
//! random bytes. So production code needs no way to choose its randomness.
//!
//! The keys of TLS come from a generator of the TLS library's own, and stay random.

use std::cell::Cell;

thread_local! {
    static STATE: Cell<Option<u64>> = const { Cell::new(None) };
}

/// Seeds the randomness of this thread, which must not have used any yet.
pub(crate) fn seed(seed: u64) {
    STATE.set(Some(seed));
}

/// Replaces the C library's function.
#[cfg(target_os = "linux")]
#[expect(unsafe_code, reason = "the C library prescribes the name and the raw buffer")]
#[unsafe(no_mangle)]
extern "C" fn getrandom(buffer: *mut u8, len: usize, _flags: u32) -> isize {
    if len == 0 {
        return 0;
    }
    // SAFETY: callers of `getrandom` pass a buffer of `len` bytes that they own.
    let buffer = unsafe {
        buffer.write_bytes(0, len);
        std::slice::from_raw_parts_mut(buffer, len)
    };
    match STATE.get() {
        Some(state) => STATE.set(Some(fill(state, buffer))),
        None => {
            let read = std::fs::File::open("/dev/urandom")
                .and_then(|mut file| std::io::Read::read_exact(&mut file, buffer));
            if read.is_err() {
                return -1;
            }
        }
    }
    len.try_into().unwrap_or(isize::MAX)
}

/// The generator SplitMix64. Returns its next state.
#[cfg(target_os = "linux")]
fn fill(mut state: u64, buffer: &mut [u8]) -> u64 {
    for chunk in buffer.chunks_mut(8) {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        chunk.copy_from_slice(&mixed.to_le_bytes()[..chunk.len()]);
    }
    state
}
