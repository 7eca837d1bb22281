"use strict";
// Unpacks the page's data: typed arrays and JSON, deflated and in base 64.

const ARRAYS = { uint16: Uint16Array, int16: Int16Array, uint32: Uint32Array };
const NO_CATEGORY = 0xffff;

async function unpack(box) {
  const raw = Uint8Array.from(atob(box.data), (c) => c.charCodeAt(0));
  const stream = new Blob([raw]).stream().pipeThrough(new DecompressionStream("deflate"));
  const buffer = await new Response(stream).arrayBuffer();
  return box.type === "json" ? JSON.parse(new TextDecoder().decode(buffer)) : new ARRAYS[box.type](buffer);
}

async function unpackCategory(box) {
  return { codes: await unpack(box.codes), names: await unpack(box.names) };
}

async function loadReport() {
  const payload = JSON.parse(document.getElementById("report-data").textContent);
  const packed = payload.windows;
  const windows = { count: packed.count, first: packed.first, categories: {} };
  for (const name of ["id", "source", "x", "y", "cluster", "start", "seconds", "records", "margin", "sources"])
    windows[name] = packed[name] ? await unpack(packed[name]) : null;
  for (const name of ["service", "label"])
    if (packed[name]) windows.categories[name] = await unpackCategory(packed[name]);
  const clusters = await unpack(payload.clusters);
  const report = { ...payload, windows, clusters, events: await unpack(payload.events), kept: null, live: null };
  report.days = { ...payload.days, counts: await unpack(payload.days.counts) };
  report.byNumber = new Map(clusters.map((profile, rank) => [profile.cluster, { ...profile, rank }]));
  report.members = membersByCluster(windows);
  return report;
}

function membersByCluster(windows) {
  const members = new Map();
  for (let i = 0; i < windows.count; i++) {
    const list = members.get(windows.cluster[i]);
    if (list) list.push(i);
    else members.set(windows.cluster[i], [i]);
  }
  return members;
}

const integer = new Intl.NumberFormat("en-GB");
const share = (value) => (value >= 0.9995 ? "100\u00a0%" : value < 0.001 ? "<\u00a00.1\u00a0%" : `${(100 * value).toFixed(value < 0.1 ? 1 : 0)}\u00a0%`);
const day = (seconds) => new Date(1000 * seconds).toISOString().slice(0, 10);
const minute = (seconds) => new Date(1000 * seconds).toISOString().slice(0, 16).replace("T", " ");

function duration(seconds) {
  if (seconds === 0) return "0 s";
  for (const [name, size] of [["d", 86400], ["h", 3600], ["min", 60]])
    if (seconds >= size) return `${(seconds / size).toFixed(seconds < 10 * size ? 1 : 0)} ${name}`;
  return seconds >= 1 ? `${seconds.toFixed(seconds < 10 ? 1 : 0)} s` : `${(1000 * seconds).toFixed(1)} ms`;
}
