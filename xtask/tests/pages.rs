//! Checks that every test named on a page exists.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::{fs, io};

/// The page about AWS's pitfalls. The third column of its tables has the names of tests, in
/// backticks.
const PAGE: &str = "control/src/backend/aws/README.md";
/// The page about attackers. The second column of its tables has the names of tests and the paths
/// of files, in backticks.
const SECURITY_PAGE: &str = "SECURITY.md";
/// The directories with tests.
const SOURCES: [&str; 6] = ["cdk", "control", "localstack", "runner-shim", "tests", "xtask"];

#[test]
fn every_test_named_on_the_aws_page_exists() {
    let root = root().expect("cargo sets the variable");
    let found = faults(&fs::read_to_string(root.join(PAGE)).unwrap(), &all_tests(&root).unwrap());
    assert!(found.is_empty(), "{PAGE}:\n{}", found.join("\n"));
}

#[test]
fn every_test_and_file_named_on_the_security_page_exists() {
    let root = root().expect("cargo sets the variable");
    let tests = all_tests(&root).unwrap();
    let page = fs::read_to_string(root.join(SECURITY_PAGE)).unwrap();
    let last_cells = page.lines().filter_map(|line| line.strip_suffix(" |")?.rsplit_once("| "));
    let names: Vec<_> =
        last_cells.flat_map(|(_, cell)| cell.split('`').skip(1).step_by(2)).collect();
    assert!(names.len() > 20, "the page names tests");
    for name in names {
        let exists =
            if name.contains('/') { root.join(name).exists() } else { tests.contains(name) };
        assert!(exists, "{SECURITY_PAGE}: there is no test or file `{name}`");
    }
}

fn root() -> Option<PathBuf> {
    // Read at run time: the directory at build time may be that of another checkout.
    let xtask = std::env::var_os("CARGO_MANIFEST_DIR")?;
    Some(Path::new(&xtask).join(".."))
}

/// Returns the names of all tests of the workspace.
fn all_tests(root: &Path) -> io::Result<BTreeSet<String>> {
    let mut tests = BTreeSet::new();
    for folder in SOURCES {
        for file in sources(&root.join(folder))? {
            tests.append(&mut tests_in(&file, &fs::read_to_string(&file)?));
        }
    }
    Ok(tests)
}

/// Returns the faults in the tables of a page, with their lines.
fn faults(page: &str, tests: &BTreeSet<String>) -> Vec<String> {
    let lines: Vec<_> = page.lines().map(str::trim).collect();
    let is_rule = |line: &str| line.starts_with("|-");
    let mut rows = 0;
    let mut faults = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        let is_head = lines.get(at + 1).is_some_and(|next| is_rule(next));
        if !line.starts_with('|') || is_rule(line) || is_head {
            continue;
        }
        rows += 1;
        let mut fault = |what: &str| faults.push(format!("line {}: {what}", at + 1));
        let cells: Vec<_> = line.trim_matches('|').split('|').collect();
        let [_, _, named] = cells.as_slice() else {
            fault("the row does not have three columns");
            continue;
        };
        let names: Vec<_> = named.split('`').skip(1).step_by(2).collect();
        if names.is_empty() && !named.contains("no test: ") {
            fault("the row names no test and does not say `no test: ` with a reason");
        }
        for name in names.into_iter().filter(|name| !tests.contains(*name)) {
            fault(&format!("there is no test `{name}`"));
        }
    }
    if rows == 0 {
        faults.push("the page has no tables".to_owned());
    }
    faults
}

/// Returns the source files under a directory.
fn sources(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let (path, name) = (entry.path(), entry.file_name());
        let name = name.to_string_lossy();
        let is_generated = ["target", "node_modules"].contains(&&*name) || name.starts_with('.');
        if entry.file_type()?.is_dir() && !is_generated {
            found.append(&mut sources(&path)?);
        } else if path
            .extension()
            .is_some_and(|kind| ["rs", "py", "ts"].iter().any(|it| kind == *it))
        {
            found.push(path);
        }
    }
    Ok(found)
}

/// Returns the names of the tests in a file: functions that Rust or Python runs as tests, those that a
/// suite with its own `main` lists in `tests![..]`, and the texts of `test('..')` in TypeScript.
fn tests_in(file: &Path, text: &str) -> BTreeSet<String> {
    if file.extension().is_some_and(|kind| kind == "ts") {
        let names =
            text.lines().filter_map(|line| line.trim().strip_prefix("test('")?.split_once('\''));
        return names.map(|(name, _)| name.to_owned()).collect();
    }
    let python = file.extension().is_some_and(|kind| kind == "py");
    let mut tests: BTreeSet<_> = listed(text).collect();
    let mut is_test = false;
    for line in text.lines().map(str::trim) {
        if python {
            tests.extend(named(line, "def ").filter(|name| name.starts_with("test_")));
        } else if line.starts_with("#[test]") || line.starts_with("#[tokio::test") {
            is_test = true;
        } else if let Some(name) = named(line, "fn ") {
            tests.extend(is_test.then_some(name));
            is_test = false;
        }
    }
    tests
}

/// Returns the name of the function that starts on a line, after its keyword.
fn named(line: &str, keyword: &str) -> Option<String> {
    let rest = line.strip_prefix("async ").unwrap_or(line).strip_prefix(keyword)?;
    rest.split_once('(').map(|(name, _)| name.to_owned())
}

fn listed(text: &str) -> impl Iterator<Item = String> {
    let lists = text.split("tests![").skip(1).filter_map(|rest| rest.split_once(']'));
    lists.flat_map(|(list, _)| list.split(',')).map(|name| name.trim().to_owned())
}

#[test]
fn a_page_that_names_a_missing_test_is_a_fault() {
    let tests = BTreeSet::from(["it_works".to_owned()]);
    let page = |row: &str| format!("words\n\n| a | b | c |\n|---|---|---|\n{row}\n\n`words`\n");
    for good in ["| x | `y` | `it_works` |", "| x | y | no test: nobody can |"] {
        assert_eq!(faults(&page(good), &tests), [""; 0], "{good}");
    }
    for (bad, fault) in [
        ("| x | y | `it_works`, `it_did` |", "line 5: there is no test `it_did`"),
        ("| x | y | no test: by `it_did` |", "line 5: there is no test `it_did`"),
        ("| x | y | |", "line 5: the row names no test and does not say `no test: ` with a reason"),
        ("| x | `it_works` |", "line 5: the row does not have three columns"),
        ("", "the page has no tables"),
    ] {
        assert_eq!(faults(&page(bad), &tests), [fault], "{bad}");
    }
}

#[test]
fn a_helper_is_not_a_test() {
    let rust = "fn helps() {}\n#[test]\n#[ignore]\nfn one() {}\n  #[tokio::test]\n  async fn two() {\n\
                fn inner() {}\n}\nlet suite = tests![\n    three,\n    four\n];\nasync fn three() {}\n";
    let python = "def helps():\n    def test_one(self) -> None:\nasync def test_two():\n";
    for (file, text, wanted) in [
        ("a.rs", rust, ["four", "one", "three", "two"].as_slice()),
        ("a.py", python, &["test_one", "test_two"]),
        ("a.ts", "test('one is one', () => {\n  testing('two');\n});", &["one is one"]),
    ] {
        assert!(tests_in(Path::new(file), text).iter().eq(wanted), "{file}");
    }
}
