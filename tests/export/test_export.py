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


def test_ipset_restores_valid_addresses_by_family(analysis: Path, tmp_path: Path) -> None:
    export_clusters(analysis, "ipset", tmp_path / "x", [0])
    lines = (tmp_path / "x").read_text().splitlines()
    names = {line.split()[1]: line.split()[4] for line in lines if line.startswith("create")}
    assert names == {"telescope_0_v4": "inet", "telescope_0_v6": "inet6"}
    for _, name, address in (line.split() for line in lines if line.startswith("add")):
        assert ipaddress.ip_address(address).version == {"inet": 4, "inet6": 6}[names[name]]


def test_nftables_lists_all_addresses(analysis: Path, tmp_path: Path) -> None:
    export_clusters(analysis, "nftables", tmp_path / "x", [0, 1])
    text = (tmp_path / "x").read_text()
    assert re.findall(r"type (\w+)", text) == ["ipv4_addr", "ipv6_addr", "ipv4_addr"]
    assert all(source in text for source in SOURCES)
    assert text.count("{") == text.count("}")
    if shutil.which("nft"):
        checked = subprocess.run(["nft", "--check", "--file", tmp_path / "x"], capture_output=True, text=True)
        assert checked.returncode == 0 or "Operation not permitted" in checked.stderr


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
