"""How an export is made: what is left out, whose name it bears, and how far it may go."""

from dataclasses import dataclass

from telescope_transformer.errors import ExportError

# Traffic Light Protocol 2.0 (FIRST, 2022).
TLP = ("clear", "green", "amber", "amber+strict", "red")
LONGEST_AUTHOR = 200
# A hundred years: our choice of what nobody exceeds, within the dates that STIX can express.
MOST_VALID_DAYS = 36_525


@dataclass(frozen=True)
class ExportOptions:
    """How an export is made.

    Attributes:
        tlp: how far it may be shared; addresses are personal data, so that the default is a limited circle.
        author: the organisation that STIX and MISP name as the origin. Ids follow from it: organisations that share
            their exports need names of their own.
        valid_days: days after its last record for which an indicator holds.
        unlabelled: leave out known scanners: sources whose label names no malicious group (`labels.malicious`).
        min_confidence: leave out sources below this confidence, in percent.
        aggregate: join addresses of firewall and plain lists to the prefixes that hold just them.
        observed: STIX without indicators: only that sources were seen (observed data).

    Raises:
        ExportError: for a value that is none of these.
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
            raise ExportError(f"TLP {self.tlp!r} is not known; one of {', '.join(TLP)}")
        if not self.author.strip() or len(self.author) > LONGEST_AUTHOR or not self.author.isprintable():
            raise ExportError(
                f"the author must be a name of 1 to {LONGEST_AUTHOR} printable letters, not {self.author[:50]!r}"
            )
        if not 0 <= self.min_confidence <= 100:
            raise ExportError(f"a confidence is 0 to 100 percent, not {self.min_confidence}")
        if not 1 <= self.valid_days <= MOST_VALID_DAYS:
            raise ExportError(f"an indicator is valid for 1 to {MOST_VALID_DAYS:,} days, not {self.valid_days}")
