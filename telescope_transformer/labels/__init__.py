"""What other data say about sources: who owns an address, and which tool sent a packet.

Labels never enter training or clustering; they accompany the windows for evaluation and the report.
"""

from telescope_transformer.labels.lists import read_labels, table_entries
from telescope_transformer.labels.malicious import is_malicious, kind_of, known_scanners
from telescope_transformer.labels.owners import Owner, Owners, read_owners
from telescope_transformer.labels.prefixes import Entry, Prefix, PrefixLabels, label_records
from telescope_transformer.labels.tools import add_tools, tool_fingerprints

__all__ = [
    "Entry",
    "Owner",
    "Owners",
    "Prefix",
    "PrefixLabels",
    "add_tools",
    "is_malicious",
    "kind_of",
    "known_scanners",
    "label_records",
    "read_labels",
    "read_owners",
    "table_entries",
    "tool_fingerprints",
]
