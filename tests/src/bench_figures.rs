//! The JSON file with the figures of all benchmarks.

use std::io;
use std::path::Path;

use serde_json::{Map, Value, json};

/// Adds figures to `target/bench.json` of the workspace, in place of earlier ones with the same keys.
/// `targets_missed` has the keys of those that have missed their target.
///
/// # Errors
/// Those of the file system, or if the file is not a JSON object.
pub fn save_bench_figures(
    figures: Map<String, Value>,
    targets_missed: impl IntoIterator<Item = String>,
) -> io::Result<()> {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    let path = package.parent().unwrap_or(package).join("target/bench.json");
    let mut all: Map<String, Value> = match std::fs::read(&path) {
        Ok(text) => serde_json::from_slice(&text)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Map::new(),
        Err(error) => return Err(error),
    };
    let missed = all.entry("targets_missed").or_insert_with(|| json!([]));
    if let Some(missed) = missed.as_array_mut() {
        missed.retain(|key| key.as_str().is_none_or(|key| !figures.contains_key(key)));
        missed.extend(targets_missed.into_iter().map(Value::from));
    }
    all.extend(figures);
    path.parent().map_or(Ok(()), std::fs::create_dir_all)?;
    std::fs::write(&path, format!("{:#}\n", Value::Object(all)))
}
