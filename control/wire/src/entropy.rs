//! Random bytes for what must be secret, or must differ from what any other process has.

use crate::error::NoEntropy;

/// Random bytes, taken from the operating system at this moment.
///
/// Never from a generator of this process: Lambda's SnapStart restores many environments from one
/// snapshot, and all of them begin with the same state of each such generator, aws-lc's included
/// (where it is built without its jitter entropy). The operating system's differs in each (AWS
/// documentation, "Handling uniqueness with Lambda SnapStart").
///
/// # Errors
/// [`NoEntropy`] where the operating system gives none.
pub fn fresh<const N: usize>() -> Result<[u8; N], NoEntropy> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|_| NoEntropy)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fresh_bytes_are_never_the_same() {
        let taken: std::collections::BTreeSet<[u8; 16]> =
            (0..100).map(|_| fresh().unwrap()).collect();
        assert_eq!(taken.len(), 100);
    }
}
