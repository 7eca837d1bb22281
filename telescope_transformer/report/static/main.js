// Ties the parts together: one chosen cluster, one search, and both in the page's address.

const LEGEND = 16;

function drawLegend(map) {
  const { report } = map;
  const names =
    map.colourBy === "cluster"
      ? report.clusters.map((cluster) => cluster.name)
      : report.windows.categories[map.colourBy].names;
  const items = names.slice(0, LEGEND).map((name, rank) => {
    const choose = map.colourBy === "cluster" ? () => map.onChoose(report.clusters[rank].cluster) : null;
    const inside = [symbolPicture(symbolOf(rank)), name];
    return element("li", {}, choose ? button(choose, {}, ...inside) : element("span", {}, ...inside));
  });
  const total = map.colourBy === "cluster" ? report.n_clusters : names.length;
  if (total > LEGEND) items.push(element("li", {}, symbolPicture(OTHER), `and ${integer.format(total - LEGEND)} more`));
  document.getElementById("legend").replaceChildren(...items);
}

// "#cluster-7" or "#?cluster=7&q=ssh&from=2024-03-04"; other anchors are sections of the page.
function readAddress() {
  const hash = decodeURIComponent(location.hash);
  const values = new URLSearchParams(hash.startsWith("#?") ? hash.slice(2) : "");
  const cluster = /^#cluster-(\d+)$/.exec(hash)?.[1] ?? values.get("cluster");
  return {
    cluster: cluster === null || cluster === undefined ? null : Number(cluster),
    q: values.get("q") ?? "",
    from: values.get("from") ?? "",
    to: values.get("to") ?? "",
  };
}

function writeAddress(chosen, values) {
  const state = new URLSearchParams(Object.entries(values).filter(([, value]) => value));
  if (![...state].length && chosen !== null) history.replaceState(null, "", `#cluster-${chosen}`);
  else {
    if (chosen !== null) state.set("cluster", chosen);
    history.replaceState(null, "", [...state].length ? `#?${state}` : location.pathname + location.search);
  }
}

class Page {
  constructor(report) {
    this.report = report;
    this.opener = null;
    this.chosen = null;
    const choose = (cluster, show = false) => this.choose(cluster, show);
    this.map = new WindowMap(report, choose);
    this.detail = new ClusterDetail(
      report,
      choose,
      (row) => this.showWindow(row),
      (text) => this.search.set(text),
    );
    this.table = new ClusterTable(report, choose, this.detail);
    this.traffic = new Traffic(report);
    this.search = new Search(report, () => this.redraw(), choose);
    this.traffic.draw(null);
    drawHistory(report, choose);
    this.listen();
  }

  listen() {
    const colourBy = document.getElementById("colour-by");
    for (const name of Object.keys(this.report.windows.categories))
      colourBy.append(element("option", { value: name }, name));
    colourBy.addEventListener("input", () => {
      this.map.colourBy = colourBy.value;
      drawLegend(this.map);
      this.map.draw();
    });
    drawLegend(this.map);
    document.addEventListener("keydown", (event) => {
      if (event.key === "Escape" && this.chosen !== null) this.choose(null);
    });
    window.addEventListener("hashchange", () => this.follow());
    document.getElementById("analysis")?.addEventListener("input", (event) => {
      location.href = event.target.value;
    });
    for (const button of document.querySelectorAll("[data-news]"))
      button.addEventListener("click", () => this.search.set(button.dataset.news));
  }

  choose(cluster, show) {
    const { panel } = this.detail;
    const inside = panel.contains(document.activeElement) || document.activeElement?.matches?.("button.name");
    if (show && !inside) this.opener = document.activeElement;
    const before = this.chosen;
    this.chosen = cluster;
    for (const part of [this.detail, this.map, this.table]) part.choose(cluster);
    this.traffic.draw(cluster);
    this.showChosen();
    if (show && panel.isConnected) {
      panel.scrollIntoView({ block: "start", behavior: "instant" });
      panel.focus({ preventScroll: true });
    } else if (cluster === null && inside) this.leave(before);
    writeAddress(cluster, this.search.values);
  }

  // Back to where the cluster was opened: its row, or what was clicked.
  leave(before) {
    const row = document.querySelector(`button[data-open="${before}"]`);
    (row ?? (this.opener?.isConnected ? this.opener : this.map.canvas)).focus();
  }

  showChosen() {
    const cluster = this.report.byNumber.get(this.chosen);
    const choose = (number, show) => this.choose(number, show);
    let told = [];
    if (cluster)
      told = ["Chosen: ", clusterLink(this.report, this.chosen, choose), ` ${counted(cluster.n_sources, "source")}`];
    else if (this.chosen !== null) told = [`Cluster ${this.chosen} is a single window, or is not on this page.`];
    document.getElementById("map-chosen").replaceChildren(...told);
  }

  showWindow(row) {
    this.map.focus = row;
    this.map.step(0);
    this.map.draw();
    document.getElementById("map").scrollIntoView();
    this.map.canvas.focus({ preventScroll: true });
  }

  redraw() {
    this.map.filter = windowFilter(this.report);
    this.map.draw();
    this.table.shown = PAGE;
    this.table.draw();
    writeAddress(this.chosen, this.search.values);
  }

  // What the address says: a link inside the page, or a page opened by a link.
  follow() {
    const asked = readAddress();
    if (asked.cluster !== null && asked.cluster !== this.chosen) this.choose(asked.cluster, true);
  }

  async open() {
    const asked = readAddress();
    this.search.input.value = asked.q;
    [this.search.dates[0].value, this.search.dates[1].value] = [asked.from, asked.to];
    if (asked.q || asked.from || asked.to) await this.search.apply();
    if (asked.cluster !== null) this.choose(asked.cluster, true);
    document.body.dataset.ready = "yes";
  }
}

async function main() {
  await new Page(await loadReport()).open();
}

main().catch((error) => {
  document
    .querySelector("main")
    .prepend(element("p", { class: "warning", role: "alert" }, `The page's data could not be shown: ${error.message}`));
});
