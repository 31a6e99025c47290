//! Adds up the cost of one lane's instances. Pure.

use std::collections::HashMap;
use std::time::Instant;

use super::prices::InstancePrice;
use crate::pool::state::RunnerId;

/// The cost of a lane's instances, both of those that are gone and of those that run.
#[derive(Debug, Default)]
pub(crate) struct Meter {
    price: InstancePrice,
    /// Since when each instance is paid for.
    running: HashMap<RunnerId, Instant>,
    past: f64,
    /// The most that was ever reported: the total never falls, even when an instance turns out to
    /// be paid for from a later time.
    reported: f64,
}

impl Meter {
    /// Sets the price, before the first instance.
    pub(crate) fn set_price(&mut self, price: InstancePrice) {
        self.price = price;
    }

    pub(crate) fn price(&self) -> InstancePrice {
        self.price
    }

    /// The platform has accepted an instance, which was requested at `requested`.
    pub(crate) fn began(&mut self, id: RunnerId, requested: Instant) {
        self.running.insert(id, requested);
    }

    /// The platform had found a place for the instance at `at`.
    pub(crate) fn provisioned(&mut self, id: RunnerId, at: Instant) {
        if self.price.free_provisioning
            && let Some(since) = self.running.get_mut(&id)
        {
            *since = at.max(*since);
        }
    }

    /// The instance is gone, if there was one.
    pub(crate) fn ended(&mut self, id: RunnerId, now: Instant) {
        if let Some(since) = self.running.remove(&id) {
            self.past += self.price.of(now.saturating_duration_since(since));
        }
    }

    /// The cost of all instances until now, in US dollars.
    pub(crate) fn total(&mut self, now: Instant) -> f64 {
        let running = self.running.values();
        let running = running.map(|since| self.price.of(now.saturating_duration_since(*since)));
        let total = self.past + running.sum::<f64>();
        self.reported = self.reported.max(total);
        self.reported
    }

    /// The cost of the instances that run, in US dollars per hour.
    pub(crate) fn per_hour(&self) -> f64 {
        crate::metrics::as_f64(self.running.len() as u64) * self.price.per_hour
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    #[expect(clippy::disallowed_methods, reason = "a start for instants that tests add to")]
    fn start() -> Instant {
        Instant::now()
    }

    const fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    /// 36 dollars per hour: a cent per second.
    fn meter(minimum: u64, free_provisioning: bool) -> Meter {
        let mut meter = Meter::default();
        meter.set_price(InstancePrice {
            per_hour: 36.0,
            per_start: 5.0,
            minimum: seconds(minimum),
            free_provisioning,
        });
        meter
    }

    #[track_caller]
    fn assert_cents(meter: &mut Meter, now: Instant, cents: f64) {
        let total = meter.total(now) * 100.0;
        assert!((total - cents).abs() < 1e-6, "{total} and not {cents}");
    }

    #[test]
    fn an_instance_costs_from_its_request_until_it_is_gone() {
        let (now, mut meter) = (start(), meter(0, false));
        meter.began(RunnerId(0), now);
        meter.provisioned(RunnerId(0), now + seconds(5));
        assert_cents(&mut meter, now + seconds(10), 510.0);
        assert!((meter.per_hour() - 36.0).abs() < 1e-9);
        meter.ended(RunnerId(0), now + seconds(12));
        meter.ended(RunnerId(0), now + seconds(13));
        meter.ended(RunnerId(1), now + seconds(14));
        assert_cents(&mut meter, now + seconds(100), 512.0);
        assert!(meter.per_hour().abs() < 1e-9);
    }

    #[test]
    fn where_provisioning_is_free_it_is_not_counted_and_the_total_does_not_fall() {
        let (now, mut meter) = (start(), meter(60, true));
        meter.began(RunnerId(0), now);
        assert_cents(&mut meter, now + seconds(70), 570.0);
        meter.provisioned(RunnerId(0), now + seconds(40));
        assert_cents(&mut meter, now + seconds(70), 570.0);
        assert_cents(&mut meter, now + seconds(130), 590.0);
        meter.ended(RunnerId(0), now + seconds(140));
        assert_cents(&mut meter, now + seconds(140), 600.0);
    }

    #[test]
    fn a_short_instance_costs_the_minimum() {
        let (now, mut meter) = (start(), meter(60, false));
        meter.began(RunnerId(0), now);
        assert_cents(&mut meter, now, 560.0);
        meter.ended(RunnerId(0), now + seconds(1));
        assert_cents(&mut meter, now + seconds(1), 560.0);
    }

    proptest! {
        /// Each step lets time pass, and then an instance begins, is provisioned or ends.
        #[test]
        fn the_total_never_falls_and_is_at_least_that_of_the_instances_that_are_gone(
            steps in proptest::collection::vec((0_u64..100, 0_u64..6, 0_u8..3), 0..60),
        ) {
            let (mut now, mut meter) = (start(), meter(60, true));
            let (mut last, mut gone, mut running) = (0.0, 0.0, HashMap::new());
            for (wait, id, what) in steps {
                now += seconds(wait);
                let id = RunnerId(id);
                match what {
                    0 => {
                        running.entry(id).or_insert_with(|| {
                            meter.began(id, now);
                            now
                        });
                    }
                    1 => meter.provisioned(id, now),
                    _ => {
                        meter.ended(id, now);
                        // Each costs the start and the minimum at least.
                        gone += running.remove(&id).map_or(0.0, |_: Instant| 5.6);
                    }
                }
                let total = meter.total(now);
                prop_assert!(total >= last && total >= gone - 1e-9, "{total} {last} {gone}");
                prop_assert!((meter.per_hour() - 36.0 * running.len() as f64).abs() < 1e-9);
                last = total;
            }
        }
    }
}
