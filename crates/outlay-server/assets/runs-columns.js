// The columns of the table of runs: what each shows, by what it sorts, and the dialog that chooses them.
"use strict";

const Columns = (() => {
  const { make, money, duration, time, number } = Outlay;

  /** A run's own columns: name in the address, words, width, whether a number, what to sort by, how to show. */
  const own = {
    status: { title: "Status", width: 92, sort: "attributes.status", show: status },
    project: { title: "Project", width: 130, sort: "project", show: (run) => run.project },
    team: { title: "Team", width: 110, sort: "team", show: (run) => run.team },
    who: { title: "Who", width: 90, sort: "attributes.user_id", show: (run) => run.who },
    host: { title: "Machine", width: 110, sort: "host", show: (run) => run.host },
    started: { title: "Started", width: 140, sort: "attributes.start_time", show: (run) => time(run.started_us) },
    took: { title: "Took", width: 92, isNumber: true, sort: "duration_s", show: (run) => duration(run.duration_s) },
    spent: { title: "Spent", width: 96, isNumber: true, sort: "spent_usd", show: (run) => run.spent.map((spent) => money(spent.micro / 1e6, spent.currency)).join(" + ") },
    experiment: { title: "Experiment", width: 130, show: (run) => run.experiment_id },
  };
  const first = ["status", "project", "started", "took", "spent"];

  function status(run) {
    const tones = { running: "live", finished: "good", failed: "bad", stopped: "warn", lost: "warn" };
    return make("span", { class: `tag ${tones[run.status] ?? ""}` }, run.status);
  }

  /** A name as MLflow's grammar takes it. */
  const quoted = (kind, key) => (/^\w+$/.test(key) ? `${kind}.${key}` : `${kind}.\`${key}\``);

  /** A column by its name: one of a run's own, or `metrics.NAME` (with `min:` or `max:` before it), `params.NAME`, `tags.NAME`. */
  function column(name) {
    if (Object.hasOwn(own, name)) return { name, ...own[name] };
    const of = name.match(/^(?:(min|max):)?(metrics|params|tags)\.(.+)$/s);
    if (!of) return undefined;
    const [, end, kind, key] = of;
    const asked = `${kind}.${key}`;
    if (kind !== "metrics") {
      return { name, asked, title: key, width: 120, sort: quoted(kind, key), show: (run) => run[kind][key] };
    }
    const field = end ?? "last";
    return {
      name,
      asked,
      title: end ? `${key} (${end === "min" ? "least" : "greatest"})` : key,
      width: 104,
      isNumber: true,
      sort: end ? `${end}:${quoted(kind, key)}` : quoted(kind, key),
      show: (run) => number(run.metrics[key]?.[field]),
      tell: (run) => {
        const metric = run.metrics[key];
        return metric && `last ${number(metric.last)} at step ${metric.step}, least ${number(metric.min)}, greatest ${number(metric.max)}`;
      },
    };
  }

  /** The dialog; calls back with the names of the columns whenever they change. */
  function dialog(current, changed) {
    const box = document.getElementById("columns");
    const list = document.getElementById("column-list");
    const search = document.getElementById("column-search");
    let turn = 0;

    function check(name, title) {
      const input = make("input", {
        type: "checkbox",
        onchange: () => changed(input.checked ? [...current(), name] : current().filter((other) => other !== name)),
      });
      input.checked = current().includes(name);
      return make("label", { class: "check" }, input, title);
    }

    async function fill() {
      const mine = ++turn;
      const part = search.value.toLowerCase();
      const found = await Outlay.ask(`/api/v1/runs/columns?${new URLSearchParams({ containing: search.value, limit: 40 })}`);
      if (mine !== turn) return;
      const sections = [];
      const section = (title, checks) => {
        if (checks.length > 0) sections.push(make("fieldset", {}, make("legend", {}, title), ...checks));
      };
      section("Run", Object.entries(own).filter(([, one]) => one.title.toLowerCase().includes(part)).map(([name, one]) => check(name, one.title)));
      section("Metrics", found.metrics.flatMap((key) => [check(`metrics.${key}`, key), ...(part ? [check(`min:metrics.${key}`, `${key}, least`), check(`max:metrics.${key}`, `${key}, greatest`)] : [])]));
      section("Parameters", found.params.map((key) => check(`params.${key}`, key)));
      section("Tags", found.tags.map((key) => check(`tags.${key}`, key)));
      if (found.metrics.length >= 40) sections.push(make("p", { class: "dim" }, "There are more; type a part of a name."));
      if (sections.length === 0) sections.push(make("p", { class: "empty" }, "No column has such a name."));
      list.replaceChildren(...sections);
    }

    let typing = 0;
    search.addEventListener("input", () => {
      clearTimeout(typing);
      typing = setTimeout(() => fill().catch((error) => Outlay.say(error.message)), 150);
    });
    document.getElementById("columns-open").addEventListener("click", () => {
      box.showModal();
      fill().catch((error) => Outlay.say(error.message));
    });
  }

  return { column, dialog, first };
})();
