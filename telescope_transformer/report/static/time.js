// Traffic by day with an axis, and what happened to clusters, as sentences.

class Traffic {
  constructor(report) {
    this.report = report;
    this.figure = document.getElementById("traffic");
    this.note = document.getElementById("traffic-note");
  }

  draw(chosen) {
    const { traffic, days } = this.report;
    const cluster = this.report.byNumber.get(chosen);
    const own = cluster && daysOf(this.report, cluster);
    this.figure.querySelector("svg")?.remove();
    if (!traffic.n) return;
    this.figure.append(
      timeAxis(this.figure, traffic.counts, traffic, "Records by day", own && days.n === traffic.n ? own : null),
    );
    this.note.textContent = cluster ? `"${cluster.name}" marked` : "";
  }
}

// So much room a date needs.
const DATE_WIDTH = 110;

// Bars by day, as wide as their place, with dates below and the largest value beside them.
function timeAxis(place, counts, days, label, marked = null) {
  const [width, height, left, below] = [Math.max(280, place.clientWidth - 34), 120, 52, 18];
  const top = Math.max(1, ...counts);
  const step = (width - left) / counts.length;
  const picture = svg("svg", {
    class: "chart",
    viewBox: `0 0 ${width} ${height + below}`,
    role: "img",
    "aria-label": `${label}; at most ${integer.format(top)}`,
  });
  const bar = (name, value, i) =>
    svg("rect", {
      class: name,
      x: (left + i * step).toFixed(2),
      width: Math.max(0.6, 0.88 * step).toFixed(2),
      y: (height - ((height - 12) * value) / top).toFixed(2),
      height: (((height - 12) * value) / top).toFixed(2),
    });
  const begin = (i) => dateOf(days.first + i * days.step);
  const more = days.step === 1 ? "" : ` and ${days.step - 1} more days`;
  counts.forEach((value, i) => {
    const own = marked ? `, ${integer.format(marked[i])} of the chosen cluster` : "";
    picture.append(
      svg(
        "g",
        {},
        svg("title", {}, `${begin(i)}${more}: ${counted(value, "record")}${own}`),
        bar("all", value, i),
        marked ? bar("chosen", marked[i], i) : null,
      ),
    );
  });
  picture.append(
    svg("line", { x1: left, x2: width, y1: height, y2: height }),
    svg("text", { x: left - 6, y: 16, "text-anchor": "end" }, integer.format(top)),
    svg("text", { x: left - 6, y: height, "text-anchor": "end" }, "0"),
  );
  const every = Math.max(1, Math.ceil(DATE_WIDTH / step));
  // The last date is left out if it would be cut off at the right edge.
  for (let i = 0; i < counts.length && (i === 0 || left + i * step <= width - 0.6 * DATE_WIDTH); i += every)
    picture.append(svg("text", { x: (left + i * step).toFixed(1), y: height + 14 }, begin(i)));
  return picture;
}

// What happened to the grouping, not to the traffic: a cluster that dissolves may send on, in another.
function eventSentence(report, event, onChoose) {
  const named = (number) => clusterLink(report, number, onChoose);
  const others = (event.others ?? []).flatMap((number, i) => [i ? ", " : "", named(number)]);
  const sized = ` (${counted(event.windows, "window")})`;
  const words = {
    alone: [`${counted(event.windows, "window")} like no other`],
    birth: [named(event.cluster), " appeared", sized],
    merge: [named(event.cluster), " took in ", ...others, sized],
    split: [named(event.cluster), " split off ", ...others, sized],
    death: others.length
      ? [named(event.cluster), " was divided among ", ...others]
      : [named(event.cluster), " dissolved"],
  }[event.event] ?? [`${event.event}: `, named(event.cluster)];
  return element("li", {}, element("span", { class: "quiet" }, `${event.day} `), ...words, ".");
}

// Newest first. Windows that began a cluster and are alone in it are counted by day, behind all else of the day.
function toldEvents(report) {
  const told = [];
  const alone = new Map();
  for (const event of report.events) {
    const isAlone = event.event === "birth" && event.windows === 1 && !report.byNumber.has(event.cluster);
    if (!isAlone) told.push(event);
    else if (alone.has(event.day)) alone.get(event.day).windows += 1;
    else alone.set(event.day, { ...event, event: "alone" });
  }
  return [...alone.values(), ...told].sort((one, other) => one.day.localeCompare(other.day)).reverse();
}

function drawHistory(report, onChoose) {
  const place = document.getElementById("events");
  if (!report.events.length) {
    place.replaceChildren(
      element("p", { class: "quiet" }, "A single analysis has no history; telescope update keeps one, day by day."),
    );
    return;
  }
  const beyond =
    report.n_events > report.events.length
      ? `The last ${report.events.length} of ${integer.format(report.n_events)}; all are in clusters.json.`
      : "Newest first.";
  place.replaceChildren(
    element("p", { class: "hint" }, beyond),
    element("ul", { class: "lines" }, ...toldEvents(report).map((event) => eventSentence(report, event, onChoose))),
  );
}
