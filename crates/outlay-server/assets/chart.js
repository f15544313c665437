// Charts of metrics: the server thins them, and a zoom asks for its range anew.
"use strict";

const Chart = (() => {
  const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const curves = {
    light: ["#0b7a66", "#b3541e", "#4457a6", "#a3266f", "#6b7a1a", "#1f7fa8", "#8a4f9e", "#5d5d5d"],
    dark: ["#4fc3ad", "#f0a069", "#93a5f5", "#f08abf", "#c3d16a", "#7cc9ee", "#cf9fe3", "#b8b8b8"],
  };

  // No format with small raised digits: the library styles these inline, which the server forbids.
  function axis(given, isLogarithmic, exponentformat) {
    return {
      ...given,
      type: isLogarithmic ? "log" : "linear",
      automargin: true,
      gridcolor: css("--line"),
      linecolor: css("--line"),
      zerolinecolor: css("--line"),
      tickfont: { size: 11 },
      title: { ...given?.title, font: { size: 12 }, standoff: 8 },
      exponentformat,
    };
  }

  /** The server's layout in this page's colours. */
  function dressed(layout, options) {
    return {
      ...layout,
      height: options.height,
      margin: { l: 54, r: 12, t: options.hasLegend ? 34 : 8, b: 42 },
      paper_bgcolor: "rgba(0,0,0,0)",
      plot_bgcolor: "rgba(0,0,0,0)",
      font: { family: "system-ui, sans-serif", size: 12, color: css("--dim") },
      colorway: curves[Outlay.theme()],
      hoverlabel: { bgcolor: css("--sheet"), bordercolor: css("--line"), font: { color: css("--ink") } },
      legend: { orientation: "h", x: 0, y: 1.02, yanchor: "bottom", font: { size: 11 } },
      dragmode: "zoom",
      uirevision: options.revision,
      xaxis: axis(layout.xaxis, false, "SI"),
      yaxis: axis({ ...layout.yaxis, title: undefined }, options.isLogarithmic, options.isLarge ? "SI" : "e"),
    };
  }

  /** The library is large: browsers that meet it for the first time take a second or two to read it, in which nothing else is done. */
  let reading;
  function library() {
    if (window.Plotly) return Promise.resolve();
    reading ??= new Promise((done, failed) => {
      const script = Outlay.make("script", { src: document.getElementById("plotly").href });
      script.addEventListener("load", done, { once: true });
      script.addEventListener("error", () => failed(new Error("The charts' library cannot be loaded.")), { once: true });
      document.head.append(script);
    });
    return reading;
  }

  /** Until what was drawn is seen. */
  const seen = () => new Promise((done) => requestAnimationFrame(() => setTimeout(done)));

  class Chart {
    /** A chart of a metric of some runs, within an element that it fills. */
    constructor(place, runs, key, options) {
      this.runs = runs;
      this.key = key;
      this.options = { height: 260, x: "step", isLogarithmic: false, ...options };
      this.range = null;
      this.scale = 1;
      this.title = Outlay.make("h3", { class: "break" }, key);
      this.plot = Outlay.make("div", { class: "plot", role: "img", "aria-label": `Chart of ${key}` });
      this.note = Outlay.make("p", { class: "dim small", role: "status" });
      this.reset = Outlay.make("button", { type: "button", class: "quiet low", hidden: true, onclick: () => this.zoom(null) }, "Whole range");
      place.append(Outlay.make("figure", { class: "chart" }, Outlay.make("div", { class: "row apart" }, this.title, this.reset), this.plot, this.note));
      document.addEventListener("outlay-theme", () => this.figure && window.Plotly && this.draw());
      this.load();
    }

    set(options) {
      if (options.x && options.x !== this.options.x) this.range = null;
      Object.assign(this.options, options);
      return this.load();
    }

    zoom(range) {
      this.range = range;
      this.reset.hidden = !range;
      return this.load();
    }

    async load() {
      this.asking?.abort();
      const asking = (this.asking = new AbortController());
      const fields = new URLSearchParams({ key: this.key, x: this.options.x, points: 2000 });
      for (const run of this.runs) fields.append("run", run);
      if (this.range) {
        fields.set("from", this.range[0] * this.scale);
        fields.set("to", this.range[1] * this.scale);
      }
      try {
        const figure = await Outlay.ask(`/api/v1/figures/metric?${fields}`, { signal: asking.signal });
        this.figure = figure;
        this.scale = figure.scale;
        if (!window.Plotly) {
          this.sketch();
          await (document.hidden ? undefined : seen());
          this.plot.dataset.sketched = String(performance.now() | 0);
          await library();
        }
        if (this.asking === asking) await this.draw();
      } catch (error) {
        if (error.name !== "AbortError") this.note.textContent = error.message;
      }
    }

    /** What the points are, in words, and how the picture is dressed. */
    tell() {
      const { data, layout, n_points: total, notes } = this.figure;
      const shown = data.reduce((sum, curve) => sum + curve.x.length, 0);
      const said = [...notes];
      if (total > shown) said.push(`${Outlay.count(total)} points, drawn with ${Outlay.count(shown)}; zoom in for more.`);
      if (shown === 0 && notes.length === 0) said.push("No points here.");
      this.note.textContent = said.join(" ");
      const isLarge = data.some((curve) => curve.y.some((value) => Math.abs(value) >= 10000));
      const dress = dressed(layout, { ...this.options, isLarge, hasLegend: this.runs.length > 1, revision: this.options.x });
      if (this.range) dress.xaxis.range = this.range;
      const last = data[0]?.y.at(-1);
      this.plot.setAttribute("aria-label", `Chart of ${this.key}: ${shown} points${last === undefined ? "" : `, the last is ${Outlay.number(last)}`}`);
      return dress;
    }

    sketch() {
      const { margin, height, colorway, font, xaxis } = this.tell();
      sketch(this.plot, this.figure.data, { margin, height, colorway, font, line: css("--line"), isLogarithmic: this.options.isLogarithmic, title: xaxis.title?.text ?? "" });
    }

    async draw() {
      const dress = this.tell();
      this.plot.querySelector(":scope > .sketch")?.remove();
      await Plotly.react(this.plot, this.figure.data, dress, { displayModeBar: false, responsive: true, doubleClick: false, scrollZoom: false });
      if (!this.isListening) {
        this.isListening = true;
        this.plot.on("plotly_relayout", (change) => {
          const from = change["xaxis.range[0]"];
          const to = change["xaxis.range[1]"];
          if (from !== undefined && to !== undefined) this.zoom([from, to]);
        });
        this.plot.on("plotly_doubleclick", () => this.zoom(null));
      }
      this.plot.dataset.drawn = String(performance.now() | 0);
    }

    remove() {
      this.asking?.abort();
      window.Plotly?.purge(this.plot);
      this.plot.closest("figure").remove();
    }
  }

  return Chart;
})();
