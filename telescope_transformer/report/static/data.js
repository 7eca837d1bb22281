"use strict";
// Unpacks the page's data: typed arrays and JSON, deflated and in base 64.

const ARRAYS = { uint16: Uint16Array, int16: Int16Array, uint32: Uint32Array };
const NO_CATEGORY = 0xffff;
const NO_CLUSTER = 0xffffffff;

async function unpack(box) {
  const raw = Uint8Array.from(atob(box.data), (c) => c.charCodeAt(0));
  const stream = new Blob([raw]).stream().pipeThrough(new DecompressionStream("deflate"));
  const buffer = await new Response(stream).arrayBuffer();
  return box.type === "json" ? JSON.parse(new TextDecoder().decode(buffer)) : new ARRAYS[box.type](buffer);
}

// Every packed value of an object, unpacked.
async function unpackValues(packed) {
  const entries = Object.entries(packed).map(async ([name, box]) => [name, box?.type ? await unpack(box) : box]);
  return Object.fromEntries(await Promise.all(entries));
}

// A table of sources or windows; the columns of text are in `categories`.
async function unpackTable(packed) {
  const categories = {};
  for (const name of ["service", "label"]) if (packed[name]) categories[name] = await unpackValues(packed[name]);
  return { ...(await unpackValues(packed)), categories };
}

// Sources by address: all IPv4 addresses in ascending order, then IPv6 addresses as text.
async function unpackSources(packed) {
  const sources = await unpackTable(packed);
  for (let i = 1; i < sources.four.length; i++) sources.four[i] += sources.four[i - 1];
  if (packed.others) sources.others = await unpackValues(packed.others);
  sources.name = (i) => (i < sources.four.length ? dottedQuad(sources.four[i]) : sources.six[i - sources.four.length]);
  return sources;
}

const dottedQuad = (number) => [24, 16, 8, 0].map((shift) => (number >>> shift) & 255).join(".");

async function loadReport() {
  const payload = JSON.parse(document.getElementById("report-data").textContent);
  const report = {
    ...(await unpackValues(payload)),
    windows: await unpackTable(payload.windows),
    sources: await unpackSources(payload.sources),
    days: await unpackValues(payload.days),
    traffic: await unpackValues(payload.traffic),
    grid: payload.grid && (await unpackValues(payload.grid)),
    live: document.body.dataset.live === "yes",
    shown: null,
    found: null,
  };
  report.clusters.forEach((cluster, rank) => {
    cluster.rank = rank;
    // An analysis whose clusters were not named is shown with their numbers.
    cluster.name ??= numbered(cluster.cluster);
  });
  report.byNumber = new Map(report.clusters.map((cluster) => [cluster.cluster, cluster]));
  report.members = groupedBy(report.windows.cluster, report.windows.count);
  return report;
}

function groupedBy(values, count) {
  const groups = new Map();
  for (let i = 0; i < count; i++) {
    const list = groups.get(values[i]);
    if (list) list.push(i);
    else groups.set(values[i], [i]);
  }
  return groups;
}

// Records of a cluster by day; null where the page does not hold them.
function daysOf(report, cluster) {
  const { days } = report;
  return cluster.rank < report.n_profiles
    ? days.counts.subarray(cluster.rank * days.n, (cluster.rank + 1) * days.n)
    : null;
}

const numbered = (number) => `cluster ${number}`;
const nameOf = (report, number) => report.byNumber.get(number)?.name ?? numbered(number);
const integer = new Intl.NumberFormat("en-GB");
const counted = (number, thing) => `${integer.format(number)} ${thing}${number === 1 ? "" : "s"}`;
const share = (value) =>
  value >= 0.9995
    ? "100\u00a0%"
    : value < 0.001
      ? "<\u00a00.1\u00a0%"
      : `${(100 * value).toFixed(value < 0.1 ? 1 : 0)}\u00a0%`;
// A day since 1970 as a date.
const dateOf = (day) => new Date(86400000 * day).toISOString().slice(0, 10);
const minute = (seconds) => new Date(1000 * seconds).toISOString().slice(0, 16).replace("T", " ");

function duration(seconds) {
  if (seconds === 0) return "0 s";
  for (const [name, size] of [
    ["d", 86400],
    ["h", 3600],
    ["min", 60],
  ])
    if (seconds >= size) return `${(seconds / size).toFixed(seconds < 10 * size ? 1 : 0)} ${name}`;
  return seconds >= 1 ? `${seconds.toFixed(seconds < 10 ? 1 : 0)} s` : `${(1000 * seconds).toFixed(1)} ms`;
}
