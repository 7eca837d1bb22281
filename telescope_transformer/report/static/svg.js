// Elements and small pictures. Text from the data only ever becomes a text node or an attribute.

function element(tag, attributes = {}, ...children) {
  return build(document.createElement(tag), attributes, children);
}

function svg(tag, attributes = {}, ...children) {
  return build(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);
}

function build(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes))
    if (name === "on") for (const [event, handler] of Object.entries(value)) node.addEventListener(event, handler);
    else if (value !== null && value !== undefined) node.setAttribute(name, value);
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

const button = (click, attributes, ...children) =>
  element("button", { type: "button", ...attributes, on: { click } }, ...children);
const link = (text, click) => button(click, { class: "link" }, text);

// A cluster by its name, which opens it; one that the page does not hold is only named.
const clusterLink = (report, number, onChoose) =>
  report.byNumber.has(number) ? link(nameOf(report, number), () => onChoose(number, true)) : numbered(number);

function sparkline(values) {
  const [width, height] = [84, 26];
  const top = Math.max(1, ...values);
  const step = width / values.length;
  let path = `M0 ${height}`;
  values.forEach((value, i) => {
    const y = (height - (height - 2) * Math.sqrt(value / top)).toFixed(1);
    path += `L${(i * step).toFixed(1)} ${y}L${((i + 1) * step).toFixed(1)} ${y}`;
  });
  return svg(
    "svg",
    {
      class: "spark",
      viewBox: `0 0 ${width} ${height}`,
      width,
      height,
      role: "img",
      "aria-label": "Activity over time",
    },
    svg("path", { d: `${path}L${width} ${height}Z` }),
  );
}

function heatMap(rhythm) {
  const days = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
  const top = Math.max(1, ...rhythm.flat());
  const picture = svg("svg", {
    class: "heat",
    viewBox: "0 0 400 128",
    role: "img",
    "aria-label": busiest(rhythm, days),
  });
  rhythm.forEach((hours, d) => {
    picture.append(svg("text", { x: 0, y: 11 + 15 * d }, days[d]));
    hours.forEach((value, h) => {
      const place = { x: 30 + 15 * h, y: 15 * d, width: 14, height: 14 };
      const cell = svg("rect", { ...place, "fill-opacity": Math.sqrt(value / top).toFixed(3) });
      cell.append(svg("title", {}, `${days[d]} ${h}:00 UTC: ${integer.format(value)} records`));
      picture.append(svg("rect", { ...place, class: "cell-frame" }), cell);
    });
  });
  for (const h of [0, 6, 12, 18, 23]) picture.append(svg("text", { x: 30 + 15 * h, y: 118 }, String(h)));
  return picture;
}

function busiest(rhythm, days) {
  const flat = rhythm.flat();
  const at = flat.indexOf(Math.max(...flat));
  return `Records by hour and weekday; most on ${days[Math.floor(at / 24)]} at ${at % 24}:00 UTC`;
}

// Shares by field, as bars with their numbers.
function bars(rows) {
  const list = element("div", { class: "bars" });
  for (const row of rows) {
    const width = Math.max(0.5, 100 * row.share);
    list.append(
      element("span", {}, row.field),
      svg(
        "svg",
        { class: "bar", viewBox: "0 0 100 9", preserveAspectRatio: "none", "aria-hidden": "true" },
        svg("rect", { x: 0, y: 0, width, height: 9 }),
      ),
      element("span", {}, share(row.share)),
    );
  }
  return list;
}
