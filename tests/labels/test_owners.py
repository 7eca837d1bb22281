"""Who announces an address: MMDB files of three makers, iptoasn tables and CSV."""

import gzip
from pathlib import Path

import pytest
from mmdb_writer import MMDBWriter
from netaddr import IPSet

from telescope_transformer.errors import InputError
from telescope_transformer.labels import Owner, read_owners

ADDRESS = "192.0.2.9"
EXAMPLE = Owner(64500, "Example Net", "NL")
# The fields of each maker's free files; those of MaxMind and DB-IP come in two files.
MAXMIND_ASN = {"autonomous_system_number": 64500, "autonomous_system_organization": "Example Net"}
MAXMIND_COUNTRY = {
    "continent": {"code": "EU", "names": {"en": "Europe"}},
    "country": {"iso_code": "NL", "names": {"en": "Netherlands"}},
    "registered_country": {"iso_code": "US", "names": {"en": "United States"}},
}
MAXMIND_CITY = MAXMIND_COUNTRY | {"city": {"names": {"en": "Delft"}}, "location": {"latitude": 52.0, "longitude": 4.4}}
DBIP_ISP = MAXMIND_COUNTRY | {"traits": MAXMIND_ASN | {"isp": "Example Net", "organization": "Other"}}
IPINFO_LITE = {
    "asn": "AS64500",
    "as_name": "Example Net",
    "as_domain": "example.net",
    "country": "Netherlands",
    "country_code": "NL",
    "continent": "Europe",
    "continent_code": "EU",
}
IPINFO_OLD = {"asn": "AS64500", "name": "Example Net", "country": "NL"}


def mmdb(path: Path, fields: dict, version: int = 4) -> Path:
    writer = MMDBWriter(ip_version=version, ipv4_compatible=version == 6, database_type="test")
    writer.insert_network(IPSet(["192.0.2.0/24"]), fields)
    writer.to_db_file(str(path))
    return path


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize(
    "fields",
    [[MAXMIND_ASN, MAXMIND_COUNTRY], [MAXMIND_CITY, MAXMIND_ASN], [DBIP_ISP], [IPINFO_LITE], [IPINFO_OLD]],
)
def test_mmdb_files_of_every_maker(tmp_path: Path, fields: list[dict], version: int) -> None:
    owners = read_owners([mmdb(tmp_path / f"{i}.mmdb", one, version) for i, one in enumerate(fields)])
    assert owners.find([ADDRESS, "198.51.100.1", "2001:db8::1"]) == [EXAMPLE, Owner(), Owner()]


def test_an_iptoasn_table_has_both_families_and_skips_unrouted_ranges(tmp_path: Path) -> None:
    table = tmp_path / "ip2asn.tsv.gz"
    rows = ["192.0.2.0\t192.0.2.255\t64500\tNL\tExample Net", "192.0.3.0\t192.0.3.255\t0\tNone\tNot routed"]
    rows.append("2001:db8::\t2001:db8:ffff:ffff:ffff:ffff:ffff:ffff\t64501\tDE\tSix")
    table.write_bytes(gzip.compress(("\n".join(rows) + "\n").encode()))
    found = read_owners(table).find([ADDRESS, "192.0.3.1", "2001:db8::7", "192.0.4.1"])
    assert found == [EXAMPLE, Owner(), Owner(64501, "Six", "DE"), Owner()]


def test_the_longest_prefix_of_a_csv_names_an_address(tmp_path: Path) -> None:
    table = tmp_path / "networks.csv"
    table.write_text("prefix,name\n192.0.0.0/8,Big\n192.0.2.0/24,AS64500 Small\n2001:db8::/32,Six\n")
    found = read_owners(table).find([ADDRESS, "192.0.3.1", "198.51.100.1", "2001:db8:1::"])
    assert found == [Owner(64500, "Small"), Owner(None, "Big"), Owner(), Owner(None, "Six")]


def test_of_overlapping_ranges_the_one_that_begins_last_counts(tmp_path: Path) -> None:
    rows = ["0\t192.0.2.20\t64500\tNL\tOne", "10\t192.0.2.30\t64501\tDE\tTwo", "40\t192.0.2.50\t64502\tFR\tThree"]
    (tmp_path / "asn.tsv").write_text("".join(f"192.0.2.{row}\n" for row in rows))
    found = read_owners([tmp_path / "asn.tsv"]).find([f"192.0.2.{i}" for i in (5, 15, 25, 35, 45, 55)])
    assert [one.name for one in found] == ["One", "Two", "Two", None, "Three", None]


@pytest.mark.parametrize("row", ["192.0.2.0/33,Name", "192.0.2.0/24", "192.0.2.0/24,a,b"])
def test_a_wrong_row_is_named(tmp_path: Path, row: str) -> None:
    table = tmp_path / "networks.csv"
    table.write_text(f"198.51.100.0/24,Fine\n{row}\n")
    with pytest.raises(InputError, match=r"networks\.csv, row 2"):
        read_owners(table)


@pytest.mark.parametrize("row", ["192.0.2.9\t192.0.2.0\t1\tNL\tBackwards", "x\t192.0.2.0\t1\tNL\tName", "a\tb"])
def test_a_wrong_range_is_named(tmp_path: Path, row: str) -> None:
    table = tmp_path / "ip2asn.tsv"
    table.write_text(f"{row}\n")
    with pytest.raises(InputError, match=r"ip2asn\.tsv, row 1"):
        read_owners(table)


def test_a_missing_table_and_a_damaged_one_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"absent\.csv"):
        read_owners(tmp_path / "absent.csv")
    whole = mmdb(tmp_path / "whole.mmdb", MAXMIND_ASN).read_bytes()
    (tmp_path / "cut.mmdb").write_bytes(b"\xff" * 50 + whole[len(whole) // 2 :])
    with pytest.raises(InputError, match=r"cut\.mmdb"):
        read_owners(tmp_path / "cut.mmdb").find([ADDRESS])


def test_control_characters_of_a_name_are_removed(tmp_path: Path) -> None:
    owners = read_owners(mmdb(tmp_path / "x.mmdb", MAXMIND_ASN | {"autonomous_system_organization": "A\x1b]0;B\n"}))
    assert owners.find([ADDRESS])[0].name == "A ]0;B"
