//! Random bytes for values that must be secret, or must differ from those of every other process.

use crate::error::NoEntropy;

/// Random bytes, read from the operating system now.
///
/// They never come from a generator in this process. Lambda's SnapStart restores many environments
/// from one snapshot, and a generator would have the same state in all of them. That includes
/// aws-lc's generator if it is built without jitter entropy. The operating system's generator
/// differs in each environment (AWS documentation, "Handling uniqueness with Lambda SnapStart").
///
/// # Errors
/// [`NoEntropy`] if the operating system provides no random bytes.
pub fn random_bytes<const N: usize>() -> Result<[u8; N], NoEntropy> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|_| NoEntropy)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn random_bytes_are_never_the_same() {
        let taken: std::collections::BTreeSet<[u8; 16]> =
            (0..100).map(|_| random_bytes().unwrap()).collect();
        assert_eq!(taken.len(), 100);
    }
}
