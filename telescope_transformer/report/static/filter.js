// Which windows are looked at: by day, service and source. Every view follows.

// The bits of an address, and how many there are; null for what is no address.
function addressBits(text) {
  const four = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})$/.exec(text)?.slice(1).map(Number);
  if (four) return four.every((part) => part < 256) ? { size: 32, bits: four.reduce((bits, part) => (bits << 8n) | BigInt(part), 0n) } : null;
  const halves = text.split("::").map((half) => half.split(":").filter(Boolean));
  const missing = 8 - halves.flat().length;
  if (halves.length > 2 || (halves.length === 1 ? missing !== 0 : missing < 1)) return null;
  const parts = halves.length === 1 ? halves[0] : [...halves[0], ...new Array(missing).fill("0"), ...halves[1]];
  if (!parts.every((part) => /^[0-9a-f]{1,4}$/i.test(part))) return null;
  return { size: 128, bits: parts.reduce((bits, part) => (bits << 16n) | BigInt(`0x${part}`), 0n) };
}

// Whether an address lies in a prefix; null for what is no prefix.
function insidePrefix(text) {
  const [name, length, ...rest] = text.split("/");
  const network = addressBits(name);
  if (!network || rest.length || !/^\d{1,3}$/.test(length) || Number(length) > network.size) return null;
  const shift = BigInt(network.size - Number(length));
  return (other) => {
    const address = addressBits(other);
    return address !== null && address.size === network.size && address.bits >> shift === network.bits >> shift;
  };
}

class WindowFilter {
  constructor(report, onChange) {
    Object.assign(this, { report, onChange });
    this.form = document.getElementById("filter");
    this.status = document.getElementById("filter-status");
    this.inputs = {};
    for (const name of ["from", "to", "service", "source"]) this.inputs[name] = document.getElementById(`filter-${name}`);
    this.inputs.service.disabled = !report.windows.categories.service;
    this.form.addEventListener("input", () => this.apply());
    this.form.addEventListener("submit", (event) => event.preventDefault());
    this.form.addEventListener("reset", () => setTimeout(() => this.apply()));
  }

  apply() {
    const { report } = this;
    const tests = [...this.byDay(), ...this.byService(), ...this.bySource()];
    report.kept = tests.length ? Uint8Array.from({ length: report.windows.count }, (_, i) => (tests.every((test) => test(i)) ? 1 : 0)) : null;
    report.live = report.kept && liveClusters(report);
    const wrong = this.inputs.source.validationMessage;
    this.status.textContent = wrong || (report.kept ? `${integer.format(report.kept.reduce((sum, kept) => sum + kept, 0))} of ${integer.format(report.windows.count)} windows` : "");
    this.onChange();
  }

  byDay() {
    const { first, start, seconds } = this.report.windows;
    const from = Date.parse(this.inputs.from.value) / 1000;
    const to = Date.parse(this.inputs.to.value) / 1000 + 86400;
    return [...(isNaN(from) ? [] : [(i) => first + start[i] + seconds[i] >= from]), ...(isNaN(to) ? [] : [(i) => first + start[i] < to])];
  }

  byService() {
    const words = this.inputs.service.value.toLowerCase().split(/\s+/).filter(Boolean);
    if (!words.length) return [];
    const { codes, names } = this.report.windows.categories.service;
    const wanted = names.map((name) => words.every((word) => name.toLowerCase().includes(word)));
    return [(i) => wanted[codes[i]] === true];
  }

  bySource() {
    const input = this.inputs.source;
    const text = input.value.trim();
    const test = text.includes("/") ? insidePrefix(text) : (name) => name.startsWith(text);
    input.setCustomValidity(test ? "" : `${text} is no prefix`);
    if (!text || !test) return [];
    const { source, sources } = this.report.windows;
    const wanted = sources.map(test);
    return [(i) => wanted[source[i]]];
  }
}

// Of each cluster that has windows left, what the table shows of these.
function liveClusters({ windows, members, kept }) {
  const live = new Map();
  for (const [cluster, all] of members) {
    const left = all.filter((i) => kept[i]);
    if (!left.length) continue;
    const iso = (seconds) => new Date(1000 * seconds).toISOString();
    live.set(cluster, {
      n_windows: left.length,
      n_sources: new Set(left.map((i) => windows.source[i])).size,
      n_records: left.reduce((sum, i) => sum + windows.records[i], 0),
      first_seen: iso(windows.first + left.reduce((least, i) => Math.min(least, windows.start[i]), Infinity)),
      last_seen: iso(windows.first + left.reduce((most, i) => Math.max(most, windows.start[i] + windows.seconds[i]), 0)),
    });
  }
  return live;
}
