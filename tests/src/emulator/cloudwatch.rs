//! The metrics in an account's CloudWatch.

use std::time::{Duration, SystemTime};

use aws_sdk_cloudwatch::Client;
use aws_sdk_cloudwatch::primitives::DateTime;
use aws_sdk_cloudwatch::types::{Dimension, Metric, MetricDataQuery, MetricStat};

use super::Account;

/// Reads metrics of one namespace.
#[derive(Debug)]
pub struct Metrics {
    client: Client,
    namespace: String,
}

impl Metrics {
    /// Of this account and namespace.
    pub async fn of(account: &Account, namespace: &str) -> Self {
        Self { client: Client::new(&account.sdk().await), namespace: namespace.to_owned() }
    }

    /// Returns a statistic of a metric, such as `Sum` or `SampleCount`, added up over the last hour;
    /// `None` if there is no such metric.
    #[expect(clippy::disallowed_methods, reason = "CloudWatch asks for points in time")]
    pub async fn get(&self, name: &str, dimensions: &[(&str, &str)], stat: &str) -> Option<f64> {
        let dimension =
            |(name, value): &(&str, &str)| Dimension::builder().name(*name).value(*value).build();
        let metric = Metric::builder()
            .namespace(&self.namespace)
            .metric_name(name)
            .set_dimensions(Some(dimensions.iter().map(dimension).collect()));
        let stat = MetricStat::builder().metric(metric.build()).period(60).stat(stat);
        let query = MetricDataQuery::builder().id("q").metric_stat(stat.build()).build();
        let now = SystemTime::now();
        let hour = Duration::from_secs(3600);
        let data = self.client.get_metric_data().metric_data_queries(query);
        let data = data.start_time(DateTime::from(now - hour)).end_time(DateTime::from(now + hour));
        let data = data.send().await.expect("CloudWatch answers");
        let values = data.metric_data_results()[0].values();
        (!values.is_empty()).then(|| values.iter().sum())
    }

    /// Returns the names of all metrics in the namespace, with their dimensions.
    pub async fn names(&self) -> Vec<(String, Vec<String>)> {
        let mut pages =
            self.client.list_metrics().namespace(&self.namespace).into_paginator().send();
        let mut names = Vec::new();
        while let Some(page) = pages.next().await {
            let page = page.expect("CloudWatch answers");
            for metric in page.metrics() {
                let dimensions = metric.dimensions().iter().filter_map(Dimension::name);
                let dimensions = dimensions.map(str::to_owned).collect();
                names.push((metric.metric_name().unwrap_or_default().to_owned(), dimensions));
            }
        }
        names
    }
}
