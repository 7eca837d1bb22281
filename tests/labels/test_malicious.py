"""Which labels are of malicious groups."""

from pathlib import Path

import pyarrow as pa
import pytest

from telescope_transformer.labels import is_malicious, known_scanners, read_labels
from telescope_transformer.labels.tools import TOOLS

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
    assert [tool for tool in TOOLS if is_malicious(tool)] == ["mirai"]
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
