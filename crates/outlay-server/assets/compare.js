// Several runs beside each other: one metric of all, and what differs between them.
"use strict";

document.addEventListener("DOMContentLoaded", async () => {
  const { ask, make, money, duration, number, time } = Outlay;
  const by = (id) => document.getElementById(id);
  const address = new URL(location.href);
  const ids = address.searchParams.getAll("run").slice(0, 30);
  const note = by("note");
  if (ids.length === 0) {
    note.textContent = "No run is chosen. Select some in the table of runs.";
    return;
  }
  const found = await Promise.allSettled(ids.map((id) => Promise.all([ask(`/api/v1/runs/${encodeURIComponent(id)}`), ask(`/api/v1/runs/${encodeURIComponent(id)}/metrics?limit=1000`)])));
  const runs = found.filter((one) => one.status === "fulfilled").map(({ value: [run, { metrics }] }) => ({ ...run, metrics: new Map(metrics.map((metric) => [metric.key, metric])) }));
  const faults = found.filter((one) => one.status === "rejected").map((one) => one.reason.message);
  note.textContent = faults.join(" ");
  note.hidden = faults.length === 0;
  if (runs.length === 0) return;

  const keys = [...new Set(runs.flatMap((run) => [...run.metrics.keys()]))];
  const rank = (key) => (key.startsWith("system/") ? 3 : /loss/i.test(key) ? 0 : /acc|reward|perplexity/i.test(key) ? 1 : 2);
  keys.sort((a, b) => rank(a) - rank(b) || a.localeCompare(b));
  const metric = by("metric");
  metric.append(...keys.map((key) => make("option", { value: key }, key)));
  const [against, logarithmic, differing] = ["against", "logarithmic", "differing"].map(by);
  if (keys.includes(address.searchParams.get("metric"))) metric.value = address.searchParams.get("metric");
  against.value = address.searchParams.get("x") ?? "step";
  if (!against.value) against.value = "step";
  let chart;

  function draw() {
    address.searchParams.set("metric", metric.value);
    address.searchParams.set("x", against.value);
    history.replaceState(null, "", address);
    const options = { x: against.value, isLogarithmic: logarithmic.checked };
    if (chart?.key === metric.value) return chart.set(options);
    chart?.remove();
    chart = new Chart(by("charts"), runs.map((run) => run.id), metric.value, { ...options, height: 420 });
    return undefined;
  }
  if (keys.length > 0) draw();
  else by("charts").append(make("p", { class: "empty" }, "None of them has metrics."));
  for (const control of [metric, against, logarithmic]) control.addEventListener("change", draw);

  const called = (run) => run.name.trim() || run.id.slice(0, 8);
  const spent = (run) => run.spent.map((amount) => money(amount.micro / 1e6, amount.currency)).join(" + ");
  const took = (run) => duration(((run.ended_us ?? run.seen_us) - run.started_us) / 1e6);
  const facts = [["Status", (run) => run.status], ["Project", (run) => run.project], ["Started", (run) => time(run.started_us)], ["Took", took], ["Spent", spent], ["Who", (run) => run.who]];

  function table() {
    const only = differing.checked;
    const sections = [];
    const section = (title, lines) => {
      const kept = lines.map(([name, show]) => [name, runs.map((run) => show(run) ?? "")]).filter(([, cells]) => !only || new Set(cells).size > 1);
      if (kept.length === 0) return;
      const heading = make("tr", {}, make("th", { colspan: runs.length + 1, scope: "rowgroup" }, title));
      const rows = kept.map(([name, cells]) => make("tr", {}, make("th", { scope: "row", class: "break" }, name), ...cells.map((cell) => make("td", { class: new Set(cells).size > 1 && !only ? "break differs" : "break" }, cell))));
      sections.push(make("tbody", {}, heading, ...rows));
    };
    const all = (kind) => [...new Set(runs.flatMap((run) => Object.keys(run[kind])))].sort();
    section("Run", facts);
    section("Parameters", all("params").map((key) => [key, (run) => run.params[key]]));
    section("Metrics, last", keys.slice(0, 200).map((key) => [key, (run) => number(run.metrics.get(key)?.last)]));
    section("Tags", all("tags").map((key) => [key, (run) => run.tags[key]]));
    const head = make("thead", {}, make("tr", {}, make("th", { scope: "col" }, make("span", { class: "unseen" }, "What")), ...runs.map((run) => make("th", { scope: "col" }, make("a", { href: `/runs/${run.id}` }, called(run))))));
    by("table").replaceChildren(head, ...sections);
  }
  differing.addEventListener("change", table);
  table();
});
