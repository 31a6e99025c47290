//! A headless Chromium, driven over [WebDriver](https://www.w3.org/TR/webdriver2/).
//!
//! The protocol is JSON over HTTP, and the tests need a dozen of its commands. So this file sends
//! them with the HTTP client that the tests have anyway, instead of adding a WebDriver crate.

use std::process::Stdio;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use crate::{TempDir, process};

/// The variable that marks a driver and every process that it starts.
const MARK: &str = "FLAME_TEST_BROWSER";

/// Chromium needs `--no-sandbox` to run as root. The other arguments keep it from requesting
/// anything but the page.
const ARGUMENTS: [&str; 9] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
];

/// Returns why a [`Browser`] can't be started on this machine, or `None` if it can.
///
/// # Errors
/// None: the signature is that of a [`Requirement`](crate::Requirement).
pub fn is_missing() -> Result<Option<String>, String> {
    let runs = |program: &str| {
        let mut version = std::process::Command::new(program);
        version.arg("--version").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        version.status().is_ok_and(|status| status.success())
    };
    let is_installed = runs("chromedriver")
        && ["chromium", "google-chrome", "chromium-browser"].into_iter().any(runs);
    let advice = "it needs Chromium and its chromedriver: on Debian `apt-get install chromium \
                  chromium-driver`, which `cargo xtask test` does for root";
    Ok((!is_installed).then(|| advice.to_owned()))
}

/// A browser with one page. It is killed when it is dropped.
#[derive(Debug)]
pub struct Browser {
    http: reqwest::Client,
    session: String,
    profile: TempDir,
    _driver: Child,
}

impl Browser {
    /// Starts a browser with an empty page and a new profile.
    pub async fn start() -> Self {
        let profile = TempDir::new();
        let mut driver = Command::new("chromedriver")
            .arg("--port=0")
            .env(MARK, profile.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("chromedriver starts");
        let mut lines = BufReader::new(driver.stdout.take().expect("stdout is piped")).lines();
        let port: u16 = loop {
            let line = lines.next_line().await.expect("the output is text");
            let line = line.expect("chromedriver prints its port");
            let port = line.split_once("successfully on port ");
            if let Some(port) = port.and_then(|(_, rest)| rest.trim_end_matches('.').parse().ok()) {
                break port;
            }
        };
        // A pipe that nobody reads would fill up and block the driver.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        let mut browser = Self {
            http: reqwest::Client::new(),
            session: format!("http://127.0.0.1:{port}/session"),
            profile,
            _driver: driver,
        };
        let profile = format!("--user-data-dir={}", browser.profile.path().display());
        let arguments: Vec<_> = ARGUMENTS.into_iter().chain([profile.as_str()]).collect();
        let options = json!({
            "browserName": "chrome",
            "goog:chromeOptions": { "args": arguments },
            "goog:loggingPrefs": { "browser": "ALL" },
        });
        let made = browser.post("", json!({ "capabilities": { "alwaysMatch": options } })).await;
        browser.session += &format!("/{}", made["sessionId"].as_str().expect("a session"));
        browser
    }

    /// Opens a page, and waits until it has loaded.
    pub async fn open(&self, address: &str) {
        self.post("/url", json!({ "url": address })).await;
    }

    /// Reloads the page.
    pub async fn reload(&self) {
        self.post("/refresh", json!({})).await;
    }

    /// Goes back in the history.
    pub async fn back(&self) {
        self.post("/back", json!({})).await;
    }

    /// Calls a function with this body in the page, and returns its result.
    pub async fn run(&self, body: &str) -> Value {
        self.post("/execute/sync", json!({ "script": body, "args": [] })).await
    }

    /// Clicks an element with the mouse, that many pixels right of and below its centre.
    pub async fn click(&self, selector: &str, right: i32, down: i32) {
        let found = json!({ "using": "css selector", "value": selector });
        let element = self.post("/element", found).await;
        let there = json!({ "type": "pointerMove", "origin": element, "x": right, "y": down });
        let button = |kind| json!({ "type": kind, "button": 0 });
        let actions = [there, button("pointerDown"), button("pointerUp")];
        let pointer = json!({ "type": "pointer", "id": "mouse", "actions": actions });
        self.post("/actions", json!({ "actions": [pointer] })).await;
    }

    /// Presses a key, and releases it. Keys without a character have
    /// [codes](https://www.w3.org/TR/webdriver2/#keyboard-actions).
    pub async fn press(&self, key: char) {
        let action = |kind| json!({ "type": kind, "value": key });
        let actions = [action("keyDown"), action("keyUp")];
        let keyboard = json!({ "type": "key", "id": "keyboard", "actions": actions });
        self.post("/actions", json!({ "actions": [keyboard] })).await;
    }

    /// Makes the page one for a person who prefers `dark` or `light`.
    pub async fn prefer_scheme(&self, scheme: &str) {
        let feature = json!({ "name": "prefers-color-scheme", "value": scheme });
        let params = json!({ "features": [feature] });
        let command = "Emulation.setEmulatedMedia";
        self.post("/goog/cdp/execute", json!({ "cmd": command, "params": params })).await;
    }

    /// A picture of the whole page, as a PNG in base64.
    pub async fn screenshot(&self) -> String {
        let command = "Page.captureScreenshot";
        let params = json!({ "captureBeyondViewport": true });
        let shot = self.post("/goog/cdp/execute", json!({ "cmd": command, "params": params }));
        shot.await["data"].as_str().expect("a picture").to_owned()
    }

    /// Sets the size of the page in pixels.
    pub async fn resize(&self, width: u32, height: u32) {
        let params = json!({
            "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false
        });
        let command = "Emulation.setDeviceMetricsOverride";
        self.post("/goog/cdp/execute", json!({ "cmd": command, "params": params })).await;
    }

    /// Returns the console's errors since the last call, including those of failed requests.
    pub async fn errors(&self) -> Vec<String> {
        let entries = self.post("/se/log", json!({ "type": "browser" })).await;
        let entries = entries.as_array().cloned().unwrap_or_default();
        let errors = entries.iter().filter(|entry| entry["level"] == "SEVERE");
        errors.map(|entry| entry["message"].to_string()).collect()
    }

    async fn post(&self, command: &str, body: Value) -> Value {
        let address = format!("{}{command}", self.session);
        let request = self.http.post(address).json(&body);
        let answer = request.send().await.expect("chromedriver answers");
        let (status, mut answer) = (answer.status(), answer.json::<Value>().await.expect("JSON"));
        assert!(status.is_success(), "{command} {body}: {}", answer["value"]["message"]);
        answer["value"].take()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let mark = self.profile.path().to_str().expect("the path is text");
        process::with_variable(MARK, mark).into_iter().for_each(process::kill);
    }
}
