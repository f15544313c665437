// The rows of the table of runs: only those in sight are in the page, and only their pages are asked for.
"use strict";

const Rows = (() => {
  const { ask, make, money } = Outlay;
  const HEIGHT = 34;
  const PAGE = 100;
  const BEYOND = 12;

  class Rows {
    constructor({ scroller, body, selected, onSelect, onFault, onCount }) {
      Object.assign(this, { scroller, body, selected, onSelect, onFault, onCount });
      this.columns = [];
      this.segments = [];
      this.n_rows = 0;
      this.pages = new Map();
      this.collapsed = new Set();
      let isDrawing = false;
      scroller.addEventListener("scroll", () => {
        if (isDrawing) return;
        isDrawing = true;
        requestAnimationFrame(() => {
          isDrawing = false;
          this.draw();
        });
      }, { passive: true });
      addEventListener("resize", () => this.draw());
      body.addEventListener("keydown", (event) => this.move(event));
    }

    /** Asks anew: `fields` of the request, the columns, and by what to group. */
    async ask({ fields, columns, group }) {
      this.asking?.abort();
      this.asking = new AbortController();
      const isOther = JSON.stringify([fields.toString(), group]) !== this.question;
      this.question = JSON.stringify([fields.toString(), group]);
      this.fields = fields;
      this.columns = columns;
      this.group = group;
      this.pages.clear();
      if (isOther) this.scroller.scrollTop = 0;
      try {
        const [head, groups] = await Promise.all([this.page(0), group ? ask(`/api/v1/runs/groups?${this.groupFields()}`, { signal: this.asking.signal }) : null]);
        if (!head) return;
        this.n_runs = head.n_all;
        this.groups = groups?.groups ?? null;
        this.lay();
        this.onFault("");
        this.onCount(head.n_all, groups);
      } catch (error) {
        if (error.name === "AbortError") return;
        this.n_runs = 0;
        this.groups = null;
        this.lay();
        this.onFault(error.message);
        this.onCount(0, null);
      }
    }

    groupFields() {
      const fields = new URLSearchParams({ by: this.group });
      if (this.fields.has("filter")) fields.set("filter", this.fields.get("filter"));
      return fields;
    }

    /** Lays out which row shows what: headings of groups, and runs. */
    lay() {
      this.segments = [];
      let row = 0;
      let run = 0;
      for (const group of this.groups ?? [{ n_runs: this.n_runs }]) {
        if (this.groups) this.segments.push({ row, group, key: `${group.value}` }), (row += 1);
        const isShut = this.groups && this.collapsed.has(`${group.value}`);
        if (!isShut) {
          this.segments.push({ row, run, n_runs: group.n_runs });
          row += group.n_runs;
        }
        run += group.n_runs;
      }
      this.n_rows = row;
      this.draw(true);
    }

    segment(row) {
      let [low, high] = [0, this.segments.length - 1];
      while (low < high) {
        const middle = (low + high + 1) >> 1;
        if (this.segments[middle].row <= row) low = middle;
        else high = middle - 1;
      }
      return this.segments[low];
    }

    /** A page of runs, asked for once. */
    page(at) {
      if (!this.pages.has(at)) {
        const fields = new URLSearchParams(this.fields);
        fields.set("offset", at * PAGE);
        fields.set("limit", PAGE);
        const asked = ask(`/api/v1/runs?${fields}`, { signal: this.asking.signal });
        this.pages.set(at, asked);
        asked.then((found) => {
          if (this.pages.get(at) !== asked) return;
          this.pages.set(at, found);
          if (this.n_rows > 0) this.draw(true);
        }, (error) => {
          if (this.pages.get(at) === asked) this.pages.delete(at);
          if (error.name !== "AbortError") this.onFault(error.message);
        });
      }
      return this.pages.get(at);
    }

    run(at) {
      const found = this.page(Math.floor(at / PAGE));
      return found instanceof Promise ? undefined : found.runs[at % PAGE];
    }

    draw(isNew = false) {
      const top = Math.max(0, Math.floor((this.scroller.scrollTop - HEIGHT) / HEIGHT) - BEYOND);
      const end = Math.min(this.n_rows, top + Math.ceil(this.scroller.clientHeight / HEIGHT) + 2 * BEYOND);
      const from = Math.min(top, end);
      if (!isNew && from === this.from && end === this.end) return;
      const focused = this.body.contains(document.activeElement) ? document.activeElement.closest("tr")?.ariaRowIndex : null;
      const which = focused && document.activeElement.matches("input") ? "input" : "a, button";
      this.from = from;
      this.end = end;
      const rows = [];
      for (let row = from; row < end; row += 1) {
        const segment = this.segment(row);
        const line = segment.group ? this.heading(segment) : this.line(segment.run + row - segment.row);
        line.ariaRowIndex = String(row + 2);
        rows.push(line);
      }
      const gap = (n_rows) => {
        const cell = make("td", { colspan: this.columns.length + 2 });
        cell.style.height = `${n_rows * HEIGHT}px`;
        return make("tr", { class: "gap", "aria-hidden": "true" }, cell);
      };
      if (from > 0) rows.unshift(gap(from));
      if (end < this.n_rows) rows.push(gap(this.n_rows - end));
      this.body.replaceChildren(...rows);
      if (focused) this.body.querySelector(`tr[aria-rowindex="${focused}"]`)?.querySelector(which)?.focus({ preventScroll: true });
    }

    heading({ group, key }) {
      const isShut = this.collapsed.has(key);
      const toggle = make("button", { type: "button", "aria-expanded": String(!isShut), onclick: () => {
        if (isShut) this.collapsed.delete(key);
        else this.collapsed.add(key);
        this.lay();
      } }, `${isShut ? "▸" : "▾"} ${group.value || "none"}`);
      const words = make("span", { class: "dim" }, `${Outlay.count(group.n_runs)} run${group.n_runs === 1 ? "" : "s"}${group.spent_usd_micro ? `, ${money(group.spent_usd_micro / 1e6)}` : ""}`);
      return make("tr", { class: "group" }, make("th", { colspan: this.columns.length + 2, scope: "rowgroup" }, make("span", {}, toggle, words)));
    }

    line(at) {
      const run = this.run(at);
      if (!run) {
        const cells = Array.from({ length: this.columns.length + 2 }, () => make("td", { class: "waiting" }, "…"));
        return make("tr", {}, ...cells);
      }
      const called = run.name.trim() || run.id.slice(0, 8);
      const box = make("input", { type: "checkbox", "aria-label": `Select ${called}`, onchange: () => this.onSelect(run.id, box.checked) });
      box.checked = this.selected.has(run.id);
      const cells = this.columns.map((column) => {
        const shown = column.show(run) ?? "";
        return make("td", { class: column.isNumber ? "right" : undefined, title: column.tell?.(run) ?? (typeof shown === "string" && shown.length > 12 ? shown : undefined) }, shown);
      });
      return make("tr", {}, make("td", { class: "pick" }, box), make("th", { scope: "row", class: "run", title: called }, make("a", { href: `/runs/${run.id}` }, called)), ...cells);
    }

    /** Arrows go from row to row. */
    move(event) {
      const step = { ArrowDown: 1, ArrowUp: -1, PageDown: 15, PageUp: -15 }[event.key];
      const line = event.target.closest("tr");
      if (!step || !line || event.altKey || event.ctrlKey || event.metaKey) return;
      event.preventDefault();
      const row = Math.max(0, Math.min(this.n_rows - 1, Number(line.ariaRowIndex) - 2 + step));
      const top = row * HEIGHT;
      if (top < this.scroller.scrollTop) this.scroller.scrollTop = top;
      const bottom = this.scroller.scrollTop + this.scroller.clientHeight - 2 * HEIGHT;
      if (top > bottom) this.scroller.scrollTop += top - bottom;
      this.draw();
      const selector = event.target.matches("input") ? "input" : "a, button";
      const next = this.body.querySelector(`tr[aria-rowindex="${row + 2}"]`);
      (next?.querySelector(selector) ?? next?.querySelector("a, button"))?.focus({ preventScroll: true });
    }
  }

  return Rows;
})();
