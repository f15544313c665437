// The planner: when a field moves, the address follows, and the answer is asked for anew.
"use strict";

(() => {
  const form = document.getElementById("fields");
  const answer = document.getElementById("answer");
  const trains = form.dataset.kind === "train";
  let config = null;
  let asking = null;
  let timer = 0;

  // Sliders move texts, and texts move sliders. Most go by powers of ten, as what people choose does.
  const units = [[1e12, "T"], [1e9, "B"], [1e6, "M"], [1e3, "k"], [1, ""]];
  const scales = { T: 1e12, B: 1e9, M: 1e6, K: 1e3, k: 1e3, t: 1e12, b: 1e9, m: 1e6 };

  function short(value) {
    const [size, unit] = units.find(([size]) => value >= size * 0.9995) ?? [1, ""];
    return `${Number((value / size).toPrecision(2))}${unit}`;
  }

  function long(text) {
    const match = /^\s*([\d.,_]+)\s*([TBMKkmbt]?)/.exec(text);
    return match ? Number(match[1].replace(/[,_]/g, "")) * (scales[match[2]] ?? 1) : NaN;
  }

  const moves = {
    log: { text: (place) => short(10 ** place), place: (text) => Math.log10(long(text)) },
    whole: { text: (place) => String(Math.round(Number((10 ** place).toPrecision(2)))), place: (text) => Math.log10(long(text)) },
    two: { text: (place) => String(2 ** place), place: (text) => Math.log2(Number(text || 1)) },
    rate: {
      text: (place) => `${Number((10 ** place).toPrecision(2))}/s`,
      place: (text) => {
        const per = { s: 1, sec: 1, second: 1, min: 60, minute: 60, h: 3600, hour: 3600, d: 86400, day: 86400, month: 2628000 };
        const unit = /\/\s*([a-z]+)/.exec(text)?.[1];
        return Math.log10(long(text) / (per[unit] ?? 1));
      },
    },
  };

  const sliders = [...form.querySelectorAll("input[type=range]")];
  function follow(slider) {
    const field = form.elements[slider.dataset.moves];
    // An empty field means what it shows in grey.
    const text = field.value || field.placeholder;
    const place = moves[slider.dataset.scale].place(text);
    if (Number.isFinite(place)) slider.value = place;
    slider.setAttribute("aria-valuetext", text);
  }
  for (const slider of sliders) {
    slider.hidden = false;
    follow(slider);
    slider.addEventListener("input", () => {
      const field = form.elements[slider.dataset.moves];
      field.value = moves[slider.dataset.scale].text(Number(slider.value));
      slider.setAttribute("aria-valuetext", field.value);
    });
  }

  /** What the fields say, by their names; empty ones say nothing. */
  function said() {
    const fields = new Map();
    for (const element of form.elements) {
      if (!element.name || element.closest("[data-for][hidden]")) continue;
      if (element.type === "checkbox") {
        if (element.checked) fields.set(element.name, "1");
      } else if (element.value.trim() !== "") {
        fields.set(element.name, element.value.trim());
      }
    }
    if (!fields.has("gpu") && trains) fields.delete("n");
    return fields;
  }

  function request() {
    const fields = Object.fromEntries(said());
    const { gpu, n } = fields;
    delete fields.gpu;
    delete fields.n;
    if (gpu && trains) fields.gpus = `${n ?? 1}x${gpu}`;
    else if (gpu) fields.gpu = n ? `${n}x${gpu}` : gpu;
    if (config !== null) {
      delete fields.model;
      fields.config = config;
    }
    return fields;
  }

  function tellAddress() {
    const query = new URLSearchParams([...said()]);
    history.replaceState(null, "", `${location.pathname}?${query}`);
    // The other tab keeps the model and the hardware.
    for (const link of document.querySelectorAll(".tabs a:not([aria-current])")) {
      const kept = new URLSearchParams([...said()].filter(([name]) => ["model", "spot", "reserved", "at", "price"].includes(name)));
      link.href = `${link.pathname}?${kept}`;
    }
  }

  /** Which fields are of use to the model, as the answer says. */
  function fit() {
    const shown = answer.querySelector(".answer");
    const { takes, answers } = shown?.dataset ?? {};
    const refusal = answer.querySelector("[data-field]");
    const text = refusal?.textContent ?? "";
    const show = (name, wanted) => {
      for (const element of form.querySelectorAll(`[data-for="${name}"]`)) element.hidden = !wanted;
    };
    if (trains) {
      const samples = takes === "samples" || /allowed: samples|number of (?!tokens)\w+ to train on/.test(text);
      const tokens = takes === "tokens" || /number of tokens to train on/.test(text);
      if (samples || tokens) {
        const before = form.querySelector('[data-for="samples"]').hidden;
        show("samples", samples && !tokens);
        show("tokens", !samples || tokens);
        // A model of the other kind: its field has a usual value, so that there is an answer.
        if (before !== !(samples && !tokens) && !shown) {
          const field = form.elements[samples ? "samples" : "tokens"];
          if (!field.value) field.value = samples ? "100M" : "100B";
          sliders.forEach(follow);
          soon(0);
        }
      }
    } else if (answers) {
      show("tokens-limits", answers === "tokens");
      show("whole-limits", answers === "whole");
      // Images have no tokens, recordings are written down, and texts are read.
      const { unit } = shown.dataset;
      show("input", answers === "tokens" || !["images", "videos", "recordings", "samples"].includes(unit));
      show("output", answers === "tokens" || unit === "recordings");
    } else if (/answers whole/.test(text)) {
      show("tokens-limits", false);
      show("whole-limits", true);
      if (refusal.dataset.field === "input") show("input", false);
      if (refusal.dataset.field === "output") show("output", false);
      if (["ttft", "tpot", "compare_api", "input", "output", "apart"].includes(refusal.dataset.field)) soon(0);
    } else if (/writes tokens/.test(text)) {
      for (const name of ["input", "output", "tokens-limits"]) show(name, true);
      show("whole-limits", false);
      soon(0);
    }
    show("n", form.elements.gpu.value !== "");
  }

  function mark() {
    const wrong = answer.querySelector("[data-field]")?.dataset.field;
    const names = { gpus: "gpu", config: "model" };
    for (const element of form.elements) {
      if (element.name && element.name === (names[wrong] ?? wrong)) element.setAttribute("aria-invalid", "true");
      else element.removeAttribute("aria-invalid");
    }
  }

  async function ask() {
    asking?.abort();
    asking = new AbortController();
    const mine = asking;
    const asked = request();
    answer.setAttribute("aria-busy", "true");
    try {
      const reply = await fetch(form.dataset.answer, {
        method: "POST",
        headers: { "Content-Type": "application/json" },
        body: JSON.stringify(asked),
        signal: mine.signal,
      });
      const html = await reply.text();
      if (mine.signal.aborted) return;
      // The server's own markup, in which every text is escaped.
      answer.innerHTML = html;
      after(asked, mine.signal);
    } catch (error) {
      if (error.name === "AbortError") return;
      answer.replaceChildren(Outlay.make("p", { class: "notice bad", role: "alert" }, "The server cannot be reached."));
    }
    if (mine === asking) answer.setAttribute("aria-busy", "false");
  }

  function after(asked, signal) {
    fit();
    mark();
    const cost = answer.querySelector(".number.large");
    const gist = document.getElementById("gist");
    gist.hidden = !cost;
    if (cost) gist.replaceChildren(Outlay.make("strong", {}, cost.textContent), ` ${answer.querySelector(".means").textContent}`);
    Outlay.say(cost ? `Cost ${cost.textContent}, ${answer.querySelector(".means").textContent}` : answer.textContent.trim());
    if (trains && asked.gpus && cost) sizes(asked, signal);
    const curve = answer.querySelector("#curve");
    if (curve) drawCurve(curve);
  }

  function soon(milliseconds = 120) {
    clearTimeout(timer);
    timer = setTimeout(() => {
      tellAddress();
      ask();
    }, milliseconds);
  }

  // Pictures.
  function colour(name) {
    return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  }

  function frame(x, y, more = {}) {
    const axis = ({ title, ...rest }) => ({ title: { text: title, standoff: 8 }, gridcolor: colour("--line"), zeroline: false, automargin: true, fixedrange: true, ...rest });
    return {
      margin: { l: 10, r: 10, t: 10, b: 10 },
      paper_bgcolor: "rgba(0,0,0,0)",
      plot_bgcolor: "rgba(0,0,0,0)",
      font: { color: colour("--ink"), family: "inherit", size: 12 },
      legend: { orientation: "h", y: 1.12, x: 0 },
      hoverlabel: { bgcolor: colour("--ink"), font: { color: colour("--paper") } },
      xaxis: axis(x),
      yaxis: axis(y),
      ...more,
    };
  }

  /** Marks of a logarithmic axis at 1, 2 and 5 of each power of ten; all powers alone where there are many. */
  function marks(values) {
    const [least, most] = [Math.min(...values), Math.max(...values)];
    const found = [];
    for (let power = Math.floor(Math.log10(least)); power <= Math.log10(most); power += 1) {
      for (const digit of most / least < 500 ? [1, 2, 5] : [1]) {
        const value = digit * 10 ** power;
        if (value >= least * 0.7 && value <= most * 1.4) found.push(value);
      }
    }
    return { tickvals: found, ticktext: found.map((value) => String(Number(value.toPrecision(1)))) };
  }

  const still = { displayModeBar: false, responsive: true };

  async function sizes(asked, signal) {
    const section = answer.querySelector("#sizes");
    if (!section || !window.Plotly) return;
    let found;
    try {
      found = await Outlay.ask("/api/v1/plan/train/sizes", {
        method: "POST",
        headers: { "Content-Type": "application/json" },
        body: JSON.stringify(asked),
        signal,
      });
    } catch {
      return;
    }
    if (found.points.length < 2 || !section.isConnected) return;
    section.hidden = false;
    const draw = () => drawSizes(section, found, Number(asked.gpus.split("x")[0]));
    draw();
    section.redraw = draw;
    const body = section.querySelector("tbody");
    body.replaceChildren(...found.points.map((point) => Outlay.make("tr", {},
      Outlay.make("td", { class: "right" }, String(point.count)),
      Outlay.make("td", { class: "right" }, point.usd ? `${Outlay.money(point.usd.p50)} (${Outlay.money(point.usd.p10)} to ${Outlay.money(point.usd.p90)})` : "–"),
      Outlay.make("td", { class: "right" }, Outlay.duration(point.wall_clock_s.p50)),
      Outlay.make("td", {}, point.layout_brief))));
    const without = section.querySelector(".without");
    without.hidden = found.impossible.length === 0;
    without.textContent = found.impossible.length ? `It does not run on ${found.impossible.map(([count]) => count).join(", ")}: ${found.impossible[0][1]}.` : "";
  }

  function drawSizes(section, found, now) {
    const counts = found.points.map((point) => point.count);
    const range = (of, scale = 1) => ({
      type: "data",
      symmetric: false,
      array: found.points.map((point) => (of(point).p90 - of(point).p50) / scale),
      arrayminus: found.points.map((point) => (of(point).p50 - of(point).p10) / scale),
      thickness: 1.2,
      width: 3,
    });
    const series = [];
    const priced = found.points.every((point) => point.usd);
    if (priced) {
      series.push({
        x: counts,
        y: found.points.map((point) => point.usd.p50),
        error_y: { ...range((point) => point.usd), color: colour("--link") },
        name: "cost",
        mode: "lines+markers",
        line: { color: colour("--link") },
        marker: { size: counts.map((count) => (count === now ? 12 : 7)) },
        hovertemplate: "%{x} GPUs: $%{y:,.0f}<extra></extra>",
      });
    }
    series.push({
      x: counts,
      y: found.points.map((point) => point.wall_clock_s.p50 / 86400),
      error_y: { ...range((point) => point.wall_clock_s, 86400), color: colour("--warn") },
      name: "time",
      yaxis: priced ? "y2" : "y",
      mode: "lines+markers",
      line: { color: colour("--warn"), dash: "dot" },
      marker: { symbol: "square", size: counts.map((count) => (count === now ? 11 : 6)) },
      hovertemplate: "%{x} GPUs: %{y:.3~g} days<extra></extra>",
    });
    const days = marks(found.points.map((point) => point.wall_clock_s.p50 / 86400));
    const layout = frame(
      { title: "GPUs", type: "log", tickvals: counts, ticktext: counts.map(String) },
      priced ? { title: "cost ($)", rangemode: "tozero", tickformat: "~s" } : { title: "days", type: "log", ...days },
      priced ? { yaxis2: { title: { text: "days", standoff: 8 }, ...days, overlaying: "y", side: "right", type: "log", showgrid: false, automargin: true, fixedrange: true } } : {},
    );
    Plotly.react(section.querySelector(".plot"), series, layout, still);
  }

  function drawCurve(section) {
    const { points, x, y, usd } = JSON.parse(section.dataset.curve);
    if (!window.Plotly || points.length < 2) return;
    section.hidden = false;
    section.redraw = () => {
      Plotly.react(section.querySelector(".plot"), [{
        x: points.map((point) => point.x),
        y: points.map((point) => point.y),
        text: points.map((point) => `${point.batch} together${point.usd === null ? "" : `, ${Outlay.money(point.usd)} ${usd}`}`),
        mode: "lines+markers",
        line: { color: colour("--link") },
        marker: { size: points.map((point) => (point.knee ? 12 : 7)), symbol: points.map((point) => (point.knee ? "diamond" : "circle")) },
        hovertemplate: "%{text}<br>%{x:.3~g} ms, %{y:.3~g} a second<extra></extra>",
      }], frame({ title: x, type: "log", ...marks(points.map((point) => point.x)) }, { title: y, rangemode: "tozero" }, { showlegend: false }), still);
    };
    section.redraw();
  }

  document.addEventListener("outlay-theme", () => {
    for (const section of answer.querySelectorAll(".chart")) section.redraw?.();
  });

  // Fields.
  form.addEventListener("input", (event) => {
    const { name } = event.target;
    for (const slider of sliders) if (slider.dataset.moves === name) follow(slider);
    if (name === "gpu") fit();
    if (name === "model") for (const part of form.querySelectorAll('[data-for="input"], [data-for="output"]')) part.hidden = false;
    soon(event.target.type === "range" ? 60 : 200);
  });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    soon(0);
  });

  const file = document.getElementById("config");
  const drop = document.getElementById("config-drop");
  const modelField = form.elements.model;
  document.querySelector(".upload").hidden = false;
  file.addEventListener("change", async () => {
    const [chosen] = file.files;
    if (!chosen) return;
    const tell = document.getElementById("config-name");
    if (chosen.size > 524288) {
      tell.textContent = "The file has more than 512 KiB.";
      return;
    }
    config = await chosen.text();
    tell.textContent = `${chosen.name} (the link leaves it out)`;
    modelField.disabled = true;
    drop.hidden = false;
    soon(0);
  });
  drop.addEventListener("click", () => {
    config = null;
    file.value = "";
    document.getElementById("config-name").textContent = "";
    modelField.disabled = false;
    drop.hidden = true;
    soon(0);
  });

  const link = document.getElementById("link");
  link.hidden = !navigator.clipboard;
  link.addEventListener("click", async () => {
    tellAddress();
    await navigator.clipboard.writeText(location.href);
    link.textContent = "Copied";
    Outlay.say("The link was copied.");
    setTimeout(() => { link.textContent = "Copy the link"; }, 2000);
  });

  // One explanation at a time; Escape closes it.
  document.addEventListener("toggle", (event) => {
    if (!event.target.matches?.("details.help") || !event.target.open) return;
    for (const other of document.querySelectorAll("details.help[open]")) if (other !== event.target) other.open = false;
  }, true);
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") for (const open of document.querySelectorAll("details.help[open]")) open.open = false;
  });
  document.addEventListener("click", (event) => {
    if (!event.target.closest("details.help")) for (const open of document.querySelectorAll("details.help[open]")) open.open = false;
  });

  document.getElementById("ask").hidden = true;
  if (location.search) tellAddress();
  addEventListener("load", () => after(request(), new AbortController().signal));
})();
