"""Scanner lists: text, MISP warning lists and ipset files, and messages about invalid entries."""

import json
from pathlib import Path

import pyarrow as pa
import pytest

from telescope_transformer.errors import InputError
from telescope_transformer.labels import read_labels, read_owners


def label_of(folder: Path, *addresses: str) -> list[str | None]:
    return read_labels(folder).label(pa.array(addresses)).to_pylist()


def test_text_lists_of_both_families(tmp_path: Path) -> None:
    (tmp_path / "acme_v4.txt").write_text(
        "# Acme\n192.0.2.0/28 ; offices\n\n198.51.100.7 // one\n192.0.2.77/28 well-known\n"
    )
    (tmp_path / "acme_v6.txt").write_text("2001:DB8::/48\n")
    (tmp_path / "other.list").write_text("203.0.113.9 - 203.0.113.20\n")
    (tmp_path / "LICENSE").write_text("Anyone may\n")
    (tmp_path / "README.md").write_text("Lists\n")
    four = label_of(tmp_path, "192.0.2.15", "192.0.2.16", "192.0.2.70", "198.51.100.7", "203.0.113.20")
    assert four == ["acme", None, "acme", "acme", "other"]
    assert label_of(tmp_path, "2001:db8::1", "2001:db8:1::1") == ["acme", None]


def test_a_misp_warning_list(tmp_path: Path) -> None:
    folder = tmp_path / "acme-scanners"
    folder.mkdir()
    content = {"name": "Acme", "type": "cidr", "list": ["192.0.2.0/24", "2001:db8::1", "scanner.example.org"]}
    (folder / "list.json").write_text(json.dumps(content))
    labels = read_labels(tmp_path)
    assert labels.label(pa.array(["192.0.2.9", "2001:db8::1"])).to_pylist() == ["acme-scanners"] * 2
    assert "skipped 1 entry other than addresses" in labels.notes[0]


def test_an_ipset_file(tmp_path: Path) -> None:
    lines = [
        "create acme hash:net family inet hashsize 1024 maxelem 65536",
        "add acme 192.0.2.0/24 timeout 0",
        "add acme 192.0.2.128/25 nomatch",
        "create web hash:ip,port family inet",
        "add web 198.51.100.1,tcp:80",
    ]
    (tmp_path / "sets.save").write_text("\n".join(lines))
    assert label_of(tmp_path, "192.0.2.200", "198.51.100.1") == ["acme", "web"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.txt", "192.0.2.1\nnot-an-address\n", r"a\.txt: line 2: 'not-an-address' is not an address, CIDR or range"),
        ("a.txt", "192.0.2.9 - 192.0.2.1\n", "line 1"),
        ("a.txt", "192.0.2.9 - 2001:db8::1\n", "line 1"),
        ("a.txt", "# nothing\n", "no scanner list with an address"),
        ("a.json", '{"list": ', "incomplete or invalid JSON"),
        ("a.json", '{"list": ' + "[" * 100_000, "nested too deeply"),
        ("a.json", '{"values": []}', "not a MISP warning list"),
        ("a.set", "add acme 192.0.2.300\n", "line 1"),
    ],
)
def test_an_unreadable_file_is_named(tmp_path: Path, name: str, content: str, message: str) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(InputError, match=message):
        read_labels(tmp_path)


def test_an_absent_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such folder of scanner lists"):
        read_labels(tmp_path / "nothing")


@pytest.mark.shared
def test_the_real_lists(shared: Path) -> None:
    labels = read_labels(shared / "data/scanner-lists")
    assert labels.prefix_count > 20_000
    assert {"censys", "shodan", "rapid7"} <= set(labels.names)
    assert not any(name.endswith(("_v4", "_v6")) for name in labels.names)
    assert all(len(tie.labels) > 1 for tie in labels.ties)


def test_a_value_that_is_too_long_for_csv_names_the_file(tmp_path: Path) -> None:
    table = tmp_path / "table.csv"
    table.write_text(f'name,prefix\n"{"a" * 200_000}",192.0.2.0/24\n')
    with pytest.raises(InputError, match=r"table\.csv: cannot be read as CSV"):
        read_labels(table)
    table.write_text(f'prefix,name\n192.0.2.0/24,"{"a" * 200_000}"\n')
    with pytest.raises(InputError, match=r"table\.csv: cannot be read as CSV"):
        read_owners(table)


def test_a_list_in_utf_16_and_a_name_with_control_characters(tmp_path: Path) -> None:
    (tmp_path / "one.txt").write_bytes("192.0.2.1\n".encode("utf-16"))
    (tmp_path / "two.csv").write_text("name,prefix\nA\x1b]0;B,198.51.100.0/24\n", encoding="utf-8")
    assert label_of(tmp_path, "192.0.2.1", "198.51.100.9") == ["one", "A ]0;B"]


def test_a_table_without_rows_is_a_list_without_entries(tmp_path: Path) -> None:
    (tmp_path / "empty.csv").write_text("name,prefix\n")
    with pytest.raises(InputError, match="no scanner list with an address"):
        read_labels(tmp_path)
