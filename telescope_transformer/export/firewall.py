"""Address sets of chosen clusters for Linux firewalls: `ipset restore` and `nft -f` read them."""

from telescope_transformer.export.members import Members


def ipset_list(members: Members) -> str:
    """Input of `ipset restore`: a set per cluster and address family, emptied first if it exists."""
    lines = []
    for name, family, addresses in _sets(members):
        option = "inet6" if family == "v6" else "inet"
        lines.append(f"create {name} hash:ip family {option} maxelem {max(65536, len(addresses))} -exist")
        lines.append(f"flush {name}")
        lines += [f"add {name} {address}" for address in addresses]
    return "\n".join([*lines, ""])


def nftables_list(members: Members) -> str:
    """Input of `nft -f`: in the table `inet telescope` a set per cluster and address family, emptied first."""
    lines = ["add table inet telescope"]
    for name, family, addresses in _sets(members):
        lines.append(f"add set inet telescope {name} {{ type ip{family}_addr; }}")
        lines.append(f"flush set inet telescope {name}")
        lines.append(f"add element inet telescope {name} {{ {', '.join(addresses)} }}")
    return "\n".join([*lines, ""])


def _sets(members: Members) -> list[tuple[str, str, list[str]]]:
    """Name, family and addresses of each set that is not empty. Names stay within ipset's 31 characters."""
    answer = []
    for cluster in members.clusters:
        addresses = [row["source"] for row in members.of(cluster)]
        for family in ("v4", "v6"):
            mine = [address for address in addresses if (":" in address) == (family == "v6")]
            if mine:
                answer.append((f"telescope_{cluster}_{family}", family, mine))
    return answer
