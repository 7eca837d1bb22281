// Traffic by day, and how clusters come and go.

const EVOLUTION_ROWS = 40;
const FRESH = 0.1;

class Traffic {
  constructor(report) {
    this.report = report;
    this.figure = document.getElementById("traffic");
    this.note = document.getElementById("traffic-note");
    this.step = 86400 * report.days.step;
    this.origin = 86400 * report.days.first;
    this.n = Math.max(1, report.days.n);
    this.draw(null);
  }

  bin(i) { return Math.min(this.n - 1, Math.max(0, Math.floor((this.report.windows.first + this.report.windows.start[i] - this.origin) / this.step))); }

  draw(chosen) {
    const { windows, members, kept } = this.report;
    const [all, own] = [new Array(this.n).fill(0), new Array(this.n).fill(0)];
    for (let i = 0; i < windows.count; i++) if (!kept || kept[i]) all[this.bin(i)]++;
    for (const i of members.get(chosen) || []) if (!kept || kept[i]) own[this.bin(i)]++;
    const top = Math.max(1, ...all);
    const [width, height] = [1000, 130];
    const picture = svg("svg", { class: "chart", viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: "none", role: "img",
      "aria-label": `Windows by day, at most ${integer.format(top)}` });
    const step = width / this.n;
    all.forEach((value, i) => {
      const title = svg("title", {}, `${day(this.origin + i * this.step)}: ${integer.format(value)} windows${chosen === null ? "" : `, ${integer.format(own[i])} in cluster ${chosen}`}`);
      const group = svg("g", {}, title, ...[["all", value], ["chosen", own[i]]].map(([name, v]) => svg("rect", { class: name, x: i * step,
        width: Math.max(0.5, 0.88 * step), y: height - (height - 4) * v / top, height: (height - 4) * v / top })));
      picture.append(group);
    });
    this.figure.querySelector("svg")?.remove();
    this.figure.append(picture);
    this.note.textContent = `from ${day(this.origin)} to ${day(this.origin + (this.n - 1) * this.step)}, at most ${integer.format(top)}` + (chosen === null ? "" : `; cluster ${chosen} marked`);
  }
}

// New: nothing in the first nine tenths of the time. Vanished: nothing in the last tenth.
function newsOf(counts) {
  const active = counts.map((value, i) => (value > 0 ? i : -1)).filter((i) => i >= 0);
  const edge = Math.max(1, Math.ceil(FRESH * counts.length));
  if (!active.length || counts.length < 3) return "";
  if (active[0] >= counts.length - edge) return "new";
  return active.at(-1) < counts.length - edge ? "vanished" : "";
}

class Evolution {
  constructor(report, onChoose) {
    Object.assign(this, { report, onChoose });
    this.draw();
    this.events(report);
  }

  // Windows of each cluster by day, those that pass the filter.
  counts() {
    const { days, windows, kept, byNumber, clusters } = this.report;
    const at = (rank) => Array.from(days.counts.subarray(rank * days.n, (rank + 1) * days.n));
    if (!kept) return clusters.map((_, rank) => at(rank));
    const counts = clusters.map(() => new Array(days.n).fill(0));
    for (let i = 0; i < windows.count; i++) {
      const rank = kept[i] ? byNumber.get(windows.cluster[i])?.rank : undefined;
      if (rank !== undefined) counts[rank][Math.floor((Math.floor((windows.first + windows.start[i]) / 86400) - days.first) / days.step)]++;
    }
    return counts;
  }

  draw() {
    const counts = this.counts();
    const rows = this.report.clusters.map((cluster, rank) => ({ cluster, rank, counts: counts[rank], total: counts[rank].reduce((a, b) => a + b, 0) }))
      .filter((row) => row.total > 0 && row.cluster.n_windows > 1).map((row) => ({ ...row, news: newsOf(row.counts) }));
    const kinds = { new: [], vanished: [], "": [] };
    for (const row of rows) kinds[row.news].push(row);
    const shown = [...kinds.new.slice(0, EVOLUTION_ROWS / 4), ...kinds.vanished.slice(0, EVOLUTION_ROWS / 4)];
    shown.push(...kinds[""].slice(0, EVOLUTION_ROWS - shown.length));
    const table = element("table", {}, element("thead", {}, element("tr", {}, ...["Cluster", "Windows over time", "Windows", "Services"].map((name) => element("th", { scope: "col" }, name)))),
      element("tbody", {}, ...shown.map((row) => this.row(row, this.report.days))));
    document.getElementById("evolution-body").replaceChildren(
      element("p", { class: "hint" }, `${kinds.new.length} new and ${kinds.vanished.length} vanished in the last tenth of the time; ${shown.length} clusters shown.`), table);
  }

  row({ cluster, rank, counts, total, news }, days) {
    const name = element("button", { type: "button", class: "link", on: { click: () => this.onChoose(cluster.cluster, true) } }, symbolPicture(symbolOf(rank)), `cluster ${cluster.cluster}`);
    const badge = news ? element("span", { class: news === "new" ? "badge" : "badge quiet" }, news) : null;
    return element("tr", {}, element("td", { class: "nowrap" }, name, badge), element("td", {}, strip(counts, days)),
      element("td", { class: "number" }, integer.format(total)), element("td", {}, servicesText(cluster)));
  }

  events({ events, n_events: total }) {
    if (!events.length) return;
    const names = ["day", "event", "cluster", "others", "windows"];
    const beyond = total > events.length ? `The last ${integer.format(events.length)} of ${integer.format(total)}; all are in clusters.json.` : "The last ones first.";
    const rows = [...events].reverse().map((event) => element("tr", {}, ...names.map((name) => element("td", {}, String(event[name] ?? "")))));
    document.getElementById("events").replaceChildren(element("h3", {}, "Births, deaths, merges and splits"), element("p", { class: "hint" }, beyond),
      element("div", { class: "card scroll" }, element("table", { class: "plain" }, element("thead", {}, element("tr", {}, ...names.map((name) => element("th", { scope: "col" }, name)))), element("tbody", {}, ...rows))));
  }
}

function strip(counts, days) {
  const top = Math.max(1, ...counts);
  const picture = svg("svg", { class: "strip", viewBox: `0 0 ${counts.length} 1`, preserveAspectRatio: "none", width: 520, height: 18, role: "img",
    "aria-label": `active on ${counts.filter((v) => v > 0).length} of ${counts.length} days` });
  counts.forEach((value, i) => {
    if (value > 0) picture.append(svg("rect", { x: i, y: 0, width: 1, height: 1, "fill-opacity": (0.25 + 0.75 * Math.sqrt(value / top)).toFixed(2) },
      svg("title", {}, `${day(86400 * (days.first + i * days.step))}: ${integer.format(value)} windows`)));
  });
  return picture;
}
