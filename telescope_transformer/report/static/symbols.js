// A cluster is told by colour and shape together: eight colours that the colour-blind tell apart, six shapes.
// Colours: Okabe and Ito, Color Universal Design, 2008; yellow darkened to show on white.

const COLOURS = ["#0072b2", "#e69f00", "#009e73", "#cc79a7", "#d55e00", "#56b4e9", "#b5a000", "#7a5195"];
const SHAPES = ["circle", "square", "triangle", "diamond", "cross", "wedge"];
const OTHER = { colour: "#8b95a1", shape: "circle" };

function symbolOf(rank) {
  if (rank === undefined || rank >= COLOURS.length * SHAPES.length) return OTHER;
  return { colour: COLOURS[rank % COLOURS.length], shape: SHAPES[Math.floor(rank / COLOURS.length)] };
}

function outline(shape, x, y, r) {
  const s = 0.9 * r;
  const corners = {
    square: [
      [-s, -s],
      [s, -s],
      [s, s],
      [-s, s],
    ],
    triangle: [
      [0, -1.2 * r],
      [1.1 * r, r],
      [-1.1 * r, r],
    ],
    wedge: [
      [0, 1.2 * r],
      [1.1 * r, -r],
      [-1.1 * r, -r],
    ],
    diamond: [
      [0, -1.35 * r],
      [1.35 * r, 0],
      [0, 1.35 * r],
      [-1.35 * r, 0],
    ],
    cross: [
      [-s, -s / 3],
      [-s / 3, -s / 3],
      [-s / 3, -s],
      [s / 3, -s],
      [s / 3, -s / 3],
      [s, -s / 3],
      [s, s / 3],
      [s / 3, s / 3],
      [s / 3, s],
      [-s / 3, s],
      [-s / 3, s / 3],
      [-s, s / 3],
    ],
  }[shape];
  return corners && corners.map(([dx, dy]) => [x + dx, y + dy]);
}

function tracePoint(context, shape, x, y, r) {
  const corners = outline(shape, x, y, r);
  if (!corners) {
    context.moveTo(x + r, y);
    context.arc(x, y, r, 0, 2 * Math.PI);
    return;
  }
  context.moveTo(...corners[0]);
  for (const corner of corners.slice(1)) context.lineTo(...corner);
  context.closePath();
}

function symbolPicture({ colour, shape }) {
  const corners = outline(shape, 7, 7, 5);
  const mark = corners
    ? svg("polygon", { points: corners.map((c) => c.join(",")).join(" "), fill: colour })
    : svg("circle", { cx: 7, cy: 7, r: 5, fill: colour });
  return svg("svg", { class: "symbol", viewBox: "0 0 14 14", "aria-hidden": "true" }, mark);
}
