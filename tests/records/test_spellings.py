"""Times, addresses, ports, protocols, flags and missing values in the spellings that exporters and people use."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from telescope_transformer.records import read_records
from telescope_transformer.records.addresses import IPV4, IPV6, format_addresses, parse_addresses
from telescope_transformer.records.nulls import is_null
from telescope_transformer.records.protocols import flags_number, protocol_number
from telescope_transformer.records.schema import UNKNOWN_ICMP_TYPE
from telescope_transformer.records.text_columns import VALID
from telescope_transformer.records.times import TimeReader

SECOND = 1_469_123_456
HEADER = "timestamp,src_ip,dst_ip,protocol,src_port,dst_port"

TIMES = """
1469123456 1469123456.0 1469123456.123456 1469123456123 1469123456123456 1469123456123456789 1469123456,123
1.469123456e9 1.469123456123E+09 1.469123456123e+12 1.469123456000000000e+09 2016-07-21T17:50:56.123456789Z
2016-07-21T19:50:56+02:00 2016-07-21T19:50:56+0200 2016-07-21T19:50:56+02 20160721T175056Z 20160721T175056.123Z
20160721T195056+0200 20160721175056 20160721175056.123 20160721175056123 20160721175056123456 2016-07-21_17:50:56
2016-07-21-17:50:56 2016-07-21T17:50:56[UTC] 2016-07-21T19:50:56+02:00[Europe/Berlin] 2016-203T17:50:56Z
20160721175056Z 20160721195056.123+0200 42572.7437037037 2457591.2437037037 131135970560000000
"""
TIMES_WITH_BLANKS = [
    *("2016-07-21 17:50:56", "2016-07-21 17:50:56,123", "2016/07/21 17:50:56", "2016-07-21 17:50:56 UTC"),
    *("2016-07-21 17:50:56 +0000", "20160721 175056", "20160721 17:50:56", "[21/Jul/2016:17:50:56 +0000]"),
    *("21-Jul-2016 17:50:56", "Jul 21 2016 17:50:56", "July 21st 2016, 17:50:56.123", "Jul 21, 2016 5:50:56 PM"),
    *("Jul 21, 2016 19:50:56.123456789 CEST", "Thu Jul 21 17:50:56 UTC 2016", "Thu, 21 Jul 2016 17:50:56 GMT"),
    *("21.07.2016 17:50:56", "7/21/2016 5:50:56 PM", "7/21/16 17:50:56", "21/7/2016 17:50:56"),
    *("21-JUL-16 05.50.56.000000 PM", "21-Jul-16 17:50:56"),
    *("2016-07-21 5:50:56 PM", "2016-07-21 13:50:56 EDT", "Thu Jul 21 13:50:56 EDT 2016"),
    *("2016 Jul 21 17:50:56", "2016-Jul-21 17:50:56", "2016-07-21 5:50:56 p. m.", "2016-07-21 17:50:56 (UTC)"),
    *("2016-07-21 19:50:56.5 UTC+0200", "2016-07-21 17:50:56 Etc/UTC", "July 21, 2016 at 5:50:56 PM"),
    *("2016-07-21 23:20:56 UTC+5:30", "2016-07-21 07:50:56 GMT-10", "2016-07-21 19:50:56 +2"),
    *("2016-07-21 17:50:56:123", "/Date(1469123456000)/", "2016-07-21 17:50:56.1 +0000 UTC m=+0.1"),
]
NO_TIMES = [
    # Ambiguous order of month and day or year and day, ambiguous zones, and seconds that a spreadsheet lost.
    *("01/02/2016 00:00:00", "21/07/16 17:50:56", "2016-07-21 12:50:56 CST", "1.46912E+09"),
    *("2016-367T00:00:00", "2015-366T00:00:00", "21 Jul 17:10:20", "21-Jul-17:10:20"),
    *("2016-02-30T00:00:00Z", "1601-01-01 00:00:00", "-5", "2016-07-21 17:50:56 Europe/Berlin"),
]


@pytest.mark.parametrize("text", [*TIMES.split(), *TIMES_WITH_BLANKS])
def test_every_spelling_of_a_time_is_read(text: str) -> None:
    values, status = TimeReader().read(pa.array([text]))
    assert (status[0], values[0] // 1_000_000) == (VALID, SECOND)


def test_dates_with_dots_begin_with_the_day() -> None:
    (value, other), status = TimeReader().read(pa.array(["05.01.2026 13:00:00", "5.1.2026, 13:00"]))
    assert status.tolist() == [VALID, VALID]
    assert value == other == 1_767_618_000_000_000


@pytest.mark.parametrize("text", NO_TIMES)
def test_ambiguous_times_are_rejected(text: str) -> None:
    assert TimeReader().read(pa.array([text]))[1][0] != VALID


def read(tmp_path: Path, header: str, *rows: str) -> Any:
    path = tmp_path / "flows.csv"
    path.write_text("\n".join([header, *rows]) + "\n")
    return read_records(path)


@pytest.mark.parametrize(
    ("date", "clock"),
    [
        ("2016-07-21", "17:50:56"),
        ("21/07/2016", "17:50:56"),
        ("20160721", "17:50:56.5"),
        ("20160721", "175056"),
        ("7/21/2016", "5:50:56 PM"),
        ("21Jul2016", "17:50:56"),
        ("2016-07-21", "19:50:56+02:00"),
        ("2016-07-21", "2016-07-21 17:50:56"),
    ],
)
def test_date_and_time_are_read_from_two_columns(tmp_path: Path, date: str, clock: str) -> None:
    records = read(tmp_path, "Date,Log Time,src,dst,proto,dport", f"{date},{clock},192.0.2.1,198.51.100.7,tcp,23")
    assert [time // 1_000_000 for time in records.table.column("timestamp").to_pylist()] == [SECOND]


def test_a_time_of_two_words_is_read_between_blanks(tmp_path: Path) -> None:
    rows = ["# export", *["2016-07-21 17:50:56.5 192.0.2.1   198.51.100.7 6 40000 23"] * 3]
    records = read(tmp_path, "timestamp src_ip dst_ip protocol src_port dst_port", *rows)
    assert records.table.column("timestamp").to_pylist() == [SECOND * 1_000_000 + 500_000] * 3


def test_every_spelling_of_an_address_is_read_or_rejected() -> None:
    forms = {
        "192.0.2.1": "::ffff:192.0.2.1 ::ffff:c000:201 0:0:0:0:0:FFFF:c000:0201 3221225985 192.0.2.1/32 "
        "'192.0.2.1' 192.000.002.001",
        "2001:db8::1": "2001:DB8:0:0:0:0:0:1 2001:db8::1/128 [2001:db8::1] 2001:0db8:0000:0000:0000:0000:0000:0001",
        "fe80::1": "fe80::1%eth0 fe80::1%3 [fe80::1%eth0]",
        "64:ff9b::c000:201": "64:ff9b::192.0.2.1",
    }
    for canonical, texts in forms.items():
        assert set(format_addresses(parse_addresses(pa.array(texts.split()))).to_pylist()) == {canonical}
    wrong = "192.0.2.1:40000 [2001:db8::1]:80 192.0.2.1.40000 192.0.2.1/24 0xC0000201 192.00.2.1 2001:db8::1:: "
    wrong += "300.1.1.1 4294967296 -1 192.0.2 198,51 ::g fe80:::1 2001:db8::12345"
    assert not {IPV4, IPV6} & set(parse_addresses(pa.array(wrong.split())).kind.tolist())


def test_every_spelling_of_a_missing_value_is_missing() -> None:
    words = (
        r"NULL null None NaN nan \N N/A n/a - -- (empty) <null> undefined nil #N/A unknown Unknown (none) missing {}"
    )
    assert all(is_null(word) for word in [*words.split(), "", "empty", "<unset>", "Not Available", '"NULL"'])
    assert not any(is_null(word) for word in ["hp-1", "0", "none-1", "any", "no"])


ICMP_PORTS = [
    *[(ports, (8, 0)) for ports in ("8,0", ",8/0", "8/0,", "0,2048.0", "0.0,2048.0", "0,0x0800", "0x0800,0", "8,-")],
    *[(ports, (8, 0)) for ports in ("2048,2048", "0,8.0", "8.0,", "8.0,0.0")],
    *[(ports, (3, 1)) for ports in ("0,769", "769,769", "3.1,", ",3.1", "-,3.1", "3/1,")],
    *[(ports, (UNKNOWN_ICMP_TYPE, 0)) for ports in ("-,-", "65535,0", ",")],
    *[(ports, None) for ports in ("echo-request,", "0,65536", "256,3", "0,8:0", "8(0),", "3,2048")],
]


@pytest.mark.parametrize(("ports", "expected"), ICMP_PORTS)
def test_icmp_type_and_code_are_read_from_ports(tmp_path: Path, ports: str, expected: tuple[int, int] | None) -> None:
    records = read(tmp_path, HEADER, f"{SECOND},192.0.2.1,198.51.100.7,icmp,{ports}")
    found = [(row["src_port"], row["dst_port"]) for row in records.table.to_pylist()]
    assert found == ([expected] if expected else [])
    assert records.counts.read == 1


@pytest.mark.parametrize(
    ("columns", "values", "expected"),
    [
        ("icmp_type,icmp_code", "8,0", (8, 0)),
        ("ICMP Type,ICMP Code", "11,1", (11, 1)),
        ("icmp.type,icmp.code", "8.0,0.0", (8, 0)),
        ("icmp_type,other", "8,7", (8, 0)),
        ("ICMP_TYPE,other", "771,7", (3, 3)),
        ("icmpTypeCodeIPv4,other", "2048,7", (8, 0)),
        ("icmp_type_code,other", "771,7", (3, 3)),
    ],
)
def test_icmp_type_and_code_are_read_from_their_own_columns(
    tmp_path: Path, columns: str, values: str, expected: tuple[int, int]
) -> None:
    records = read(tmp_path, f"{HEADER},{columns}", f"{SECOND},192.0.2.1,198.51.100.7,icmp,0,0,{values}")
    assert [(row["src_port"], row["dst_port"]) for row in records.table.to_pylist()] == [expected]


PROTOCOLS = {
    6: ["TCP", "tcp", "6.0", "06", "0x06", "6 (TCP)", "tcp(6)", "TCP6", "tcp4", "IPPROTO_TCP"],
    17: ["UDP", "udp6", "IPPROTO_UDP", "17.00"],
    58: ["IPv6-ICMP", "ICMPv6", "ICMP6", "icmp_v6"],
    50: ["ESP", "ipsec-esp"],
    51: ["AH", "IPSEC-AH"],
    0: ["HOPOPT", "hopopts", "0"],
    4: ["IPIP", "IP-ENCAP", "IPv4", "ip/4"],
    47: ["GRE", "ip/47"],
    89: ["OSPF", "OSPFIGP"],
    **{39: ["TP++"], 34: ["3PC"], 107: ["A/N"], 136: ["udp-lite"], 134: ["RSVP-E2E-IGNORE"], 145: ["NSH"]},
}


def test_every_spelling_of_a_protocol_is_read() -> None:
    for number, names in PROTOCOLS.items():
        assert {protocol_number(name) for name in names} == {number}
    assert {protocol_number(name) for name in ("256", "-6", "6e0", "tcp,udp", "http", "6tcp", "17 (TCP)")} == {None}


FLAGS = {
    0x02: """S ......S. 0x002 0x00000002 2 02 2.0 SYN [S] <SYN> S/SA ********S* 00000010 000010 0x02_(SYN) SYN_(0x02)
        ['SYN']""",
    0x12: "SYN_ACK SYN|ACK SYN,ACK SYN-ACK SYNACK ACK+SYN SA A.S [S.] S. .A..S. <SYN,ACK> ['SYN',_'ACK'] S/A 0x12",
    0x10: "[.] A ACK ...A....",
    0x18: "[P.] PA PSH_ACK .AP...",
    0xC2: "[SEW] SEC 12****S* 0xc2",
    0x00: "........ 0",
}
"""Texts for each flag value; an underscore stands for a blank."""


def test_every_spelling_of_tcp_flags_is_read() -> None:
    for number, listed in FLAGS.items():
        texts = [text.replace("_", " ") for text in listed.split()]
        assert {text: flags_number(text) for text in texts} == dict.fromkeys(texts, number)
    assert {flags_number(text) for text in ("what", "TCP SYN", "0x1234567", "99999")} == {None}


def test_numbers_are_read_with_thousands_separators(tmp_path: Path) -> None:
    records = read(tmp_path, f"{HEADER},bytes", f'{SECOND},192.0.2.1,198.51.100.7,6,"40,000",23,"1,234,567"')
    assert [(row["src_port"], row["bytes"]) for row in records.table.to_pylist()] == [(40_000, 1_234_567)]


def test_three_zeros_behind_a_point_may_be_thousands_and_are_no_port(tmp_path: Path) -> None:
    rows = (f"{SECOND};192.0.2.1;198.51.100.7;6;{port};23;64.0" for port in ("40.000", "40.0", "40.00", "40000.000"))
    records = read(tmp_path, f"{HEADER},ttl".replace(",", ";"), "\n".join(rows))
    assert [row["src_port"] for row in records.table.to_pylist()] == [40, 40, 40_000]
    assert records.rejects.to_pylist()[0]["value"] == "40.000"
