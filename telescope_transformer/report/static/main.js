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

function listenToFind(map) {
  const input = document.getElementById("find-source");
  input.addEventListener("input", () => {
    const wanted = input.value.trim();
    const { sources } = map.report.windows;
    map.found = wanted ? new Set(sources.map((name, code) => (name.startsWith(wanted) ? code : -1)).filter((code) => code >= 0)) : null;
    map.draw();
  });
}

function listenToLive(map, table) {
  const inputs = ["live-from", "live-to", "live-source"].map((id) => document.getElementById(id));
  let asked = 0;
  const ask = async () => {
    const turn = ++asked;
    const query = new URLSearchParams({ from: inputs[0].value, to: inputs[1].value, source: inputs[2].value });
    const answer = await (await fetch(`api/clusters?${query}`)).json();
    if (turn !== asked) return;
    const kept = answer.error ? null : new Set(answer.clusters.map((row) => row.cluster));
    map.kept = table.kept = kept;
    map.draw();
    table.draw();
    if (answer.error) document.getElementById("table-status").textContent = answer.error;
  };
  for (const input of inputs) input.addEventListener("input", ask);
}

async function main() {
  const report = await loadReport();
  const parts = [];
  const choose = (cluster, show = false) => {
    for (const part of parts) part(cluster);
    if (show) document.getElementById("detail").focus();
    history.replaceState(null, "", cluster === null ? location.pathname + location.search : `#cluster-${cluster}`);
  };
  const map = new WindowMap(report, choose);
  const table = new ClusterTable(report, choose);
  const traffic = new Traffic(report);
  const showWindow = (id) => { map.focus = map.rowOfWindow().get(id) ?? null; map.step(0); map.draw(); };
  const detail = new ClusterDetail(report, choose, showWindow);
  new Evolution(report, choose);
  parts.push((c) => map.choose(c), (c) => table.choose(c), (c) => traffic.draw(c), (c) => detail.choose(c));
  const colourBy = document.getElementById("colour-by");
  for (const name of Object.keys(report.windows.categories)) colourBy.append(element("option", { value: name }, name));
  colourBy.addEventListener("input", () => { map.colourBy = colourBy.value; drawLegend(map); map.draw(); });
  drawLegend(map);
  listenToFind(map);
  if (report.live) listenToLive(map, table);
  document.addEventListener("keydown", (event) => { if (event.key === "Escape") choose(null); });
  const asked = /^#cluster-(\d+)$/.exec(location.hash);
  if (asked) choose(Number(asked[1]));
  document.body.dataset.ready = "yes";
}

main().catch((error) => {
  document.querySelector("main").prepend(element("p", { class: "warning", role: "alert" }, `The page's data could not be shown: ${error.message}`));
});
