// The table of clusters: sorted by its headings, shown as the search finds them, each opened below its row.

const PAGE = 50;

const COLUMNS = [
  { name: "Name", key: (c) => c.name, cell: nameCell, kind: "wide" },
  {
    name: "Sources",
    key: (c) => c.n_sources,
    text: (c) => integer.format(c.n_sources),
    kind: "number",
    first: "descending",
  },
  {
    name: "Records",
    key: (c) => c.shown_records,
    text: (c) => integer.format(c.shown_records),
    kind: "number",
    first: "descending",
  },
  {
    name: "Services",
    key: (c) => c.services[0]?.service ?? "",
    text: (c) => sharesText(c.services, "service", c.n_services),
    kind: "wide",
  },
  { name: "Activity", key: (c) => c.active, cell: activityCell, first: "descending" },
  { name: "News", key: (c) => ["new", "growing", "gone", "steady"].indexOf(c.news), cell: newsCell },
  { name: "First seen", key: (c) => c.first_seen ?? "", text: (c) => c.first_seen?.slice(0, 10) ?? "", kind: "nowrap" },
  {
    name: "Last seen",
    key: (c) => c.last_seen ?? "",
    text: (c) => c.last_seen?.slice(0, 10) ?? "",
    kind: "nowrap",
    first: "descending",
  },
  { name: "Networks", key: (c) => c.n_networks ?? 0, text: networksText, first: "descending" },
  {
    name: "Label",
    key: (c) => c.labels?.[0]?.label ?? "",
    text: (c) => sharesText(c.labels ?? [], "label"),
    optional: (c) => c.labels?.length,
  },
  {
    name: "Tool",
    key: (c) => c.tools?.[0]?.tool ?? "",
    text: (c) => sharesText(c.tools ?? [], "tool"),
    optional: (c) => c.tools?.length,
  },
  {
    name: "Stability",
    key: (c) => c.stability ?? -1,
    text: (c) => (c.stability === undefined ? "" : share(c.stability)),
    kind: "number",
    first: "descending",
    optional: (c) => c.stability !== undefined,
  },
];

function nameCell(cluster, report, table) {
  const open = cluster.cluster === table.chosen;
  const name = button(
    () => table.onChoose(open ? null : cluster.cluster, !open),
    { class: "link name", tabindex: "-1", "aria-expanded": String(open), "data-open": cluster.cluster },
    symbolPicture(symbolOf(cluster.rank)),
    cluster.name,
  );
  name.addEventListener("focus", () => table.focused(name));
  return name;
}

function newsCell(cluster) {
  return cluster.news === "steady" ? "" : element("span", { class: `badge ${cluster.news}` }, cluster.news);
}

function activityCell(cluster, report) {
  const days = daysOf(report, cluster);
  const values = days && days.length > 2 ? binned(days) : cluster.activity;
  return values ? sparkline(values) : "";
}

// The most bars of a sparkline.
const MOST_BINS = 60;

// Equal parts of the days, summed.
function binned(values) {
  if (values.length <= MOST_BINS) return Array.from(values);
  const bins = new Array(MOST_BINS).fill(0);
  values.forEach((value, i) => {
    bins[Math.floor((i * MOST_BINS) / values.length)] += value;
  });
  return bins;
}

// The most frequent rows with their shares, and how many of `number` are left out: "tcp/23 telnet 90 %, 2 more".
function sharesText(rows, key, number = rows.length) {
  const main = rows.filter((row, i) => i === 0 || (i < 3 && row.share >= 0.01));
  const rest = number - main.length;
  const shown = main.map((row) => `${row[key]} ${share(row.share)}`).join(", ");
  return rest > 0 ? `${shown}, ${integer.format(rest)} more` : shown;
}

function networksText(cluster) {
  const owner = cluster.owners?.[0];
  if (owner && owner.sources >= 0.8 * cluster.n_sources) return owner.name ?? `AS${owner.asn}`;
  return cluster.n_networks === 1 && cluster.networks
    ? cluster.networks[0].network
    : integer.format(cluster.n_networks ?? 0);
}

class ClusterTable {
  constructor(report, onChoose, detail) {
    Object.assign(this, { report, onChoose, detail, shown: PAGE, chosen: null });
    for (const cluster of report.clusters)
      cluster.active = daysOf(report, cluster)?.filter((value) => value > 0).length ?? 0;
    this.columns = COLUMNS.filter((column) => !column.optional || report.clusters.some(column.optional));
    this.sorted = { column: this.columns[1], direction: "descending" };
    this.body = document.querySelector("#cluster-table tbody");
    this.more = document.getElementById("more");
    this.more.addEventListener("click", () => {
      this.shown += PAGE;
      this.draw();
    });
    this.body.addEventListener("keydown", (event) => this.key(event));
    this.drawHead();
    this.draw();
    this.drawAlone();
  }

  drawHead() {
    const row = element("tr");
    for (const column of this.columns) {
      const sort = column === this.sorted.column ? this.sorted.direction : null;
      const head = { scope: "col", class: column.kind === "number" ? "number" : null, "aria-sort": sort };
      row.append(
        element(
          "th",
          head,
          button(() => this.sortBy(column), {}, column.name),
        ),
      );
    }
    document.querySelector("#cluster-table thead").replaceChildren(row);
  }

  sortBy(column) {
    const other = { ascending: "descending", descending: "ascending" };
    const direction = this.sorted.column === column ? other[this.sorted.direction] : (column.first ?? "ascending");
    this.sorted = { column, direction };
    this.drawHead();
    this.draw();
    document.querySelector("#cluster-table th[aria-sort] button").focus();
  }

  matching() {
    const { shown, clusters } = this.report;
    const rows = clusters
      .filter((cluster) => !shown || shown.has(cluster.cluster))
      .map((cluster) => ({ ...cluster, shown_records: shown ? shown.get(cluster.cluster) : cluster.n_records }));
    const sign = this.sorted.direction === "ascending" ? 1 : -1;
    const key = this.sorted.column.key;
    return rows.sort((a, b) => {
      const [x, y] = [key(a), key(b)];
      return sign * (typeof x === "string" ? x.localeCompare(y) : x - y) || a.rank - b.rank;
    });
  }

  draw() {
    const rows = this.matching();
    const seen = rows.slice(0, this.shown);
    const chosen = this.report.byNumber.get(this.chosen);
    // A cluster that was chosen elsewhere stands first where its own place is not shown.
    if (chosen && !seen.some((cluster) => cluster.cluster === this.chosen))
      seen.unshift({ ...chosen, shown_records: recordsIn(this.report, chosen) });
    this.body.replaceChildren(...seen.flatMap((cluster) => this.rows(cluster)));
    this.body.querySelector("button.name")?.setAttribute("tabindex", "0");
    this.more.hidden = rows.length <= this.shown;
    if (!seen.length)
      this.body.append(element("tr", {}, element("td", { colspan: this.columns.length }, this.empty())));
    document.getElementById("table-status").textContent = this.status(rows.length);
  }

  empty() {
    const { found } = this.report;
    if (found?.total)
      return `No cluster matches. ${counted(found.total, "source")} outside all clusters: see the list above.`;
    return this.report.clusters.length ? "No cluster matches." : "No two windows are alike: there is no cluster.";
  }

  status(number) {
    const { n_clusters: total, clusters, n_profiles: full } = this.report;
    const parts = [
      number === total ? counted(total, "cluster") : `${integer.format(number)} of ${counted(total, "cluster")}`,
    ];
    if (this.report.period) parts.push("records are counted in the chosen days, all else in the whole cluster");
    if (clusters.length > full)
      parts.push(`details of the largest ${integer.format(full)} are in this page, of all in clusters.json`);
    if (total > clusters.length)
      parts.push(`the smallest ${integer.format(total - clusters.length)} are in clusters.json only`);
    return parts.join("; ");
  }

  rows(cluster) {
    const cells = this.columns.map((column) =>
      element(
        "td",
        { class: column.kind },
        column.cell ? column.cell(cluster, this.report, this) : column.text(cluster),
      ),
    );
    const open = cluster.cluster === this.chosen;
    const row = element(
      "tr",
      {
        class: open ? "open" : null,
        "data-cluster": cluster.cluster,
        on: {
          click: (event) => {
            if (!event.target.closest("button, a")) this.onChoose(open ? null : cluster.cluster, !open);
          },
        },
      },
      ...cells,
    );
    return open
      ? [row, element("tr", { class: "detail" }, element("td", { colspan: this.columns.length }, this.detail.panel))]
      : [row];
  }

  focused(name) {
    for (const other of this.body.querySelectorAll("button.name[tabindex='0']")) other.setAttribute("tabindex", "-1");
    name.setAttribute("tabindex", "0");
  }

  key(event) {
    if (!event.target.matches("button.name")) return;
    const buttons = [...this.body.querySelectorAll("button.name")];
    const at = buttons.indexOf(event.target);
    const target = { ArrowDown: buttons[at + 1], ArrowUp: buttons[at - 1], Home: buttons[0], End: buttons.at(-1) }[
      event.key
    ];
    if (!target) return;
    target.focus();
    event.preventDefault();
  }

  choose(cluster) {
    this.chosen = cluster;
    this.draw();
  }

  // Windows of which no two are alike are summed, not listed.
  drawAlone() {
    const { alone } = this.report;
    if (!alone.n) return;
    const [short, others] = [alone.n_short, alone.n - alone.n_short];
    const why = [
      short && `${integer.format(short)} of too few records to tell`,
      others && `${integer.format(others)} like no other`,
    ].filter(Boolean);
    const head = `${counted(alone.n, "window")} in no cluster: ${why.join(", ")}; the search finds their sources`;
    const beyond = alone.n_services - alone.services.length;
    document
      .getElementById("alone")
      .replaceChildren(
        element(
          "details",
          { class: "card" },
          element("summary", {}, head),
          element(
            "ul",
            { class: "lines columns-list" },
            ...alone.services.map(([service, n]) =>
              element("li", {}, `${service || "no service"}: ${integer.format(n)}`),
            ),
          ),
          beyond > 0 ? element("p", { class: "hint" }, `and ${counted(beyond, "more service")}`) : null,
        ),
      );
  }
}
