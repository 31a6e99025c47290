"use strict";
// Shows the views that the relay sends. Texts become text, never markup.

const find = (selector) => document.querySelector(selector);
const [connection, news] = [find("#connection"), find("#news")];

let view = null;
let live = false;
// The relay's clock minus this one's, in milliseconds.
let clockOffset = 0;
let retryAfter = 1000;

function connect() {
  const source = new EventSource("events");
  source.addEventListener("view", (event) => {
    view = JSON.parse(event.data);
    clockOffset = view.now - Date.now();
    retryAfter = 1000;
    tell("live", "Live");
    show();
  });
  source.addEventListener("again", () => {
    source.close();
    connect();
  });
  source.addEventListener("error", () => {
    tell("lost", "The connection is lost: this is the last known state. Trying again…");
    // The browser tries again by itself, unless the relay has answered with an error.
    if (source.readyState === EventSource.CLOSED) {
      setTimeout(connect, retryAfter);
      retryAfter = Math.min(retryAfter * 2, 15000);
    }
  });
}

// Written only when it changes, because screen readers read it out.
function tell(state, text) {
  live = state === "live";
  connection.dataset.state = state;
  write(connection, text);
}

function write(target, text) {
  if (target.textContent !== String(text)) target.textContent = text;
}

// ---- Numbers

const whole = (count) => count.toLocaleString("en");

function time(ms) {
  const seconds = Math.max(0, Math.floor(ms / 1000));
  const [minutes, hours, days] = [60, 3600, 86400].map((unit) => Math.floor(seconds / unit));
  if (days > 0) return `${days} d ${hours % 24} h`;
  if (hours > 0) return `${hours} h ${minutes % 60} min`;
  return minutes > 0 ? `${minutes} min ${seconds % 60} s` : `${seconds} s`;
}

function size(bytes) {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let unit = 0;
  for (; bytes >= 1000 && unit + 1 < units.length; unit += 1) bytes /= 1000;
  return `${unit && bytes < 100 ? bytes.toFixed(1) : Math.floor(bytes)} ${units[unit]}`;
}

// ---- The view

function show() {
  const now = Date.now() + clockOffset;
  const since = (then) => time(now - then);
  find("main").hidden = false;
  write(find("#name"), view.address ?? `Node ${view.node}`);
  write(find("#about"), about(view, since));
  write(find("#stage"), view.draining ? `draining, at most ${time(view.drain_ends - now)} more` : "open");
  find("#stage").className = `chip ${view.draining ? "warn" : "good"}`;
  const count = ({ rows, more }) => whole(rows.length + more);
  const numbers = {
    "parent-count": count(view.parents),
    registered: whole(view.registered),
    "waiting-count": count(view.waiting),
    "pair-count": count(view.pairs),
    "to-parents": size(view.to_parents),
    "to-runners": size(view.to_runners),
  };
  for (const [id, text] of Object.entries(numbers)) write(document.getElementById(id), text);

  table("limits", { rows: view.limits }, (it) => it.name, (it) => [it.name, whole(it.used), whole(it.max), it, it.by ?? "", it.flag]);
  table("parents", view.parents, (it) => it.id, (it) => [it.address, `key ${it.key}`, whole(it.registered), since(it.since)]);
  table("waiting", view.waiting, (it) => it.id, (it) => [
    `${it.runner}…`, it.address, it.parent ?? "", since(it.since), time(it.until - now),
  ]);
  table("pairs", view.pairs, (it) => it.id, (it) => [
    `${it.runner}…`, it.address, it.parent, size(it.to_parent), size(it.to_runner), since(it.last_message), since(it.since),
  ]);
  for (const name of ["refusals", "pairs_ended", "handshakes_failed"]) {
    table(name, { rows: view[name] }, (it) => it.reason, (it) => [it.reason.replaceAll("_", " "), whole(it.count)]);
  }
  announce(view);
}

function about(view, since) {
  const keys = view.keys === 1 ? "1 key is valid" : `${whole(view.keys)} keys are valid`;
  const node = view.address ? `Node ${view.node}, ` : "";
  const tls = view.tls ? "with TLS" : "without TLS of its own";
  return `${node}flame-relay ${view.version}, ${tls}, up for ${since(view.started)}. ${keys}. ` +
    `${whole(view.connections)} connections are open, and ${whole(view.paired)} pairs were connected.`;
}

// Makes the body of a table that of these rows. A row stays the same element for as long as its key is
// there, so that the selection and a reader's place stay. A cell has the classes of its column.
function table(name, { rows, more = 0 }, key, cells) {
  const target = document.getElementById(name);
  const [body, heads] = [target.tBodies[0], [...target.tHead.rows[0].cells]];
  const known = (target.known ??= new Map());
  const wanted = new Set(rows.map(key));
  for (const [id, row] of known) {
    if (!wanted.has(id)) {
      row.remove();
      known.delete(id);
    }
  }
  let place = body.firstElementChild;
  for (const item of rows) {
    let row = known.get(key(item));
    if (!row) {
      row = document.createElement("tr");
      for (const head of heads) row.insertCell().className = head.className;
      known.set(key(item), row);
    }
    cells(item).forEach((content, index) => fill(row.cells[index], content));
    if (row === place) place = place.nextElementSibling;
    else body.insertBefore(row, place);
  }
  // An empty table has nothing to read or to scroll.
  (target.closest(".scroll") ?? target).hidden = rows.length === 0;
  const empty = find(`[data-empty="${name}"]`);
  if (empty) empty.hidden = rows.length > 0;
  const note = find(`[data-more="${name}"]`);
  if (note) {
    note.hidden = more === 0;
    write(note, `${whole(more)} more ${more === 1 ? "is" : "are"} not shown.`);
  }
}

// A cell's content is a text, or a limit, which becomes a bar.
function fill(cell, content) {
  if (typeof content === "string") return write(cell, content);
  const share = content.max === 0 ? 100 : Math.min(100, (content.used / content.max) * 100);
  if (!cell.firstElementChild) {
    const bar = document.createElement("div");
    bar.className = "bar";
    bar.setAttribute("role", "img");
    bar.append(document.createElement("i"));
    cell.append(bar);
  }
  const bar = cell.firstElementChild;
  bar.setAttribute("aria-label", `${share.toFixed(share < 10 ? 1 : 0)} %`);
  bar.firstElementChild.style.width = `${share}%`;
  bar.parentElement.parentElement.classList.toggle("full", isReached(content));
}

// ---- Spoken news: few, and only what a listener would want to be interrupted for.

let before = null;
const isReached = (limit) => limit.used >= limit.max;

function announce({ draining, limits }) {
  const reached = limits.filter(isReached).map((limit) => limit.name);
  if (before) {
    const limit = reached.find((name) => !before.reached.includes(name));
    if (draining && !before.draining) news.textContent = "The relay is draining.";
    else if (limit) news.textContent = `A limit is reached: ${limit}.`;
  }
  before = { draining, reached };
}

// Ages go on between two views.
setInterval(() => {
  if (live) show();
}, 1000);

connect();
