//! Adds up the changes of a period, for each backend and for each pool. Pure.

use std::collections::BTreeMap;

use super::interval::Change;
use super::reading::ReadingValue;
use super::registry::Source;

/// The changes of one subject in a period.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Report {
    pub(crate) subject: Subject,
    pub(crate) changes: Vec<Change>,
}

/// The subject of a report. Pools of this process that have the same name are one subject, because
/// the receivers of reports can't tell such pools apart.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Subject {
    Process,
    /// All backends of a pool.
    Pool {
        pool: String,
    },
    /// A pool that has a single backend: the report is about the pool and its backend.
    OnlyBackend {
        pool: String,
        backend: String,
    },
    /// One of a pool's backends.
    Backend {
        pool: String,
        backend: String,
    },
}

/// A report for the process, and one for each kind of backend of each pool.
pub(crate) fn by_backend(changes: Vec<(Source, Vec<Change>)>) -> Vec<Report> {
    let mut reports: BTreeMap<Subject, Vec<Change>> = BTreeMap::new();
    for (source, changes) in changes {
        let subject = match source {
            Source::Process => Subject::Process,
            Source::Pool { pool, backend, .. } => {
                Subject::Backend { pool, backend: backend.to_string() }
            }
        };
        add(reports.entry(subject).or_default(), &changes);
    }
    let reports = reports.into_iter().filter(|(_, changes)| !changes.is_empty());
    reports.map(|(subject, changes)| Report { subject, changes }).collect()
}

/// The reports of [`by_backend`], and the sum over all backends of each pool that has several.
pub(crate) fn with_pools(reports: Vec<Report>) -> Vec<Report> {
    let mut pools: BTreeMap<String, Vec<Report>> = BTreeMap::new();
    let mut all = Vec::new();
    for report in reports {
        match &report.subject {
            Subject::Backend { pool, .. } => {
                pools.entry(pool.clone()).or_default().push(report);
            }
            _ => all.push(report),
        }
    }
    for (pool, mut backends) in pools {
        if let [Report { subject, .. }] = &mut *backends
            && let Subject::Backend { pool, backend } = subject
        {
            let (pool, backend) = (std::mem::take(pool), std::mem::take(backend));
            *subject = Subject::OnlyBackend { pool, backend };
        } else {
            let mut changes = Vec::new();
            backends.iter().for_each(|report| add(&mut changes, &report.changes));
            all.push(Report { subject: Subject::Pool { pool }, changes });
        }
        all.append(&mut backends);
    }
    all
}

/// Adds changes to those of the same series.
fn add(sum: &mut Vec<Change>, changes: &[Change]) {
    for change in changes {
        let same = |other: &&mut Change| {
            other.metric.name == change.metric.name && other.attribute == change.attribute
        };
        match (sum.iter_mut().find(same).map(|same| &mut same.value), &change.value) {
            (Some(ReadingValue::Number(sum)), ReadingValue::Number(number)) => *sum += number,
            (Some(ReadingValue::Histogram(sum)), ReadingValue::Histogram(more)) => sum.add(more),
            _ => sum.push(change.clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    use flame_wire::parent::HostKind;

    use super::super::table::{self, Metric};
    use super::*;

    fn source(id: u64, pool: &str, backend: HostKind) -> Source {
        Source::Pool { id, pool: pool.to_owned(), backend, burst: false }
    }

    fn number(metric: &'static Metric, value: f64) -> Change {
        Change { metric, attribute: None, value: ReadingValue::Number(value) }
    }

    /// The subjects, each with the values of its changes.
    fn shown(reports: &[Report]) -> Vec<(String, Vec<f64>)> {
        let value = |change: &Change| match change.value {
            ReadingValue::Number(number) => number,
            ReadingValue::Histogram(_) => f64::NAN,
        };
        let values = |report: &Report| report.changes.iter().map(value).collect();
        let subject = |report: &Report| match &report.subject {
            Subject::Process => "process".to_owned(),
            Subject::Pool { pool } => format!("{pool}/*"),
            Subject::OnlyBackend { pool, backend } => format!("{pool}/* {pool}/{backend}"),
            Subject::Backend { pool, backend } => format!("{pool}/{backend}"),
        };
        reports.iter().map(|report| (subject(report), values(report))).collect()
    }

    #[test]
    fn backends_add_up_to_their_pool_and_pools_of_one_name_are_one() {
        let (queue, leases) = (&table::QUEUE_LENGTH, &table::LEASES);
        let reports = by_backend(vec![
            (Source::Process, vec![number(&table::LOG_LINES_DROPPED, 1.0)]),
            (source(0, "a", HostKind::Ecs), vec![number(queue, 2.0), number(leases, 3.0)]),
            (source(0, "a", HostKind::Lambda), vec![number(leases, 40.0)]),
            (source(1, "a", HostKind::Ecs), vec![number(leases, 500.0)]),
            (source(2, "b", HostKind::Process), vec![number(queue, 7.0)]),
            (source(3, "c", HostKind::Process), Vec::new()),
        ]);
        let expected = [
            ("process", vec![1.0]),
            ("a/ecs", vec![2.0, 503.0]),
            ("a/lambda", vec![40.0]),
            ("b/process", vec![7.0]),
        ];
        assert_eq!(shown(&reports), expected.map(|(subject, values)| (subject.to_owned(), values)));
        let expected = [
            ("process", vec![1.0]),
            ("a/*", vec![2.0, 543.0]),
            ("a/ecs", vec![2.0, 503.0]),
            ("a/lambda", vec![40.0]),
            ("b/* b/process", vec![7.0]),
        ];
        let all = with_pools(reports);
        assert_eq!(shown(&all), expected.map(|(subject, values)| (subject.to_owned(), values)));
    }
}
