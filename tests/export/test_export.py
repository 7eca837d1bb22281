"""Every format, read back by the library that defines it."""

import csv
import ipaddress
import json
import re
import shutil
import subprocess
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest

from telescope_transformer.errors import ExportError, InputError
from telescope_transformer.export import FORMATS, TLP, ExportOptions, Members, export_clusters, load_members
from telescope_transformer.export.firewall import ipset_list, nftables_list, plain_list
from telescope_transformer.export.misp import misp_event
from telescope_transformer.export.stix import stix_bundle
from telescope_transformer.export.tables import csv_table, json_text

# STIX 2.1 allows addresses inside observed data, but deprecates them.
pytestmark = pytest.mark.filterwarnings("ignore:The 'objects' property of observed-data")

SOURCES = ["192.0.2.1", "192.0.2.2", "2001:db8::7", "198.51.100.9"]
CLUSTERS = [0, 0, 0, 1]
START = 1_709_510_400_000_000
DAY = 86_400_000_000


NAMES = ["tcp/22 ssh, ZMap from many networks", "tcp/23 telnet from 198.51.100.9"]


def profile(cluster: int, n_sources: int) -> dict:
    return {
        "cluster": cluster,
        "name": NAMES[cluster],
        "n_sources": n_sources,
        "n_windows": n_sources,
        "n_records": 8 * n_sources,
        "services": [{"service": "tcp/22 ssh", "records": 9, "share": 1.0}],
        "tools": [{"tool": "zmap", "windows": n_sources, "share": 1.0}] if cluster == 0 else [],
        "timing": {"median_inter_arrival_s": 1.5},
        "targets": {"n_destinations": 7, "order": "random"},
    }


def write_analysis(
    folder: Path, sources: list[str], clusters: list[int], margins: list[float], labels: list[str | None] | None = None
) -> Path:
    n = len(sources)
    labels = labels or ['=cmd|"Org"; drop', *[None] * (n - 1)]
    times = {"first_seen": [START] * n, "last_seen": [START + DAY] * n}
    numbers = pa.array(clusters, pa.int32())
    common = {"source": sources, "cluster": numbers, "n_records": [8] * n}
    table = pa.table({**common, "n_windows": [1] * n, **times, "agreement": [1.0] * n, "label": labels})
    table = table.append_column(
        "service", pa.array([["tcp/22 ssh", "udp/53 dns", None, "icmp/8"][i % 4] for i in range(n)])
    )
    alone = {
        "source": ["203.0.113.77"],
        "n_records": [1],
        "n_windows": [0],
        "first_seen": [START],
        "last_seen": [START],
    }
    left_out = pa.table(alone)
    folder.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.concat_tables([table, left_out], promote_options="default"), folder / "sources.parquet")
    windows = pa.table(
        {**common, "window_id": range(n), "start": [START] * n, "end": [START + DAY] * n, "margin": margins}
    )
    pq.write_table(windows, folder / "windows.parquet")
    profiles = [profile(k, clusters.count(k)) for k in sorted(set(clusters) & {0, 1})]
    summary = {"id": "telescope one", "solution": {"scale": 8.0}, "counts": {}, "clusters": profiles}
    (folder / "clusters.json").write_text(json.dumps(summary))
    return folder


@pytest.fixture
def analysis(tmp_path: Path) -> Path:
    return write_analysis(tmp_path / "out", SOURCES, CLUSTERS, [2.0, 0.0, -1.0, 4.0])


@pytest.mark.parametrize(("format", "read"), [("csv", pa_csv.read_csv), ("parquet", pq.read_table)])
def test_exported_tables_can_be_read_back(analysis: Path, tmp_path: Path, format: str, read) -> None:
    assert export_clusters(analysis, format, tmp_path / "x") == 4
    table = read(tmp_path / "x")
    assert table["source"].to_pylist() == sorted(SOURCES[:3]) + SOURCES[3:]
    assert table["confidence"].to_pylist() == [88, 50, 27, 98]
    assert table["name"].to_pylist() == [NAMES[0]] * 3 + [NAMES[1]]
    assert [time.isoformat() for time in table["first_seen"].to_pylist()[:1]] == ["2024-03-04T00:00:00+00:00"]


def test_csv_has_iso_times_and_no_formulas(analysis: Path, tmp_path: Path) -> None:
    export_clusters(analysis, "csv", tmp_path / "x.csv")
    rows = list(csv.DictReader((tmp_path / "x.csv").open(newline="")))
    assert rows[0]["label"] == '\'=cmd|"Org"; drop'
    assert (rows[0]["first_seen"], rows[0]["last_seen"]) == ("2024-03-04T00:00:00Z", "2024-03-05T00:00:00Z")


@pytest.mark.parametrize("label", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "|calc", "%0A"])
def test_no_cell_is_a_formula(label: str) -> None:
    table = pa.table({"source": ["192.0.2.1"], "cluster": [0], "first_seen": [START], "last_seen": [START]})
    members = Members(table.append_column("label", pa.array([label])), {})
    assert csv_table(members)["label"].to_pylist() == [f"'{label}"]


def test_no_cell_controls_a_terminal() -> None:
    """Names and labels of an analysis from elsewhere may hold any character."""
    table = pa.table({"source": ["192.0.2.1"], "cluster": [0], "first_seen": [START], "last_seen": [START]})
    members = Members(table.append_column("label", pa.array(["\x1b[2J\0=1"])), {})
    assert csv_table(members)["label"].to_pylist() == ["\ufffd[2J\ufffd=1"]


@pytest.mark.parametrize("render", [stix_bundle, misp_event, json_text, ipset_list, nftables_list, plain_list])
def test_a_format_needs_no_options(analysis: Path, render) -> None:
    members = load_members(analysis)
    assert render(members) == render(members, ExportOptions())


def test_json_is_for_programs(analysis: Path, tmp_path: Path) -> None:
    export_clusters(analysis, "json", tmp_path / "x.json")
    found = json.loads((tmp_path / "x.json").read_text())
    assert [one["name"] for one in found["clusters"]] == NAMES
    assert found["clusters"][1]["sources"][0]["first_seen"] == "2024-03-04T00:00:00Z"


def stix_objects(path: Path) -> dict:
    stix2 = pytest.importorskip("stix2")
    return {one.id: one for one in stix2.parse(path.read_text(encoding="utf-8"), allow_custom=False).objects}


def test_stix_is_valid_and_groups_each_cluster(analysis: Path, tmp_path: Path) -> None:
    export_clusters(analysis, "stix", tmp_path / "x.json")
    objects = stix_objects(tmp_path / "x.json")
    groupings = [one for one in objects.values() if one.type == "grouping"]
    assert [one.name for one in groupings] == NAMES
    seen = [objects[ref] for ref in groupings[0].object_refs]
    assert {one.type for one in seen} == {"observed-data"}
    traffic = [{part.type: part for part in one.objects.values()} for one in seen]
    addresses = [one.get("ipv4-addr") or one["ipv6-addr"] for one in traffic]
    assert [one.value for one in addresses] == sorted(SOURCES[:3])
    assert [one["network-traffic"].src_ref for one in traffic] == [one.id for one in addresses]
    assert (traffic[0]["network-traffic"].dst_port, traffic[0]["network-traffic"].protocols) == (22, ["ipv4", "tcp"])
    assert traffic[2]["network-traffic"].protocols == ["ipv6"]
    indicators = [one for one in objects.values() if one.type == "indicator"][:3]
    assert indicators[2].pattern == "[ipv6-addr:value ISSUBSET '2001:db8::7/128']"
    assert [one.confidence for one in indicators] == [88, 50, 27]
    assert indicators[0].labels == ["telescope-cluster:0", 'known-scanner:=cmd|"Org"; drop', "tool:zmap"]
    assert (indicators[0].valid_until - indicators[0].modified).days == 30
    assert "tcp/22 ssh" in groupings[0].description


@pytest.mark.parametrize("tlp", TLP)
@pytest.mark.parametrize("observed", [False, True])
def test_stix_passes_the_validator_under_every_tlp(analysis: Path, tmp_path: Path, tlp: str, observed: bool) -> None:
    stix2validator = pytest.importorskip("stix2validator")
    export_clusters(analysis, "stix", tmp_path / "x.json", None, ExportOptions(tlp=tlp, observed=observed))
    text = (tmp_path / "x.json").read_text()
    found = stix2validator.validate_string(text, stix2validator.ValidationOptions(version="2.1"))
    assert found.is_valid, [str(error) for error in found.errors]
    objects = [one for one in json.loads(text)["objects"] if one["type"] != "marking-definition"]
    assert all(len(one["object_marking_refs"]) == 1 for one in objects)


def test_the_next_day_doubles_nothing_and_keeps_what_was_created(analysis: Path, tmp_path: Path) -> None:
    export_clusters(analysis, "stix", tmp_path / "a")
    export_clusters(analysis, "stix", tmp_path / "again")
    assert (tmp_path / "a").read_bytes() == (tmp_path / "again").read_bytes()
    # One source has left the cluster, another has joined it.
    sources = ["192.0.2.1", "2001:db8::7", "192.0.2.50", "198.51.100.9"]
    write_analysis(tmp_path / "next", sources, CLUSTERS, [2.0, 0.0, -1.0, 4.0])
    export_clusters(tmp_path / "next", "stix", tmp_path / "b")
    before, after = stix_objects(tmp_path / "a"), stix_objects(tmp_path / "b")
    assert sorted(after[i].type for i in set(after) - set(before)) == ["indicator", "observed-data"]
    assert len(set(before) - set(after)) == 2
    # Every object has a creation time, which does not change.
    assert all(before[i].created == after[i].created for i in set(before) & set(after))


def test_authors_have_ids_of_their_own(analysis: Path, tmp_path: Path) -> None:
    for name in ("Example CERT", "Other CERT"):
        export_clusters(analysis, "stix", tmp_path / name, None, ExportOptions(author=name))
    one, other = (stix_objects(tmp_path / name) for name in ("Example CERT", "Other CERT"))
    assert {objects.type for i, objects in one.items() if i in other} == {"marking-definition"}


def test_misp_loads_the_event(analysis: Path, tmp_path: Path) -> None:
    pymisp = pytest.importorskip("pymisp")
    export_clusters(analysis, "misp", tmp_path / "x.json", [0], ExportOptions(tlp="green"))
    event = pymisp.MISPEvent()
    event.load_file(tmp_path / "x.json")
    assert [a.value for a in event.attributes] == sorted(SOURCES[:3])
    tags = [{tag.name for tag in attribute.tags} for attribute in event.attributes]
    scan = 'misp-galaxy:mitre-attack-pattern="Scanning IP Blocks - T1595.001"'
    assert tags[1] == {'telescope:cluster="0"', 'telescope:tool="zmap"', scan}
    assert tags[0] - tags[1] == {"telescope:known-scanner=\"=cmd|'Org'; drop\""}
    assert [tag.name for tag in event.tags] == ["tlp:green"]
    assert not any(a.to_ids for a in event.attributes)
    assert all("timestamp" in a for a in json.loads((tmp_path / "x.json").read_text())["Attribute"])


def test_the_event_of_the_next_day_updates_that_of_the_day_before(analysis: Path, tmp_path: Path) -> None:
    pytest.importorskip("pymisp")
    write_analysis(tmp_path / "next", ["192.0.2.1", "192.0.2.50"], [0, 0], [2.0, 0.0])
    for folder, name in ((analysis, "a"), (tmp_path / "next", "b")):
        export_clusters(folder, "misp", tmp_path / name)
    one, other = (json.loads((tmp_path / name).read_text()) for name in "ab")
    assert (one["uuid"], one["date"]) == (other["uuid"], other["date"])
    uuids = [{a["value"]: a["uuid"] for a in event["Attribute"]} for event in (one, other)]
    assert uuids[0]["192.0.2.1"] == uuids[1]["192.0.2.1"]
    assert uuids[1]["192.0.2.50"] not in uuids[0].values()


@pytest.mark.parametrize("observed", [False, True])
@pytest.mark.parametrize("single_event", [False, True])
def test_stix_comes_into_misp_as_the_misp_export_does(
    analysis: Path, tmp_path: Path, observed: bool, single_event: bool
) -> None:
    misp_stix, stix2 = pytest.importorskip("misp_stix_converter"), pytest.importorskip("stix2")
    export_clusters(analysis, "stix", tmp_path / "x.json", None, ExportOptions(observed=observed))
    parser = misp_stix.ExternalSTIX2toMISPParser()
    parser.load_stix_bundle(stix2.parse((tmp_path / "x.json").read_text(), allow_custom=True))
    parser.parse_stix_bundle(single_event=single_event)
    events = [parser.misp_event] if single_event else parser.misp_events
    assert not any(event.attributes for event in events)
    objects = [one for event in events for one in event.objects]
    assert {one.name for one in objects} == {"network-traffic"}
    attributes = [attribute for one in objects for attribute in one.attributes]
    assert {(a.type, a.value) for a in attributes if a.type.startswith("ip-")} == {("ip-src", one) for one in SOURCES}
    assert not any(a.to_ids for a in attributes)
    assert not parser.errors


def test_sources_of_too_few_records_are_in_no_cluster(analysis: Path, tmp_path: Path) -> None:
    sources = pq.read_table(analysis / "sources.parquet")
    placement = pa.array([None, 0.7, 0.6, 0.4, None], pa.float32())
    pq.write_table(sources.append_column("placement", placement), analysis / "sources.parquet")
    assert export_clusters(analysis, "json", tmp_path / "x") == 3
    assert [one["name"] for one in json.loads((tmp_path / "x").read_text())["clusters"]] == NAMES[:1]


def test_known_and_unsure_sources_are_left_out(analysis: Path, tmp_path: Path) -> None:
    assert export_clusters(analysis, "list", tmp_path / "x", [0], ExportOptions(unlabelled=True)) == 2
    assert (
        tmp_path / "x"
    ).read_text() == f"# cluster 0: {NAMES[0]}\n192.0.2.2\n# cluster 0: {NAMES[0]}\n2001:db8::7\n"
    assert export_clusters(analysis, "csv", tmp_path / "x", None, ExportOptions(min_confidence=80)) == 2


def test_an_export_without_sources_says_what_left_them_out(analysis: Path, tmp_path: Path) -> None:
    told: list[str] = []
    options = ExportOptions(unlabelled=True, min_confidence=100)
    assert export_clusters(analysis, "list", tmp_path / "x", [0], options, say=told.append) == 0
    assert told == ["no source is exported: --unlabelled and --min-confidence left out all of them"]


@pytest.mark.parametrize("name", ["windows.parquet", "sources.parquet", "clusters.json"])
def test_an_export_does_not_replace_a_file_of_the_analysis(analysis: Path, tmp_path: Path, name: str) -> None:
    before = (analysis / name).read_bytes()
    (tmp_path / "link").symlink_to(analysis / name)
    for target in (analysis / name, tmp_path / "link"):
        with pytest.raises(ExportError, match="is a file of the analysis"):
            export_clusters(analysis, "csv", target)
    assert (analysis / name).read_bytes() == before


def test_members_of_botnets_stay_in_block_lists(tmp_path: Path) -> None:
    labels = ["censys", "rdp-botnet", None, "feodo (malicious)"]
    folder = write_analysis(tmp_path / "out", SOURCES, CLUSTERS, [2.0] * 4, labels)
    options = ExportOptions(unlabelled=True)
    assert export_clusters(folder, "list", tmp_path / "x", [0, 1], options) == 3
    assert SOURCES[0] not in (tmp_path / "x").read_text()
    for format, tag in (("stix", "{}:{}"), ("misp", 'telescope:{}=\\"{}\\"')):
        pytest.importorskip("stix2" if format == "stix" else "pymisp")
        export_clusters(folder, format, tmp_path / "x")
        text = (tmp_path / "x").read_text()
        assert tag.format("known-scanner", "censys") in text
        assert all(tag.format("malicious", label) in text for label in ("rdp-botnet", "feodo (malicious)"))


def test_prefixes_hold_just_the_addresses(tmp_path: Path) -> None:
    sources = [f"192.0.2.{i}" for i in range(4, 9)]
    write_analysis(tmp_path / "four", sources, [0] * 5, [1.0] * 5)
    export_clusters(tmp_path / "four", "list", tmp_path / "x", [0], ExportOptions(aggregate=True))
    assert (tmp_path / "x").read_text().splitlines()[1:] == ["192.0.2.4/30", "192.0.2.8"]


@pytest.mark.parametrize(
    "bad", ["198.51.100.9 }\nflush ruleset\nadd table inet x #", "1.2.3.4' OR ipv4-addr:value LIKE '%", "192.0.2.01"]
)
@pytest.mark.parametrize("format", ["nftables", "ipset", "list", "stix", "csv"])
def test_a_source_that_is_no_address_is_refused(tmp_path: Path, bad: str, format: str) -> None:
    folder = write_analysis(tmp_path / "evil", [bad, *SOURCES[1:]], CLUSTERS, [1.0] * 4)
    with pytest.raises(ExportError, match="is not an address"):
        export_clusters(folder, format, tmp_path / "x", [0])
    assert not (tmp_path / "x").exists()


def test_a_name_cannot_end_its_comment(analysis: Path, tmp_path: Path) -> None:
    summary = json.loads((analysis / "clusters.json").read_text())
    summary["clusters"][0]["name"] = 'x\nflush ruleset\x1b[2J\u2028"; }'
    (analysis / "clusters.json").write_text(json.dumps(summary))
    for format in ("nftables", "ipset", "list"):
        export_clusters(analysis, format, tmp_path / "x", [0])
        text = (tmp_path / "x").read_text()
        assert "\x1b" not in text
        assert [line for line in text.splitlines() if "flush ruleset" in line and not line.startswith("#")] == []


def test_files_of_two_analyses_are_refused(analysis: Path, tmp_path: Path) -> None:
    windows = pq.read_table(analysis / "windows.parquet")
    other = pa.array([number + 1000 for number in windows["cluster"].to_pylist()], pa.int32())
    pq.write_table(windows.set_column(1, "cluster", other), analysis / "windows.parquet")
    with pytest.raises(ExportError, match="from different analyses"):
        export_clusters(analysis, "csv", tmp_path / "x")


def test_a_source_that_only_the_windows_have_is_named(analysis: Path, tmp_path: Path) -> None:
    sources = pq.read_table(analysis / "sources.parquet")
    pq.write_table(sources.slice(1), analysis / "sources.parquet")
    with pytest.raises(ExportError, match=f"lacks {sources['source'][0]}"):
        export_clusters(analysis, "csv", tmp_path / "x")


@pytest.mark.parametrize(
    "text",
    [
        "[" * 200_000 + "]" * 200_000,
        '{"clusters":' * 100_000,
        '{"clusters": [], "solution": []}',
        '{"clusters": [[]], "solution": {}}',
        '{"clusters": [{"cluster": "0", "n_windows": 1}]}',
        '{"clusters": [{"cluster": 0, "n_windows": NaN}]}',
        "[]",
        "{",
        "",
    ],
)
def test_a_summary_that_no_analysis_wrote_is_named(analysis: Path, tmp_path: Path, text: str) -> None:
    (analysis / "clusters.json").write_text(text)
    with pytest.raises(ExportError, match=r"clusters\.json: |from different analyses"):
        export_clusters(analysis, "csv", tmp_path / "x")


def test_a_full_disk_leaves_what_was_there(analysis: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "x").write_text("of yesterday")

    def full(self: Path, text: str, encoding: str) -> int:
        self.write_bytes(text[:100].encode())
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(InputError, match="x: No space left"):
        export_clusters(analysis, "misp", tmp_path / "x")
    assert (tmp_path / "x").read_text() == "of yesterday"
    assert not list(tmp_path.glob("*.part*"))


# The part of the grammar of `ipset restore` and `nft -f` that the exports use; the files may contain nothing else.
SET = r"telescope_\d+_v[46]"
IPSET_LINE = re.compile(
    rf"# .*|create {SET} hash:net family inet6? maxelem \d+ -exist|flush {SET}"
    rf"|add (?P<name>{SET}) (?P<address>[0-9a-f.:]+)"
)
NFT_LINE = re.compile(
    rf"# .*|add table inet telescope|add set inet telescope {SET} \{{ type ipv[46]_addr; flags interval; \}}"
    rf"|flush set inet telescope {SET}|add element inet telescope (?P<name>{SET}) \{{ (?P<items>[0-9a-f.:, ]+) \}}"
)


def apart(*command: str) -> subprocess.CompletedProcess[str]:
    """Run a firewall command in a new network namespace, which ends with the command."""
    return subprocess.run(["unshare", "--map-root-user", "--net", *command], capture_output=True, text=True)


def needs(program: str, *question: str) -> None:
    """Skip the test if a program is not installed or the kernel does not permit its use."""
    if shutil.which(program) is None or shutil.which("unshare") is None:
        pytest.skip(f"{program} is not installed")
    asked = apart(program, *question)
    if asked.returncode:
        pytest.skip(f"{program} cannot be used here: {asked.stderr.strip()}")


def test_ipset_lines_are_of_its_grammar_and_addresses_of_their_family(analysis: Path, tmp_path: Path) -> None:
    export_clusters(analysis, "ipset", tmp_path / "x", [0])
    text = (tmp_path / "x").read_text()
    found = [IPSET_LINE.fullmatch(line) for line in text.splitlines()]
    assert all(found)
    families = dict(re.findall(rf"create ({SET}) hash:net family (\w+)", text))
    assert families == {"telescope_0_v4": "inet", "telescope_0_v6": "inet6"}
    added = [(line["name"], line["address"]) for line in found if line["name"]]
    assert [address for _, address in added] == sorted(SOURCES[:3])
    for name, address in added:
        assert ipaddress.ip_address(address).version == {"inet": 4, "inet6": 6}[families[name]]


def test_ipset_itself_restores_the_file(analysis: Path, tmp_path: Path) -> None:
    needs("ipset", "list")
    export_clusters(analysis, "ipset", tmp_path / "x", [0, 1])
    export_clusters(analysis, "ipset", tmp_path / "y", [0, 1], ExportOptions(aggregate=True))
    listed = apart("sh", "-c", f"cd {tmp_path}; for f in x y x; do ipset restore < $f || exit 1; done; ipset save")
    assert listed.returncode == 0, listed.stderr
    assert set(re.findall(r"^add \S+ (\S+)", listed.stdout, re.M)) == set(SOURCES)


def test_nftables_file_is_of_its_grammar_and_lists_all_addresses(analysis: Path, tmp_path: Path) -> None:
    export_clusters(analysis, "nftables", tmp_path / "x", [0, 1])
    text = (tmp_path / "x").read_text()
    found = [NFT_LINE.fullmatch(line) for line in text.splitlines()]
    assert all(found)
    versions = dict(re.findall(rf"add set inet telescope ({SET}) \{{ type ipv(\d)_addr", text))
    assert versions == {"telescope_0_v4": "4", "telescope_0_v6": "6", "telescope_1_v4": "4", "telescope_1_v6": "6"}
    added = [(line["name"], address) for line in found if line["name"] for address in line["items"].split(", ")]
    assert sorted(address for _, address in added) == sorted(SOURCES)
    for name, address in added:
        assert ipaddress.ip_address(address).version == int(versions[name])


@pytest.mark.parametrize("format", ["ipset", "nftables"])
def test_a_set_is_of_the_same_kind_whatever_it_holds(analysis: Path, tmp_path: Path, format: str) -> None:
    """Otherwise the firewall would refuse the file as long as it has the set of an earlier one."""
    created = []
    for options in (ExportOptions(), ExportOptions(aggregate=True), ExportOptions(min_confidence=100)):
        export_clusters(analysis, format, tmp_path / "x", [1], options)
        created.append(re.findall(r"^(?:create|add set) .*", (tmp_path / "x").read_text(), re.M))
    assert len(created[0]) == 2
    assert created[0] == created[1] == created[2]


@pytest.mark.parametrize("format", ["ipset", "nftables"])
def test_a_cluster_without_sources_empties_the_sets_of_the_day_before(
    analysis: Path, tmp_path: Path, format: str
) -> None:
    assert export_clusters(analysis, format, tmp_path / "x", [1], ExportOptions(min_confidence=100)) == 0
    text = (tmp_path / "x").read_text()
    assert re.findall(rf"^flush (?:set inet telescope )?({SET})$", text, re.M) == ["telescope_1_v4", "telescope_1_v6"]
    assert not re.search(r"^add (element|telescope)", text, re.M)


@pytest.fixture
def running(analysis: Path) -> Path:
    """The analysis after clusters 2, 3 and 4 have ended in three ways."""
    summary = json.loads((analysis / "clusters.json").read_text())
    summary["events"] = [
        *({"day": "2024-03-04", "event": "birth", "cluster": cluster, "windows": 2} for cluster in range(5)),
        {"day": "2024-03-05", "event": "merge", "cluster": 0, "others": [2], "windows": 4},
        {"day": "2024-03-05", "event": "death", "cluster": 3, "others": [0, 1], "windows": 2},
    ]
    (analysis / "clusters.json").write_text(json.dumps(summary))
    return analysis


@pytest.mark.parametrize("format", ["ipset", "nftables"])
def test_a_cluster_that_has_gone_empties_its_sets_and_the_message_says_why(
    running: Path, tmp_path: Path, format: str
) -> None:
    said: list[str] = []
    assert export_clusters(running, format, tmp_path / "x", [1, 2, 3, 4], say=said.append) == 1
    text = (tmp_path / "x").read_text()
    names = [f"telescope_{cluster}_v{family}" for cluster in (1, 2, 3, 4) for family in (4, 6)]
    assert re.findall(rf"^flush (?:set inet telescope )?({SET})$", text, re.M) == names
    assert re.findall(rf"^add (?:element inet telescope )?({SET})", text, re.M) == ["telescope_1_v4"]
    assert said == [
        "cluster 2 has no sources any more: it became part of cluster 0 on 2024-03-05",
        "cluster 3 has no sources any more: it ended on 2024-03-05; its windows are in 0 and 1 now",
        "cluster 4 has no sources any more: its records are older than --keep",
    ]
    assert "# cluster 2: gone, it became part of cluster 0 on 2024-03-05" in text
    with pytest.raises(ExportError, match="no source is in cluster 5"):
        export_clusters(running, format, tmp_path / "x", [5])


def test_a_cluster_that_has_gone_may_have_a_large_number(running: Path, tmp_path: Path) -> None:
    summary = json.loads((running / "clusters.json").read_text())
    summary["events"].append({"day": "2024-03-06", "event": "birth", "cluster": 2**33, "windows": 2})
    (running / "clusters.json").write_text(json.dumps(summary))
    assert export_clusters(running, "json", tmp_path / "x", [1, 2**33]) == 1


@pytest.mark.parametrize("format", FORMATS)
def test_a_cluster_that_has_gone_can_be_exported_in_every_format(running: Path, tmp_path: Path, format: str) -> None:
    if format in ("stix", "misp"):
        pytest.importorskip("stix2" if format == "stix" else "pymisp")
    assert export_clusters(running, format, tmp_path / "x", [3]) == 0
    assert (tmp_path / "x").exists()


def test_nft_itself_accepts_the_file(analysis: Path, tmp_path: Path) -> None:
    needs("nft", "list", "ruleset")
    export_clusters(analysis, "nftables", tmp_path / "x", [0, 1])
    checked = apart("nft", "--check", "--file", str(tmp_path / "x"))
    assert checked.returncode == 0, checked.stderr
    listed = apart("sh", "-c", f"nft -f {tmp_path / 'x'} && nft -f {tmp_path / 'x'} && nft list ruleset")
    assert listed.returncode == 0, listed.stderr
    assert all(source in listed.stdout for source in SOURCES)


def test_without_calibration_there_is_no_confidence(analysis: Path, tmp_path: Path) -> None:
    summary = json.loads((analysis / "clusters.json").read_text())
    summary["solution"]["scale"] = 1.0
    (analysis / "clusters.json").write_text(json.dumps(summary))
    export_clusters(analysis, "stix", tmp_path / "x.json")
    assert '"confidence"' not in (tmp_path / "x.json").read_text()


@pytest.mark.parametrize(
    ("format", "clusters", "words"),
    [
        ("yaml", None, "unknown format 'yaml'"),
        ("ipset", None, "choose them with --cluster"),
        ("csv", [7], "cluster 7"),
    ],
)
def test_an_unknown_format_or_cluster_is_named(
    analysis: Path, tmp_path: Path, format: str, clusters, words: str
) -> None:
    with pytest.raises(ExportError, match=words):
        export_clusters(analysis, format, tmp_path / "x", clusters)


@pytest.mark.parametrize(
    "wrong", [{"tlp": "pink"}, {"author": ""}, {"author": "a\x1b[2J"}, {"min_confidence": 101}, {"valid_days": 0}]
)
def test_options_that_make_no_sense_are_refused(wrong: dict) -> None:
    with pytest.raises(ExportError):
        ExportOptions(**wrong)


def test_a_folder_without_analysis_is_named(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="not the output of an analysis"):
        export_clusters(tmp_path, "csv", tmp_path / "x")


def test_modified_of_a_grouping_never_goes_back(tmp_path: Path) -> None:
    """On the second day, the source with the newest record of cluster 0 moves to cluster 1."""
    pytest.importorskip("stix2")
    times = []
    for day, clusters in (("one", [0, 0, 1, 1]), ("two", [0, 1, 1, 1])):
        folder = write_analysis(tmp_path / day, SOURCES, clusters, [2.0] * 4)
        table = pq.read_table(folder / "sources.parquet")
        last = pa.array([START + DAY, START + 2 * DAY, START + DAY, START + (2 + (day == "two")) * DAY, START])
        table = table.set_column(table.column_names.index("last_seen"), "last_seen", last)
        pq.write_table(table, folder / "sources.parquet")
        export_clusters(folder, "stix", tmp_path / "x", [0])
        objects = json.loads((tmp_path / "x").read_text())["objects"]
        times += [one["modified"] for one in objects if one["type"] == "grouping"]
    assert times[0] < times[1]


def test_the_time_of_a_stix_export_grows_with_the_sources_and_not_with_their_square(tmp_path: Path) -> None:
    sources = [f"192.0.{i // 250}.{i % 250}" for i in range(5_000)]
    write_analysis(tmp_path / "out", sources, [i // 5 for i in range(5_000)], [1.0] * len(sources))
    began = time.process_time()
    assert export_clusters(tmp_path / "out", "stix", tmp_path / "x") == len(sources)
    # This takes half a second; with the objects of the library stix2, it took ten.
    assert time.process_time() - began < 5
