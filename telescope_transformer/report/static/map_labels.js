// Names on the map where a cluster, label or service is densest: colour alone tells nothing apart.

const MOST_LABELS = 16;
const LABEL_CELL = 22;
const LABEL_LETTERS = 28;
// Above its place, so that a single point is not hidden.
const LABEL_RISE = 11;

function drawLabels(map) {
  const { context } = map;
  const taken = [];
  context.font = "600 11px system-ui, sans-serif";
  context.textAlign = "center";
  context.textBaseline = "middle";
  context.lineWidth = 3;
  context.strokeStyle = getComputedStyle(document.querySelector(".map-card")).backgroundColor;
  context.fillStyle = getComputedStyle(document.body).color;
  for (const { name, x, y } of densestPlaces(map)) {
    const half = context.measureText(name).width / 2 + 2;
    if (taken.some((box) => Math.abs(box.x - x) < box.half + half && Math.abs(box.y - y) < 14)) continue;
    taken.push({ x, y, half });
    context.strokeText(name, x, y);
    context.fillText(name, x, y);
  }
}

function densestPlaces(map) {
  const cells = new Map();
  map.index.within(...map.view.seen(), (i) => {
    const rank = map.rankOf(i);
    if (rank === undefined || (rank >= MOST_LABELS && map.chosen === null) || map.dimmed(i)) return;
    const [x, y] = map.spot(i);
    const key = `${rank}|${Math.floor(x / LABEL_CELL)}|${Math.floor(y / LABEL_CELL)}`;
    const cell = cells.get(key) ?? { rank, n: 0, x: 0, y: 0 };
    cells.set(key, { rank, n: cell.n + 1, x: cell.x + x, y: cell.y + y });
  });
  const best = new Map();
  for (const cell of cells.values()) if (cell.n > (best.get(cell.rank)?.n ?? 0)) best.set(cell.rank, cell);
  return [...best.values()]
    .sort((a, b) => a.rank - b.rank)
    .slice(0, MOST_LABELS)
    .map(({ rank, n, x, y }) => ({ name: map.nameOf(rank), x: x / n, y: y / n - LABEL_RISE }));
}
