// Prices: the list follows the fields without a new page, and the picture of trends.
"use strict";

(() => {
  const form = document.querySelector(".filters");
  let timer = 0;
  let asking = null;

  async function show(address) {
    asking?.abort();
    asking = new AbortController();
    let html;
    try {
      const reply = await fetch(address, { signal: asking.signal });
      if (!reply.ok) return;
      html = await reply.text();
    } catch {
      return;
    }
    // The server's own page, in which every text is escaped.
    const page = new DOMParser().parseFromString(html, "text/html");
    document.getElementById("list").replaceWith(page.getElementById("list"));
    history.replaceState(null, "", address);
    const found = document.getElementById("found");
    Outlay.say(found ? found.textContent : "Nothing was found.");
    draw();
  }

  function address() {
    const query = new URLSearchParams();
    for (const [name, value] of new FormData(form)) if (value.trim() !== "") query.set(name, value.trim());
    return `${form.getAttribute("action")}?${query}`;
  }

  form.addEventListener("input", (event) => {
    if (event.target.name === "what") {
      location.href = address();
      return;
    }
    clearTimeout(timer);
    timer = setTimeout(() => show(address()), 150);
  });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    show(address());
  });
  document.addEventListener("click", (event) => {
    const link = event.target.closest("a.sorts");
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    const column = new URL(link.href).searchParams.get("sort");
    let field = form.querySelector("[name=sort]");
    if (!field) {
      field = Outlay.make("input", { type: "hidden", name: "sort" });
      form.append(field);
    }
    field.value = column;
    show(address());
  });

  const curves = {
    light: ["#0b7a66", "#b3541e", "#4457a6", "#a3266f", "#6b7a1a", "#1f7fa8", "#8a4f9e", "#5d5d5d"],
    dark: ["#4fc3ad", "#f0a069", "#93a5f5", "#f08abf", "#c3d16a", "#7cc9ee", "#cf9fe3", "#b8b8b8"],
  };
  function colour(name) {
    return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  }

  function draw() {
    const section = document.getElementById("history");
    if (!section || !window.Plotly) return;
    const series = Object.entries(JSON.parse(section.dataset.points));
    if (series.length === 0) return;
    section.hidden = false;
    const colours = curves[Outlay.theme()];
    const axis = { gridcolor: colour("--line"), zeroline: false, automargin: true, fixedrange: true };
    Plotly.react(section.querySelector(".plot"), series.map(([name, points], index) => ({
      x: points.map((point) => point[0]),
      y: points.map((point) => point[1]),
      text: points.map((point) => point[2]),
      name,
      mode: "markers",
      marker: { size: 6, opacity: 0.8, color: colours[index % colours.length] },
      hovertemplate: "%{x|%Y-%m-%d}: $%{y:.3~g}<br>%{text}<extra>%{fullData.name}</extra>",
    })), {
      margin: { l: 10, r: 10, t: 10, b: 10 },
      paper_bgcolor: "rgba(0,0,0,0)",
      plot_bgcolor: "rgba(0,0,0,0)",
      font: { color: colour("--ink"), family: "inherit", size: 12 },
      legend: { orientation: "h", y: -0.12 },
      hoverlabel: { bgcolor: colour("--ink"), font: { color: colour("--paper") } },
      showlegend: true,
      xaxis: { ...axis, type: "date" },
      yaxis: { ...axis, type: "log", title: { text: "US dollars" }, tickformat: "$.3~g" },
    }, { displayModeBar: false, responsive: true });
  }

  document.addEventListener("outlay-theme", draw);
  addEventListener("load", draw);
})();
