// What every page has: the theme, words of numbers, times and money, and requests.
"use strict";

const Outlay = (() => {
  const dark = matchMedia("(prefers-color-scheme: dark)");

  function theme() {
    return document.documentElement.dataset.theme || (dark.matches ? "dark" : "light");
  }

  function tellTheme() {
    const button = document.getElementById("theme");
    const other = theme() === "dark" ? "light" : "dark";
    button.textContent = other === "dark" ? "Dark" : "Light";
    button.setAttribute("aria-label", `Use ${other} colours`);
    button.hidden = false;
    document.dispatchEvent(new CustomEvent("outlay-theme"));
  }

  function toggleTheme() {
    const other = theme() === "dark" ? "light" : "dark";
    document.documentElement.dataset.theme = other;
    try {
      localStorage.setItem("outlay-theme", other);
    } catch {
      // It holds for this page.
    }
    tellTheme();
  }

  /** Asks the server; throws what it says where it refuses. */
  async function ask(path, options) {
    let reply;
    try {
      reply = await fetch(path, options);
    } catch (error) {
      if (error.name === "AbortError") throw error;
      throw new Error("The server cannot be reached.");
    }
    const body = await reply.json().catch(() => ({}));
    if (!reply.ok) throw new Error(body.message || `The server answered ${reply.status}.`);
    return body;
  }

  /** Who looks at this page, where the server asks: a name, and the proof that what is sent comes from a page. */
  let asked;
  function me() {
    asked ??= ask("/api/v1/me").catch(() => ({}));
    return asked;
  }

  async function send(path, body) {
    const { csrf } = await me();
    const headers = { "Content-Type": "application/json" };
    if (csrf) headers["X-CSRF-Token"] = csrf;
    return ask(path, { method: "POST", headers, body: JSON.stringify(body) });
  }

  /** An element with properties and children; texts are never read as markup. */
  function make(name, properties = {}, ...children) {
    const element = document.createElement(name);
    for (const [key, value] of Object.entries(properties)) {
      if (value === undefined || value === null || value === false) continue;
      if (key === "class") element.className = value;
      else if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
      else element.setAttribute(key, value === true ? "" : value);
    }
    element.append(...children.filter((child) => child !== undefined && child !== null));
    return element;
  }

  /** Tells those who listen to the page. */
  function say(text) {
    document.getElementById("said").textContent = text;
  }

  const grouped = new Intl.NumberFormat("en-US", { maximumFractionDigits: 0 });

  /** A whole number of things: `10,009`. */
  const count = (value) => grouped.format(value);

  /** Three digits that count, as the command line writes them. */
  function significant(value) {
    const size = Math.abs(value);
    if (!Number.isFinite(value)) return "unknown";
    if (size >= 1000) return grouped.format(value);
    if (size >= 100) return value.toFixed(0);
    if (size >= 10) return value.toFixed(1);
    if (size >= 1) return value.toFixed(2);
    if (size === 0) return "0";
    return value.toFixed(Math.min(9, Math.max(3, 2 - Math.floor(Math.log10(size)))));
  }

  /** A metric's value: numbers far from one with an exponent; NaN and infinities come as texts. */
  function number(value) {
    if (value === null || value === undefined) return "";
    if (typeof value === "string") return value;
    const size = Math.abs(value);
    if (Number.isInteger(value) && size < 1e6) return grouped.format(value);
    if (size !== 0 && (size >= 1e7 || size < 1e-4)) return value.toExponential(2);
    if (size >= 1000) return value.toLocaleString("en-US", { maximumFractionDigits: 1 });
    // As many digits for each, so that they stand under each other.
    return value.toPrecision(4);
  }

  function duration(seconds) {
    if (seconds < 120) return `${significant(seconds)} s`;
    if (seconds < 7200) return `${significant(seconds / 60)} min`;
    if (seconds < 2 * 86400) return `${significant(seconds / 3600)} h`;
    return `${significant(seconds / 86400)} days`;
  }

  const signs = { USD: "$", EUR: "€", GBP: "£", INR: "₹" };

  function money(value, currency = "USD") {
    const sign = signs[currency] ?? `${currency} `;
    const [minus, size] = value < 0 ? ["-", -value] : ["", value];
    if (size >= 1e9) return `${minus}${sign}${significant(size / 1e9)}B`;
    if (size >= 1e6) return `${minus}${sign}${significant(size / 1e6)}M`;
    if (size >= 1000) return `${minus}${sign}${significant(size)}`;
    return `${minus}${sign}${size.toFixed(2)}`;
  }

  function time(microseconds) {
    const date = new Date(microseconds / 1000);
    const two = (part) => String(part).padStart(2, "0");
    return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())} ${two(date.getHours())}:${two(date.getMinutes())}`;
  }

  function ago(microseconds, now = Date.now()) {
    const seconds = now / 1000 - microseconds / 1e6;
    if (seconds < 5) return "now";
    if (seconds < 90) return `${Math.round(seconds)} s ago`;
    if (seconds < 5400) return `${Math.round(seconds / 60)} min ago`;
    if (seconds < 129600) return `${Math.round(seconds / 3600)} h ago`;
    return `${Math.round(seconds / 86400)} days ago`;
  }

  /** Times in the reader's own zone, wherever a page has them. */
  function tellTimes(root = document) {
    for (const element of root.querySelectorAll("time[data-us]")) {
      const at = Number(element.dataset.us);
      element.textContent = element.hasAttribute("data-ago") ? ago(at) : time(at);
      element.title = new Date(at / 1000).toString();
    }
  }

  /** Calls back when something happens to a run, or to any run; the browser connects again by itself. */
  function watch(run, changed) {
    if (!window.EventSource) return undefined;
    const source = new EventSource(run ? `/api/v1/events?run=${encodeURIComponent(run)}` : "/api/v1/events");
    source.addEventListener("change", (event) => changed(JSON.parse(event.data)));
    source.addEventListener("open", () => document.documentElement.setAttribute("data-live", "yes"));
    source.addEventListener("error", () => document.documentElement.setAttribute("data-live", "no"));
    addEventListener("pagehide", () => source.close());
    return source;
  }

  document.addEventListener("DOMContentLoaded", () => {
    document.getElementById("theme").addEventListener("click", toggleTheme);
    dark.addEventListener("change", tellTheme);
    tellTheme();
    tellTimes();
    setInterval(tellTimes, 30000);
    // Where a table is wider than the page, it scrolls by itself, and keys must reach it.
    for (const wide of document.querySelectorAll(".wide")) {
      const reach = () => {
        if (wide.scrollWidth > wide.clientWidth) wide.tabIndex = 0;
        else wide.removeAttribute("tabindex");
      };
      reach();
      addEventListener("resize", reach);
    }
  });

  return { ask, send, me, make, say, count, significant, number, duration, money, time, ago, tellTimes, watch, theme };
})();
