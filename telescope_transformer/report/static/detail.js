// All that is known about one cluster.

class ClusterDetail {
  constructor(report, onChoose, onWindow) {
    Object.assign(this, { report, onChoose, onWindow });
    this.panel = document.getElementById("detail");
    this.choose(null);
  }

  choose(number) {
    const cluster = this.report.byNumber.get(number);
    if (number === null || number === undefined) this.panel.replaceChildren(element("h3", {}, "No cluster chosen"), element("p", { class: "hint" }, "Choose a window on the map or a row of the table."));
    else if (!cluster) this.panel.replaceChildren(element("h3", {}, `Cluster ${number}`), element("p", {}, "Its profile is in clusters.json only."));
    else this.panel.replaceChildren(...this.sections(cluster));
  }

  sections(cluster) {
    return [this.head(cluster), this.facts(cluster), ...part("Services", cluster.services, () => this.ranked(cluster.services, "service", "records", cluster.n_services)),
      ...part("Activity over time", cluster.activity, () => sparkline(cluster.activity, 420, 54)),
      ...part("Rhythm, hour (UTC) by weekday", cluster.rhythm, () => heatMap(cluster.rhythm)),
      ...part(`Targets, order ${cluster.targets.order}`, cluster.targets.prefixes, () => this.ranked(cluster.targets.prefixes, "prefix", "records", cluster.targets.n_prefixes)),
      ...part("Source networks", cluster.networks, () => this.ranked(cluster.networks, "network", "sources", cluster.n_networks)),
      ...part("Sources", cluster.sources, () => this.ranked(cluster.sources, "source", "windows", cluster.n_sources)),
      ...part(cluster.labels.length ? `Labels, purity ${share(cluster.purity)}` : "", cluster.labels, () => this.ranked(cluster.labels, "label", "windows")),
      ...part("Tools", cluster.tools, () => this.ranked(cluster.tools, "tool", "windows")),
      ...part("Why together: similarity that each field carries", cluster.why, () => bars(cluster.why, (r) => r.field, (r) => share(r.share))),
      ...part("Most typical windows", cluster.typical_windows, () => this.windowLinks(cluster.typical_windows)),
      ...part("Nearest clusters", cluster.nearest, () => this.clusterLinks(cluster.nearest))];
  }

  head(cluster) {
    const title = element("h3", {}, symbolPicture(symbolOf(cluster.rank)), `Cluster ${cluster.cluster}`);
    return element("header", {}, title, element("button", { type: "button", on: { click: () => this.onChoose(null) } }, "Close"));
  }

  facts(cluster) {
    const rows = [["windows", integer.format(cluster.n_windows)], ["sources", integer.format(cluster.n_sources)], ["records", integer.format(cluster.n_records)],
      ["first seen", minute(Date.parse(cluster.first_seen) / 1000)], ["last seen", minute(Date.parse(cluster.last_seen) / 1000)],
      ["inter-arrival", `${duration(cluster.timing.median_inter_arrival_s)} in the median${cluster.timing.pattern ? `, ${cluster.timing.pattern}` : ""}`],
      ["destinations", integer.format(cluster.targets.n_destinations)], ["cohesion", cluster.cohesion?.toFixed(3)], ["margin", cluster.margin?.toFixed(3)],
      ["stability", cluster.stability === undefined || cluster.stability === null ? undefined : share(cluster.stability)]];
    return element("dl", {}, ...rows.filter((row) => row[1] !== undefined).flatMap(([name, value]) => [element("dt", {}, name), element("dd", {}, value)]));
  }

  ranked(rows, key, count, total = rows.length) {
    const list = bars(rows, (row) => (row.name ? `${row[key]} ${row.name}` : row[key]), (row) => `${integer.format(row[count])} (${share(row.share)})`);
    return total > rows.length ? element("div", {}, list, element("p", { class: "hint" }, `and ${integer.format(total - rows.length)} more`)) : list;
  }

  windowLinks(ids) {
    return element("p", {}, ...ids.map((id) => element("button", { type: "button", class: "link", on: { click: () => this.onWindow(id) } }, `window ${id}`)));
  }

  clusterLinks(rows) {
    return element("p", {}, ...rows.map((row) => element("button", { type: "button", class: "link", on: { click: () => this.onChoose(row.cluster) } }, `cluster ${row.cluster} (${row.similarity.toFixed(2)})`)));
  }
}

function part(title, value, draw) {
  return value && value.length ? [element("h4", {}, title), draw()] : [];
}
