"""Log lines of Endlessh (logmsg in endlessh.c) and endlessh-go: connections to a tarpit for SSH.

The lines hold no destination, and Endlessh often listens behind a redirection of port 22. So that the records compare
with those of other honeypots, the destination is a sensor called `endlessh`, and its port 22.
"""

import re

from telescope_transformer.records.log_lines import Fields
from telescope_transformer.records.raw_records import NOTE

_SENSOR, _SSH = "endlessh", "22"
_ASSUMED = "Endlessh logs no destination: the sensor is called endlessh, and its port is taken as 22"

# Endlessh writes its own time with year and zone, which the log of systemd lacks.
_ACCEPT = re.compile(
    r"(?:(?P<timestamp>\d{4}-\d\d-\d\dT[\d:.]{8,15}Z) )?"
    r"\bACCEPT host=(?P<src_ip>[0-9a-fA-F.:]+) port=(?P<src_port>\d+) (?:fd=\d+ )?n=\d+/\d+"
)


def endlessh_fields(line: str) -> Fields | None:
    """Fields of a new connection; its end is left out."""
    found = _ACCEPT.search(line)
    if found is None:
        return None
    own = {field: value for field, value in found.groupdict().items() if value is not None}
    return {**own, "dst_ip": _SENSOR, "dst_port": _SSH, "protocol": "tcp", NOTE: _ASSUMED}
