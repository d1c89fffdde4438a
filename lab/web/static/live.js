// @ts-check
// Follows a run: what the server sends is put into the page as text.

/** @typedef {{id: string, title: string, level: string, source: string, target: string, at: string, delay: number}} AlertNow */
/** @typedef {{name: string, state: string, at: string}} Step */
/** @typedef {{first: string, second: string, count: number}} Flowing */
/** @typedef {{state: string, ended: boolean, alerts: AlertNow[], raised: number, delay: number | null,
 *   rates: Record<string, number> | null, totals: Record<string, number> | null, silent: Record<string, number> | null,
 *   steps: Step[] | null, traffic: Flowing[] | null, health: Record<string, string> | null, blind: string[] | null}} Now */

const SVG = "http://www.w3.org/2000/svg";
const MOST = 300;

/** @param {string} name @param {string} text @param {string} [kind] @returns {HTMLElement} */
function made(name, text, kind = "") {
  const found = document.createElement(name);
  found.textContent = text;
  if (kind) found.className = kind;
  return found;
}

/** @param {string} id @param {string} text */
function write(id, text) {
  const place = document.getElementById(id);
  if (place) place.textContent = text;
}

/** @param {AlertNow[]} alerts @param {string} root */
function alerts(alerts, root) {
  const list = document.getElementById("alerts");
  if (!list) return;
  for (const it of alerts) {
    const line = document.createElement("li");
    const link = document.createElement("a");
    link.href = `${root}/alert/${encodeURIComponent(it.id)}`;
    link.textContent = it.title;
    line.dataset.id = it.id;
    line.dataset.shown = String(Date.now());
    line.append(made("span", it.at, "at"), " ", made("span", it.level, `made level-${it.level}`), " ", link, " ");
    line.append(made("span", `${it.source} → ${it.target}, ${it.delay} s`, "muted"));
    list.prepend(line);
  }
  while (list.childElementCount > MOST) list.lastElementChild?.remove();
}

/** @param {Step[]} steps */
function steps(steps) {
  const lines = steps.map((it) => {
    const line = document.createElement("li");
    line.append(made("span", it.at.slice(11, 23), "at"), ` ${it.name} `, made("span", it.state, "muted"));
    return line;
  });
  document.getElementById("steps")?.replaceChildren(...lines);
}

/** @param {Now} now */
function rates(now) {
  const lines = Object.entries(now.totals ?? {}).map(([name, count]) => {
    const line = document.createElement("tr");
    const head = made("th", name);
    head.setAttribute("scope", "row");
    const silent = now.ended ? "" : `${Math.round(now.silent?.[name] ?? 0)} s`;
    const rate = now.ended ? "" : String(now.rates?.[name] ?? 0);
    line.append(head, made("td", rate, "n"), made("td", count.toLocaleString("en"), "n"), made("td", silent, "n"));
    return line;
  });
  document.getElementById("rates")?.replaceChildren(...lines);
}

/** @param {Flowing[]} traffic */
function flows(traffic) {
  const picture = document.getElementById("picture");
  if (!picture) return;
  picture.querySelectorAll(".way").forEach((it) => it.remove());
  /** @param {string} name @returns {DOMStringMap | null} */
  const spot = (name) => {
    for (const it of picture.querySelectorAll("g")) if (it.dataset.node === name) return it.dataset;
    return null;
  };
  for (const it of traffic) {
    const [a, b] = [spot(it.first), spot(it.second)];
    if (!a || !b) continue;
    const way = document.createElementNS(SVG, "line");
    for (const [name, value] of Object.entries({ x1: a.x, y1: a.y, x2: b.x, y2: b.y })) way.setAttribute(name, value ?? "0");
    way.setAttribute("stroke-width", String(1 + Math.log10(it.count + 1)));
    way.setAttribute("class", "way");
    const title = document.createElementNS(SVG, "title");
    title.textContent = `${it.first} to ${it.second}: ${it.count} events`;
    way.append(title);
    picture.prepend(way);
  }
}

/** @param {Record<string, string>} health */
function well(health) {
  for (const it of document.querySelectorAll("#nodes li, #picture g")) {
    const state = it instanceof HTMLElement || it instanceof SVGElement ? health[it.dataset.node ?? ""] : undefined;
    if (state === undefined) continue;
    it.classList.toggle("unwell", state !== "ready");
    const said = it.querySelector(".health");
    if (said) said.textContent = state;
  }
}

const live = document.getElementById("live");
if (live && live.dataset.ended !== "1") {
  const source = new EventSource(`${live.dataset.stream}?known=${document.getElementById("raised")?.textContent ?? 0}`);
  source.onmessage = (event) => {
    /** @type {Now} */
    const now = JSON.parse(event.data);
    alerts(now.alerts ?? [], live.dataset.root ?? "");
    write("raised", String(now.raised));
    if (now.health) return well(now.health);
    if (now.totals) {
      write("state", now.state);
      rates(now);
      if (now.delay !== null && now.delay !== undefined) write("delay", `median delay ${now.delay} s`);
      if (now.steps) steps(now.steps);
      flows(now.traffic ?? []);
      document.getElementById("blind")?.replaceChildren(...(now.blind ?? []).map((it) => made("p", it, "warn")));
    }
    if (now.ended) source.close();
  };
}
