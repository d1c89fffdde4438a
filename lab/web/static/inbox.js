// @ts-check
// The queue by keyboard. A form is sent as it is and its answer takes the place of the page's content, so that
// what is seen is what the server has; nothing is kept here but which line is chosen.
import { tell, typing } from "./screen.js";

/** @returns {HTMLTableRowElement[]} */
const rows = () => [...document.querySelectorAll("table.inbox tbody tr")].filter((it) => it instanceof HTMLTableRowElement);

/** Place of the chosen line. */
let chosen = 0;

/** Choose a line. @param {number} place */
function choose(place) {
  const all = rows();
  if (!all.length) return;
  chosen = Math.max(0, Math.min(place, all.length - 1));
  all.forEach((it, number) => it.setAttribute("aria-selected", String(number === chosen)));
  all[chosen].focus({ preventScroll: true });
  all[chosen].scrollIntoView({ block: "nearest" });
}

/** @param {HTMLTableRowElement} row @returns {HTMLInputElement | null} */
const box = (row) => row.querySelector("input[type=checkbox]");

/** @returns {HTMLFormElement | null} */
const form = () => /** @type {HTMLFormElement | null} */ (document.getElementById("acts"));

/** What a form and its button say. @param {HTMLFormElement} sent @param {HTMLElement | null} [button] @returns {URLSearchParams} */
function said(sent, button) {
  const data = new URLSearchParams(/** @type {any} */ (new FormData(sent)));
  if (button instanceof HTMLButtonElement && button.name) data.set(button.name, button.value);
  return data;
}

/** Send an act, and show what came of it. @param {string} action @param {URLSearchParams} data */
async function send(action, data) {
  const answer = await fetch(action, { method: "POST", body: data });
  const read = new DOMParser().parseFromString(await answer.text(), "text/html");
  const confirm = read.getElementById("confirm");
  if (answer.status === 409 && confirm instanceof HTMLFormElement) return ask(confirm);
  if (!answer.ok) {
    tell(read.getElementById("main")?.textContent ?? "that was not possible");
    return show(read);
  }
  show(read);
  const done = data.get("act") ?? "";
  tell(done === "undo" ? "undone" : `done: ${done}; u undoes it`);
}

/** Ask whether so many are meant. @param {HTMLFormElement} question */
function ask(question) {
  const dialog = document.createElement("dialog");
  const held = document.adoptNode(question);
  dialog.append(held);
  document.body.append(dialog);
  dialog.addEventListener("close", () => dialog.remove());
  held.querySelector("a")?.addEventListener("click", (event) => {
    event.preventDefault();
    dialog.close();
  });
  held.addEventListener("submit", (event) => {
    event.preventDefault();
    dialog.close();
    void send(held.action, said(held));
  });
  dialog.showModal();
  held.querySelector("button")?.focus();
}

/** Show another page's content in the place of this one's. @param {Document} read */
function show(read) {
  const now = document.getElementById("main");
  const next = read.getElementById("main");
  if (now && next) now.replaceChildren(...next.childNodes);
  choose(chosen);
}

/** Act on the chosen line, or on the lines that are ticked. @param {string} act */
function act(act) {
  const sent = form();
  if (!sent) return;
  const data = said(sent);
  data.set("act", act);
  if (!sent.dataset.alert && !data.has("key") && !data.has("all")) {
    const key = rows()[chosen]?.dataset.key;
    if (!key) return;
    data.append("key", key);
  }
  void send(sent.action, data);
}

document.addEventListener("submit", (event) => {
  const sent = event.target;
  if (!(sent instanceof HTMLFormElement) || !["acts", "undo"].includes(sent.id)) return;
  event.preventDefault();
  const button = /** @type {SubmitEvent} */ (event).submitter;
  const data = said(sent, button);
  if (sent.id === "acts" && !sent.dataset.alert && !data.has("key") && !data.has("all")) {
    const key = rows()[chosen]?.dataset.key;
    if (key) data.append("key", key);
  }
  void send(sent.action, data);
});

/** @type {Record<string, () => void>} */
const KEYS = {
  j: () => choose(chosen + 1),
  k: () => choose(chosen - 1),
  x: () => {
    const ticked = box(rows()[chosen]);
    if (ticked) ticked.checked = !ticked.checked;
  },
  "*": () => rows().forEach((it) => box(it)?.click()),
  e: () => act("acknowledge"),
  s: () => act("escalate"),
  u: () => document.getElementById("undo")?.querySelector("button")?.click(),
  o: () => rows()[chosen]?.querySelector("a")?.click(),
  Enter: () => rows()[chosen]?.querySelector("a")?.click(),
  ".": () => {
    const dispose = document.querySelector("details.dispose");
    if (dispose instanceof HTMLDetailsElement) dispose.open = true;
    const select = form()?.querySelector("select[name=disposition]");
    if (select instanceof HTMLElement) select.focus();
  },
};

document.addEventListener("keydown", (event) => {
  if (typing(event.target) || event.ctrlKey || event.metaKey || event.altKey) return;
  if (document.querySelector("dialog[open]")) return;
  if (event.key === "Enter" && !(event.target instanceof HTMLTableRowElement)) return;
  const does = KEYS[event.key];
  if (does && (rows().length || form())) {
    event.preventDefault();
    does();
  }
});

document.addEventListener("click", (event) => {
  const row = event.target instanceof Element ? event.target.closest("table.inbox tbody tr") : null;
  if (row instanceof HTMLTableRowElement && !(event.target instanceof HTMLAnchorElement)) choose(rows().indexOf(row));
});

choose(0);
