//! Settings from the environment, for everything that the app does not set in its code.
//!
//! ```text
//! builder  over  FLAME_ECS_CLUSTER=main  over  FLAME_AWS={"ecs": {"cluster": "main"}}
//! ```
//!
//! FLAME_AWS holds all settings in one variable, for deployments; the single variables are for
//! people. A value is text in both: a list is joined with commas, and numbers and booleans are
//! written out. A setting that is a map, such as tags, can only be set in FLAME_AWS.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::Value;

use crate::backend::BackendError;

/// The variable that holds the settings of all AWS backends, as JSON.
pub(crate) const VARIABLE: &str = "FLAME_AWS";

/// The settings of one backend, as far as the environment has them.
pub(crate) struct Settings {
    section: &'static str,
    texts: BTreeMap<&'static str, String>,
    maps: BTreeMap<&'static str, Vec<(String, String)>>,
}

/// The names of a backend's settings, in snake case.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SettingNames {
    /// Settings whose value is text.
    pub(crate) texts: &'static [&'static str],
    /// Settings whose value is a map from text to text.
    pub(crate) maps: &'static [&'static str],
}

impl From<&'static [&'static str]> for SettingNames {
    fn from(texts: &'static [&'static str]) -> Self {
        Self { texts, maps: &[] }
    }
}

/// A value in FLAME_AWS.
enum JsonValue {
    Text(String),
    Map(Vec<(String, String)>),
}

impl Settings {
    /// Reads the settings called `names` of the backend `section`: `cluster` of `ecs` is
    /// FLAME_ECS_CLUSTER, or `ecs.cluster` in FLAME_AWS, where a name of several words is in camel
    /// case: `taskDefinition`. An empty value counts as not set.
    ///
    /// # Errors
    /// [`BackendError`] if FLAME_AWS is not valid, or has an unknown setting.
    pub(crate) fn read(
        section: &'static str,
        names: impl Into<SettingNames>,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, BackendError> {
        let names = names.into();
        let mut document = match variable(VARIABLE).filter(|text| !text.trim().is_empty()) {
            Some(text) => section_of(&text, section)?,
            None => BTreeMap::new(),
        };
        let (mut texts, mut maps) = (BTreeMap::new(), BTreeMap::new());
        for name in names.texts {
            let in_document = match document.remove(&camel_case(name)) {
                Some(JsonValue::Text(text)) => Some(text),
                Some(JsonValue::Map(_)) => {
                    let problem = "is an object, and should be a value or a list of values";
                    return Err(wrong_type(section, name, problem));
                }
                None => None,
            };
            let own_variable = variable(&variable_of(section, name));
            let value = own_variable.or(in_document).filter(|value| !value.trim().is_empty());
            if let Some(value) = value {
                texts.insert(*name, value.trim().to_owned());
            }
        }
        for name in names.maps {
            match document.remove(&camel_case(name)) {
                Some(JsonValue::Map(map)) => {
                    maps.insert(*name, map);
                }
                Some(JsonValue::Text(text)) if !text.is_empty() => {
                    let problem = "should be an object, such as {\"NAME\": \"value\"}";
                    return Err(wrong_type(section, name, problem));
                }
                Some(JsonValue::Text(_)) | None => {}
            }
        }
        match document.into_keys().next() {
            Some(unknown) => {
                let names = names.texts.iter().chain(names.maps).map(|name| camel_case(name));
                Err(BackendError::new(format!(
                    "{VARIABLE} has the unknown setting `{section}.{unknown}`; the settings are {}",
                    names.collect::<Vec<_>>().join(", ")
                )))
            }
            None => Ok(Self { section, texts, maps }),
        }
    }

    /// The value of a setting, if it is set.
    pub(crate) fn text(&self, name: &str) -> Option<String> {
        self.texts.get(name).cloned()
    }

    /// The values of a setting that is a list.
    pub(crate) fn list(&self, name: &str) -> Vec<String> {
        let text = self.text(name).unwrap_or_default();
        text.split(',').map(str::trim).filter(|v| !v.is_empty()).map(str::to_owned).collect()
    }

    /// The pairs of a setting that is a map.
    pub(crate) fn map(&self, name: &str) -> &[(String, String)] {
        self.maps.get(name).map(Vec::as_slice).unwrap_or_default()
    }

    /// The value of a setting that is a number or a boolean.
    ///
    /// # Errors
    /// A sentence that says what is wrong with the value and which variable to correct.
    pub(crate) fn parsed<T: std::str::FromStr>(&self, name: &str) -> Result<Option<T>, String> {
        let Some(text) = self.text(name) else { return Ok(None) };
        text.parse().map(Some).map_err(|_| {
            let variable = variable_of(self.section, name);
            format!("`{name}` is `{text}`, which is not valid: correct {variable} or {VARIABLE}")
        })
    }
}

/// The places where a setting of a section can be set, for error messages.
pub(crate) struct HowToSet(pub(crate) &'static str, pub(crate) &'static str);

impl fmt::Display for HowToSet {
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

fn wrong_type(section: &str, name: &str, problem: &str) -> BackendError {
    BackendError::new(format!("`{section}.{}` in {VARIABLE} {problem}", camel_case(name)))
}

fn section_of(text: &str, section: &str) -> Result<BTreeMap<String, JsonValue>, BackendError> {
    let invalid = |why: String| {
        BackendError::new(format!(
            "{VARIABLE} is not valid: {why}; it must be JSON, such as {{\"{section}\": {{..}}}}"
        ))
    };
    let document: Value = serde_json::from_str(text).map_err(|error| invalid(error.to_string()))?;
    let sections = document.as_object().ok_or_else(|| invalid("it is not an object".to_owned()))?;
    let settings = match sections.get(section) {
        None | Some(Value::Null) => return Ok(BTreeMap::new()),
        Some(settings) => settings,
    };
    let settings =
        settings.as_object().ok_or_else(|| invalid(format!("`{section}` is not an object")))?;
    let settings = settings.iter().map(|(name, value)| match json_value(value) {
        Some(value) => Ok((name.clone(), value)),
        None => Err(invalid(format!(
            "`{section}.{name}` is neither a value, nor a list of values, nor an object of values"
        ))),
    });
    settings.collect()
}

fn json_value(value: &Value) -> Option<JsonValue> {
    let Value::Object(pairs) = value else { return text_of(value).map(JsonValue::Text) };
    let pairs = pairs.iter().map(|(name, value)| match value {
        Value::String(_) | Value::Number(_) | Value::Bool(_) => {
            Some((name.clone(), text_of(value)?))
        }
        _ => None,
    });
    pairs.collect::<Option<_>>().map(JsonValue::Map)
}

fn text_of(value: &Value) -> Option<String> {
    match value {
        Value::Null => Some(String::new()),
        Value::String(text) => Some(text.clone()),
        Value::Number(_) | Value::Bool(_) => Some(value.to_string()),
        Value::Array(values) => {
            let texts: Option<Vec<_>> = values.iter().map(text_of).collect();
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
        Settings::read("ecs", SettingNames { texts: NAMES, maps: &["env"] }, |name| {
            let found = variables.iter().find(|(variable, _)| *variable == name);
            found.map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn a_settings_own_variable_precedes_flame_aws() {
        let document = r#"{"ecs": {"cluster": "document", "taskDefinition": "app:7"}}"#;
        let settings = read(&[("FLAME_AWS", document), ("FLAME_ECS_CLUSTER", "own")]).unwrap();
        assert_eq!(settings.text("cluster").as_deref(), Some("own"));
        assert_eq!(settings.text("task_definition").as_deref(), Some("app:7"));
        assert_eq!(settings.text("subnets"), None);
    }

    #[test]
    fn lists_and_booleans_read_the_same_from_both_sources() {
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
    fn an_empty_value_is_not_set_and_another_backends_section_is_ignored() {
        let document = r#"{"lambda": {"anything": {}}, "ecs": {"cluster": null}}"#;
        let settings = read(&[("FLAME_AWS", document), ("FLAME_ECS_SUBNETS", " ")]).unwrap();
        assert_eq!((settings.text("cluster"), settings.text("subnets")), (None, None));
        assert!(read(&[]).unwrap().list("subnets").is_empty());
    }

    #[test]
    fn an_invalid_document_is_an_error_that_says_why() {
        let error = |document| read(&[("FLAME_AWS", document)]).err().unwrap().to_string();
        assert!(error("{").contains("FLAME_AWS"));
        assert!(error("[]").contains("not an object"));
        assert!(error(r#"{"ecs": 7}"#).contains("`ecs` is not an object"));
        assert!(error(r#"{"ecs": {"subnets": {"a": 1}}}"#).contains("`ecs.subnets`"));
    }

    #[test]
    fn a_map_is_an_object_of_values_in_the_document() {
        let env = |env: &str| {
            let document = format!(r#"{{"ecs": {{"env": {env}}}}}"#);
            read(&[("FLAME_AWS", &document)])
        };
        let settings = env(r#"{"LEVEL": "high", "LIMIT": 7, "ON": true}"#).unwrap();
        let pairs: Vec<_> = settings.map("env").iter().map(|(n, v)| (&**n, &**v)).collect();
        assert_eq!(pairs, [("LEVEL", "high"), ("LIMIT", "7"), ("ON", "true")]);
        assert!(env("null").unwrap().map("env").is_empty());
        for (wrong, expected) in [
            (r#""A=1""#, "should be an object"),
            (r#"["A"]"#, "should be an object"),
            (r#"{"A": ["B"]}"#, "`ecs.env`"),
            (r#"{"A": null}"#, "`ecs.env`"),
        ] {
            let error = env(wrong).err().unwrap().to_string();
            assert!(error.contains(expected) && error.contains("FLAME_AWS"), "{error}");
        }
    }

    #[test]
    fn a_misspelt_setting_is_rejected_by_name() {
        let error = read(&[("FLAME_AWS", r#"{"ecs": {"clutser": "x"}}"#)]).err().unwrap();
        assert!(error.to_string().contains("`ecs.clutser`"), "{error}");
        assert!(error.to_string().contains("taskDefinition"), "{error}");
        assert!(error.to_string().contains(", env"), "{error}");
    }

    #[test]
    fn an_invalid_value_is_reported_with_its_variable() {
        let settings = read(&[("FLAME_ECS_ASSIGN_PUBLIC_IP", "perhaps")]).unwrap();
        let error = settings.parsed::<bool>("assign_public_ip").unwrap_err();
        assert!(error.contains("FLAME_ECS_ASSIGN_PUBLIC_IP"), "{error}");
        assert!(error.contains("`perhaps`"), "{error}");
    }

    #[test]
    fn a_missing_setting_is_reported_with_every_place_to_set_it() {
        assert_eq!(
            HowToSet("ecs", "task_definition").to_string(),
            "`.task_definition(..)`, FLAME_ECS_TASK_DEFINITION, or `ecs.taskDefinition` in FLAME_AWS"
        );
    }
}
