"""Names of clusters.

A name says what a cluster does and who it is. The same profile always gives the same name, and no two clusters of an
analysis share a name. A running analysis keeps a cluster's name for as long as the name is true.
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from telescope_transformer.report.phrases import (
    NAMED_SHARE,
    Profile,
    majority,
    pause_words,
    place_detail,
    place_words,
    rhythm_words,
    sensor_words,
    service_words,
    since_words,
    size_words,
    source_port_words,
    target_words,
)
from telescope_transformer.report.reasons import why_together
from telescope_transformer.report.services import PROTOCOL_NAMES
from telescope_transformer.words import MONTHS

TOOL_WORDS = {
    "mirai": "Mirai-like",
    "zmap": "ZMap",
    "masscan": "Masscan",
    "nmap": "Nmap",
    "unicornscan": "Unicornscan",
}
# An old name stays if the number of services or sources that it states is off by at most this factor.
MANY_MORE = 1.5
# Patterns of a name: claims other than labels, tools and services; ports and other numbers; the number of services.
_CLAIM = re.compile(
    r"from [^,(]+|mostly [\d:a-f.]+/\d+|\bin bursts\b|\bslow\b|\bevery [^,(]+|\bsweeping \w+|\bone target\b"
    r"|\b(?:mostly|only) to [^,(]+|\bsource port \d+|\b\w+ apart\b|(?:about )?[\d,]{1,15} sources\b"
    r"|\bsince [\w ]+\d{4}\b"
)
_NUMBER = re.compile(r"(?<![A-Za-z\d])\d+(?![A-Za-z\d])")
_COUNT = re.compile(r"^(?:about )?([\d,]{1,15}) (?:\w+ )?(?:ports|services)")
# Services without a port or type, such as "gre" and "proto99".
_WITHOUT_NUMBER = re.compile(rf"(?<![\w/])(?:{'|'.join(PROTOCOL_NAMES.values())}|proto\d+)(?![\w/])")
# What tells clusters of the same plain name apart, most telling first. The size and the first day come after these,
# because most clusters change in size, and many are there from the first day on.
_DETAILS = (rhythm_words, target_words, place_detail, sensor_words, source_port_words, pause_words)


def name_clusters(profiles: Sequence[dict[str, Any]], kept: Mapping[int, str] | None = None) -> None:
    """Give each profile its `name` and `sentence`.

    Args:
        profiles: profiles of all clusters, as `profile_clusters` returns them.
        kept: names from earlier days by cluster; a name stays for as long as it is true.
    """
    taken: set[str] = set()
    for profile in profiles:
        old = (kept or {}).get(profile["cluster"])
        if old and old not in taken and _still_fits(old, profile):
            profile["name"] = old
            taken.add(old)
    rest = [profile for profile in profiles if "name" not in profile]
    for profile, name in zip(rest, _unique(rest, taken), strict=True):
        profile["name"] = name
    for profile in profiles:
        profile["sentence"] = why_together(profile)


def _unique(profiles: Sequence[Profile], taken: set[str]) -> list[str]:
    """A unique name for each cluster. A name that several would share gets more words, and at last the number."""
    names = [plain_name(profile) for profile in profiles]
    for more in (*_DETAILS, size_words, since_words):
        names = _told_apart(names, [more(profile) for profile in profiles], taken)
    shared = {name for name, times in Counter(names).items() if times > 1} | taken
    return [
        f"{name} (no. {profile['cluster']})" if name in shared else name
        for name, profile in zip(names, profiles, strict=True)
    ]


def _told_apart(names: Sequence[str], details: Sequence[str], taken: set[str]) -> list[str]:
    """The names, with a detail added where it differs between clusters of the same name, or the name is taken."""
    alike: dict[str, set[str]] = {}
    for name, detail in zip(names, details, strict=True):
        alike.setdefault(name, set()).add(detail)
    return [
        f"{name}, {detail}" if detail and detail not in name and (len(alike[name]) > 1 or name in taken) else name
        for name, detail in zip(names, details, strict=True)
    ]


def name_of(profile: Profile) -> str:
    """The name of a cluster; if it was not named, its plain name."""
    return profile.get("name") or plain_name(profile)


def plain_name(profile: Profile) -> str:
    """What a cluster does and who it is; other clusters may have the same plain name."""
    who, tool = _who(profile)
    what = service_words(profile)
    if tool:
        what += f", {tool}"
    return f"{who}: {what}" if who else f"{what} {place_words(profile)}".rstrip()


def _who(profile: Profile) -> tuple[str | None, str | None]:
    """The label of most windows, and the display name of the tool of most windows."""
    tool = majority(profile.get("tools", []), "tool")
    return majority(profile.get("labels", []), "label"), TOOL_WORDS.get(tool, tool) if tool else None


def _still_fits(name: str, profile: Profile) -> bool:
    """Whether everything in an old name is still true, and the name has the label and the tool of most windows."""
    who, tool = _who(profile)
    rest = re.sub(r" \(no\. \d+\)$", "", name)
    if who:
        if not rest.startswith(f"{who}: "):
            return False
        rest = rest.removeprefix(f"{who}: ")
    # Names of owners and sensors may hold commas and colons, so what is true goes before claims are looked for.
    for words in (place_words, *_DETAILS):
        rest = _without(words(profile), rest)
    claims = [claim.strip() for claim in _CLAIM.findall(rest)]
    if not all(_size_fits(claim, profile) or _date_fits(claim, profile) for claim in claims):
        return False
    rest = re.sub(r"[ ,]+$", "", _CLAIM.sub("", rest))
    services = _without(tool or "", rest)
    if (tool and services == rest) or ": " in rest or any(f", {known}" in services for known in TOOL_WORDS.values()):
        return False
    return _services_fit(services, profile)


def _without(words: str, name: str) -> str:
    """A name without one of its parts."""
    return re.sub(rf"(?:, | ){re.escape(words)}(?=,|$)", "", name) if words else name


def _near(stated: str, actual: int) -> bool:
    number = int(stated.replace(",", ""))
    return number / MANY_MORE <= actual <= number * MANY_MORE


def _size_fits(claim: str, profile: Profile) -> bool:
    found = re.fullmatch(r"(?:about )?([\d,]{1,15}) sources", claim)
    return found is not None and _near(found[1], profile.get("n_sources", 0))


def _date_fits(claim: str, profile: Profile) -> bool:
    """Whether a cluster was first seen on the stated day, or later because older windows have been dropped."""
    stated = re.fullmatch(rf"since (\d{{1,2}}) ({'|'.join(MONTHS)}) (\d{{4}})", claim)
    first: str = profile.get("first_seen", "")[:10]
    if not stated or not first:
        return False
    return f"{stated[3]}-{MONTHS.index(stated[2]) + 1:02d}-{int(stated[1]):02d}" <= first


def _services_fit(said: str, profile: Profile) -> bool:
    """Whether what an old name says of services is right: the main one (or that none stands out) and their number."""
    services = profile.get("services") or []
    if not services:
        return False
    if found := _COUNT.search(said):
        if not _near(found[1], profile.get("n_services", len(services))):
            return False
        if services[0]["share"] < NAMED_SHARE:
            return ", most" not in said
        said = said[found.end() :]
    shares = {_number(row["service"]): row["share"] for row in reversed(services)}
    named = [*_NUMBER.findall(said), *_WITHOUT_NUMBER.findall(said)]
    return _number(services[0]["service"]) in named and all(shares.get(one, 0) >= NAMED_SHARE / 2 for one in named)


def _number(service: str) -> str:
    """The port or type of a service, or its protocol if it has none."""
    found = _NUMBER.search(service)
    return found[0] if found else re.split(r"[ ,]", service)[0]
