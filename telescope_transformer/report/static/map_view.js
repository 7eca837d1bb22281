// Which part of the map is seen, and which windows lie where.

class MapView {
  constructor() {
    this.reset();
    this.resize(0, 0);
  }

  // The size of the canvas in pixels.
  resize(width, height) {
    Object.assign(this, { width, height });
  }

  reset() {
    Object.assign(this, { centreX: 0.5, centreY: 0.5, zoom: 1 });
  }

  // The unit square fills the smaller side of the canvas, with a margin.
  get scale() {
    return 0.94 * Math.min(this.width, this.height) * this.zoom;
  }

  toScreen(x, y) {
    return [this.width / 2 + (x - this.centreX) * this.scale, this.height / 2 - (y - this.centreY) * this.scale];
  }

  toMap(px, py) {
    return [this.centreX + (px - this.width / 2) / this.scale, this.centreY - (py - this.height / 2) / this.scale];
  }

  // The rectangle of the map that the canvas shows: [x0, y0, x1, y1].
  seen() {
    const [x0, y1] = this.toMap(0, 0);
    const [x1, y0] = this.toMap(this.width, this.height);
    return [x0, y0, x1, y1];
  }

  zoomBy(factor, px, py) {
    const [x, y] = this.toMap(px, py);
    this.zoom = Math.min(400, Math.max(0.5, this.zoom * factor));
    const [nx, ny] = this.toMap(px, py);
    this.centreX += x - nx;
    this.centreY += y - ny;
  }

  pan(dx, dy) {
    this.centreX -= dx / this.scale;
    this.centreY += dy / this.scale;
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

  // The places in `items`, [from, to), of each row of squares that touches the rectangle, in units of the map.
  *rows(x0, y0, x1, y1) {
    const clamp = (v) => Math.min(255, Math.max(0, Math.floor(v * 256)));
    for (let row = clamp(y0); row <= clamp(y1); row++)
      yield [this.first[(row << 8) | clamp(x0)], this.first[((row << 8) | clamp(x1)) + 1]];
  }

  // Calls visit(i) for all windows in these squares.
  within(x0, y0, x1, y1, visit) {
    for (const [from, to] of this.rows(x0, y0, x1, y1)) for (let k = from; k < to; k++) visit(this.items[k]);
  }

  count(x0, y0, x1, y1) {
    let total = 0;
    for (const [from, to] of this.rows(x0, y0, x1, y1)) total += to - from;
    return total;
  }
}
