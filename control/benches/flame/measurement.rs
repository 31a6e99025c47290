//! One measurement: runs a group under a condition, and prints its figures.

use flame_aws::{App, AppError};

use crate::condition::Condition;
use crate::figures::Figures;
use crate::group::Group;
use crate::sample::Effort;
use crate::{
    boot, burst, code_sync, cpu, failure, latency, local, memory, observability, relay, resume,
    throughput, transfer,
};

/// The measurement of one process: a group under a condition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Measurement {
    pub(crate) group: Group,
    pub(crate) condition: Condition,
    pub(crate) effort: Effort,
}

impl Measurement {
    /// Measures, and prints the figures.
    pub(crate) fn run(self) {
        self.condition.pin();
        memory::set_counting(self.group == Group::Memory);
        // In a task, as in an app: for a future that `block_on` polls itself, tokio checks the
        // sockets at each wake-up.
        let measured = App::new().run(async || {
            let figures = tokio::spawn(self.figures()).await;
            Ok::<_, AppError>(figures.expect("the measurement does not panic"))
        });
        match self.condition.runtime().block_on(measured) {
            Ok(figures) => figures.print(),
            Err(error) => panic!("the app could not start: {error}"),
        }
    }

    async fn figures(self) -> Figures {
        let effort = self.effort;
        match self.group {
            Group::Latency => latency::measure(self.condition, effort).await,
            Group::Local => local::measure(effort).await,
            Group::Cpu => cpu::measure(self.condition, effort).await,
            Group::Throughput => throughput::measure(self.condition, effort).await,
            Group::Transfer => transfer::measure(effort).await,
            Group::Boot => boot::measure(effort).await,
            Group::Burst => burst::measure(effort).await,
            Group::Failure => failure::measure(effort).await,
            Group::Memory => memory::measure().await,
            Group::Relay => relay::hop::measure(self.condition, effort).await,
            Group::RelayPairs => relay::pairs::measure(effort).await,
            Group::Resume => resume::measure(effort).await,
            Group::CodeSync => code_sync::measure(effort).await,
            Group::Observability => observability::measure(self.condition, effort).await,
        }
    }
}
