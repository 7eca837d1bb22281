"""Addresses of chosen clusters as sets for Linux firewalls (for `ipset restore` and `nft -f`) and as plain lists."""

from collections.abc import Iterator
from ipaddress import IPv4Network, IPv6Network, collapse_addresses, ip_network

from telescope_transformer.errors import ExportError
from telescope_transformer.export.members import Members
from telescope_transformer.export.options import DEFAULTS, ExportOptions

# ipset allows names of at most 31 characters, which leaves this many digits for the cluster number.
LARGEST_CLUSTER = 10**12
# The most entries that ipset allows (32 bits). It takes no memory. A limit that depended on the cluster would change
# when the cluster grows, and `create -exist` fails for a set with another limit.
MOST_ENTRIES = 2**32 - 1


def ipset_list(members: Members, options: ExportOptions = DEFAULTS) -> str:
    """Input for `ipset restore`: a set per cluster and address family, which is emptied first if it exists.

    Sets without addresses are written too, so that loading the file removes the addresses that they held before. All
    sets can hold prefixes: with or without --aggregate, the file loads into the sets of an earlier one.
    """
    lines = []
    for comment, name, family, addresses in _sets(members, options):
        option = "inet6" if family == "v6" else "inet"
        lines.append(f"# {comment}")
        lines.append(f"create {name} hash:net family {option} maxelem {MOST_ENTRIES} -exist")
        lines.append(f"flush {name}")
        lines += [f"add {name} {address}" for address in addresses]
    return "\n".join([*lines, ""])


def nftables_list(members: Members, options: ExportOptions = DEFAULTS) -> str:
    """Input for `nft -f`: a set per cluster and address family in the table `inet telescope`, each emptied first.

    All sets can hold prefixes, as those of `ipset_list`.
    """
    lines = ["add table inet telescope"]
    for comment, name, family, addresses in _sets(members, options):
        lines.append(f"# {comment}")
        lines.append(f"add set inet telescope {name} {{ type ip{family}_addr; flags interval; }}")
        lines.append(f"flush set inet telescope {name}")
        if addresses:
            lines.append(f"add element inet telescope {name} {{ {', '.join(addresses)} }}")
    return "\n".join([*lines, ""])


def plain_list(members: Members, options: ExportOptions = DEFAULTS) -> str:
    """One address or prefix per line, with the name of each cluster as a comment above its addresses."""
    lines = []
    for comment, _, _, addresses in _sets(members, options):
        if addresses:
            lines += [f"# {comment}", *addresses]
    return "\n".join([*lines, ""])


def _sets(members: Members, options: ExportOptions) -> Iterator[tuple[str, str, str, list[str]]]:
    """Comment, name, family and addresses of each set. Every cluster has a set per family, even if it is empty."""
    for cluster in members.clusters:
        if not 0 <= int(cluster) < LARGEST_CLUSTER:
            raise ExportError(f"cluster {cluster} is too large a number for the name of a set")
        addresses = [row["source"] for row in members.of(cluster)]
        for family in ("v4", "v6"):
            mine = [address for address in addresses if (":" in address) == (family == "v6")]
            listed = _prefixes(mine) if options.aggregate else mine
            yield _comment(members, cluster), f"telescope_{cluster}_{family}", family, listed


def _prefixes(addresses: list[str]) -> list[str]:
    """The fewest prefixes that cover exactly these addresses. A single address is written without a prefix length."""
    networks: Iterator[IPv4Network | IPv6Network] = collapse_addresses(map(ip_network, addresses))  # type: ignore[type-var]
    return [str(one.network_address) if one.num_addresses == 1 else str(one) for one in networks]


def _comment(members: Members, cluster: int) -> str:
    """The name of a cluster, or what became of it, in printable ASCII: it cannot end a line or control a terminal."""
    known = f"gone, {members.gone[cluster]}" if cluster in members.gone else members.name(cluster)
    return f"cluster {cluster}: {''.join(letter if ' ' <= letter <= '~' else '?' for letter in known)}"
