//! The live page of pools in a real browser.

use flame_aws::{CallError, Pool, PoolEvent};
use flame_tests::browser::Browser;
use flame_tests::demo::gates::{Gate, gated};
use flame_tests::demo::{double, exits, nap, panics};
use flame_tests::{PageServer, Test, Watcher, process_pool, tests};

use crate::looks::{picture, shows, until};

mod accessibility;

pub(super) fn tests() -> Vec<Test> {
    let tests = tests![
        runners_and_calls_appear_while_they_happen,
        each_call_of_a_busy_pool_is_shown,
        hostile_texts_are_shown_as_text,
        a_runner_can_be_drained_if_the_app_allows_it,
        a_runner_is_stopped_by_a_second_click,
        without_the_app_s_permission_there_are_no_buttons,
        another_site_can_t_stop_a_runner,
        a_lost_connection_is_announced_and_comes_back,
        a_pool_that_drains_is_shown_as_drained,
        several_pools_are_shown_and_the_page_can_be_nested,
    ];
    [tests, accessibility::tests()].concat()
}

/// A pool with a page.
struct Watched {
    pool: Pool,
    server: PageServer,
    page: Browser,
}

impl Watched {
    async fn start(name: &str, control: bool) -> Self {
        let pool = process_pool(name).max(1).start().await.unwrap();
        let router = pool.dashboard().control(control).into_router();
        let (server, page) = tokio::join!(PageServer::start(router, 0), Browser::start());
        page.open(&server.at("/")).await;
        until(&page, "connection.dataset.state === 'live'").await;
        Self { pool, server, page }
    }

    /// A call that runs until the gate is opened.
    async fn gated_call(&self) -> (Gate, tokio::task::JoinHandle<Result<u32, CallError>>) {
        let (mut gate, begun, open) = Gate::new();
        let pool = self.pool.clone();
        let call = tokio::spawn(async move {
            pool.call(gated(begun, open)).await.map(|pid| pid.expect("the gate opens"))
        });
        gate.entered().await;
        (gate, call)
    }
}

async fn runners_and_calls_appear_while_they_happen() {
    let watched = Watched::start("appearing", false).await;
    let page = &watched.page;
    until(page, &shows(".empty", "No runner.")).await;
    let (gate, call) = watched.gated_call().await;
    until(page, &shows(".runners tbody tr", "1 of 4")).await;
    until(page, &shows(".runners tbody .good", "up")).await;
    until(page, &shows(".calls tbody tr", "runs")).await;
    gate.open();
    let pid = call.await.unwrap().unwrap();
    until(page, &shows(".calls tbody .good", "ok")).await;
    until(page, &shows(".runners tbody tr", &pid.to_string())).await;
    until(page, &shows(".events li", "is up")).await;
    until(page, &shows(".durations tr", "call: run")).await;
    until(page, &shows(".totals tr", "calls: ok1")).await;
    // The call waited for the boot of its runner, and then ran.
    let bar = page.run("return document.querySelector('.bar').ariaLabel").await;
    let bar = bar.as_str().unwrap().to_owned();
    assert!(bar.contains("boot ") && bar.contains("run "), "{bar}");
    let widths =
        "return [...document.querySelectorAll('.bar i')].filter((it) => it.offsetWidth > 1).length";
    assert!(page.run(widths).await.as_u64() >= Some(2), "the phases are drawn");
    assert!(
        page.run("return document.querySelector('.explanation').textContent")
            .await
            .as_str()
            .unwrap()
            .contains("no unmet demand")
    );
    assert_eq!(page.errors().await, [""; 0]);
}

async fn each_call_of_a_busy_pool_is_shown() {
    let pool = process_pool("demo").max(2).max_concurrency(3).start().await.unwrap();
    let router = pool.dashboard().into_router();
    let (server, page) = tokio::join!(PageServer::start(router, 0), Browser::start());
    let watched = Watched { pool, server, page };
    watched.page.resize(1280, 900).await;
    watched.page.open(&watched.server.at("/")).await;
    let calls = (0..60).map(|n| {
        let time = std::time::Duration::from_millis(200 + n * 37 % 700);
        tokio::spawn(watched.pool.call(nap(time)))
    });
    let calls: Vec<_> = calls.collect();
    until(&watched.page, "document.querySelectorAll('.calls .good').length >= 20").await;
    until(&watched.page, &shows(".calls tbody tr", "waits")).await;
    picture(&watched.page, "load-1280").await;
    for call in calls {
        call.await.unwrap().unwrap();
    }
    until(&watched.page, &shows(".totals tr", "calls: ok60")).await;
    let rows = "document.querySelectorAll('.calls tbody tr').length";
    assert_eq!(watched.page.run(&format!("return {rows}")).await, 60);
    until(&watched.page, "document.querySelector('[data-number=queued]').textContent === '0'")
        .await;
    assert_eq!(watched.page.errors().await, [""; 0]);
}

async fn hostile_texts_are_shown_as_text() {
    let hostile = "<img src=x onerror='document.title=1'>";
    let watched = Watched::start(hostile, true).await;
    let page = &watched.page;
    watched.pool.call(panics("</script><script>document.title=2</script>")).await.unwrap_err();
    until(page, &shows(".errors .message", "</script><script>document.title=2</script>")).await;
    until(page, &shows("h2", hostile)).await;
    let foreign = "return document.querySelectorAll('img, main script').length";
    assert_eq!(page.run(foreign).await, 0);
    assert_eq!(page.run("return document.title").await, "Pools");
    // The browser reports a violation of the page's policy as an error.
    assert_eq!(page.errors().await, [""; 0]);
    // The policy holds: it is not only that nothing was inserted.
    let blocked = "const it = document.createElement('div'); \
                   it.innerHTML = \"<img src=data:, onerror='document.title=3'>\"; \
                   document.body.append(it); \
                   return new Promise((done) => setTimeout(() => done(document.title), 200))";
    assert_eq!(page.run(blocked).await, "Pools");
}

async fn a_runner_can_be_drained_if_the_app_allows_it() {
    let watched = Watched::start("drained", true).await;
    let (gate, call) = watched.gated_call().await;
    until(&watched.page, &shows(".runners button", "Drain")).await;
    watched.page.click(".runners button", 0, 0).await;
    until(&watched.page, &shows(".runners tbody tr", "retiring")).await;
    gate.open();
    call.await.unwrap().unwrap();
    until(&watched.page, &shows(".events li", "has ended: its end was requested")).await;
    until(&watched.page, &shows(".empty", "No runner.")).await;
    assert_eq!(watched.page.errors().await, [""; 0]);
}

async fn a_runner_is_stopped_by_a_second_click() {
    let watched = Watched::start("stopped", true).await;
    let (_gate, call) = watched.gated_call().await;
    let stop = ".runners button:nth-of-type(2)";
    until(&watched.page, &shows(stop, "Stop")).await;
    watched.page.click(stop, 0, 0).await;
    until(&watched.page, &shows(stop, "Stop now?")).await;
    assert_eq!(watched.pool.snapshot().leased, 1, "one click stops nothing");
    watched.page.click(stop, 0, 0).await;
    let stopped = call.await.unwrap();
    assert!(matches!(stopped, Err(CallError::RunnerLost { started: true, .. })), "{stopped:?}");
    until(&watched.page, &shows(".errors li", "was lost")).await;
}

async fn without_the_app_s_permission_there_are_no_buttons() {
    let watched = Watched::start("watched", false).await;
    watched.pool.call(double(4)).await.unwrap();
    until(&watched.page, &shows(".runners tbody tr", "0 of 4")).await;
    let buttons = "[...document.querySelectorAll('button')].filter((it) => it.checkVisibility())";
    assert_eq!(watched.page.run(&format!("return {buttons}.length")).await, 0);
    let runner = watched.pool.snapshot().runners[0].runner;
    let path = watched.server.at(&format!("/runners/{runner}/drain"));
    let answer = reqwest::Client::new().post(path).send().await.unwrap();
    assert_eq!(answer.status(), 404);
}

/// The page of another site sends each kind of request that a browser lets it send.
async fn another_site_can_t_stop_a_runner() {
    let watched = Watched::start("attacked", true).await;
    watched.pool.call(double(4)).await.unwrap();
    let token = watched.page.run("return token").await;
    let runner = watched.pool.snapshot().runners[0].runner;
    let mut watcher = Watcher::new(&watched.pool);
    let page = axum::routing::get(async || "another site");
    let other = PageServer::start(axum::Router::new().route("/", page), 0).await;
    // Another host and another port: the browser counts this as another site.
    watched.page.open(&format!("http://localhost:{}/", other.port())).await;
    let path = watched.server.at(&format!("/runners/{runner}/stop"));
    for request in [
        "{ method: 'POST', mode: 'no-cors', credentials: 'include' }".to_owned(),
        "{ method: 'POST', mode: 'no-cors', body: new URLSearchParams('a=b') }".to_owned(),
        format!("{{ method: 'POST', headers: {{ 'x-flame-token': {token} }} }}"),
    ] {
        let sent =
            format!("return fetch('{path}', {request}).then((it) => it.type, () => 'refused')");
        let answered = watched.page.run(&sent).await;
        assert!(answered == "opaque" || answered == "refused", "{request}: {answered}");
    }
    // Nor can it read the page, and with it the token.
    let read =
        format!("return fetch('{}').then(() => 'read', () => 'refused')", watched.server.at("/"));
    assert_eq!(watched.page.run(&read).await, "refused");
    assert_eq!(watched.pool.snapshot().runners[0].runner, runner);
    assert_eq!(watched.pool.call(double(4)).await.unwrap(), 8);
    // The same request from the page itself stops the runner, so the path is right.
    watched.page.open(&watched.server.at("/")).await;
    let sent = format!(
        "return fetch('{path}', {{ method: 'POST', headers: {{ 'x-flame-token': token }} }})\
         .then((it) => it.status)"
    );
    assert_eq!(watched.page.run(&sent).await, 202);
    watcher.next(|event| matches!(event, PoolEvent::Shrink { .. }).then_some(())).await;
}

async fn a_lost_connection_is_announced_and_comes_back() {
    let pool = process_pool("lost").max(1).start().await.unwrap();
    let router = pool.dashboard().into_router();
    let (server, page) = tokio::join!(PageServer::start(router.clone(), 0), Browser::start());
    page.open(&server.at("/")).await;
    until(&page, &shows("#connection", "Live")).await;
    let port = server.port();
    drop(server);
    until(&page, &shows("#connection", "The connection is lost")).await;
    assert_eq!(
        page.run("return connection.getAttribute('role')").await,
        "status",
        "it is read out"
    );
    assert_eq!(page.run("return document.querySelector('h2').textContent").await, "lost");
    let _again = PageServer::start(router, port).await;
    until(&page, &shows("#connection", "Live")).await;
    pool.call(double(4)).await.unwrap();
    until(&page, &shows(".calls tbody tr", "ok")).await;
}

async fn a_pool_that_drains_is_shown_as_drained() {
    let watched = Watched::start("ending", false).await;
    watched.pool.call(double(4)).await.unwrap();
    watched.pool.drain().await;
    until(&watched.page, &shows(".stage", "drained")).await;
    until(&watched.page, &shows("#connection", "All pools have ended.")).await;
    until(&watched.page, &shows(".calls tbody tr", "ok")).await;
    assert_eq!(watched.page.run("return news.textContent").await, "Pool ending is drained.");
}

async fn several_pools_are_shown_and_the_page_can_be_nested() {
    let first = process_pool("first").max(1).start().await.unwrap();
    let second = process_pool("second").max(1).start().await.unwrap();
    let dashboard = flame_aws::dashboard::Dashboard::of([&first, &second]);
    let router = axum::Router::new().nest("/admin/pools", dashboard.into_router());
    let (server, page) = tokio::join!(PageServer::start(router, 0), Browser::start());
    page.open(&server.at("/admin/pools")).await;
    until(&page, &shows("h2", "second")).await;
    let died = second.call(exits(3)).await;
    assert!(matches!(died, Err(CallError::RunnerLost { .. })), "{died:?}");
    until(&page, &shows("section:nth-child(2) .errors li", "was lost")).await;
    let errors = "return document.querySelectorAll('section:nth-child(1) .errors li').length";
    assert_eq!(page.run(errors).await, 0);
}
