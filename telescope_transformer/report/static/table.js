// The table of clusters: sorted by its headings, searched, opened with Enter.

const PAGE = 50;

const COLUMNS = [
  { name: "Cluster", key: (c) => c.cluster, cell: clusterCell, number: false },
  { name: "Windows", key: (c) => c.n_windows, text: (c) => integer.format(c.n_windows), number: true, first: "descending" },
  { name: "Sources", key: (c) => c.n_sources, text: (c) => integer.format(c.n_sources), number: true, first: "descending" },
  { name: "Records", key: (c) => c.n_records, text: (c) => integer.format(c.n_records), number: true, first: "descending" },
  { name: "Services", key: (c) => c.services[0]?.service ?? "", text: servicesText, wide: true },
  { name: "Activity", key: (c) => c.activity.filter((v) => v > 0).length, cell: (c) => sparkline(c.activity, 84), first: "descending" },
  { name: "First seen", key: (c) => c.first_seen, text: (c) => c.first_seen.slice(0, 10), nowrap: true },
  { name: "Last seen", key: (c) => c.last_seen, text: (c) => c.last_seen.slice(0, 10), nowrap: true, first: "descending" },
  { name: "Apart", key: (c) => c.timing.median_inter_arrival_s, text: timingText, nowrap: true },
  { name: "Targets", key: (c) => c.targets.n_destinations, text: (c) => `${integer.format(c.targets.n_destinations)}, ${c.targets.order}`, first: "descending" },
  { name: "Networks", key: (c) => c.n_networks, text: networksText, first: "descending" },
  { name: "Label", key: (c) => c.labels[0]?.label ?? "", text: (c) => c.labels.length ? `${c.labels[0].label} (${share(c.purity)})` : "", optional: (c) => c.labels.length },
  { name: "Tool", key: (c) => c.tools[0]?.tool ?? "", text: (c) => c.tools.length ? `${c.tools[0].tool} (${share(c.tools[0].share)})` : "", optional: (c) => c.tools.length },
  { name: "Stability", key: (c) => c.stability ?? -1, text: (c) => (c.stability ?? null) === null ? "" : share(c.stability), number: true, first: "descending", optional: (c) => (c.stability ?? null) !== null },
  { name: "Margin", key: (c) => c.margin ?? 0, text: (c) => (c.margin === undefined ? "" : c.margin.toFixed(2)), number: true, first: "descending", optional: (c) => c.margin !== undefined },
];

function clusterCell(cluster) {
  return element("span", { class: "nowrap" }, symbolPicture(symbolOf(cluster.rank)), String(cluster.cluster));
}

function servicesText(cluster) {
  const main = cluster.services.filter((s, i) => i === 0 || (i < 3 && s.share >= 0.01));
  const rest = cluster.n_services - main.length;
  const shown = main.map((s) => `${s.service} ${share(s.share)}`).join(", ");
  return rest > 0 ? `${shown}, ${integer.format(rest)} more` : shown;
}

function timingText(cluster) {
  return duration(cluster.timing.median_inter_arrival_s);
}

function networksText(cluster) {
  const top = cluster.networks[0];
  const name = top.name ? `${top.network} ${top.name}` : top.network;
  return cluster.n_networks === 1 ? name : integer.format(cluster.n_networks);
}

function searchText(cluster) {
  const parts = [`cluster ${cluster.cluster}`, ...cluster.services.map((s) => s.service), ...cluster.sources.map((s) => s.source),
    ...cluster.networks.flatMap((n) => [n.network, n.name ?? ""]), ...cluster.labels.map((l) => l.label), ...cluster.tools.map((t) => t.tool),
    cluster.targets.order, cluster.timing.pattern ?? "", ...cluster.targets.prefixes.map((p) => p.prefix)];
  return parts.join(" ").toLowerCase();
}

class ClusterTable {
  constructor(report, onChoose) {
    this.report = report;
    this.onChoose = onChoose;
    this.all = report.clusters.map((profile, rank) => ({ ...profile, rank, text: searchText(profile) }));
    this.columns = COLUMNS.filter((column) => !column.optional || this.all.some(column.optional));
    this.sorted = { column: this.columns[1], direction: "descending" };
    this.shown = PAGE;
    this.chosen = null;
    this.body = document.querySelector("#cluster-table tbody");
    this.search = document.getElementById("search");
    this.singletons = document.getElementById("singletons");
    this.more = document.getElementById("more");
    for (const input of [this.search, this.singletons]) input.addEventListener("input", () => { this.shown = PAGE; this.draw(); });
    this.more.addEventListener("click", () => { this.shown += PAGE; this.draw(); });
    this.body.addEventListener("keydown", (event) => this.key(event));
    this.drawHead();
    this.draw();
  }

  drawHead() {
    const row = element("tr");
    for (const column of this.columns) {
      const sort = column === this.sorted.column ? this.sorted.direction : null;
      const button = element("button", { type: "button", on: { click: () => this.sortBy(column) } }, column.name);
      row.append(element("th", { scope: "col", class: column.number ? "number" : null, "aria-sort": sort }, button));
    }
    document.querySelector("#cluster-table thead").replaceChildren(row);
  }

  sortBy(column) {
    const other = { ascending: "descending", descending: "ascending" };
    const direction = this.sorted.column === column ? other[this.sorted.direction] : column.first ?? "ascending";
    this.sorted = { column, direction };
    this.drawHead();
    this.draw();
    document.querySelector("#cluster-table th[aria-sort] button").focus();
  }

  matching() {
    const words = this.search.value.toLowerCase().split(/\s+/).filter(Boolean);
    const { live } = this.report;
    const rows = this.all.filter((cluster) => (this.singletons.checked || cluster.n_windows > 1)
      && (!live || live.has(cluster.cluster)) && words.every((word) => cluster.text.includes(word)))
      .map((cluster) => (live ? { ...cluster, ...live.get(cluster.cluster) } : cluster));
    const sign = this.sorted.direction === "ascending" ? 1 : -1;
    const key = this.sorted.column.key;
    return rows.sort((a, b) => {
      const [x, y] = [key(a), key(b)];
      return sign * (typeof x === "string" ? x.localeCompare(y) : x - y) || a.rank - b.rank;
    });
  }

  draw() {
    const rows = this.matching();
    this.body.replaceChildren(...rows.slice(0, this.shown).map((cluster) => this.row(cluster)));
    this.body.firstElementChild?.setAttribute("tabindex", "0");
    this.more.hidden = rows.length <= this.shown;
    if (!rows.length) this.body.append(element("tr", {}, element("td", { colspan: this.columns.length }, "No cluster fits.")));
    const beyond = this.report.n_clusters - this.all.length;
    document.getElementById("table-status").textContent = `${integer.format(rows.length)} clusters of ${integer.format(this.report.n_clusters)}`
      + (this.singletons.checked ? "" : `, ${integer.format(this.report.n_singletons)} windows alone left out`)
      + (beyond > 0 ? `; the ${integer.format(beyond)} smallest are in clusters.json only` : "");
  }

  row(cluster) {
    const cells = this.columns.map((column) => element("td", { class: column.number ? "number" : column.nowrap ? "nowrap" : column.wide ? "wide" : null },
      column.cell ? column.cell(cluster) : column.text(cluster)));
    const selected = cluster.cluster === this.chosen;
    return element("tr", { tabindex: "-1", "aria-selected": String(selected), "data-cluster": cluster.cluster,
      on: { click: (event) => { event.currentTarget.focus(); this.onChoose(cluster.cluster, true); }, focus: (event) => this.focused(event.currentTarget) } }, ...cells);
  }

  focused(row) {
    for (const other of this.body.querySelectorAll("tr[tabindex='0']")) other.setAttribute("tabindex", "-1");
    row.setAttribute("tabindex", "0");
  }

  key(event) {
    const row = event.target.closest("tr");
    const target = { ArrowDown: row.nextElementSibling, ArrowUp: row.previousElementSibling, Home: this.body.firstElementChild, End: this.body.lastElementChild }[event.key];
    if (event.key === "Enter" || event.key === " ") this.onChoose(Number(row.dataset.cluster), true);
    else if (target) target.focus();
    else return;
    event.preventDefault();
  }

  choose(cluster) {
    this.chosen = cluster;
    for (const row of this.body.rows) row.setAttribute("aria-selected", String(Number(row.dataset.cluster) === cluster));
  }
}
