//! The table of prices, and the price of an instance. Pure.

use std::time::Duration;

/// Prices of AWS, in US dollars.
///
/// The defaults are the on-demand prices of us-east-1 (Linux) on AWS's price pages,
/// <https://aws.amazon.com/fargate/pricing/> and <https://aws.amazon.com/lambda/pricing/>, noted in
/// December 2026 from other sources than these pages. Check them, and replace those that differ in
/// your region or contract.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct Prices {
    /// Fargate on x86_64. Default: 0.04048 per vCPU and hour, 0.004445 per GB and hour.
    pub fargate_x86: FargatePrices,
    /// Fargate on ARM64. Default: 0.03238 per vCPU and hour, 0.00356 per GB and hour.
    pub fargate_arm: FargatePrices,
    /// The price of Fargate Spot, as a share of the on-demand price. Default: 0.3, because AWS
    /// offers up to 70 % off. The real price follows supply and demand.
    pub fargate_spot_share: f64,
    /// A GB of ephemeral storage of Fargate beyond the first 20 GB, per hour. Default: 0.000111.
    pub fargate_storage_gb_hour: f64,
    /// Lambda on x86_64. Default: 0.0000166667 per GB-second, 0.0000002 per request.
    pub lambda_x86: LambdaPrices,
    /// Lambda on ARM64. Default: 0.0000133334 per GB-second, 0.0000002 per request.
    pub lambda_arm: LambdaPrices,
}

/// Prices of Fargate for one architecture.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FargatePrices {
    /// A vCPU, per hour.
    pub vcpu_hour: f64,
    /// A GB of memory, per hour.
    pub gb_hour: f64,
}

/// Prices of Lambda for one architecture.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LambdaPrices {
    /// A GB of memory, per second.
    pub gb_second: f64,
    /// A request.
    pub request: f64,
}

impl Default for Prices {
    fn default() -> Self {
        Self {
            fargate_x86: FargatePrices { vcpu_hour: 0.04048, gb_hour: 0.004_445 },
            fargate_arm: FargatePrices { vcpu_hour: 0.03238, gb_hour: 0.00356 },
            fargate_spot_share: 0.3,
            fargate_storage_gb_hour: 0.000_111,
            lambda_x86: LambdaPrices { gb_second: 0.000_016_666_7, request: 0.000_000_2 },
            lambda_arm: LambdaPrices { gb_second: 0.000_013_333_4, request: 0.000_000_2 },
        }
    }
}

/// The properties of an instance on which its price depends; see
/// [`Instances::size`](crate::backend::Instances::size).
#[derive(Debug, Clone, Copy, PartialEq, Default)]
#[non_exhaustive]
pub enum InstanceSize {
    /// Not known. The instance counts as free, and a pool with a budget does not start.
    #[default]
    Unknown,
    /// The instance costs nothing.
    Free,
    /// A task on Fargate.
    Fargate {
        /// CPU units: 1,024 are one vCPU.
        cpu: u32,
        /// Memory in MiB.
        memory: u32,
        /// Ephemeral storage in GiB; 20 are free.
        storage: u32,
        /// The architecture.
        architecture: Architecture,
        /// The share of tasks on Fargate Spot: 0 to 1.
        spot: f64,
    },
    /// An invocation of a Lambda function.
    Lambda {
        /// Memory in MB.
        memory: u32,
        /// The architecture.
        architecture: Architecture,
    },
    /// Anything else, by its price.
    Priced(InstancePrice),
}

/// The architecture of an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Architecture {
    /// x86_64.
    #[default]
    X86,
    /// ARM64, which AWS also calls Graviton.
    Arm,
}

/// The price of an instance, in US dollars.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
#[non_exhaustive]
pub struct InstancePrice {
    /// Per hour. Each second is counted.
    pub per_hour: f64,
    /// Per start.
    pub per_start: f64,
    /// The shortest time that is paid for.
    pub minimum: Duration,
    /// Whether the time until the platform has found a place for the instance costs nothing.
    pub free_provisioning: bool,
}

impl InstancePrice {
    /// A price per hour, with every other part zero.
    #[must_use]
    pub fn per_hour(dollars: f64) -> Self {
        Self { per_hour: dollars, ..Self::default() }
    }

    /// The price of an instance that has been running for `time`.
    pub(super) fn of(&self, time: Duration) -> f64 {
        self.per_start + self.for_time(time.max(self.minimum))
    }

    /// The price of this time alone, without the start and without the minimum.
    pub(crate) fn for_time(&self, time: Duration) -> f64 {
        self.per_hour / 3600.0 * time.as_secs_f64()
    }
}

impl Prices {
    /// The price of an instance of this size. It is zero if the size is unknown.
    #[must_use]
    pub fn of(&self, size: &InstanceSize) -> InstancePrice {
        match *size {
            InstanceSize::Unknown | InstanceSize::Free => InstancePrice::default(),
            InstanceSize::Fargate { cpu, memory, storage, architecture, spot } => {
                let prices = match architecture {
                    Architecture::X86 => self.fargate_x86,
                    Architecture::Arm => self.fargate_arm,
                };
                let spot = spot.clamp(0.0, 1.0);
                let share = (1.0 - spot) + spot * self.fargate_spot_share;
                let size = f64::from(cpu) / 1024.0 * prices.vcpu_hour
                    + f64::from(memory) / 1024.0 * prices.gb_hour;
                let storage = f64::from(storage.saturating_sub(20)) * self.fargate_storage_gb_hour;
                InstancePrice {
                    per_hour: size * share + storage,
                    minimum: Duration::from_secs(60),
                    free_provisioning: true,
                    ..InstancePrice::default()
                }
            }
            InstanceSize::Lambda { memory, architecture } => {
                let prices = match architecture {
                    Architecture::X86 => self.lambda_x86,
                    Architecture::Arm => self.lambda_arm,
                };
                InstancePrice {
                    per_hour: f64::from(memory) / 1024.0 * prices.gb_second * 3600.0,
                    per_start: prices.request,
                    ..InstancePrice::default()
                }
            }
            InstanceSize::Priced(price) => price,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn per_hour(size: InstanceSize) -> f64 {
        Prices::default().of(&size).per_hour
    }

    fn fargate(architecture: Architecture, storage: u32, spot: f64) -> InstanceSize {
        InstanceSize::Fargate { cpu: 2048, memory: 4096, storage, architecture, spot }
    }

    fn near(one: f64, other: f64) -> bool {
        (one - other).abs() < 1e-9
    }

    #[test]
    fn a_task_costs_its_vcpus_its_memory_and_its_extra_storage() {
        let x86 = 2.0 * 0.04048 + 4.0 * 0.004_445;
        assert!(near(per_hour(fargate(Architecture::X86, 20, 0.0)), x86));
        assert!(near(per_hour(fargate(Architecture::X86, 30, 0.0)), x86 + 10.0 * 0.000_111));
        assert!(near(per_hour(fargate(Architecture::X86, 20, 1.0)), x86 * 0.3));
        assert!(near(per_hour(fargate(Architecture::X86, 20, 0.5)), x86 * 0.65));
        let arm = 2.0 * 0.03238 + 4.0 * 0.00356;
        assert!(near(per_hour(fargate(Architecture::Arm, 20, 0.0)), arm));
    }

    #[test]
    fn an_invocation_costs_its_gb_seconds_and_its_request() {
        let lambda = |architecture| InstanceSize::Lambda { memory: 2048, architecture };
        let price = Prices::default().of(&lambda(Architecture::X86));
        assert!(near(price.of(Duration::from_secs(10)), 20.0 * 0.000_016_666_7 + 0.000_000_2));
        assert!(per_hour(lambda(Architecture::Arm)) < per_hour(lambda(Architecture::X86)));
    }

    #[test]
    fn a_task_costs_a_minute_at_least() {
        let price = Prices::default().of(&fargate(Architecture::X86, 20, 0.0));
        assert!(near(price.of(Duration::from_secs(1)), price.per_hour / 60.0));
        assert!(near(price.of(Duration::from_secs(90)), price.per_hour / 40.0));
    }

    #[test]
    fn each_price_can_be_replaced() {
        let sizes = [
            fargate(Architecture::X86, 30, 0.5),
            fargate(Architecture::Arm, 30, 0.5),
            InstanceSize::Lambda { memory: 1024, architecture: Architecture::X86 },
            InstanceSize::Lambda { memory: 1024, architecture: Architecture::Arm },
        ];
        let free = FargatePrices { vcpu_hour: 0.0, gb_hour: 0.0 };
        let no_charge = LambdaPrices { gb_second: 0.0, request: 0.0 };
        let prices = Prices {
            fargate_x86: free,
            fargate_arm: free,
            fargate_spot_share: 0.0,
            fargate_storage_gb_hour: 0.0,
            lambda_x86: no_charge,
            lambda_arm: no_charge,
        };
        for size in sizes {
            assert!(Prices::default().of(&size).of(Duration::from_secs(60)) > 0.0);
            assert!(near(prices.of(&size).of(Duration::from_secs(60)), 0.0), "{size:?}");
        }
    }
}
