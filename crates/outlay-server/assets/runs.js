// The table of runs: what it shows is in the address, so that a link or a bookmark shows it again.
"use strict";

document.addEventListener("DOMContentLoaded", () => {
  const { make, say, count, watch } = Outlay;
  const by = (id) => document.getElementById(id);
  const [filter, group, compare, heads, widths, table, empty] = ["filter", "group", "compare", "heads", "widths", "table", "empty"].map(by);
  const selected = new Set();
  const state = read();

  /** What the address asks for. */
  function read() {
    const fields = new URLSearchParams(location.search);
    return {
      filter: fields.get("filter") ?? "",
      order: fields.get("order") ?? "",
      group: fields.get("group") ?? "",
      columns: fields.has("column") ? fields.getAll("column").filter((name) => Columns.column(name)) : null,
    };
  }

  function write() {
    const fields = new URLSearchParams();
    for (const name of ["filter", "order", "group"]) if (state[name]) fields.set(name, state[name]);
    for (const name of state.columns ?? []) fields.append("column", name);
    const query = fields.toString();
    history.replaceState(null, "", query ? `?${query}` : location.pathname);
  }

  const rows = new Rows({
    scroller: by("scroller"),
    body: by("rows"),
    selected,
    onSelect: (run, isSelected) => {
      if (isSelected) selected.add(run);
      else selected.delete(run);
      tellSelected();
    },
    onFault: (text) => {
      by("filter-fault").textContent = text;
      by("filter-fault").hidden = !text;
      filter.setAttribute("aria-invalid", String(Boolean(text)));
    },
    onCount: (n_runs, groups) => {
      table.setAttribute("aria-rowcount", n_runs + 1);
      const words = `${count(n_runs)} run${n_runs === 1 ? "" : "s"}`;
      by("count").textContent = groups ? `${words} in ${groups.has_more ? "more than " : ""}${count(groups.groups.length)} group${groups.groups.length === 1 ? "" : "s"}` : words;
      empty.hidden = n_runs > 0;
      empty.textContent = state.filter ? "No run meets this filter." : "No run is recorded yet. Runs appear here as soon as a script logs to this server.";
    },
  });

  function tellSelected() {
    compare.disabled = selected.size < 2 || selected.size > 30;
    compare.textContent = selected.size === 0 ? "Compare" : `Compare ${selected.size}`;
    compare.title = selected.size > 30 ? "At most 30 runs are compared" : "";
  }

  const columns = () => (state.columns ?? Columns.first).map(Columns.column);

  function sorted(column) {
    const [field, direction] = state.order.endsWith(" DESC") ? [state.order.slice(0, -5), "descending"] : [state.order, "ascending"];
    return column.sort && field === column.sort ? direction : null;
  }

  function head(column) {
    const direction = sorted(column);
    const arrow = { ascending: " ↑", descending: " ↓" }[direction] ?? "";
    const content = column.sort
      ? make("button", { type: "button", title: `Sort by ${column.title}`, onclick: () => {
        // Numbers: the greatest first.
        const [once, twice] = column.isNumber || column.name === "started" ? [`${column.sort} DESC`, column.sort] : [column.sort, `${column.sort} DESC`];
        state.order = state.order === once ? twice : state.order === twice ? "" : once;
        renew();
        by("heads").querySelector(`[data-name="${CSS.escape(column.name)}"] button`)?.focus();
      } }, column.title, arrow)
      : make("span", {}, column.title);
    return make("th", { scope: "col", "data-name": column.name, class: [column.isNumber && "right", column.name === "name" && "run"].filter(Boolean).join(" "), "aria-sort": direction, title: column.title }, content);
  }

  function renew() {
    write();
    filter.value = state.filter;
    group.value = state.group;
    if (group.value !== state.group) {
      group.append(make("option", { value: state.group }, state.group));
      group.value = state.group;
    }
    const shown = columns();
    const name = { name: "name", title: "Run", sort: "attributes.run_name" };
    // The name takes what the others leave, but never less than this.
    const sizes = [36, null, ...shown.map((column) => column.width)];
    widths.replaceChildren(...sizes.map((size) => {
      const col = make("col");
      if (size) col.style.width = `${size}px`;
      return col;
    }));
    table.style.minWidth = `${sizes.reduce((sum, size) => sum + (size ?? (innerWidth < 640 ? 150 : 240)), 0)}px`;
    heads.replaceChildren(make("th", { class: "pick", scope: "col" }, make("span", { class: "unseen" }, "Selected")), head(name), ...shown.map(head));
    const fields = new URLSearchParams();
    if (state.filter.trim()) fields.set("filter", state.filter);
    if (state.group) fields.append("order_by", grouping(state.group));
    if (state.order) fields.append("order_by", state.order);
    for (const asked of new Set(shown.map((column) => column.asked).filter(Boolean))) fields.append("column", asked);
    return rows.ask({ fields, columns: shown, group: state.group });
  }

  /** The order that goes with a group. */
  const grouping = (name) => ({ status: "attributes.status", user_id: "attributes.user_id" })[name] ?? Columns.column(name)?.sort ?? name;

  Columns.dialog(() => state.columns ?? [...Columns.first], (names) => {
    state.columns = names;
    offerGroups();
    renew();
  });

  /** Parameters and tags that are shown can be grouped by. */
  function offerGroups() {
    for (const option of group.querySelectorAll("[data-of-column]")) option.remove();
    for (const name of state.columns ?? []) {
      if (/^(params|tags)\./.test(name)) group.append(make("option", { value: name, "data-of-column": true }, name));
    }
  }

  let typing = 0;
  filter.addEventListener("input", () => {
    clearTimeout(typing);
    typing = setTimeout(() => {
      state.filter = filter.value;
      renew();
    }, 350);
  });
  by("tools").addEventListener("submit", (event) => {
    event.preventDefault();
    clearTimeout(typing);
    state.filter = filter.value;
    renew();
  });
  group.addEventListener("change", () => {
    state.group = group.value;
    renew();
  });
  compare.addEventListener("click", () => {
    const fields = new URLSearchParams([...selected].map((run) => ["run", run]));
    location.assign(`/runs/compare?${fields}`);
  });
  document.addEventListener("keydown", (event) => {
    if (event.key === "/" && !event.target.matches("input, textarea, select")) {
      event.preventDefault();
      filter.focus();
    }
  });
  addEventListener("popstate", () => {
    Object.assign(state, read());
    renew();
  });

  // The first few metrics, where nobody has chosen.
  (async () => {
    offerGroups();
    if (!state.columns) {
      const found = await Outlay.ask("/api/v1/runs/columns?limit=200").catch(() => ({ metrics: [] }));
      const rank = (key) => (/loss|acc|reward|perplexity|f1|auc/i.test(key) ? 0 : 1);
      const metrics = found.metrics.filter((key) => !key.startsWith("system/")).sort((a, b) => rank(a) - rank(b));
      Columns.first.push(...metrics.slice(0, 3).map((key) => `metrics.${key}`));
    }
    await renew();
    let waiting = 0;
    watch(null, () => {
      if (waiting) return;
      waiting = setTimeout(() => {
        waiting = 0;
        renew();
      }, 2500);
    });
  })().catch((error) => say(error.message));
});
