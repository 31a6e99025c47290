use std::collections::BTreeSet;
use std::fmt::Write;

use super::*;
use crate::Pool;
use crate::backend::Local;

/// The table as the documentation shows it.
fn documented() -> String {
    let mut text =
        "| name | kind | unit | attribute | meaning |\n|---|---|---|---|---|\n".to_owned();
    for metric in METRICS {
        let kind = match metric.kind {
            MetricKind::Counter => "counter",
            MetricKind::Gauge => "gauge",
            MetricKind::Histogram => "histogram",
        };
        let unit = match metric.unit {
            Unit::Count => "",
            Unit::Seconds => "s",
            Unit::Bytes => "bytes",
            Unit::Dollars => "USD",
        };
        let attribute = metric.attribute.map(|Attribute { key, values }| {
            format!(
                "`{key}`: {}",
                values.iter().map(|v| format!("`{v}`")).collect::<Vec<_>>().join(", ")
            )
        });
        let (name, meaning) = (metric.name, metric.meaning);
        let attribute = attribute.unwrap_or_default();
        writeln!(text, "| `{name}` | {kind} | {unit} | {attribute} | {meaning} |").unwrap();
    }
    text
}

#[test]
fn the_documentation_has_the_table() {
    let documented = documented();
    assert_eq!(
        include_str!("README.md"),
        documented,
        "write this into control/src/metrics/README.md:\n{documented}"
    );
}

#[test]
fn names_are_unique() {
    let names: BTreeSet<_> = METRICS.iter().map(|metric| metric.name).collect();
    assert_eq!(names.len(), METRICS.len());
}

#[tokio::test]
async fn each_series_of_the_table_is_read_and_no_other() {
    let pool = Pool::builder("series").backend(Local::new()).start().await.unwrap();
    let mut seen = BTreeSet::new();
    for source in read() {
        let mine = matches!(&source.source, Source::Pool { pool, .. } if pool == "series");
        if mine || source.source == Source::Process {
            for reading in source.readings {
                let scope = if mine { Scope::Pool } else { Scope::Process };
                assert_eq!(reading.metric.scope, scope, "{}", reading.metric.name);
                let series = (reading.metric.name, reading.attribute);
                assert!(seen.insert(series), "{series:?} is read twice");
            }
        }
    }
    let declared = METRICS.iter().flat_map(|metric| match metric.attribute {
        Some(attribute) => attribute.values.iter().map(|&v| (metric.name, Some(v))).collect(),
        None => vec![(metric.name, None)],
    });
    assert_eq!(seen, declared.collect());
    pool.drain().await;
}
