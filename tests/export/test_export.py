"""Every format, read back by the library that defines it."""

import ipaddress
import json
import re
import shutil
import subprocess
from pathlib import Path

import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest

from telescope_transformer.errors import ExportError
from telescope_transformer.export import export_clusters

SOURCES = ["192.0.2.1", "192.0.2.2", "2001:db8::7", "198.51.100.9"]
CLUSTERS = [0, 0, 0, 1]
START = 1_709_510_400_000_000
DAY = 86_400_000_000


def profile(cluster: int, n_sources: int) -> dict:
    return {
        "cluster": cluster,
        "n_sources": n_sources,
        "services": [{"service": "tcp/22 ssh", "records": 9, "share": 1.0}],
        "timing": {"median_inter_arrival_s": 1.5},
        "targets": {"n_destinations": 7, "order": "random"},
    }


@pytest.fixture
def analysis(tmp_path: Path) -> Path:
    folder = tmp_path / "out"
    folder.mkdir()
    sources = pa.table(
        {
            "source": SOURCES,
            "cluster": pa.array(CLUSTERS, pa.int32()),
            "n_windows": [1] * 4,
            "n_records": [8] * 4,
            "first_seen": [START] * 4,
            "last_seen": [START + DAY] * 4,
            "agreement": [1.0] * 4,
            "label": ['Example "Org"; drop', None, None, None],
        }
    )
    windows = pa.table({"source": SOURCES, "cluster": pa.array(CLUSTERS, pa.int32()), "margin": [2.0, 0.0, -1.0, 4.0]})
    pq.write_table(sources, folder / "sources.parquet")
    pq.write_table(windows, folder / "windows.parquet")
    summary = {"solution": {"scale": 8.0}, "clusters": [profile(0, 3), profile(1, 1)]}
    (folder / "clusters.json").write_text(json.dumps(summary))
    return folder


@pytest.mark.parametrize(("format", "read"), [("csv", pa_csv.read_csv), ("parquet", pq.read_table)])
def test_tables_come_back(analysis: Path, tmp_path: Path, format: str, read) -> None:
    assert export_clusters(analysis, format, tmp_path / "x") == 4
    table = read(tmp_path / "x")
    assert table["source"].to_pylist() == sorted(SOURCES[:3]) + SOURCES[3:]
    assert table["confidence"].to_pylist() == [88, 50, 27, 98]


def test_stix_is_valid_and_groups_each_cluster(analysis: Path, tmp_path: Path) -> None:
    stix2 = pytest.importorskip("stix2")
    export_clusters(analysis, "stix", tmp_path / "x.json")
    bundle = stix2.parse((tmp_path / "x.json").read_text(), allow_custom=False)
    groupings = [o for o in bundle.objects if o.type == "grouping"]
    indicators = {o.id: o for o in bundle.objects if o.type == "indicator"}
    assert [g.name for g in groupings] == ["Cluster 0", "Cluster 1"]
    patterns = [indicators[ref].pattern for ref in groupings[0].object_refs]
    assert patterns[2] == "[ipv6-addr:value = '2001:db8::7']"
    assert [indicators[ref].confidence for ref in groupings[0].object_refs] == [88, 50, 27]
    assert "tcp/22 ssh" in groupings[0].description


def test_a_repeated_export_has_the_same_ids(analysis: Path, tmp_path: Path) -> None:
    for name in ("a", "b"):
        export_clusters(analysis, "stix", tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_misp_loads_the_event(analysis: Path, tmp_path: Path) -> None:
    pymisp = pytest.importorskip("pymisp")
    export_clusters(analysis, "misp", tmp_path / "x.json", [0])
    event = pymisp.MISPEvent()
    event.load_file(tmp_path / "x.json")
    assert [a.value for a in event.attributes] == sorted(SOURCES[:3])
    assert {tag.name for a in event.attributes for tag in a.tags} == {'telescope:cluster="0"'}
    assert not any(a.to_ids for a in event.attributes)


# The grammar of `ipset restore` and of `nft -f`, as far as the exports use it: nothing else may stand in the files.
SET = r"telescope_\d+_v[46]"
IPSET_LINE = re.compile(
    rf"create {SET} hash:ip family inet6? maxelem \d+ -exist|flush {SET}|add (?P<name>{SET}) (?P<address>[0-9a-f.:]+)"
)
NFT_LINE = re.compile(
    rf"add table inet telescope|add set inet telescope {SET} \{{ type ipv[46]_addr; \}}|flush set inet telescope {SET}"
    rf"|add element inet telescope (?P<name>{SET}) \{{ (?P<items>[0-9a-f.:, ]+) \}}"
)


def apart(*command: str) -> subprocess.CompletedProcess[str]:
    """Run a command of the kernel's firewall in a network namespace of its own, which ends with it."""
    return subprocess.run(["unshare", "--map-root-user", "--net", *command], capture_output=True, text=True)


def needs(program: str, *question: str) -> None:
    """Skip where a program is not installed, or the kernel does not let us ask it."""
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
    families = dict(re.findall(rf"create ({SET}) hash:ip family (\w+)", text))
    assert families == {"telescope_0_v4": "inet", "telescope_0_v6": "inet6"}
    added = [(line["name"], line["address"]) for line in found if line["name"]]
    assert [address for _, address in added] == sorted(SOURCES[:3])
    for name, address in added:
        assert ipaddress.ip_address(address).version == {"inet": 4, "inet6": 6}[families[name]]


def test_ipset_itself_restores_the_file(analysis: Path, tmp_path: Path) -> None:
    needs("ipset", "list")
    export_clusters(analysis, "ipset", tmp_path / "x", [0, 1])
    listed = apart("sh", "-c", f"ipset restore < {tmp_path / 'x'} && ipset restore < {tmp_path / 'x'} && ipset save")
    assert listed.returncode == 0, listed.stderr
    assert set(re.findall(r"^add \S+ (\S+)", listed.stdout, re.M)) == set(SOURCES)


def test_nftables_file_is_of_its_grammar_and_lists_all_addresses(analysis: Path, tmp_path: Path) -> None:
    export_clusters(analysis, "nftables", tmp_path / "x", [0, 1])
    text = (tmp_path / "x").read_text()
    found = [NFT_LINE.fullmatch(line) for line in text.splitlines()]
    assert all(found)
    versions = dict(re.findall(rf"add set inet telescope ({SET}) \{{ type ipv(\d)_addr", text))
    assert versions == {"telescope_0_v4": "4", "telescope_0_v6": "6", "telescope_1_v4": "4"}
    added = [(line["name"], address) for line in found if line["name"] for address in line["items"].split(", ")]
    assert sorted(address for _, address in added) == sorted(SOURCES)
    for name, address in added:
        assert ipaddress.ip_address(address).version == int(versions[name])


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
def test_what_cannot_be_exported_is_said(analysis: Path, tmp_path: Path, format: str, clusters, words: str) -> None:
    with pytest.raises(ExportError, match=words):
        export_clusters(analysis, format, tmp_path / "x", clusters)


def test_a_folder_without_analysis_is_named(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="not the output of an analysis"):
        export_clusters(tmp_path, "csv", tmp_path / "x")
