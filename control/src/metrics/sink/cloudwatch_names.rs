//! The names of the metrics in CloudWatch: one rule for PutMetricData, for EMF and for the CDK
//! constructs.
//!
//! The limits are those of CloudWatch's API reference,
//! <https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_Dimension.html> and
//! <https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutMetricData.html>.

use super::SinkError;
use crate::metrics::reports::Subject;
use crate::metrics::table::{Metric, Unit};

/// The namespace of the metrics in CloudWatch, unless the sink is given another one.
pub const CLOUDWATCH_NAMESPACE: &str = "Flame";

/// The longest value of a dimension.
const MAX_DIMENSION: usize = 1024;
/// The longest namespace.
const MAX_NAMESPACE: usize = 255;

impl Metric {
    /// The name in CloudWatch of the series with this value of the metric's attribute: the metric's
    /// name, a dot and the value, such as `flame.calls.timeout`. A metric without an attribute has
    /// its own name. An attribute is not a dimension, since CloudWatch does not add up dimensions.
    #[must_use]
    pub fn cloudwatch_name(&self, attribute: Option<&str>) -> String {
        match attribute {
            Some(value) => format!("{}.{value}", self.name),
            None => self.name.to_owned(),
        }
    }

    /// The unit in CloudWatch: `Count`, `Seconds`, `Bytes`, or `None`, which is CloudWatch's name
    /// for any other unit.
    #[must_use]
    pub fn cloudwatch_unit(&self) -> &'static str {
        match self.unit {
            Unit::Count => "Count",
            Unit::Seconds => "Seconds",
            Unit::Bytes => "Bytes",
            Unit::Dollars => "None",
        }
    }
}

/// The app and the namespace under which a process sends its metrics.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct CloudWatchTarget {
    pub(super) app: String,
    pub(super) namespace: String,
}

/// One dimension: its name and its value.
pub(super) type Dimension = (&'static str, String);

impl CloudWatchTarget {
    pub(super) fn new(app: String) -> Self {
        Self { app, namespace: CLOUDWATCH_NAMESPACE.to_owned() }
    }

    /// Rejects a name that CloudWatch would reject.
    pub(super) fn check(&self) -> Result<(), SinkError> {
        let Self { app, namespace } = self;
        let bad = |option, value: &str, why: String| {
            Err(SinkError::BadOption { option, value: value.to_owned(), why })
        };
        if as_dimension(app) != *app {
            let why = format!(
                "CloudWatch does not accept as a dimension: use 1 to {MAX_DIMENSION} printable \
                 ASCII characters that don't begin with a colon and are not all spaces"
            );
            return bad("app", app, why);
        }
        let is_valid = |c: char| c.is_ascii_alphanumeric() || "-_./# :".contains(c);
        let is_well_formed = namespace.chars().all(is_valid)
            && (1..=MAX_NAMESPACE).contains(&namespace.len())
            && !namespace.starts_with(':')
            && !namespace.trim().is_empty();
        if !is_well_formed {
            let why = format!(
                "CloudWatch does not accept: use 1 to {MAX_NAMESPACE} letters, digits and \
                 characters of `-_./#:`, and don't begin with a colon"
            );
            return bad("namespace", namespace, why);
        }
        if namespace.starts_with("AWS/") {
            return bad("namespace", namespace, "is reserved for AWS: choose another".to_owned());
        }
        Ok(())
    }

    /// The sets of dimensions under which a report is published. The metrics of a pool have the
    /// sets [App, Pool] and [App, Pool, Backend], and those of the process [App]. No runner is ever
    /// a dimension: each combination of values is a metric that costs money.
    pub(super) fn dimension_sets(&self, subject: &Subject) -> Vec<Vec<Dimension>> {
        let app = ("App", self.app.clone());
        let pool = |name: &str| ("Pool", as_dimension(name));
        let backend = |kind: &str| ("Backend", as_dimension(kind));
        match subject {
            Subject::Process => vec![vec![app]],
            Subject::Pool { pool: name } => vec![vec![app, pool(name)]],
            Subject::Backend { pool: name, backend: kind } => {
                vec![vec![app, pool(name), backend(kind)]]
            }
            Subject::OnlyBackend { pool: name, backend: kind } => {
                vec![vec![app.clone(), pool(name)], vec![app, pool(name), backend(kind)]]
            }
        }
    }
}

/// A text as a value of a dimension: characters that CloudWatch does not accept become `_`.
fn as_dimension(text: &str) -> String {
    let printable = |c: char| if c == ' ' || c.is_ascii_graphic() { c } else { '_' };
    let mut value: String = text.chars().map(printable).take(MAX_DIMENSION).collect();
    if value.starts_with(':') {
        value.replace_range(..1, "_");
    }
    if value.trim().is_empty() { "_".to_owned() } else { value }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::table;

    #[test]
    fn an_attribute_is_part_of_the_name() {
        assert_eq!(table::CALLS.cloudwatch_name(Some("timeout")), "flame.calls.timeout");
        assert_eq!(table::LEASES.cloudwatch_name(None), "flame.leases");
    }

    #[test]
    fn a_pool_s_metrics_are_published_for_the_pool_and_for_its_backend() {
        let target = CloudWatchTarget::new("my app".to_owned());
        let subject =
            Subject::OnlyBackend { pool: "größe".to_owned(), backend: "ecs".to_owned() };
        let [first, second] = &target.dimension_sets(&subject)[..] else { panic!() };
        let (app, pool) = (("App", "my app".to_owned()), ("Pool", "gr__e".to_owned()));
        assert_eq!(*first, [app.clone(), pool.clone()]);
        assert_eq!(*second, [app.clone(), pool, ("Backend", "ecs".to_owned())]);
        assert_eq!(target.dimension_sets(&Subject::Process), [[app]]);
    }

    #[test]
    fn names_that_cloudwatch_rejects_are_errors_that_name_the_option() {
        let check = |app: &str, namespace: &str| {
            let (app, namespace) = (app.to_owned(), namespace.to_owned());
            CloudWatchTarget { app, namespace }.check().map_err(|error| error.to_string())
        };
        assert_eq!(check("my-app", "Flame"), Ok(()));
        let long = "a".repeat(1025);
        for app in ["", " ", ":app", "Größe", "a\nb", &*long] {
            let error = check(app, "Flame").unwrap_err();
            assert!(error.contains("`app`"), "{error}");
        }
        for namespace in ["", "AWS/ECS", "a,b", ":a", &"a".repeat(256)] {
            let error = check("app", namespace).unwrap_err();
            assert!(error.contains("`namespace`"), "{error}");
        }
    }
}
