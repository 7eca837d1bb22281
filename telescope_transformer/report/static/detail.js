// All that is known about one cluster, opened below its row. Values that are counted can be searched for with a click.

class ClusterDetail {
  constructor(report, onChoose, onWindow, onSearch) {
    Object.assign(this, { report, onChoose, onWindow, onSearch });
    this.panel = element("div", { id: "detail", role: "region", "aria-label": "Chosen cluster", tabindex: "-1" });
  }

  choose(number) {
    const cluster = this.report.byNumber.get(number);
    this.panel.replaceChildren(...(cluster ? this.sections(cluster) : []));
  }

  sections(cluster) {
    const head = element(
      "div",
      { class: "detail-head" },
      element("h3", {}, symbolPicture(symbolOf(cluster.rank)), cluster.name),
      element("span", { class: "quiet" }, numbered(cluster.cluster)),
      button(() => this.onChoose(null), {}, "Close"),
    );
    const why = element("p", { class: "lead" }, cluster.sentence ?? "Its profile is in clusters.json.");
    const blocks = [
      this.facts(cluster),
      ...this.counted(cluster),
      ...this.shape(cluster),
      ...this.near(cluster),
      ...this.history(cluster),
    ];
    return [
      head,
      why,
      ...this.timeline(cluster),
      element("div", { class: "detail-grid" }, ...blocks),
      this.addresses(cluster),
    ];
  }

  facts(cluster) {
    const rows = [
      ["sources", integer.format(cluster.n_sources)],
      ["windows", integer.format(cluster.n_windows)],
      ["records", integer.format(cluster.n_records)],
      ["first seen", cluster.first_seen && minute(Date.parse(cluster.first_seen) / 1000)],
      ["last seen", cluster.last_seen && minute(Date.parse(cluster.last_seen) / 1000)],
      [
        "inter-arrival time",
        cluster.timing &&
          [`median ${duration(cluster.timing.median_inter_arrival_s)}`, cluster.timing.pattern]
            .filter(Boolean)
            .join(", "),
      ],
      [
        "destinations",
        cluster.targets &&
          (cluster.targets.n_destinations ? integer.format(cluster.targets.n_destinations) : "not known"),
      ],
      ["cohesion", cluster.cohesion?.toFixed(3)],
      ["margin", cluster.margin?.toFixed(3)],
      ["stability", cluster.stability === undefined ? undefined : share(cluster.stability)],
      ["since yesterday", this.yesterday(cluster)],
    ];
    return block(
      "Figures",
      element(
        "dl",
        {},
        ...rows
          .filter((row) => row[1] !== undefined)
          .flatMap(([name, value]) => [element("dt", {}, name), element("dd", {}, value)]),
      ),
    );
  }

  // The last day with records against the day before it.
  yesterday(cluster) {
    const days = cluster.last_days ?? [];
    if (!days.length) return undefined;
    const [date, records, sources] = days.at(-1);
    const before =
      days.length > 1 && days[0][0] === date - 1
        ? `${counted(days[0][1], "record")} of ${counted(days[0][2], "source")}`
        : "none";
    const last = `${counted(records, "record")} of ${counted(sources, "source")}`;
    return `${dateOf(date)}: ${last}; the day before: ${before}`;
  }

  counted(cluster) {
    const { targets } = cluster;
    const owners = cluster.owners?.map((row) => {
      const number = row.asn ? `AS${row.asn}` : "";
      return { ...row, owner: row.name ?? number, name: number };
    });
    const ofWindows = (number) => `${integer.format(number ?? 0)} of ${counted(cluster.n_windows, "window")}`;
    return [
      ["Services", cluster.services, "service", "records", cluster.n_services],
      ["Networks of the sources", cluster.networks, "network", "sources", cluster.n_networks],
      ["Autonomous systems", owners, "owner", "sources", cluster.n_owners],
      ["Countries", cluster.countries, "country", "sources", cluster.n_countries],
      [targetsHeading(targets?.order), targets?.prefixes, "prefix", "records", targets?.n_prefixes],
      [`Labels: ${ofWindows(cluster.n_labelled)} labelled`, cluster.labels, "label", "windows"],
      [`Tools: ${ofWindows(cluster.n_with_tool)} with a mark`, cluster.tools, "tool", "windows"],
    ].flatMap(([title, rows, ...how]) => part(title, rows, () => this.ranked(rows, ...how)));
  }

  ranked(rows, key, count, total = rows.length) {
    const list = element(
      "ul",
      { class: "counts" },
      ...rows.map((row) =>
        element(
          "li",
          {},
          this.searchable(key, String(row[key])),
          this.report.hints[row[key]] ? element("span", {}, ` ${this.report.hints[row[key]]}`) : null,
          element(
            "span",
            { class: "quiet" },
            ` ${[row.name, integer.format(row[count]), `(${share(row.share)})`].filter(Boolean).join(" ")}`,
          ),
        ),
      ),
    );
    return total > rows.length
      ? element("div", {}, list, element("p", { class: "hint" }, `and ${integer.format(total - rows.length)} more`))
      : list;
  }

  // A value that searches for itself. Destinations do not: the search is for sources.
  searchable(key, value) {
    if (key === "prefix") return element("span", {}, value);
    const wanted = key === "service" ? value.split(" ")[0] : value;
    return button(() => this.onSearch(wanted), { class: "link", title: `Search for ${wanted}` }, value);
  }

  shape(cluster) {
    return [
      ...part("Hour (UTC) by weekday", cluster.rhythm, () => heatMap(cluster.rhythm)),
      ...part("What explains the similarity", cluster.why, () => bars(cluster.why)),
    ];
  }

  near(cluster) {
    return [
      ...part("Most typical windows", cluster.typical_windows, () =>
        element("p", {}, ...cluster.typical_windows.map((row, i) => link(`window ${i + 1}`, () => this.onWindow(row)))),
      ),
      ...part("Nearest clusters, and how this one differs", cluster.nearest, () =>
        element(
          "ul",
          { class: "lines" },
          ...cluster.nearest.map((row) =>
            element(
              "li",
              {},
              clusterLink(this.report, row.cluster, this.onChoose),
              element("span", { class: "quiet" }, ` similarity ${row.similarity.toFixed(2)}: ${row.apart}`),
            ),
          ),
        ),
      ),
    ];
  }

  history(cluster) {
    const mine = this.report.events.filter(
      (event) => event.cluster === cluster.cluster || (event.others ?? []).includes(cluster.cluster),
    );
    return part("History", mine, () =>
      element("ul", { class: "lines" }, ...mine.map((event) => eventSentence(this.report, event, this.onChoose))),
    );
  }

  timeline(cluster) {
    const days = daysOf(this.report, cluster);
    return days && days.length > 1
      ? [timeAxis(document.getElementById("traffic"), days, this.report.days, `Records of ${cluster.name} by day`)]
      : [];
  }

  // All addresses to copy or to save, one a line, as they are or as /24 and /48 networks.
  addresses(cluster) {
    const area = element("textarea", {
      readonly: "",
      rows: 6,
      "aria-label": `Addresses of ${cluster.name}`,
      hidden: "",
    });
    const told = element("span", { role: "status", class: "quiet" });
    const show = async (aggregated) => {
      try {
        const { lines, total } = await this.members(cluster, aggregated);
        area.value = lines.join("\n");
        area.hidden = false;
        const held = `This page holds ${integer.format(lines.length)} of ${integer.format(total)} addresses;`;
        told.textContent =
          lines.length < total && !aggregated
            ? `${held} telescope serve has all.`
            : counted(lines.length, aggregated ? "network" : "line");
      } catch (error) {
        told.textContent = error.message;
      }
    };
    const copy = async () => {
      if (area.hidden) await show(false);
      area.select();
      document.execCommand("copy");
      told.textContent = "copied";
    };
    const saveText = async () => {
      if (area.hidden) await show(false);
      save(`cluster-${cluster.cluster}.txt`, `${area.value}\n`);
    };
    return element(
      "div",
      { class: "addresses" },
      element("h4", {}, "Addresses"),
      element(
        "div",
        { class: "controls" },
        button(() => show(false), {}, "Show all"),
        button(() => show(true), {}, "Show /24 networks"),
        button(copy, {}, "Copy"),
        button(saveText, {}, "Save as text"),
        told,
      ),
      area,
    );
  }

  async members(cluster, aggregated) {
    if (this.report.live) return ask("members", { cluster: cluster.cluster, networks: aggregated ? 1 : 0 });
    const { sources } = this.report;
    this.grouped ??= groupedBy(sources.cluster, sources.count);
    const lines = (this.grouped.get(cluster.cluster) ?? []).map((i) => sources.name(i));
    return { lines: aggregated ? [...new Set(lines.map(networkOf))] : lines, total: cluster.n_sources };
  }
}

function networkOf(address) {
  const found = addressBits(address);
  if (found.size === 32) return `${address.split(".").slice(0, 3).join(".")}.0/24`;
  const parts = [0n, 16n, 32n].map((shift) => ((found.bits >> (112n - shift)) & 0xffffn).toString(16));
  return `${parts.join(":")}::/48`;
}

function save(name, text) {
  const link = element("a", { href: URL.createObjectURL(new Blob([text], { type: "text/plain" })), download: name });
  link.click();
  URL.revokeObjectURL(link.href);
}

const targetsHeading = (order) => (order && order !== "not known" ? `Targets, order ${order}` : "Targets");

function part(title, value, draw) {
  return value && value.length ? [block(title, draw())] : [];
}

function block(title, inside) {
  return element("div", { class: "block" }, element("h4", {}, title), inside);
}
