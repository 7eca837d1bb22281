// The map of windows: density where they are many, points where they are few.

const MAX_POINTS = 4000;
const CELL = 5;
// Squares of the grid that stands for all windows, a side.
const GRID = 256;

class WindowMap {
  constructor(report, onChoose) {
    Object.assign(this, { report, onChoose, view: new MapView(), chosen: null, focus: null, filter: null });
    this.canvas = document.getElementById("map-canvas");
    this.context = this.canvas.getContext("2d");
    this.tip = document.getElementById("tip");
    this.index = new PlaceIndex(report.windows.x, report.windows.y);
    this.colourBy = "cluster";
    this.listen();
    new ResizeObserver(() => this.draw()).observe(this.canvas);
  }

  rankOf(i) {
    if (this.colourBy === "cluster") return this.report.byNumber.get(this.report.windows.cluster[i])?.rank;
    const code = this.report.windows.categories[this.colourBy].codes[i];
    return code === NO_CATEGORY ? undefined : code;
  }

  nameOf(rank) {
    const name =
      this.colourBy === "cluster"
        ? this.report.clusters[rank].name
        : this.report.windows.categories[this.colourBy].names[rank];
    return name.length > LABEL_LETTERS ? `${name.slice(0, LABEL_LETTERS - 1)}…` : name;
  }

  place(i) {
    return [this.report.windows.x[i] / 65535, this.report.windows.y[i] / 65535];
  }

  // Where a window is drawn, in pixels.
  spot(i) {
    return this.view.toScreen(...this.place(i));
  }

  // More windows are darker.
  shade(number, most) {
    this.context.globalAlpha = 0.3 + (0.7 * Math.log1p(number)) / Math.log1p(most);
  }

  draw() {
    const ratio = window.devicePixelRatio || 1;
    this.view.resize(this.canvas.clientWidth, this.canvas.clientHeight);
    this.canvas.width = this.view.width * ratio;
    this.canvas.height = this.view.height * ratio;
    this.context.setTransform(ratio, 0, 0, ratio, 0, 0);
    const asPoints = this.index.count(...this.view.seen()) <= MAX_POINTS;
    if (asPoints) this.drawPoints();
    else if (this.report.grid && !this.filter && this.chosen === null && this.colourBy === "cluster") this.drawGrid();
    else this.drawDensity();
    drawLabels(this);
    this.drawMarked();
    document.getElementById("map-status").textContent =
      this.focus === null ? this.status(asPoints) : this.describe(this.focus).replaceAll("\n", ", ");
  }

  status(asPoints) {
    const { windows, n_windows: total } = this.report;
    const held =
      windows.count < total
        ? `${integer.format(windows.count)} of ${integer.format(total)} windows, drawn evenly from all clusters,`
        : counted(total, "window");
    return `${held} ${asPoints ? "as points" : "as density; zoom in for points"}.`;
  }

  dimmed(i) {
    if (this.filter && !this.filter(i)) return true;
    return this.chosen !== null && this.report.windows.cluster[i] !== this.chosen;
  }

  drawPoints() {
    const radius = Math.min(5.5, 2.6 + 0.35 * Math.log2(this.view.zoom + 1));
    const groups = new Map();
    this.index.within(...this.view.seen(), (i) => {
      const symbol = symbolOf(this.rankOf(i));
      const key = `${symbol.colour}|${symbol.shape}|${this.dimmed(i) ? 1 : 0}`;
      if (!groups.has(key)) groups.set(key, []);
      groups.get(key).push(i);
    });
    for (const [key, items] of [...groups].sort((a, b) => b[0].at(-1).localeCompare(a[0].at(-1)))) {
      const [colour, shape, dim] = key.split("|");
      this.context.beginPath();
      for (const i of items) tracePoint(this.context, shape, ...this.spot(i), radius);
      this.context.globalAlpha = dim === "1" ? 0.13 : 0.78;
      this.context.fillStyle = colour;
      this.context.fill();
    }
    this.context.globalAlpha = 1;
  }

  // Each square of the screen shows the category that most of its windows have; darker is more windows.
  drawDensity() {
    const columns = Math.ceil(this.view.width / CELL);
    const cells = new Map();
    this.index.within(...this.view.seen(), (i) => {
      const [px, py] = this.spot(i);
      const at = Math.floor(py / CELL) * columns + Math.floor(px / CELL);
      if (!cells.has(at)) cells.set(at, { total: 0, ranks: new Map() });
      const cell = cells.get(at);
      if (this.dimmed(i)) return;
      const rank = this.rankOf(i);
      cell.total++;
      cell.ranks.set(rank, (cell.ranks.get(rank) || 0) + 1);
    });
    let top = 1;
    for (const cell of cells.values()) top = Math.max(top, cell.total);
    for (const [at, cell] of cells) {
      const rank = [...cell.ranks].reduce((best, entry) => (entry[1] > best[1] ? entry : best), [undefined, 0])[0];
      if (cell.total) this.shade(cell.total, top);
      else this.context.globalAlpha = 0.16;
      this.context.fillStyle = symbolOf(rank).colour;
      this.context.fillRect((at % columns) * CELL, Math.floor(at / columns) * CELL, CELL - 0.5, CELL - 0.5);
    }
    this.context.globalAlpha = 1;
  }

  // All windows, also those that the page holds only as a number in a square.
  drawGrid() {
    const { counts, ranks } = this.report.grid;
    const side = Math.max(1.5, this.view.scale / GRID);
    const top = counts.reduce((most, value) => Math.max(most, value), 1);
    for (let cell = 0; cell < counts.length; cell++) {
      if (!counts[cell]) continue;
      const [x, y] = this.view.toScreen((cell % GRID) / GRID, (Math.floor(cell / GRID) + 1) / GRID);
      this.shade(counts[cell], top);
      this.context.fillStyle = symbolOf(ranks[cell] === NO_CATEGORY ? undefined : ranks[cell]).colour;
      this.context.fillRect(x, y, side, side);
    }
    this.context.globalAlpha = 1;
  }

  drawMarked() {
    const ink = getComputedStyle(document.body).color;
    if (this.focus !== null) this.ring(this.focus, 10, 2.5, ink);
    for (const i of this.report.byNumber.get(this.chosen)?.typical_windows || []) this.ring(i, 6.5, 1.5, ink);
  }

  ring(i, radius, width, colour) {
    this.context.beginPath();
    this.context.arc(...this.spot(i), radius, 0, 2 * Math.PI);
    this.context.lineWidth = width;
    this.context.strokeStyle = colour;
    this.context.stroke();
  }

  nearest(px, py, reach = 12) {
    const [x0, y0] = this.view.toMap(px - reach, py + reach);
    const [x1, y1] = this.view.toMap(px + reach, py - reach);
    let best = null;
    let distance = reach * reach;
    this.index.within(x0, y0, x1, y1, (i) => {
      const [sx, sy] = this.spot(i);
      const d = (sx - px) ** 2 + (sy - py) ** 2;
      if (d < distance && !this.dimmed(i)) [best, distance] = [i, d];
    });
    return best;
  }

  describe(i) {
    const w = this.report.windows;
    const margin = w.margin ? `, margin ${(w.margin[i] / 1000).toFixed(2)}` : "";
    const lines = [
      `source ${this.report.sources.name(w.source[i])}`,
      `${minute(w.first + w.start[i])} UTC, ${counted(w.records[i], "record")} in ${duration(w.seconds[i])}`,
      `${this.report.byNumber.get(w.cluster[i])?.name ?? "in no cluster"}${margin}`,
    ];
    for (const [name, { codes, names }] of Object.entries(w.categories))
      if (codes[i] !== NO_CATEGORY) lines.push(`${name} ${names[codes[i]]}`);
    return lines.join("\n");
  }

  showTip(i, px, py) {
    this.tip.hidden = i === null;
    this.canvas.style.cursor = i === null ? "crosshair" : "pointer";
    if (i === null) return;
    this.tip.textContent = this.describe(i);
    this.tip.style.left = `${Math.min(px + 14, this.view.width - this.tip.offsetWidth - 4)}px`;
    const above = py + 14 + this.tip.offsetHeight > this.view.height;
    this.tip.style.top = `${above ? py - 14 - this.tip.offsetHeight : py + 14}px`;
  }

  listen() {
    const canvas = this.canvas;
    let held = null;
    let moved = false;
    canvas.addEventListener("pointerdown", (e) => {
      held = [e.offsetX, e.offsetY];
      moved = false;
      canvas.setPointerCapture(e.pointerId);
    });
    canvas.addEventListener("pointermove", (e) => {
      if (!held) return this.showTip(this.nearest(e.offsetX, e.offsetY), e.offsetX, e.offsetY);
      const [dx, dy] = [e.offsetX - held[0], e.offsetY - held[1]];
      if (!moved && Math.hypot(dx, dy) < 4) return undefined;
      moved = true;
      held = [e.offsetX, e.offsetY];
      this.view.pan(dx, dy);
      return this.draw();
    });
    canvas.addEventListener("pointerup", (e) => {
      if (held && !moved) this.click(e);
      held = null;
    });
    canvas.addEventListener("pointerleave", () => this.showTip(null));
    canvas.addEventListener(
      "wheel",
      (e) => {
        e.preventDefault();
        this.zoom(1.0015 ** -e.deltaY, e.offsetX, e.offsetY);
      },
      { passive: false },
    );
    canvas.addEventListener("keydown", (e) => this.key(e));
    document.getElementById("zoom-in").addEventListener("click", () => this.zoom(1.6));
    document.getElementById("zoom-out").addEventListener("click", () => this.zoom(1 / 1.6));
    document.getElementById("zoom-reset").addEventListener("click", () => this.resetView());
  }

  click(event) {
    const i = this.nearest(event.offsetX, event.offsetY);
    this.focus = i;
    this.onChoose(i === null ? null : this.report.windows.cluster[i]);
  }

  zoom(factor, px = this.view.width / 2, py = this.view.height / 2) {
    this.view.zoomBy(factor, px, py);
    this.draw();
  }

  resetView() {
    this.view.reset();
    this.focus = null;
    this.draw();
  }

  key(event) {
    const moves = { ArrowLeft: [60, 0], ArrowRight: [-60, 0], ArrowUp: [0, 60], ArrowDown: [0, -60] };
    if (moves[event.key]) this.view.pan(...moves[event.key]);
    else if (event.key === "+" || event.key === "=") this.zoom(1.4);
    else if (event.key === "-") this.zoom(1 / 1.4);
    else if (event.key === "0") this.resetView();
    else if (event.key === "Enter" && this.focus !== null) this.onChoose(this.report.windows.cluster[this.focus], true);
    else if (event.key === "n" || event.key === "p") this.step(event.key === "n" ? 1 : -1);
    else return;
    event.preventDefault();
    this.draw();
  }

  step(by) {
    const members =
      this.report.members.get(this.chosen) || Array.from({ length: this.report.windows.count }, (_, i) => i);
    if (!members.length) return;
    const at = members.indexOf(this.focus);
    this.focus = members[(Math.max(at, by > 0 ? at : 0) + by + members.length) % members.length];
    [this.view.centreX, this.view.centreY] = this.place(this.focus);
  }

  choose(cluster) {
    this.chosen = cluster;
    if (this.focus !== null && this.report.windows.cluster[this.focus] !== cluster) this.focus = null;
    this.bringIntoView(this.report.members.get(cluster) ?? []);
    this.draw();
  }

  // A cluster that lies outside of what is seen is moved to.
  bringIntoView(members) {
    if (!members.length || !this.view.width) return;
    const [x0, y0, x1, y1] = this.view.seen();
    const places = members.map((i) => this.place(i));
    if (places.some(([x, y]) => x >= x0 && x <= x1 && y >= y0 && y <= y1)) return;
    const range = (axis) => [Math.min(...places.map((p) => p[axis])), Math.max(...places.map((p) => p[axis]))];
    const [left, right] = range(0);
    const [low, high] = range(1);
    this.view.centreX = (left + right) / 2;
    this.view.centreY = (low + high) / 2;
    this.view.zoom = Math.min(this.view.zoom, 0.8 / Math.max(right - left, high - low, 0.02));
  }
}
