"use strict";
// Draws the timeline with the colours of the style sheet. Without it the page lacks nothing but this.
(() => {
  const root = document.documentElement;
  const box = document.getElementById("timeline");
  const spec = document.getElementById("figure");
  if (!box || !spec || !window.Plotly) return;

  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  const narrow = window.matchMedia("(max-width: 46rem)");
  const paper = 660; // pixels between the margins of A4
  const hidden = new Set();
  let printing = false;

  const colour = (role) => getComputedStyle(root).getPropertyValue(`--${role}`).trim();

  function dressed(trace) {
    const { role, quiet } = trace.meta;
    const own = colour(role);
    trace.visible = !hidden.has(role) && !(quiet && narrow.matches && !printing);
    if (trace.mode === "text") {
      trace.textfont = { color: own, size: 12 };
      return trace;
    }
    trace.marker.color = own;
    trace.marker.line.color = trace.mode === "markers" && !role.endsWith("informational") ? colour("surface") : own;
    if (trace.marker.pattern && trace.marker.pattern.shape) {
      Object.assign(trace.marker.pattern, { fgcolor: own, bgcolor: colour("surface"), fillmode: "replace", size: 5 });
    }
    return trace;
  }

  function laidOut(layout) {
    const ink = colour("ink");
    const line = colour("line");
    Object.assign(layout, {
      paper_bgcolor: "rgba(0,0,0,0)",
      plot_bgcolor: "rgba(0,0,0,0)",
      font: { family: getComputedStyle(document.body).fontFamily, size: 12, color: colour("muted") },
      dragmode: narrow.matches ? false : "zoom",
      uirevision: "kept",
      autosize: !printing,
    });
    if (printing) Object.assign(layout, { width: paper, height: layout.height * 0.8 });
    Object.assign(layout.hoverlabel, {
      bgcolor: colour("surface"), bordercolor: line, font: { color: ink, size: 13 },
    });
    for (const [name, axis] of Object.entries(layout)) {
      if (/^[xy]axis/.test(name)) {
        Object.assign(axis, { gridcolor: line, linecolor: line, tickcolor: line });
        if (name === "xaxis") axis.spikecolor = colour("muted");
      }
    }
    for (const title of layout.annotations) title.font = { color: ink, size: 12.5 };
    return layout;
  }

  function draw() {
    const { data, layout } = JSON.parse(spec.textContent);
    Plotly.react(box, data.map(dressed), laidOut(layout), { displayModeBar: false, responsive: true });
  }

  function print(begun) {
    printing = begun;
    root.classList.toggle("printing", begun);
    draw();
  }

  for (const key of document.querySelectorAll(".key")) {
    key.addEventListener("click", () => {
      const { role } = key.dataset;
      if (!hidden.delete(role)) hidden.add(role);
      key.setAttribute("aria-pressed", String(!hidden.has(role)));
      draw();
    });
  }

  // A link to an alert opens it.
  function open() {
    const target = location.hash && document.getElementById(location.hash.slice(1));
    if (target && target.tagName === "DETAILS") target.open = true;
  }

  for (const scripted of document.querySelectorAll("[data-scripted]")) scripted.hidden = false;
  for (const plain of document.querySelectorAll(".unscripted")) plain.hidden = true;
  draw();
  open();
  dark.addEventListener("change", draw);
  narrow.addEventListener("change", draw);
  window.addEventListener("hashchange", open);
  window.addEventListener("beforeprint", () => print(true));
  window.addEventListener("afterprint", () => print(false));
})();
