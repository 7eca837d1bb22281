"""Options of an export: which sources are left out, who its author is, and how far it may be shared."""

from dataclasses import dataclass

from telescope_transformer.errors import ExportError

# Traffic Light Protocol 2.0 (FIRST, 2022).
TLP = ("clear", "green", "amber", "amber+strict", "red")
LONGEST_AUTHOR = 200
# A hundred years. Our choice: nobody needs more, and the dates stay within those that STIX can represent.
MOST_VALID_DAYS = 36_525


@dataclass(frozen=True)
class ExportOptions:
    """Options of an export.

    Attributes:
        tlp: how far the export may be shared. Addresses are personal data, so the default is a limited circle.
        author: the organisation that STIX and MISP name as the origin. Ids are derived from it, so organisations that
            share their exports need different names.
        valid_days: number of days that an indicator stays valid after its last record.
        unlabelled: leave out known scanners, which are sources whose label is not a malicious group
            (`labels.malicious`).
        min_confidence: leave out sources below this confidence, in percent.
        aggregate: join the addresses of firewall and plain lists into prefixes that cover exactly these addresses.
        observed: write STIX without indicators, only with observed data.

    Raises:
        ExportError: if a value is not allowed.
    """

    tlp: str = "amber"
    author: str = "telescope"
    valid_days: int = 30
    unlabelled: bool = False
    min_confidence: int = 0
    aggregate: bool = False
    observed: bool = False

    def __post_init__(self) -> None:
        if self.tlp not in TLP:
            raise ExportError(f"TLP {self.tlp!r} is not known; it must be one of {', '.join(TLP)}")
        if not self.author.strip() or len(self.author) > LONGEST_AUTHOR or not self.author.isprintable():
            raise ExportError(
                f"the author must be a name of 1 to {LONGEST_AUTHOR} printable characters, not {self.author[:50]!r}"
            )
        if not 0 <= self.min_confidence <= 100:
            raise ExportError(f"a confidence must be 0 to 100 percent, not {self.min_confidence}")
        if not 1 <= self.valid_days <= MOST_VALID_DAYS:
            raise ExportError(f"an indicator can be valid for 1 to {MOST_VALID_DAYS:,} days, not {self.valid_days}")


DEFAULTS = ExportOptions()
