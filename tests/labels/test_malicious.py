"""Which labels name malicious groups."""

from pathlib import Path

import pyarrow as pa
import pytest

from telescope_transformer.labels import is_malicious, known_scanners, read_labels
from telescope_transformer.labels.lists import parse_prefixes
from telescope_transformer.labels.prefixes import Entry, PrefixLabels
from telescope_transformer.labels.tools import MARKS

MALICIOUS = [
    "rdp-botnet",
    "mirai-telnet",
    "mirai",
    "Malicious",
    "flow=From-Botnet-V42-TCP",
    "botnets_2024",
    "x (malicious)",
]
KNOWN = ["censys", "Apple (Applebot)", "malware-hunter.census.shodan.io", "Malwarebytes", "Benign", "miraisec"]


def test_the_name_of_a_label_tells_its_kind() -> None:
    assert all(map(is_malicious, MALICIOUS))
    assert not any(map(is_malicious, KNOWN))
    assert [tool for tool in MARKS if is_malicious(tool)] == ["mirai"]
    labels = pa.chunked_array([[*MALICIOUS, None], KNOWN])
    assert known_scanners(labels).to_pylist() == [False] * (len(MALICIOUS) + 1) + [True] * len(KNOWN)


@pytest.mark.parametrize(
    ("root", "names"),
    [
        (".", ["censys", "drop (malicious)", "feodo (malicious)", "mirai"]),
        ("malicious", ["drop (malicious)", "feodo (malicious)", "mirai"]),
        ("Malicious.lists/../malicious/feodo_v4.txt", ["feodo (malicious)"]),
        ("censys.txt", ["censys"]),
    ],
)
def test_lists_in_a_folder_named_malicious(tmp_path: Path, root: str, names: list[str]) -> None:
    dated = tmp_path / "malicious" / "2024-03-14"
    dated.mkdir(parents=True)
    (tmp_path / "Malicious.lists").mkdir()
    (dated.parent / "feodo_v4.txt").write_text("192.0.2.1\n")
    (dated / "set.save").write_text("add mirai 192.0.2.2\nadd drop 192.0.2.3\n")
    (tmp_path / "censys.txt").write_text("192.0.2.4\n")
    assert read_labels(tmp_path / root).names == names


def test_a_malicious_group_wins_over_a_known_scanner_of_the_same_prefix_and_both_are_named() -> None:
    prefix = parse_prefixes("192.0.2.0/24")[0]
    for scanner in ("alpha", "zeta"):
        labels = PrefixLabels.from_entries([Entry(prefix, scanner), Entry(prefix, "rdp-botnet")])
        (label,) = labels.label(pa.array(["192.0.2.1"])).to_pylist()
        assert label == f"rdp-botnet (also {scanner})"
        assert not known_scanners(pa.chunked_array([[label]]))[0].as_py()
        assert "the malicious group counts" in labels.summary()
