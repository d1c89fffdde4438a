// @ts-check
// The table of events: a value has a menu, a row opens where it is, and time is chosen by dragging over the bars.
import { typing } from "./screen.js";

/** The page's own address without what a filter changes. @returns {URLSearchParams} */
const here = () => new URLSearchParams(location.search);

/** Where filters lead: the hunt of this run. @returns {string} */
const hunt = () => `${location.pathname.split("/").slice(0, 3).join("/")}/hunt`;

/** @param {URLSearchParams} query @returns {string} */
function address(query) {
  query.delete("page");
  return `${hunt()}?${query}`;
}

/** What can be done with a value. @param {string} field @param {string} value @returns {[string, string][]} */
function choices(field, value) {
  const on = location.pathname === hunt();
  const include = on ? here() : new URLSearchParams();
  include.append("f", `${field}=${value}`);
  const exclude = on ? here() : new URLSearchParams();
  exclude.append("x", `${field}=${value}`);
  const only = new URLSearchParams({ f: `${field}=${value}` });
  for (const name of ["from", "to"]) {
    const held = on ? here().get(name) : null;
    if (held) only.set(name, held);
  }
  const group = on ? here() : new URLSearchParams();
  group.set("group", field);
  /** @type {[string, string][]} */
  const found = [
    ["include", address(include)],
    ["exclude", address(exclude)],
    ["only this", address(only)],
    [`group by ${field}`, address(group)],
  ];
  if (["host.name", "user.name", "source.ip", "destination.ip"].includes(field)) {
    found.push(["everything it did", `${hunt().replace(/hunt$/, "entity")}?${new URLSearchParams({ field, value })}`]);
  }
  return found;
}

/** @param {HTMLAnchorElement} link */
function menu(link) {
  closeMenu();
  const value = new URL(link.href).searchParams.getAll("f").at(-1)?.replace(/^[^=]*=/, "") ?? "";
  const made = document.createElement("div");
  made.className = "menu";
  made.setAttribute("role", "menu");
  for (const [said, to] of choices(link.dataset.field ?? "", value)) {
    const choice = document.createElement("a");
    choice.setAttribute("role", "menuitem");
    choice.href = to;
    choice.textContent = said;
    made.append(choice);
  }
  const at = link.getBoundingClientRect();
  document.body.append(made);
  const left = Math.min(at.left, innerWidth - made.offsetWidth - 8);
  made.style.left = `${Math.max(4, left + scrollX)}px`;
  made.style.top = `${at.bottom + scrollY + 2}px`;
  made.addEventListener("keydown", (event) => {
    const all = [...made.querySelectorAll("a")];
    const place = all.indexOf(/** @type {HTMLAnchorElement} */ (document.activeElement));
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      all[(place + (event.key === "ArrowDown" ? 1 : all.length - 1)) % all.length].focus();
    } else if (event.key === "Escape") {
      closeMenu();
      link.focus();
    }
  });
  made.querySelector("a")?.focus();
}

function closeMenu() {
  document.querySelector(".menu")?.remove();
}

/** Open an event below its row, or close it. @param {HTMLAnchorElement} link */
async function unfold(link) {
  const row = link.closest("tr");
  if (!row) return;
  const next = row.nextElementSibling;
  if (next?.classList.contains("unfolded")) {
    next.remove();
    link.setAttribute("aria-expanded", "false");
    return;
  }
  const answer = await fetch(`${link.href}&part=1`);
  const read = new DOMParser().parseFromString(await answer.text(), "text/html");
  const made = document.createElement("tr");
  made.className = "unfolded";
  const cell = document.createElement("td");
  cell.colSpan = row.cells.length;
  cell.append(...read.body.childNodes);
  made.append(cell);
  row.after(made);
  link.setAttribute("aria-expanded", "true");
}

document.addEventListener("click", (event) => {
  const target = event.target instanceof Element ? event.target : null;
  if (event.ctrlKey || event.metaKey || event.shiftKey || !target) return;
  const value = target.closest("a.value");
  if (value instanceof HTMLAnchorElement) {
    event.preventDefault();
    menu(value);
    return;
  }
  if (!target.closest(".menu")) closeMenu();
  const open = target.closest("table.hunt a.open");
  if (open instanceof HTMLAnchorElement) {
    event.preventDefault();
    void unfold(open);
  }
});

/** Let time be chosen by dragging. @param {HTMLElement} figure */
function brush(figure) {
  const svg = figure.querySelector("svg");
  const shade = svg?.querySelector(".brush");
  if (!svg || !shade) return;
  const start = BigInt(figure.dataset.start ?? "0");
  const end = BigInt(figure.dataset.end ?? "0");
  const width = svg.viewBox.baseVal.width;
  /** @type {number | null} */
  let from = null;
  /** @param {PointerEvent} event */
  const place = (event) => {
    const box = svg.getBoundingClientRect();
    return Math.max(0, Math.min(1, (event.clientX - box.left) / box.width));
  };
  svg.addEventListener("pointerdown", (event) => {
    from = place(event);
    event.preventDefault();
  });
  svg.addEventListener("pointermove", (event) => {
    if (from === null) return;
    const to = place(event);
    shade.setAttribute("x", String(Math.min(from, to) * width));
    shade.setAttribute("width", String(Math.abs(to - from) * width));
  });
  addEventListener("pointerup", (event) => {
    if (from === null) return;
    const [low, high] = [Math.min(from, place(event)), Math.max(from, place(event))];
    from = null;
    shade.setAttribute("width", "0");
    if (high - low < 0.004) return;
    svg.addEventListener("click", (click) => click.preventDefault(), { capture: true, once: true });
    /** @param {number} share @returns {string} */
    const moment = (share) => {
      const at = start + ((end - start) * BigInt(Math.round(share * 1e6))) / 1000000n;
      const whole = new Date(Number(at / 1000000n)).toISOString().slice(0, 19);
      return `${whole}.${String(at % 1000000000n).padStart(9, "0")}Z`;
    };
    const query = here();
    query.set("from", moment(low));
    query.set("to", moment(high));
    location.assign(address(query));
  });
}

/** @param {ParentNode} within */
function brushes(within) {
  for (const it of within.querySelectorAll("figure.bars")) if (it instanceof HTMLElement) brush(it);
}

document.addEventListener("loaded", (event) => {
  if (event.target instanceof HTMLElement) brushes(event.target);
});
brushes(document);

/** Place of the chosen row. */
let chosen = -1;

document.addEventListener("keydown", (event) => {
  if (typing(event.target) || event.ctrlKey || event.metaKey || event.altKey) return;
  const links = [...document.querySelectorAll("table.hunt tbody a.open")];
  if (!links.length) return;
  if (event.key === "j" || event.key === "k") {
    chosen = Math.max(0, Math.min(links.length - 1, chosen + (event.key === "j" ? 1 : -1)));
    const link = links[chosen];
    if (link instanceof HTMLElement) link.focus();
  }
});
