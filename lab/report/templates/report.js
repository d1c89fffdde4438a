"use strict";
// Makes the timeline answer when it is pointed at, and the legend hide what it names. Without it the page
// lacks nothing but this: the picture is there, and browsers show its words by themselves.
(() => {
  const plot = document.getElementById("timeline");
  const tip = plot && plot.querySelector(".tip");
  const spike = plot && plot.querySelector(".spike");

  // The words of a shape are in its <title>, which the browser would show beside ours.
  for (const title of plot ? plot.querySelectorAll(".shape > title") : []) {
    title.parentNode.dataset.words = title.textContent;
    title.remove();
  }

  function show(event) {
    const shape = event.target.closest(".shape");
    tip.hidden = !shape;
    spike.toggleAttribute("hidden", !shape);
    if (!shape) return;
    const [first, ...rest] = shape.dataset.words.split("\n");
    const head = document.createElement("b");
    head.textContent = first;
    tip.replaceChildren(head, ...rest.map((line) => {
      const row = document.createElement("span");
      row.textContent = line;
      return row;
    }));
    const box = plot.getBoundingClientRect();
    const place = shape.getBoundingClientRect();
    const middle = place.left + place.width / 2 - box.left;
    tip.style.left = `${Math.max(0, Math.min(middle - tip.offsetWidth / 2, box.width - tip.offsetWidth))}px`;
    const above = place.top - box.top - tip.offsetHeight - 8;
    tip.style.top = `${above > 0 ? above : place.bottom - box.top + 8}px`;
    const x = middle - (spike.ownerSVGElement.getBoundingClientRect().left - box.left);
    spike.setAttribute("x1", x);
    spike.setAttribute("x2", x);
  }

  if (plot) {
    plot.addEventListener("pointermove", show);
    plot.addEventListener("pointerdown", show);
    plot.addEventListener("pointerleave", show);
  }

  for (const key of document.querySelectorAll(".key")) {
    key.addEventListener("click", () => {
      const shown = key.getAttribute("aria-pressed") !== "true";
      key.setAttribute("aria-pressed", String(shown));
      for (const shape of plot.querySelectorAll(`[data-role="${key.dataset.role}"]`)) {
        shape.classList.toggle("off", !shown);
      }
    });
  }

  // A link to an alert opens it.
  function open() {
    const target = location.hash && document.getElementById(location.hash.slice(1));
    if (target && target.tagName === "DETAILS") target.open = true;
  }

  for (const scripted of document.querySelectorAll("[data-scripted]")) scripted.hidden = false;
  open();
  window.addEventListener("hashchange", open);
})();
