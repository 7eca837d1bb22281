"""Which labels name malicious groups, such as botnets, rather than organisations that scan the Internet openly.

A block list leaves known scanners out but must keep the members of a botnet in. Tables store a label as one text, so
the text itself has to say which kind it is.
"""

import re

import pyarrow as pa
import pyarrow.compute as pc

MALICIOUS = "malicious"
# Botnets of public lists ("rdp-botnet", "mirai-telnet"), the mark of Mirai in packets (`labels.tools`), the labels of
# public captures ("Malicious", "flow=From-Botnet-V42") and of lists in a folder named `malicious`. "malware" is left
# out: "malware-hunter.census.shodan.io" is a scanner of Shodan.
_WORDS = rf"(?i)(?:^|[^a-z])(?:{MALICIOUS}|botnets?|mirai)(?:$|[^a-z])"


def is_malicious(label: str) -> bool:
    """Whether a label has the word malicious, botnet or mirai in it."""
    return re.search(_WORDS, label) is not None


def kind_of(label: str) -> str:
    """What exports call the holder of a label: "malicious" or "known-scanner"."""
    return "malicious" if is_malicious(label) else "known-scanner"


def known_scanners(labels: pa.ChunkedArray) -> pa.ChunkedArray:
    """Which of n labels (string, null for none) name a scanner that is not malicious, bool (n,)."""
    return pc.and_(pc.is_valid(labels), pc.invert(pc.match_substring_regex(labels, _WORDS).fill_null(False)))


def malicious_label(label: str) -> str:
    """A label that says that its group is malicious: "feodo" becomes "feodo (malicious)"."""
    return label if is_malicious(label) else f"{label} ({MALICIOUS})"
