//! Which sizes a Fargate task may have.
//!
//! From the AWS documentation, "Amazon ECS task definition parameters for Fargate", Linux: each
//! size in CPU units (1,024 are one vCPU) has a range of memory, in steps.

/// CPU units, the least and the most memory, and its step, in MiB.
const SIZES: &[(u32, u32, u32, u32)] = &[
    // The documentation names 512, 1,024 and 2,048 for the smallest: see `is_step`.
    (256, 512, 2_048, 512),
    (512, 1_024, 4_096, 1_024),
    (1_024, 2_048, 8_192, 1_024),
    (2_048, 4_096, 16_384, 1_024),
    (4_096, 8_192, 30_720, 1_024),
    (8_192, 16_384, 61_440, 4_096),
    (16_384, 32_768, 122_880, 8_192),
];

/// Ephemeral storage that an override may ask for, in GiB (AWS documentation, EphemeralStorage).
const STORAGE: std::ops::RangeInclusive<u32> = 21..=200;

/// Whether Fargate has a task of that size; if not, what to take instead.
pub(super) fn check(cpu: u32, memory: u32) -> Result<(), String> {
    let Some((_, least, most, step)) = SIZES.iter().find(|(units, ..)| *units == cpu) else {
        let units: Vec<_> = SIZES.iter().map(|(units, ..)| units.to_string()).collect();
        return Err(format!("`cpu` is {cpu}: Fargate has {} units", units.join(", ")));
    };
    if (*least..=*most).contains(&memory) && is_step(cpu, memory, *step) {
        return Ok(());
    }
    Err(format!(
        "`memory` is {memory} MiB: with `cpu` {cpu} Fargate has {least} to {most} MiB, in steps of \
         {step}{}",
        if cpu == 256 { ", without 1536" } else { "" }
    ))
}

fn is_step(cpu: u32, memory: u32, step: u32) -> bool {
    memory.is_multiple_of(step) && (cpu, memory) != (256, 1_536)
}

/// Whether an override may ask for that much ephemeral storage.
pub(super) fn check_storage(gib: u32) -> Result<(), String> {
    if STORAGE.contains(&gib) {
        return Ok(());
    }
    Err(format!(
        "`ephemeral_storage` is {gib} GiB: an override may ask for {} to {}; without one there are \
         20",
        STORAGE.start(),
        STORAGE.end()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_size_of_the_documentation_is_one() {
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
            // All others are none, to the MiB.
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
    fn a_size_that_there_is_not_is_told_with_those_that_there_are() {
        assert_eq!(
            check(300, 512).unwrap_err(),
            "`cpu` is 300: Fargate has 256, 512, 1024, 2048, 4096, 8192, 16384 units"
        );
        assert_eq!(
            check(1_024, 1_024).unwrap_err(),
            "`memory` is 1024 MiB: with `cpu` 1024 Fargate has 2048 to 8192 MiB, in steps of 1024"
        );
        assert!(check(256, 1_536).unwrap_err().ends_with("without 1536"));
    }

    #[test]
    fn ephemeral_storage_has_its_bounds() {
        assert!(check_storage(21).is_ok() && check_storage(200).is_ok());
        assert!(check_storage(20).unwrap_err().contains("21 to 200"));
        assert!(check_storage(201).is_err());
    }
}
