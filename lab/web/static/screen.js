// @ts-check
// What all pages share: parts that are loaded later, words for a screen reader, and the keys / and ?.

/** Say something to a screen reader. @param {string} text */
export function tell(text) {
  const told = document.getElementById("told");
  if (told) told.textContent = text;
}

/** Whether somebody is typing. @param {EventTarget | null} target @returns {boolean} */
export function typing(target) {
  return target instanceof HTMLElement && target.matches("input:not([type=checkbox]), select, textarea");
}

/** Load the parts of a page that take long. @param {ParentNode} [within] */
export async function loadLater(within = document) {
  for (const place of within.querySelectorAll("[data-load]")) {
    if (!(place instanceof HTMLElement)) continue;
    place.append(place.dataset.said ?? "");
    const answer = await fetch(place.dataset.load ?? "");
    const read = new DOMParser().parseFromString(await answer.text(), "text/html");
    place.replaceChildren(...read.body.childNodes);
    place.removeAttribute("data-load");
    place.classList.remove("later");
    place.dispatchEvent(new CustomEvent("loaded", { bubbles: true }));
  }
}

document.addEventListener("keydown", (event) => {
  if (typing(event.target) || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "/") {
    const search = document.getElementById("search");
    if (search) {
      event.preventDefault();
      search.focus();
    }
  } else if (event.key === "?") {
    const keys = document.querySelector("details.keys");
    if (keys instanceof HTMLDetailsElement) {
      keys.open = !keys.open;
      if (keys.open) keys.scrollIntoView({ block: "nearest" });
      keys.querySelector("summary")?.focus();
    }
  }
});

document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && event.target instanceof HTMLElement && typing(event.target)) event.target.blur();
});

void loadLater();
