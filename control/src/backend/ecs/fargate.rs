//! The sizes that a Fargate task may have.
//!
//! From the AWS documentation, "Amazon ECS task definition parameters for Fargate", Linux: each
//! number of CPU units (1,024 are one vCPU) has a range of memory sizes, in steps.

/// CPU units; then the minimum memory, the maximum memory and the step, in MiB.
const SIZES: &[(u32, u32, u32, u32)] = &[
    // The smallest size has 512, 1,024 and 2,048 MiB, but not 1,536: see `is_step`.
    (256, 512, 2_048, 512),
    (512, 1_024, 4_096, 1_024),
    (1_024, 2_048, 8_192, 1_024),
    (2_048, 4_096, 16_384, 1_024),
    (4_096, 8_192, 30_720, 1_024),
    (8_192, 16_384, 61_440, 4_096),
    (16_384, 32_768, 122_880, 8_192),
];

/// The ephemeral storage that an override may set, in GiB (AWS documentation, EphemeralStorage).
const STORAGE: std::ops::RangeInclusive<u32> = 21..=200;

/// Whether Fargate has this size. The error names the sizes that it has.
pub(super) fn check(cpu: u32, memory: u32) -> Result<(), String> {
    let Some((_, least, most, step)) = SIZES.iter().find(|(units, ..)| *units == cpu) else {
        let units: Vec<_> = SIZES.iter().map(|(units, ..)| units.to_string()).collect();
        return Err(format!("`cpu` is {cpu}: Fargate offers {} units", units.join(", ")));
    };
    if (*least..=*most).contains(&memory) && is_step(cpu, memory, *step) {
        return Ok(());
    }
    Err(format!(
        "`memory` is {memory} MiB: with `cpu` {cpu} Fargate offers {least} to {most} MiB, in steps \
         of {step}{}",
        if cpu == 256 { ", except 1536" } else { "" }
    ))
}

fn is_step(cpu: u32, memory: u32, step: u32) -> bool {
    memory.is_multiple_of(step) && (cpu, memory) != (256, 1_536)
}

/// Whether an override may set this much ephemeral storage.
pub(super) fn check_storage(gib: u32) -> Result<(), String> {
    if STORAGE.contains(&gib) {
        return Ok(());
    }
    Err(format!(
        "`ephemeral_storage` is {gib} GiB: set {} to {} GiB, or leave it out for the default of 20 \
         GiB",
        STORAGE.start(),
        STORAGE.end()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exactly_the_documented_sizes_are_accepted() {
        let sizes = [
            (256, vec![512, 1_024, 2_048]),
            (512, (1..=4).map(|n| n * 1_024).collect()),
            (1_024, (2..=8).map(|n| n * 1_024).collect()),
            (2_048, (4..=16).map(|n| n * 1_024).collect()),
            (4_096, (8..=30).map(|n| n * 1_024).collect()),
            (8_192, (4..=15).map(|n| n * 4_096).collect()),
            (16_384, (4..=15).map(|n| n * 8_192).collect()),
        ];
        for (cpu, memories) in sizes {
            // Every other size is rejected.
            for memory in (0..=131_072).step_by(256) {
                assert_eq!(
                    check(cpu, memory).is_ok(),
                    memories.contains(&memory),
                    "{cpu} {memory}"
                );
            }
        }
    }

    #[test]
    fn a_size_that_fargate_does_not_have_is_rejected_with_those_that_it_has() {
        assert_eq!(
            check(300, 512).unwrap_err(),
            "`cpu` is 300: Fargate offers 256, 512, 1024, 2048, 4096, 8192, 16384 units"
        );
        assert_eq!(
            check(1_024, 1_024).unwrap_err(),
            "`memory` is 1024 MiB: with `cpu` 1024 Fargate offers 2048 to 8192 MiB, in steps of 1024"
        );
        assert!(check(256, 1_536).unwrap_err().ends_with("except 1536"));
    }

    #[test]
    fn ephemeral_storage_is_checked_against_its_bounds() {
        assert!(check_storage(21).is_ok() && check_storage(200).is_ok());
        assert!(check_storage(20).unwrap_err().contains("21 to 200"));
        assert!(check_storage(201).is_err());
    }
}
