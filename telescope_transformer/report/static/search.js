// One search for addresses, prefixes and words, and a filter by day. What is found is shown; news stays as it is.

const SHOWN_SOURCES = 100;

// The bits of an address, and how many there are; null for what is no address.
function addressBits(text) {
  const four = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})$/.exec(text)?.slice(1).map(Number);
  if (four)
    return four.every((part) => part < 256)
      ? { size: 32, bits: four.reduce((bits, part) => (bits << 8n) | BigInt(part), 0n) }
      : null;
  if (!text.includes(":")) return null;
  const halves = text.split("::").map((half) => half.split(":").filter(Boolean));
  const missing = 8 - halves.flat().length;
  if (halves.length > 2 || (halves.length === 1 ? missing !== 0 : missing < 1)) return null;
  const parts = halves.length === 1 ? halves[0] : [...halves[0], ...new Array(missing).fill("0"), ...halves[1]];
  if (!parts.every((part) => /^[0-9a-f]{1,4}$/i.test(part))) return null;
  return { size: 128, bits: parts.reduce((bits, part) => (bits << 16n) | BigInt(`0x${part}`), 0n) };
}

// An address or prefix as the first and last address that it holds; null for other text, `wrong` for a bad prefix.
function addressRange(text) {
  const octets = /^((?:\d{1,3}\.){1,3})$/.exec(text) && text.split(".").filter(Boolean);
  if (octets) return addressRange(`${[...octets, 0, 0, 0].slice(0, 4).join(".")}/${8 * octets.length}`);
  const [name, length, ...rest] = text.split("/");
  const network = addressBits(name);
  if (!network) return null;
  if (length === undefined) return { size: network.size, first: network.bits, last: network.bits };
  if (rest.length || !/^\d{1,3}$/.test(length) || Number(length) > network.size)
    return { wrong: `${text} is not a prefix` };
  const shift = BigInt(network.size - Number(length));
  const first = (network.bits >> shift) << shift;
  return { size: network.size, first, last: first + (1n << shift) - 1n };
}

function parseSearch(text) {
  const query = { text: text.trim(), ranges: [], words: [], wrong: "" };
  // "cluster 3" is one word, so that it does not find all clusters with a 3 in their names.
  for (const part of query.text.toLowerCase().match(/\bcluster \d+(?!\S)|\S+/g) ?? []) {
    const range = addressRange(part);
    // "tcp/22" has a slash and is not a prefix.
    if (range?.wrong) query.wrong = range.wrong;
    else if (range) query.ranges.push(range);
    else query.words.push(part);
  }
  return query;
}

// Rows of the sources in the ranges that fit all words: by service, by label, or by what their cluster is called.
function findSources(report, query) {
  const { sources } = report;
  const inside = sourcesInRanges(sources, query.ranges);
  if (!query.words.length) return inside;
  const fits = query.words.map((word) => sourceFits(report, word));
  const rows = query.ranges.length ? inside : Array.from({ length: sources.count }, (_, i) => i);
  return rows.filter((i) => fits.every((fit) => fit(i)));
}

function sourceFits(report, word) {
  const { sources, clusters } = report;
  const values = Object.values(sources.categories).map(({ codes, names }) => {
    const wanted = names.map((name) => hasWord(name.toLowerCase(), word));
    return (i) => wanted[codes[i]] === true;
  });
  const called = new Set(clusters.filter((c) => hasWord(whoText(c), word)).map((c) => c.cluster));
  const asking = alsoAsking(sources, word);
  return (i) => called.has(sources.cluster[i]) || values.some((fit) => fit(i)) || asking.has(i);
}

// Rows of the sources of which a service other than the main one fits.
function alsoAsking(sources, word) {
  const rows = new Set();
  if (!sources.others) return rows;
  const { number, most, codes, names } = sources.others;
  const wanted = names.map((name) => hasWord(name.toLowerCase(), word));
  let at = 0;
  for (let i = 0; i < sources.count; i++)
    for (const end = at + Math.min(number[i], most); at < end; at++) if (wanted[codes[at]]) rows.add(i);
  return rows;
}

// What holds of every member of a cluster: its name, its tools, and where its sources are.
function whoText(cluster) {
  const parts = [
    cluster.name,
    numbered(cluster.cluster),
    ...(cluster.tools ?? []).map((row) => row.tool),
    ...(cluster.owners ?? []).map((row) => `as${row.asn ?? ""} ${row.name ?? ""}`),
    ...(cluster.countries ?? []).map((row) => row.country),
  ];
  return parts.join(" ").toLowerCase();
}

function sourcesInRanges(sources, ranges) {
  const rows = new Set();
  for (const { size, first, last } of ranges) {
    if (size === 32) {
      for (
        let i = lowerBound(sources.four, Number(first));
        i < sources.four.length && sources.four[i] <= Number(last);
        i++
      )
        rows.add(i);
    } else
      sources.six.forEach((name, i) => {
        const { bits } = addressBits(name);
        if (bits >= first && bits <= last) rows.add(sources.four.length + i);
      });
  }
  return [...rows];
}

function lowerBound(values, wanted) {
  let [low, high] = [0, values.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (values[middle] < wanted) low = middle + 1;
    else high = middle;
  }
  return low;
}

// A word that ends in a digit is a whole number: "tcp/22" does not find tcp/222.
function hasWord(text, word) {
  for (let at = text.indexOf(word); at >= 0; at = text.indexOf(word, at + 1)) {
    const [before, after] = [text[at - 1] ?? "", text[at + word.length] ?? ""];
    if (!(/\d$/.test(word) && /\d/.test(after)) && !(/^\d/.test(word) && /\d/.test(before))) return true;
  }
  return false;
}

function searchText(cluster) {
  const parts = [
    whoText(cluster),
    cluster.news ?? "",
    ...(cluster.services ?? []).map((row) => row.service),
    ...(cluster.networks ?? []).map((row) => row.network),
    ...(cluster.labels ?? []).map((row) => row.label),
    cluster.targets?.order ?? "",
    cluster.timing?.pattern ?? "",
    ...(cluster.targets?.prefixes ?? []).map((row) => row.prefix),
  ];
  return parts.join(" ").toLowerCase();
}

function sourceRow(report, i) {
  const { sources } = report;
  const category = (name) => sources.categories[name]?.names[sources.categories[name].codes[i]] ?? "";
  return {
    source: sources.name(i),
    cluster: sources.cluster[i] === NO_CLUSTER ? null : sources.cluster[i],
    records: sources.records[i],
    first: dateOf(sources.first_day + sources.from[i]),
    last: dateOf(sources.first_day + sources.to[i]),
    service: category("service"),
    other_services: sources.others?.number[i] ?? 0,
    label: category("label"),
  };
}

// What the page itself finds: {total, rows, clusters: number -> sources}.
function searchPage(report, query) {
  const found = findSources(report, query);
  const clusters = new Map();
  for (const i of found)
    if (report.sources.cluster[i] !== NO_CLUSTER)
      clusters.set(report.sources.cluster[i], (clusters.get(report.sources.cluster[i]) ?? 0) + 1);
  return { total: found.length, rows: found.slice(0, SHOWN_SOURCES).map((i) => sourceRow(report, i)), clusters };
}

// What the server says of all tables of this analysis. The first address of the server is that of the newest one, which
// may be another one by now.
async function ask(what, values) {
  const here = document.querySelector("#analysis option[selected]")?.value ?? "";
  const answer = await fetch(`${here}api/${what}?${new URLSearchParams(values)}`);
  const found = await answer.json();
  if (!answer.ok) throw new Error(found.error);
  return found;
}

async function searchServer(query) {
  const found = await ask("search", { q: query.text });
  return { ...found, clusters: new Map(found.clusters) };
}

class Search {
  constructor(report, onChange, onChoose) {
    Object.assign(this, { report, onChange, onChoose, asked: 0 });
    this.form = document.getElementById("filter");
    this.input = document.getElementById("search");
    this.dates = ["from", "to"].map((name) => document.getElementById(`filter-${name}`));
    this.status = document.getElementById("filter-status");
    this.form.addEventListener("input", () => this.later());
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.apply();
    });
    this.form.addEventListener("reset", () => setTimeout(() => this.apply()));
  }

  // The server is asked when the typing rests.
  later() {
    clearTimeout(this.waiting);
    if (this.report.live) this.waiting = setTimeout(() => this.apply(), 200);
    else this.apply();
  }

  set(text) {
    this.input.value = text;
    this.apply();
    this.form.scrollIntoView();
    this.input.focus();
  }

  get values() {
    return { q: this.input.value.trim(), from: this.dates[0].value, to: this.dates[1].value };
  }

  async apply() {
    const query = parseSearch(this.input.value);
    const number = ++this.asked;
    this.input.setCustomValidity(query.wrong);
    let found = null;
    try {
      if (query.text && !query.wrong)
        found = this.report.live ? await searchServer(query) : searchPage(this.report, query);
      this.report.periodRecords =
        this.report.live && this.period()
          ? new Map((await ask("period", { from: this.values.from, to: this.values.to })).clusters)
          : null;
    } catch (error) {
      query.wrong = error.message;
    }
    // A later search has been typed meanwhile.
    if (number !== this.asked) return;
    this.report.query = query.text && !query.wrong ? query : null;
    this.report.found = found;
    this.report.period = this.period();
    this.report.shown = this.shownClusters(query, found);
    this.status.textContent = query.wrong || this.summary(found);
    this.drawSources(query, found);
    this.onChange();
  }

  // First and last column of the days that are looked at, or null for all.
  period() {
    const [from, to] = this.dates.map((input) => Date.parse(input.value) / 86400000);
    if (isNaN(from) && isNaN(to)) return null;
    return { from: isNaN(from) ? -Infinity : from, to: isNaN(to) ? Infinity : to };
  }

  // Cluster number to the records of the period; null shows all.
  shownClusters(query, found) {
    const { report } = this;
    if (!found && !report.period) return null;
    const shown = new Map();
    for (const cluster of report.clusters) {
      const named = found && !query.ranges.length && query.words.every((word) => hasWord(searchText(cluster), word));
      if (found && !named && !found.clusters.has(cluster.cluster)) continue;
      const records = recordsIn(report, cluster);
      if (records > 0) shown.set(cluster.cluster, records);
    }
    return shown;
  }

  summary(found) {
    const { shown } = this.report;
    if (!shown) return "";
    return `${found ? `${counted(found.total, "source")}, ` : ""}${counted(shown.size, "cluster")}`;
  }

  drawSources(query, found) {
    const section = document.getElementById("results");
    section.hidden = !found || (!found.total && !query.ranges.length);
    if (section.hidden) return;
    const beyond = found.total - found.rows.length;
    const shown = beyond > 0 ? `; the first ${integer.format(found.rows.length)} are shown` : "";
    const alone = found.rows.length === 1 ? ` ${this.aboutOne(found.rows[0])}` : "";
    document.getElementById("results-text").textContent = found.total
      ? `${counted(found.total, "source")} found${shown}.${alone}${this.mainServices(query)}`
      : this.nothing(query);
    document.getElementById("results-scroll").hidden = !found.total;
    document.querySelector("#results-table tbody").replaceChildren(...found.rows.map((row) => this.row(row)));
  }

  // A page holds only some services of a source that asks for thousands.
  mainServices(query) {
    const { others } = this.report.sources;
    if (this.report.live || !query.words.length || !others || others.all) return "";
    const held = `the ${integer.format(others.most + 1)} main services of each source`;
    return ` This page holds ${held}; telescope serve searches all.`;
  }

  aboutOne(row) {
    if (row.cluster === null)
      return `It sent ${counted(row.records, "record")}, too few to compare it with others: it is in no cluster.`;
    if (!this.report.byNumber.has(row.cluster)) return "It is alone: no other source behaves like it.";
    return `It belongs to "${nameOf(this.report, row.cluster)}".`;
  }

  nothing(query) {
    const all = this.report.live || this.report.sources.count === this.report.n_sources;
    if (all) return `No source of ${query.text} was read.`;
    const sizes = [this.report.sources.count, this.report.n_sources].map((number) => integer.format(number));
    const held = `the ${sizes.join(" of ")} sources that this page holds`;
    return `No source of ${query.text} is among ${held}; telescope serve searches all.`;
  }

  row(row) {
    let cluster = "none: too few records";
    if (row.cluster !== null)
      cluster = this.report.byNumber.has(row.cluster) ? clusterLink(this.report, row.cluster, this.onChoose) : "alone";
    const more = row.other_services && `${integer.format(row.other_services)} more`;
    const cells = [
      [row.source],
      [cluster],
      [integer.format(row.records), "number"],
      [[row.service, more].filter(Boolean).join(", ")],
      [row.first, "nowrap"],
      [row.last, "nowrap"],
      [row.label ?? ""],
    ];
    return element("tr", {}, ...cells.map(([content, kind = null]) => element("td", { class: kind }, content)));
  }
}

// Records of a cluster on the days that are looked at.
function recordsIn(report, cluster) {
  const { period, days } = report;
  if (!period) return cluster.n_records;
  const counts = daysOf(report, cluster);
  if (!counts && report.periodRecords) return report.periodRecords.get(cluster.cluster) ?? 0;
  if (!counts)
    return Date.parse(cluster.first_seen) / 86400000 < period.to + 1 &&
      Date.parse(cluster.last_seen) / 86400000 >= period.from
      ? cluster.n_records
      : 0;
  let total = 0;
  counts.forEach((value, i) => {
    if (days.first + (i + 1) * days.step > period.from && days.first + i * days.step <= period.to) total += value;
  });
  return total;
}

// Whether a window is shown: by its time, its source and its cluster.
function windowFilter(report) {
  const { windows, sources, period, query, shown } = report;
  if (!shown) return null;
  const ranges = query?.ranges.length ? new Set(sourcesInRanges(sources, query.ranges)) : null;
  return (i) => {
    const start = windows.first + windows.start[i];
    if (period && (start >= 86400 * (period.to + 1) || start + windows.seconds[i] < 86400 * period.from)) return false;
    return ranges ? ranges.has(windows.source[i]) : shown.has(windows.cluster[i]);
  };
}
