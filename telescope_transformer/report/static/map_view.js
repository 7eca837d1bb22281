// Which part of the map is seen, and which windows lie where.

class MapView {
  constructor() {
    this.reset();
  }

  reset() {
    Object.assign(this, { centreX: 0.5, centreY: 0.5, zoom: 1 });
  }

  // The unit square fills the smaller side of the canvas, with a margin.
  scale(width, height) {
    return 0.94 * Math.min(width, height) * this.zoom;
  }

  toScreen(x, y, width, height) {
    const s = this.scale(width, height);
    return [width / 2 + (x - this.centreX) * s, height / 2 - (y - this.centreY) * s];
  }

  toMap(px, py, width, height) {
    const s = this.scale(width, height);
    return [this.centreX + (px - width / 2) / s, this.centreY - (py - height / 2) / s];
  }

  zoomBy(factor, px, py, width, height) {
    const [x, y] = this.toMap(px, py, width, height);
    this.zoom = Math.min(400, Math.max(0.5, this.zoom * factor));
    const [nx, ny] = this.toMap(px, py, width, height);
    this.centreX += x - nx;
    this.centreY += y - ny;
  }

  pan(dx, dy, width, height) {
    const s = this.scale(width, height);
    this.centreX -= dx / s;
    this.centreY += dy / s;
  }
}

// Windows by square of a 256 x 256 grid, as one array sorted by square.
class PlaceIndex {
  constructor(xs, ys) {
    const n = xs.length;
    const cellOf = (i) => ((ys[i] >> 8) << 8) | (xs[i] >> 8);
    this.first = new Uint32Array(65537);
    for (let i = 0; i < n; i++) this.first[cellOf(i) + 1]++;
    for (let c = 0; c < 65536; c++) this.first[c + 1] += this.first[c];
    const next = this.first.slice();
    this.items = new Uint32Array(n);
    for (let i = 0; i < n; i++) this.items[next[cellOf(i)]++] = i;
  }

  // Calls visit(i) for all windows in squares that touch the rectangle, in units of the map.
  within(x0, y0, x1, y1, visit) {
    const clamp = (v) => Math.min(255, Math.max(0, Math.floor(v * 256)));
    for (let row = clamp(y0); row <= clamp(y1); row++)
      for (let k = this.first[(row << 8) | clamp(x0)]; k < this.first[((row << 8) | clamp(x1)) + 1]; k++)
        visit(this.items[k]);
  }

  count(x0, y0, x1, y1) {
    const clamp = (v) => Math.min(255, Math.max(0, Math.floor(v * 256)));
    let total = 0;
    for (let row = clamp(y0); row <= clamp(y1); row++)
      total += this.first[((row << 8) | clamp(x1)) + 1] - this.first[(row << 8) | clamp(x0)];
    return total;
  }
}
