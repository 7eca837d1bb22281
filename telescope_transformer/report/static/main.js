// Ties the parts together: one chosen cluster, shown by all of them.

function drawLegend(map) {
  const { report } = map;
  const names = map.colourBy === "cluster" ? report.clusters.map((c) => `${c.cluster}: ${c.services[0]?.service ?? ""}`) : report.windows.categories[map.colourBy].names;
  const items = names.slice(0, 16).map((name, rank) => {
    const choose = map.colourBy === "cluster" ? () => map.onChoose(report.clusters[rank].cluster) : null;
    const inside = [symbolPicture(symbolOf(rank)), name];
    return element("li", {}, choose ? element("button", { type: "button", on: { click: choose } }, ...inside) : element("span", {}, ...inside));
  });
  const total = map.colourBy === "cluster" ? report.n_clusters : names.length;
  if (total > 16) items.push(element("li", {}, symbolPicture(OTHER), `and ${integer.format(total - 16)} more`));
  document.getElementById("legend").replaceChildren(...items);
}

async function main() {
  const report = await loadReport();
  const parts = [];
  const panel = document.getElementById("detail");
  let opener = null;
  const choose = (cluster, show = false) => {
    const inside = panel.contains(document.activeElement);
    if (show && !inside) opener = document.activeElement;
    for (const part of parts) part(cluster);
    if (show) panel.focus();
    else if (cluster === null && inside) (opener?.isConnected ? opener : map.canvas).focus();
    history.replaceState(null, "", cluster === null ? location.pathname + location.search : `#cluster-${cluster}`);
  };
  const map = new WindowMap(report, choose);
  const table = new ClusterTable(report, choose);
  const traffic = new Traffic(report);
  const showWindow = (id) => { map.focus = map.rowOfWindow().get(id) ?? null; map.step(0); map.draw(); };
  const detail = new ClusterDetail(report, choose, showWindow);
  const evolution = new Evolution(report, choose);
  parts.push((c) => map.choose(c), (c) => table.choose(c), (c) => traffic.draw(c), (c) => detail.choose(c));
  const colourBy = document.getElementById("colour-by");
  for (const name of Object.keys(report.windows.categories)) colourBy.append(element("option", { value: name }, name));
  colourBy.addEventListener("input", () => { map.colourBy = colourBy.value; drawLegend(map); map.draw(); });
  drawLegend(map);
  new WindowFilter(report, () => { map.draw(); table.draw(); traffic.draw(map.chosen); evolution.draw(); });
  document.addEventListener("keydown", (event) => { if (event.key === "Escape") choose(null); });
  const asked = /^#cluster-(\d+)$/.exec(location.hash);
  if (asked) choose(Number(asked[1]));
  document.body.dataset.ready = "yes";
}

main().catch((error) => {
  document.querySelector("main").prepend(element("p", { class: "warning", role: "alert" }, `The page's data could not be shown: ${error.message}`));
});
