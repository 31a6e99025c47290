//! Capacity providers: which one a runner tries first, and which ones after it. Pure.
//!
//! ECS applies the weights and the base of a strategy within one request only, and each runner is a
//! request of its own. ECS also does not fall back to another provider if one has no capacity. So
//! both are done here.

use std::cmp::Reverse;
use std::collections::HashMap;

use flame_wire::ids::RunnerRef;

/// The providers of Fargate (AWS documentation, CapacityProviderStrategyItem).
const FARGATE: [&str; 2] = ["FARGATE", "FARGATE_SPOT"];

/// A capacity provider, and its share of the runners that try it first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct CapacityProvider {
    pub(super) name: String,
    /// Its share of the runners beyond the bases. 0 makes it a fallback.
    pub(super) weight: u32,
    /// How many runners try it before the weights count.
    pub(super) base: u32,
}

impl CapacityProvider {
    fn is_fargate(&self) -> bool {
        FARGATE.contains(&self.name.as_str())
    }
}

/// Where tasks run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Platform {
    #[default]
    Fargate,
    /// EC2 instances, of an Auto Scaling group or managed by ECS.
    Instances,
}

/// Where the tasks of these providers run. The error says why they can't be used together.
pub(super) fn platform(providers: &[CapacityProvider]) -> Result<Platform, String> {
    let (fargate, instances): (Vec<_>, Vec<_>) =
        providers.iter().partition(|provider| provider.is_fargate());
    match (fargate.first(), instances.first()) {
        (_, None) => Ok(Platform::Fargate),
        (None, Some(_)) => Ok(Platform::Instances),
        // CreateCluster and RunTask reject such a strategy (AWS documentation, "Amazon ECS capacity
        // providers").
        (Some(fargate), Some(instances)) => Err(format!(
            "`capacity_provider` has `{}`, which is Fargate, and `{}`, which is not: use one kind, \
             and give the pool the other one as its burst backend",
            fargate.name, instances.name
        )),
    }
}

/// What runs on which provider. Knows the runners that boot or run.
#[derive(Debug, Default)]
pub(super) struct ProviderUse {
    /// The provider that each runner tries or has.
    runners: HashMap<RunnerRef, String>,
}

impl ProviderUse {
    /// The providers in the order in which the runner tries them. The first is the first one whose
    /// base is not reached, or else it is drawn at random by weight. The others follow in order of
    /// weight. The runner counts as one of the first provider's.
    pub(super) fn assign(
        &mut self,
        providers: &[CapacityProvider],
        runner: RunnerRef,
    ) -> Vec<String> {
        let below_base = providers.iter().position(|provider| {
            let count = self.runners.values().filter(|name| **name == provider.name).count();
            count < provider.base as usize
        });
        let mut order: Vec<_> = providers.iter().collect();
        let first =
            below_base.or_else(|| drawn(providers, runner)).map(|first| order.remove(first));
        order.sort_by_key(|provider| Reverse(provider.weight));
        let names: Vec<_> =
            first.into_iter().chain(order).map(|provider| provider.name.clone()).collect();
        if let Some(first) = names.first() {
            self.runners.insert(runner, first.clone());
        }
        names
    }

    /// The runner tries or has this provider.
    pub(super) fn moved(&mut self, runner: RunnerRef, provider: &str) {
        self.runners.insert(runner, provider.to_owned());
    }

    /// The runner's task is gone, or was never started.
    pub(super) fn forget(&mut self, runner: RunnerRef) {
        self.runners.remove(&runner);
    }
}

/// The position of the provider that is drawn by weight; `None` if no weight is above 0.
fn drawn(providers: &[CapacityProvider], runner: RunnerRef) -> Option<usize> {
    let total: u64 = providers.iter().map(|provider| u64::from(provider.weight)).sum();
    // A runner's ref is random, so its bytes are the random draw.
    let random = runner.as_bytes().first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes));
    let mut point = random.checked_rem(total)?;
    providers.iter().position(|provider| {
        let weight = u64::from(provider.weight);
        let is_drawn = point < weight;
        point = point.saturating_sub(weight);
        is_drawn
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn provider(name: &str, weight: u32, base: u32) -> CapacityProvider {
        CapacityProvider { name: name.to_owned(), weight, base }
    }

    fn runner(number: u64) -> RunnerRef {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&number.to_le_bytes());
        RunnerRef::from_bytes(bytes)
    }

    /// The providers that this many runners try first, with how often.
    fn firsts(providers: &[CapacityProvider], runners: u64) -> HashMap<String, u64> {
        let mut firsts = HashMap::new();
        let mut used = ProviderUse::default();
        for number in 0..runners {
            let order = used.assign(providers, runner(number));
            assert_eq!(order.len(), providers.len(), "each provider is tried once: {order:?}");
            *firsts.entry(order[0].clone()).or_default() += 1;
        }
        firsts
    }

    #[test]
    fn runners_try_providers_in_proportion_to_their_weights() {
        let counts = firsts(&[provider("SPOT", 3, 0), provider("ON_DEMAND", 1, 0)], 400);
        assert_eq!((counts["SPOT"], counts["ON_DEMAND"]), (300, 100));
    }

    #[test]
    fn the_first_runners_fill_a_base_and_the_others_go_by_weight() {
        let counts = firsts(&[provider("SPOT", 1, 0), provider("ON_DEMAND", 0, 5)], 100);
        assert_eq!((counts["SPOT"], counts["ON_DEMAND"]), (95, 5));
    }

    #[test]
    fn a_base_is_filled_again_when_one_of_its_runners_is_gone_or_has_moved() {
        let providers = [provider("SPOT", 1, 0), provider("ON_DEMAND", 0, 1)];
        let mut used = ProviderUse::default();
        assert_eq!(used.assign(&providers, runner(1))[0], "ON_DEMAND");
        assert_eq!(used.assign(&providers, runner(2))[0], "SPOT");
        used.forget(runner(1));
        assert_eq!(used.assign(&providers, runner(3))[0], "ON_DEMAND");
        used.moved(runner(3), "SPOT");
        assert_eq!(used.assign(&providers, runner(4))[0], "ON_DEMAND");
    }

    #[test]
    fn a_provider_of_weight_0_is_a_fallback() {
        let counts = firsts(&[provider("FALLBACK", 0, 0), provider("SPOT", 1, 0)], 10);
        assert_eq!(counts.get("FALLBACK"), None);
    }

    #[test]
    fn without_weights_the_providers_are_tried_in_their_order() {
        let counts = firsts(&[provider("A", 0, 0), provider("B", 0, 0)], 3);
        assert_eq!(counts["A"], 3);
    }

    #[test]
    fn without_providers_there_is_nothing_to_try() {
        assert_eq!(ProviderUse::default().assign(&[], runner(1)), Vec::<String>::new());
    }

    #[test]
    fn fargate_and_instances_are_told_apart_and_not_mixed() {
        let (spot, gpu) = (provider("FARGATE_SPOT", 1, 0), provider("gpu-instances", 1, 0));
        assert_eq!(platform(&[]), Ok(Platform::Fargate));
        assert_eq!(platform(std::slice::from_ref(&spot)), Ok(Platform::Fargate));
        assert_eq!(platform(std::slice::from_ref(&gpu)), Ok(Platform::Instances));
        let error = platform(&[spot, gpu]).unwrap_err();
        assert!(error.contains("FARGATE_SPOT") && error.contains("gpu-instances"), "{error}");
    }
}
