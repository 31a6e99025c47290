//! Where a backend's settings come from, beneath what the app says in its code.
//!
//! ```text
//! builder  over  FLAME_ECS_CLUSTER=main  over  FLAME_AWS={"ecs": {"cluster": "main"}}
//! ```
//!
//! FLAME_AWS is one variable for all, as a deployment sets it; the single ones are for people. A
//! setting is text either way: a list is joined with commas, a number and a truth are written out.
//! One of pairs, such as tags, is an object, and can only stand in FLAME_AWS.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::Value;

use crate::backend::BackendError;

/// The variable that holds the settings of all backends on AWS, as JSON.
pub(crate) const VARIABLE: &str = "FLAME_AWS";

/// What the environment says about one backend.
pub(crate) struct Settings {
    section: &'static str,
    found: BTreeMap<&'static str, String>,
    pairs: BTreeMap<&'static str, Vec<(String, String)>>,
}

/// The settings that there are, in snake case.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Names {
    /// Those that are text.
    pub(crate) texts: &'static [&'static str],
    /// Those that are pairs of texts.
    pub(crate) pairs: &'static [&'static str],
}

impl From<&'static [&'static str]> for Names {
    fn from(texts: &'static [&'static str]) -> Self {
        Self { texts, pairs: &[] }
    }
}

/// A setting in FLAME_AWS.
enum Written {
    Text(String),
    Pairs(Vec<(String, String)>),
}

impl Settings {
    /// Reads the settings of `names` of the backend called `section`: `cluster` of `ecs` is FLAME_ECS_CLUSTER, or `ecs.cluster` in FLAME_AWS. A name of several words is in
    /// camel case there: `taskDefinition`. An empty value is none.
    ///
    /// # Errors
    /// [`BackendError`] where FLAME_AWS can't be read, or has a setting that there is not.
    pub(crate) fn read(
        section: &'static str,
        names: impl Into<Names>,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, BackendError> {
        let names = names.into();
        let mut document = match variable(VARIABLE).filter(|text| !text.trim().is_empty()) {
            Some(text) => section_of(&text, section)?,
            None => BTreeMap::new(),
        };
        let (mut found, mut pairs) = (BTreeMap::new(), BTreeMap::new());
        for name in names.texts {
            let in_document = match document.remove(&camel_case(name)) {
                Some(Written::Text(text)) => Some(text),
                Some(Written::Pairs(_)) => {
                    let what = "is an object, and should be a value, or a list of values";
                    return Err(misplaced(section, name, what));
                }
                None => None,
            };
            let by_itself = variable(&variable_of(section, name));
            if let Some(value) = by_itself.or(in_document).filter(|value| !value.trim().is_empty())
            {
                found.insert(*name, value.trim().to_owned());
            }
        }
        for name in names.pairs {
            match document.remove(&camel_case(name)) {
                Some(Written::Pairs(of_document)) => {
                    pairs.insert(*name, of_document);
                }
                Some(Written::Text(text)) if !text.is_empty() => {
                    let what = "should be an object, such as {\"NAME\": \"value\"}";
                    return Err(misplaced(section, name, what));
                }
                Some(Written::Text(_)) | None => {}
            }
        }
        match document.into_keys().next() {
            Some(unknown) => {
                let names = names.texts.iter().chain(names.pairs).map(|name| camel_case(name));
                Err(BackendError::new(format!(
                    "{VARIABLE} has `{section}.{unknown}`, which is no setting: those are {}",
                    names.collect::<Vec<_>>().join(", ")
                )))
            }
            None => Ok(Self { section, found, pairs }),
        }
    }

    /// A setting, if it is there.
    pub(crate) fn text(&self, name: &str) -> Option<String> {
        self.found.get(name).cloned()
    }

    /// A setting of several values.
    pub(crate) fn list(&self, name: &str) -> Vec<String> {
        let text = self.text(name).unwrap_or_default();
        text.split(',').map(str::trim).filter(|v| !v.is_empty()).map(str::to_owned).collect()
    }

    /// A setting of pairs.
    pub(crate) fn pairs(&self, name: &str) -> &[(String, String)] {
        self.pairs.get(name).map(Vec::as_slice).unwrap_or_default()
    }

    /// A setting that is a number or a truth.
    ///
    /// # Errors
    /// What is wrong with it, and where it stands.
    pub(crate) fn parsed<T: std::str::FromStr>(&self, name: &str) -> Result<Option<T>, String> {
        let Some(text) = self.text(name) else { return Ok(None) };
        text.parse().map(Some).map_err(|_| {
            let variable = variable_of(self.section, name);
            format!("`{name}` is `{text}`, which can't be read: correct {variable} or {VARIABLE}")
        })
    }
}

/// Where a setting is set, for the errors that miss it.
pub(crate) struct Where(pub(crate) &'static str, pub(crate) &'static str);

impl fmt::Display for Where {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(section, name) = self;
        let variable = variable_of(section, name);
        write!(f, "`.{name}(..)`, {variable}, or `{section}.{}` in {VARIABLE}", camel_case(name))
    }
}

fn variable_of(section: &str, name: &str) -> String {
    format!("FLAME_{section}_{name}").to_uppercase()
}

fn camel_case(name: &str) -> String {
    let mut words = name.split('_');
    let first = words.next().unwrap_or_default().to_owned();
    words.fold(first, |name, word| {
        let mut letters = word.chars();
        let initial = letters.next().map(|letter| letter.to_ascii_uppercase());
        name + &initial.into_iter().chain(letters).collect::<String>()
    })
}

fn misplaced(section: &str, name: &str, what: &str) -> BackendError {
    BackendError::new(format!("`{section}.{}` in {VARIABLE} {what}", camel_case(name)))
}

fn section_of(text: &str, section: &str) -> Result<BTreeMap<String, Written>, BackendError> {
    let bad = |why: String| {
        BackendError::new(format!(
            "{VARIABLE} can't be read: {why}; it is JSON, such as {{\"{section}\": {{..}}}}"
        ))
    };
    let document: Value = serde_json::from_str(text).map_err(|error| bad(error.to_string()))?;
    let sections = document.as_object().ok_or_else(|| bad("it is no object".to_owned()))?;
    let settings = match sections.get(section) {
        None | Some(Value::Null) => return Ok(BTreeMap::new()),
        Some(settings) => settings,
    };
    let settings = settings.as_object().ok_or_else(|| bad(format!("`{section}` is no object")))?;
    let settings = settings.iter().map(|(name, value)| match written(value) {
        Some(written) => Ok((name.clone(), written)),
        None => Err(bad(format!(
            "`{section}.{name}` is neither a value, nor a list of values, nor an object of them"
        ))),
    });
    settings.collect()
}

fn written(value: &Value) -> Option<Written> {
    let Value::Object(pairs) = value else { return written_out(value).map(Written::Text) };
    let pairs = pairs.iter().map(|(name, value)| match value {
        Value::String(_) | Value::Number(_) | Value::Bool(_) => {
            Some((name.clone(), written_out(value)?))
        }
        _ => None,
    });
    pairs.collect::<Option<_>>().map(Written::Pairs)
}

fn written_out(value: &Value) -> Option<String> {
    match value {
        Value::Null => Some(String::new()),
        Value::String(text) => Some(text.clone()),
        Value::Number(_) | Value::Bool(_) => Some(value.to_string()),
        Value::Array(values) => {
            let texts: Option<Vec<_>> = values.iter().map(written_out).collect();
            Some(texts?.join(","))
        }
        Value::Object(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: &[&str] = &["cluster", "task_definition", "subnets", "assign_public_ip"];

    fn read(variables: &[(&str, &str)]) -> Result<Settings, BackendError> {
        Settings::read("ecs", Names { texts: NAMES, pairs: &["env"] }, |name| {
            let found = variables.iter().find(|(variable, _)| *variable == name);
            found.map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn a_variable_of_its_own_goes_before_the_document() {
        let document = r#"{"ecs": {"cluster": "theirs", "taskDefinition": "app:7"}}"#;
        let settings = read(&[("FLAME_AWS", document), ("FLAME_ECS_CLUSTER", "mine")]).unwrap();
        assert_eq!(settings.text("cluster").as_deref(), Some("mine"));
        assert_eq!(settings.text("task_definition").as_deref(), Some("app:7"));
        assert_eq!(settings.text("subnets"), None);
    }

    #[test]
    fn lists_numbers_and_truths_are_the_same_in_both() {
        let document = r#"{"ecs": {"subnets": ["a", "b"], "assignPublicIp": true}}"#;
        let both = [
            read(&[("FLAME_AWS", document)]).unwrap(),
            read(&[("FLAME_ECS_SUBNETS", "a, b,"), ("FLAME_ECS_ASSIGN_PUBLIC_IP", "true")])
                .unwrap(),
        ];
        for settings in both {
            assert_eq!(settings.list("subnets"), ["a", "b"]);
            assert_eq!(settings.parsed::<bool>("assign_public_ip"), Ok(Some(true)));
        }
    }

    #[test]
    fn an_empty_value_is_none_and_another_backends_section_is_not_looked_at() {
        let document = r#"{"lambda": {"anything": {}}, "ecs": {"cluster": null}}"#;
        let settings = read(&[("FLAME_AWS", document), ("FLAME_ECS_SUBNETS", " ")]).unwrap();
        assert_eq!((settings.text("cluster"), settings.text("subnets")), (None, None));
        assert!(read(&[]).unwrap().list("subnets").is_empty());
    }

    #[test]
    fn a_document_that_can_not_be_read_is_an_error_that_says_why() {
        let error = |document| read(&[("FLAME_AWS", document)]).err().unwrap().to_string();
        assert!(error("{").contains("FLAME_AWS"));
        assert!(error("[]").contains("no object"));
        assert!(error(r#"{"ecs": 7}"#).contains("`ecs` is no object"));
        assert!(error(r#"{"ecs": {"subnets": {"a": 1}}}"#).contains("`ecs.subnets`"));
    }

    #[test]
    fn pairs_are_an_object_of_values_in_the_document() {
        let env = |env: &str| {
            let document = format!(r#"{{"ecs": {{"env": {env}}}}}"#);
            read(&[("FLAME_AWS", &document)])
        };
        let settings = env(r#"{"LEVEL": "high", "LIMIT": 7, "ON": true}"#).unwrap();
        let pairs: Vec<_> = settings.pairs("env").iter().map(|(n, v)| (&**n, &**v)).collect();
        assert_eq!(pairs, [("LEVEL", "high"), ("LIMIT", "7"), ("ON", "true")]);
        assert!(env("null").unwrap().pairs("env").is_empty());
        for (wrong, told) in [
            (r#""A=1""#, "should be an object"),
            (r#"["A"]"#, "should be an object"),
            (r#"{"A": ["B"]}"#, "`ecs.env`"),
            (r#"{"A": null}"#, "`ecs.env`"),
        ] {
            let error = env(wrong).err().unwrap().to_string();
            assert!(error.contains(told) && error.contains("FLAME_AWS"), "{error}");
        }
    }

    #[test]
    fn a_setting_that_is_misspelt_is_refused_and_named() {
        let error = read(&[("FLAME_AWS", r#"{"ecs": {"clutser": "x"}}"#)]).err().unwrap();
        assert!(error.to_string().contains("`ecs.clutser`"), "{error}");
        assert!(error.to_string().contains("taskDefinition"), "{error}");
        assert!(error.to_string().contains(", env"), "{error}");
    }

    #[test]
    fn a_value_of_the_wrong_kind_names_its_place() {
        let settings = read(&[("FLAME_ECS_ASSIGN_PUBLIC_IP", "perhaps")]).unwrap();
        let error = settings.parsed::<bool>("assign_public_ip").unwrap_err();
        assert!(error.contains("FLAME_ECS_ASSIGN_PUBLIC_IP"), "{error}");
        assert!(error.contains("`perhaps`"), "{error}");
    }

    #[test]
    fn a_missing_setting_is_told_with_every_place_to_set_it() {
        let told = Where("ecs", "task_definition").to_string();
        assert_eq!(
            told,
            "`.task_definition(..)`, FLAME_ECS_TASK_DEFINITION, or `ecs.taskDefinition` in FLAME_AWS"
        );
    }
}
