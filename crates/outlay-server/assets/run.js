// A run's metrics and files. What it costs is drawn by the server, and anew when it changes (live.js).
"use strict";

document.addEventListener("DOMContentLoaded", () => {
  const run = document.querySelector("[data-run]").dataset.run;
  const place = document.getElementById("charts");
  const address = new URL(location.href);
  const charts = new Map();
  const { ask, make, number, say } = Outlay;
  let refreshing = 0;

  files("");
  if (!place) return;

  const against = document.getElementById("against");
  const logarithmic = document.getElementById("logarithmic");
  against.value = address.searchParams.get("x") ?? "step";
  if (!against.value) against.value = "step";
  logarithmic.checked = address.searchParams.has("log");
  const options = () => ({ x: against.value, isLogarithmic: logarithmic.checked });

  function remember() {
    address.searchParams.delete("metric");
    for (const key of charts.keys()) address.searchParams.append("metric", key);
    if (against.value === "step") address.searchParams.delete("x");
    else address.searchParams.set("x", against.value);
    if (logarithmic.checked) address.searchParams.set("log", "");
    else address.searchParams.delete("log");
    history.replaceState(null, "", address);
  }

  function show(key, isShown) {
    if (isShown && !charts.has(key)) charts.set(key, new Chart(place, [run], key, options()));
    if (!isShown && charts.has(key)) {
      charts.get(key).remove();
      charts.delete(key);
    }
  }

  for (const control of [against, logarithmic]) {
    control.addEventListener("change", () => {
      for (const chart of charts.values()) chart.set(options());
      remember();
    });
  }

  document.addEventListener("outlay-change", ({ detail }) => {
    const what = detail.runs[run];
    if (!detail.has_more && !what?.includes("metric")) return;
    clearTimeout(refreshing);
    // A view that someone zoomed into stays as it is.
    refreshing = setTimeout(() => {
      for (const chart of charts.values()) if (!chart.range) chart.load();
    }, 600);
  });

  // Which metrics: those in the address, else the first few, losses before others and the machine's last.
  (async () => {
    let keys = address.searchParams.getAll("metric");
    if (keys.length === 0) {
      const { metrics } = await ask(`/api/v1/runs/${run}/metrics?limit=200`);
      const rank = (key) => (key.startsWith("system/") ? 3 : /loss/i.test(key) ? 0 : /acc|reward|perplexity/i.test(key) ? 1 : 2);
      keys = metrics.map((metric) => metric.key).sort((a, b) => rank(a) - rank(b)).slice(0, 4);
    }
    for (const key of keys.slice(0, 24)) show(key, true);
  })().catch((error) => say(error.message));

  // All metrics, by the page.
  const rows = document.getElementById("metric-rows");
  const search = document.getElementById("metric-search");
  const more = document.getElementById("more-metrics");
  const tally = document.getElementById("metric-count");
  let n_listed = 0;
  let turn = 0;

  async function list(isNew) {
    const mine = ++turn;
    if (isNew) n_listed = 0;
    const fields = new URLSearchParams({ containing: search.value, offset: n_listed, limit: 100 });
    const { metrics, n_all: total } = await ask(`/api/v1/runs/${run}/metrics?${fields}`);
    if (mine !== turn) return;
    if (isNew) rows.replaceChildren();
    for (const metric of metrics) {
      const box = make("input", { type: "checkbox", "aria-label": `Show ${metric.key}`, onchange: () => { show(metric.key, box.checked); remember(); } });
      box.checked = charts.has(metric.key);
      const cell = (value) => make("td", { class: "right" }, number(value));
      rows.append(make("tr", {}, make("td", {}, box), make("th", { scope: "row", class: "break" }, metric.key), cell(metric.last), cell(metric.min), cell(metric.max), cell(metric.step)));
    }
    n_listed += metrics.length;
    more.hidden = n_listed >= total;
    tally.textContent = `${Outlay.count(n_listed)} of ${Outlay.count(total)}`;
  }

  let typing = 0;
  search.addEventListener("input", () => {
    clearTimeout(typing);
    typing = setTimeout(() => list(true).catch((error) => say(error.message)), 200);
  });
  more.addEventListener("click", () => list(false).catch((error) => say(error.message)));
  document.getElementById("choose").addEventListener("toggle", (event) => {
    if (event.target.open && n_listed === 0) list(true).catch((error) => say(error.message));
  });

  async function files(path) {
    const place = document.getElementById("file-list");
    try {
      const found = await ask(`/api/v1/runs/${run}/files${path ? `?path=${encodeURIComponent(path)}` : ""}`);
      const body = make("tbody");
      if (path) body.append(make("tr", {}, make("td", { colspan: 2 }, make("button", { type: "button", class: "quiet", onclick: () => files(path.split("/").slice(0, -1).join("/")) }, "↑ up"))));
      for (const file of found.files) {
        const name = file.path.split("/").at(-1);
        const shown = file.is_folder
          ? make("button", { type: "button", class: "quiet", onclick: () => files(file.path) }, `${name}/`)
          : file.link ? make("a", { href: file.link, download: true }, name) : name;
        body.append(make("tr", {}, make("th", { scope: "row", class: "break" }, shown), make("td", { class: "right" }, file.bytes === null ? "" : bytes(file.bytes))));
      }
      const head = make("thead", { class: "unseen" }, make("tr", {}, make("th", { scope: "col" }, "Name"), make("th", { scope: "col" }, "Size")));
      const parts = [];
      if (found.note) parts.push(make("p", { class: "notice break" }, found.note));
      if (found.files.length > 0 || path) parts.push(make("table", {}, head, body));
      else if (!found.note) parts.push(make("p", { class: "empty" }, "None was logged."));
      place.replaceChildren(...parts);
    } catch (error) {
      place.replaceChildren(make("p", { class: "fault" }, error.message));
    }
  }

  function bytes(value) {
    for (const [size, unit] of [[2 ** 40, "TiB"], [2 ** 30, "GiB"], [2 ** 20, "MiB"], [2 ** 10, "KiB"]]) {
      if (value >= size) return `${Outlay.significant(value / size)} ${unit}`;
    }
    return `${value} B`;
  }
});
