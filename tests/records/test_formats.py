"""Formats are recognised by content, whatever the name of a file and its compression."""

import gzip
import json
from pathlib import Path

import crafted
import pytest

from telescope_transformer.errors import FlowRecordError, InputError
from telescope_transformer.records import format_names, read_records, scan_records
from telescope_transformer.records.telescope import Telescope

PCAP = crafted.pcap([crafted.ethernet(crafted.ipv4(crafted.tcp()))])
PCAPNG = crafted.section() + crafted.interface() + crafted.enhanced_packet(PCAP[40:], crafted.SECOND * 1_000_000)


@pytest.mark.parametrize(("content", "expected"), [(PCAP, "pcap"), (PCAPNG, "pcapng")])
@pytest.mark.parametrize("compressed", [False, True])
def test_the_format_follows_from_the_content_and_not_from_the_name(
    tmp_path: Path, content: bytes, expected: str, compressed: bool
) -> None:
    path = tmp_path / "flows.csv"
    path.write_bytes(gzip.compress(content) if compressed else content)
    records = read_records([path])
    assert records.sources[0].format == expected
    assert records.counts.kept == 1


def test_files_of_several_formats_join_in_one_table(tmp_path: Path, csv_file: Path) -> None:
    (tmp_path / "a").write_bytes(PCAP)
    records = read_records([csv_file, tmp_path / "a"])
    assert records.counts.kept == 301
    assert records.table.column("ttl").null_count == 300
    assert [source.format for source in records.sources] == ["csv", "pcap"]


def test_a_format_given_by_name_is_not_detected(tmp_path: Path, csv_file: Path) -> None:
    assert format_names()[0] == "auto"
    with pytest.raises(InputError, match="not a pcap file"):
        read_records([csv_file], format="pcap")
    with pytest.raises(InputError, match="unknown format 'pdf'; formats are auto, parquet"):
        read_records([csv_file], format="pdf")
    with pytest.raises(InputError, match=r"unknown format 'pcapngg'; the nearest are pcapng, pcap$"):
        read_records([csv_file], format="pcapngg")


def test_a_malformed_telescope_prefix_is_refused() -> None:
    with pytest.raises(FlowRecordError, match=r"telescope prefix '192\.0\.2\.0/33'"):
        Telescope(["192.0.2.0/33"])


def test_a_scan_counts_as_it_goes_and_lists_each_source(tmp_path: Path, csv_file: Path) -> None:
    scan = scan_records([csv_file])
    assert scan.counts.read == 0
    assert sum(batch.num_rows for batch in scan) == scan.counts.kept == scan.sources[0].counts.kept == 300
    assert "read 300 flow records = kept 300 + rejected 0" in scan.summary()


@pytest.mark.parametrize(("listed", "told"), [(10, ": 40 further rejected rows"), (49, ": 1 further rejected row\n")])
def test_all_rejects_are_counted_but_only_some_are_listed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, listed: int, told: str
) -> None:
    monkeypatch.setattr("telescope_transformer.records.reading.REJECTS_LISTED", listed)
    path = tmp_path / "a.csv"
    path.write_text("timestamp,src_ip,protocol,dst_port\n" + "x,192.0.2.1,tcp,1\n" * 50 + "1,192.0.2.1,tcp,1\n")
    records = read_records([path])
    assert records.counts == (51, 1, 50, 0)
    assert records.rejects.num_rows == listed
    assert told in records.summary() + "\n"


def test_rejects_that_workers_do_not_list_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("telescope_transformer.records.reading.REJECTS_LISTED", 10)
    (tmp_path / "a.csv").write_text("timestamp,src_ip,protocol,dst_port\n" + "x,192.0.2.1,tcp,1\n" * 50)
    scan = scan_records(tmp_path)
    for part in scan.parts():
        assert not list(part)
        scan.absorb(json.loads(json.dumps(part.account())), part.rejects)
    assert ": 40 further rejected rows" in scan.summary()


def test_files_read_by_several_workers_add_up_to_one_scan(tmp_path: Path, csv_file: Path) -> None:
    (csv_file.parent / "notes.md").write_text("no records, only notes")
    for name in ("b", "c"):
        rows = "noon,192.0.2.1,tcp,1,64\n1469123456,192.0.2.1,tcp,1,300\n"
        (csv_file.parent / f"{name}.csv").write_text("timestamp,src_ip,protocol,dst_port,ttl\n" + rows)
    whole, sum_of_parts = scan_records(csv_file.parent), scan_records(csv_file.parent)
    rows = sum(batch.num_rows for batch in whole)
    for part in sum_of_parts.parts():
        rows -= sum(batch.num_rows for batch in part)
        sum_of_parts.absorb(json.loads(json.dumps(part.account())), part.rejects)
    assert rows == 0
    assert sum_of_parts.counts == whole.counts == (304, 302, 2, 0)
    assert sum_of_parts.notes == whole.notes
    assert sorted(sum_of_parts.sources) == sorted(whole.sources)
    assert "passed over 1 file without" in sum_of_parts.summary()


def test_one_of_a_kind_is_told_in_the_singular(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("timestamp,src_ip,protocol,dst_port,ttl\n# a comment\n1,192.0.2.1,tcp,1,300\n")
    (tmp_path / "README").write_text("Notes.\n")
    told = read_records(tmp_path).summary()
    for text in (
        "read 1 flow records =",
        "skipped 1 entry that is not",
        "1 value of ttl",
        "passed over 1 file without",
    ):
        assert text in told
