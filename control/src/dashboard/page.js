"use strict";
// Shows the views that the server sends. A text may be hostile, so each becomes text, never markup.

// The page may be mounted anywhere, and its address may lack the last slash.
const base = location.pathname.replace(/\/?$/, "/");
const token = document.querySelector('meta[name="flame-token"]').content;
const connection = document.getElementById("connection");
const news = document.getElementById("news");
const main = document.getElementById("pools");
const template = document.getElementById("pool");

let pools = [];
let control = false;
let live = false;
// The server's clock minus this one's, in milliseconds.
let clockOffset = 0;
const serverNow = () => Date.now() + clockOffset;

// ---- The connection

let retryAfter = 1000;

function connect() {
  const source = new EventSource(base + "events");
  const receive = (take) => (event) => {
    const data = JSON.parse(event.data);
    clockOffset = data.now - Date.now();
    retryAfter = 1000;
    take(data);
    showConnection("live", "Live");
    show();
  };
  source.addEventListener("view", receive((view) => {
    control = view.control;
    pools = view.pools;
  }));
  source.addEventListener("patch", receive((patch) => {
    patch.pools.forEach((changed, index) => Object.assign(pools[index], changed));
  }));
  source.addEventListener("end", () => {
    source.close();
    showConnection("ended", "All pools have ended.");
  });
  source.addEventListener("error", () => {
    showConnection("lost", "The connection is lost: this is the last known state. Trying again…");
    // The browser tries again by itself, unless the server has answered with an error.
    if (source.readyState === EventSource.CLOSED) {
      setTimeout(connect, retryAfter);
      retryAfter = Math.min(retryAfter * 2, 15000);
    }
  });
}

function showConnection(state, text) {
  live = state === "live";
  // Written only when it changes, because screen readers read it out.
  if (connection.dataset.state !== state) {
    connection.dataset.state = state;
    connection.textContent = text;
  }
}

// ---- Elements

function element(tag, className, text) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

function setText(target, text) {
  if (target.textContent !== String(text)) target.textContent = text;
}

// A row of cells, with the classes of each cell.
function row(classes, role) {
  const made = element("tr");
  if (role) made.setAttribute("role", "row");
  for (const name of classes) {
    const cell = element("td", name);
    if (role) cell.setAttribute("role", "cell");
    made.append(cell);
  }
  return made;
}

// Gives `parent` one child for each of `items`, in their order. A child stays the same element as long
// as `items` has its key, and is moved only if its place has changed. So focus, selection and open
// details stay.
function keyed(parent, items, key, create, update) {
  const known = (parent.known ??= new Map());
  const wanted = new Set(items.map(key));
  for (const [id, child] of known) {
    if (!wanted.has(id)) {
      if (child.contains(document.activeElement)) parent.closest("[tabindex]")?.focus();
      child.remove();
      known.delete(id);
    }
  }
  let place = parent.firstElementChild;
  for (const item of items) {
    let child = known.get(key(item));
    if (!child) known.set(key(item), (child = create(item)));
    update(child, item);
    if (child === place) place = place.nextElementSibling;
    else parent.insertBefore(child, place);
  }
}

// ---- Numbers

function duration(ms) {
  if (ms < 1) return ms.toFixed(2) + " ms";
  if (ms < 1000) return (ms < 10 ? ms.toFixed(1) : Math.round(ms)) + " ms";
  if (ms < 60000) return (ms / 1000).toFixed(ms < 10000 ? 2 : 1) + " s";
  return age(ms);
}

function age(ms) {
  const seconds = Math.max(0, Math.floor(ms / 1000));
  const [minutes, hours] = [Math.floor(seconds / 60), Math.floor(seconds / 3600)];
  if (hours > 0) return `${hours} h ${minutes % 60} min`;
  return minutes > 0 ? `${minutes} min ${seconds % 60} s` : `${seconds} s`;
}

const clock = (ms) => new Date(ms).toLocaleTimeString();
const short = (runner) => runner.slice(0, 10);
const plain = (total) => total.toLocaleString("en", { maximumFractionDigits: 4 });

// ---- The pools

function show() {
  keyed(main, pools.map((_, index) => index), (index) => index, createPool, (section, index) =>
    showPool(section, pools[index], index));
}

function createPool(index) {
  const section = template.content.cloneNode(true).firstElementChild;
  const heading = section.querySelector("h2");
  heading.id = `pool-${index}`;
  section.setAttribute("aria-labelledby", heading.id);
  return section;
}

const STAGES = { open: ["open", "good"], draining: ["draining", "warn"], drained: ["drained", ""] };

function showPool(section, pool, index) {
  const find = (selector) => section.querySelector(selector);
  setText(find("h2"), pool.name);
  for (const region of section.querySelectorAll("[data-label]")) {
    region.setAttribute("aria-label", `${region.dataset.label} of ${pool.name}`);
  }
  const [stage, colour] = STAGES[pool.stage] ?? [pool.stage, ""];
  setText(find(".stage"), stage);
  find(".stage").className = `chip stage ${colour}`;
  setText(find(".explanation"), pool.explanation);
  find(".cost").hidden = !pool.cost;
  setText(find(".cost"), pool.cost ? `Cost: ${pool.cost}` : "");
  for (const number of section.querySelectorAll("[data-number]")) {
    setText(number, plain(pool[number.dataset.number]));
  }
  note(find(".missed"), pool.missed_events, "events were missed, so calls may be missing below.");
  note(find(".more"), pool.more_runners, "more runners.");
  for (const cell of section.querySelectorAll("th.control")) cell.hidden = !control;

  const lists = {
    runners: [find(".runners tbody"), pool.runners, (it) => it.runner, createRunner, showRunner],
    calls: [find(".calls tbody"), calls(pool), (it) => it.id, createCall, showCall],
    errors: [find(".errors"), pool.errors, (it) => it.id, createError, showError],
    events: [find(".events"), pool.events, (it) => it.id, createEvent, () => {}],
    durations: [find(".durations tbody"), pool.metrics.filter((it) => it.count), metricName, createDuration, showDuration],
    totals: [find(".totals tbody"), pool.metrics.filter((it) => it.total), metricName, createTotal, showTotal],
  };
  for (const [name, [list, items, ...rest]] of Object.entries(lists)) {
    keyed(list, items, ...rest);
    find(`[data-empty="${name}"]`).hidden = items.length > 0;
    // An empty table has nothing to scroll or to read.
    (list.closest("[data-label]") ?? list.closest("table") ?? list).hidden = items.length === 0;
  }
  find(".legend").hidden = pool.calls.length + pool.finished.length === 0;
  showAxis(find(".axis"), pool);
  announce(pool, index);
}

function note(target, count, what) {
  target.hidden = !count;
  setText(target, `${count} ${what}`);
}

function createRunner(runner) {
  const made = row(["mono", "", "number", "number", "number", "wide", "mono wide", "control"]);
  const actions = made.lastElementChild;
  for (const [ending, label] of [["drain", "Drain"], ["stop", "Stop"]]) {
    const button = element("button", "", label);
    button.type = "button";
    button.setAttribute("aria-label", `${label} runner ${short(runner.runner)}`);
    button.addEventListener("click", () => endRunner(button, runner.runner, ending, label));
    actions.append(button);
  }
  actions.append(element("span", "bad small"));
  made.cells[0].title = runner.runner;
  return made;
}

function showRunner(made, runner) {
  const { cells } = made;
  setText(cells[0], short(runner.runner));
  setText(cells[1], runner.state);
  cells[1].className = runner.state === "up" ? "good" : "warn";
  setText(cells[2], `${runner.leases} of ${runner.slots}`);
  setText(cells[3], plain(runner.calls_done));
  setText(cells[4], age(serverNow() - runner.since));
  setText(cells[5], runner.host);
  showInstance(cells[6], runner);
  cells[7].hidden = !control;
}

function showInstance(cell, runner) {
  const text = runner.instance ?? (runner.pid === null ? "" : `process ${runner.pid}`);
  if (!runner.link?.startsWith("https://")) return setText(cell, text);
  if (cell.firstElementChild?.href === runner.link) return;
  const link = element("a", "", text);
  link.href = runner.link;
  link.rel = "noreferrer";
  cell.replaceChildren(link);
}

// ---- Calls

const UNDER_WAY = 10;

// The calls that are shown: the time of each phase, from a start on.
function calls(pool) {
  const now = serverNow();
  const underWay = pool.calls.slice(0, UNDER_WAY).map((call) => {
    const queue = Math.max(0, (call.started ?? now) - call.since);
    const run = call.started === null ? 0 : Math.max(0, now - call.started);
    const outcome = call.started === null ? "waits" : "runs";
    return { ...call, start: call.since, queue, boot: 0, run, reply: 0, outcome };
  });
  const seen = new Set(underWay.map((call) => call.id));
  const shown = [...underWay, ...pool.finished.filter((call) => !seen.has(call.id))];
  const total = (call) => call.queue + call.boot + call.run + call.reply;
  const from = Math.min(...shown.map((call) => call.start));
  const to = Math.max(...shown.map((call) => call.start + total(call)));
  pool.axis = shown.length ? { from, to } : null;
  return shown.map((call) => ({ ...call, total: total(call), from, width: Math.max(to - from, 1e-3) }));
}

function showAxis(target, pool) {
  setText(target, pool.axis ? `${duration(pool.axis.to - pool.axis.from)} in all` : "");
}

function createCall(call) {
  const made = row(["", "", "number", "phases"], true);
  const bar = element("div", "bar");
  bar.setAttribute("role", "img");
  for (const phase of PHASES) bar.append(element("i", phase));
  made.cells[0].append(element("span", "mono"), " ", element("span", "small"));
  made.cells[0].title = `Trace ${call.trace}`;
  made.cells[3].append(bar);
  return made;
}

const PHASES = ["queue", "boot", "run", "reply"];

function showCall(made, call) {
  const { cells } = made;
  setText(cells[0].firstElementChild, call.function);
  setText(cells[0].lastElementChild, call.runner ? `on ${call.runner}` : "");
  setText(cells[1], call.outcome.replaceAll("_", " "));
  cells[1].className = { ok: "good", waits: "", runs: "" }[call.outcome] ?? "bad";
  setText(cells[2], duration(call.total));
  const bar = cells[3].firstElementChild;
  let at = call.start;
  PHASES.forEach((phase, index) => {
    const part = bar.children[index];
    part.hidden = call[phase] === 0;
    part.style.left = `${((at - call.from) / call.width) * 100}%`;
    part.style.width = `${(call[phase] / call.width) * 100}%`;
    at += call[phase];
  });
  const named = PHASES.filter((phase) => call[phase] > 0);
  bar.setAttribute("aria-label", named.map((phase) => `${phase} ${duration(call[phase])}`).join(", "));
}

// ---- Errors, events, metrics

function createError(error) {
  const made = element("li");
  made.append(element("strong"), " ", element("span", "small"), element("span", "message mono"));
  if (error.log_tail.length > 0) {
    const details = element("details");
    const count = error.log_tail.length;
    details.append(element("summary", "", count === 1 ? "The last line of its log" : `The last ${count} lines of its log`));
    details.append(element("pre", "mono", error.log_tail.join("\n")));
    made.append(details);
  }
  return made;
}

function showError(made, error) {
  const [title, when, message] = made.children;
  setText(title, error.title);
  setText(when, clock(error.at) + (error.times > 1 ? `, ${error.times} times in a row` : ""));
  setText(message, error.message);
}

function createEvent(event) {
  const made = element("li");
  made.append(element("span", "small", clock(event.at)), " ", element("span", "", event.text));
  return made;
}

function metricName(metric) {
  const name = metric.name.replace(/^flame\./, "").replaceAll(".", " ").replaceAll("_", " ");
  const attribute = metric.attribute ? `: ${metric.attribute.replaceAll("_", " ")}` : "";
  return name.replace(/ duration$/, "") + attribute + (metric.burst ? ` (burst, ${metric.host})` : "");
}

const createDuration = () => row(["", "number", "number", "number"]);

function showDuration(made, metric) {
  const values = [metricName(metric), plain(metric.count), duration(metric.p50), duration(metric.p99)];
  values.forEach((value, index) => setText(made.cells[index], value));
}

const createTotal = () => row(["", "number"]);

function showTotal(made, metric) {
  setText(made.cells[0], metricName(metric));
  setText(made.cells[1], `${plain(metric.total)} ${metric.unit}`.trim());
}

// ---- News that screen readers read out: only the end of a pool and new errors, and few of those.

const spoken = new Map();

function announce(pool, index) {
  const latest = pool.errors[0]?.id ?? 0;
  const before = spoken.get(index);
  spoken.set(index, { stage: pool.stage, latest });
  if (!before) return;
  if (before.stage !== pool.stage) say(`Pool ${pool.name} is ${pool.stage}.`);
  else if (before.latest < latest) sayRarely(`Pool ${pool.name}: ${pool.errors[0].title}.`);
}

function say(text) {
  news.textContent = text;
}

let lastSaid = 0;

function sayRarely(text) {
  if (Date.now() - lastSaid < 10000) return;
  lastSaid = Date.now();
  say(text);
}

// ---- Control

// Stopping kills the calls on the runner, so it takes a second click.
async function endRunner(button, runner, ending, label) {
  if (ending === "stop" && !button.classList.contains("sure")) {
    button.classList.add("sure");
    button.textContent = "Stop now?";
    setTimeout(() => {
      button.classList.remove("sure");
      button.textContent = label;
    }, 5000);
    return;
  }
  button.disabled = true;
  try {
    const headers = { "x-flame-token": token };
    const answer = await fetch(`${base}runners/${runner}/${ending}`, { method: "POST", headers });
    if (!answer.ok) throw new Error((await answer.text()).trim());
    say(ending === "drain" ? `Runner ${short(runner)} drains.` : `Runner ${short(runner)} is stopped.`);
  } catch (error) {
    say(`Runner ${short(runner)}: ${error.message}`);
    setText(button.parentElement.lastElementChild, error.message);
  }
  button.disabled = false;
}

// Ages and calls under way go on between two views.
setInterval(() => {
  if (live) show();
}, 1000);

connect();
