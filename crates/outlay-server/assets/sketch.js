// The first picture of a chart: axes and curves, drawn at once, while the charts' library is still read. The library then takes its place.
"use strict";

const sketch = (() => {
  const shape = (name, properties, ...children) => {
    const element = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(properties)) element.setAttribute(key, value);
    element.append(...children);
    return element;
  };

  /** Round numbers within a range, about as many as wanted. */
  function rounded(low, high, wanted) {
    const rough = (high - low) / wanted;
    const power = 10 ** Math.floor(Math.log10(rough));
    const step = power * [1, 2, 5, 10].find((part) => part * power >= rough);
    const first = Math.ceil(low / step);
    const n_ticks = Math.floor(high / step) - first + 1;
    return Array.from({ length: Math.max(0, Math.min(n_ticks, 100)) }, (_, at) => Number(((first + at) * step).toPrecision(12)));
  }

  const short = new Intl.NumberFormat("en-US", { notation: "compact", maximumSignificantDigits: 4 });
  const tick = (value) => (value !== 0 && Math.abs(value) < 1e-4 ? value.toExponential(1) : Math.abs(value) >= 10000 ? short.format(value).replace("K", "k") : String(value));

  /** The range of some numbers, and how a number lies within it, from 0 to 1. */
  function scale(lists, isLogarithmic, margin, n_ticks) {
    let [low, high] = [Infinity, -Infinity];
    const place = isLogarithmic ? (value) => (value > 0 ? Math.log10(value) : NaN) : (value) => value;
    for (const list of lists) {
      for (const value of list) {
        const at = place(value);
        if (at < low) low = at;
        if (at > high) high = at;
      }
    }
    if (!(low <= high)) [low, high] = [0, 1];
    if (low === high) [low, high] = [low - 1, high + 1];
    [low, high] = [low - (high - low) * margin, high + (high - low) * margin];
    const ticks = isLogarithmic ? rounded(low, high, 4).filter(Number.isInteger).map((power) => 10 ** power) : rounded(low, high, n_ticks);
    return { ticks, at: (value) => (place(value) - low) / (high - low) };
  }

  /** Draws curves as the library would, within the same margins. */
  return function sketch(plot, data, { margin, height, colorway, font, line, isLogarithmic, title }) {
    const width = plot.clientWidth;
    const [inner, tall] = [width - margin.l - margin.r, height - margin.t - margin.b];
    if (inner <= 0 || data.length === 0) return;
    const across = scale(data.map((curve) => curve.x), false, 0, 6);
    const up = scale(data.map((curve) => curve.y), isLogarithmic, 0.055, 5);
    const x = (value) => margin.l + inner * across.at(value);
    const y = (value) => margin.t + tall * (1 - up.at(value));
    const picture = shape("svg", { width, height, "aria-hidden": "true", "font-size": 11, "font-family": font.family, fill: font.color, class: "sketch" });
    const text = (said, properties) => shape("text", properties, said);
    for (const value of across.ticks) {
      picture.append(shape("line", { x1: x(value), x2: x(value), y1: margin.t, y2: margin.t + tall, stroke: line }));
      picture.append(text(tick(value), { x: x(value), y: margin.t + tall + 16, "text-anchor": "middle" }));
    }
    for (const value of up.ticks) {
      picture.append(shape("line", { x1: margin.l, x2: margin.l + inner, y1: y(value), y2: y(value), stroke: line }));
      picture.append(text(tick(value), { x: margin.l - 6, y: y(value) + 4, "text-anchor": "end" }));
    }
    picture.append(text(title, { x: margin.l + inner / 2, y: height - 6, "text-anchor": "middle", "font-size": 12 }));
    data.forEach((curve, index) => {
      let [path, move] = ["", "M"];
      for (let at = 0; at < curve.x.length; at++) {
        const [left, top] = [x(curve.x[at]), y(curve.y[at])];
        if (Number.isFinite(left) && Number.isFinite(top)) {
          path += `${move}${left.toFixed(1)} ${top.toFixed(1)}`;
          move = "L";
        } else move = "M";
      }
      picture.append(shape("path", { d: path, fill: "none", stroke: colorway[index % colorway.length], "stroke-width": 1.5, "stroke-linejoin": "round" }));
    });
    plot.replaceChildren(picture);
  };
})();
