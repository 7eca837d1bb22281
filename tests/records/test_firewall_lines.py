# ruff: noqa: E501 - lines of logs are as long as their programs write them.
"""Lines of firewalls, as their documentation and their users show them."""

import json
from pathlib import Path
from typing import Any

import pytest
from variants import PING, PING6, SECOND, TCP, TCP6, UDP, Tuple, Variant, Variants

VARIANTS = Variants()
IPT = "IN=eth0 OUT= MAC=00:11:22:33:44:55:66:77:88:99:aa:bb:08:00 SRC=192.0.2.1 DST=198.51.100.7 LEN=40 TOS=0x00 PREC=0x00 TTL=50 ID=54321 PROTO=TCP SPT=40000 DPT=23 WINDOW=1024 RES=0x00 SYN URGP=0 "


def add(name: str, line: str, expected: list[Tuple], **more: Any) -> None:
    VARIANTS.add(name, line + "\n", expected, **{"format": "firewall-log", **more})


add("rfc3164 year", "Jul 21 2016 17:50:56 host kernel: [123.456] " + IPT, [TCP])
add("ufw block", "2016-07-21T17:50:56.123456+00:00 host kernel: [UFW BLOCK] " + IPT, [TCP])
add("ufw kernel ts", "2016-07-21T17:50:56.123456+00:00 host kernel: [ 1234.567890] [UFW BLOCK] " + IPT, [TCP])
add("ufw audit", "2016-07-21T17:50:56+00:00 host kernel: [UFW AUDIT] " + IPT, [TCP])
add("ufw allow", "2016-07-21T17:50:56+00:00 host kernel: [UFW ALLOW] " + IPT, [TCP])
add(
    "no MAC",
    "2016-07-21T17:50:56+00:00 host kernel: " + IPT.replace("MAC=00:11:22:33:44:55:66:77:88:99:aa:bb:08:00 ", "MAC= "),
    [TCP],
)
add(
    "no MAC at all",
    "2016-07-21T17:50:56+00:00 host kernel: " + IPT.replace("MAC=00:11:22:33:44:55:66:77:88:99:aa:bb:08:00 ", ""),
    [TCP],
)
add("rfc5424", "<4>1 2016-07-21T17:50:56.123456Z host kernel - - - " + IPT, [TCP])
add("rfc5424 sd", '<4>1 2016-07-21T17:50:56.123456Z host kernel 123 ID47 [exampleSDID@32473 iut="3"] ' + IPT, [TCP])
add("rfc5424 bom", "<4>1 2016-07-21T17:50:56.123456Z host kernel - - [x] \ufeff" + IPT, [TCP])
add("octet framing", "198 <4>1 2016-07-21T17:50:56.123456Z host kernel - - - " + IPT, [TCP])
add("rfc5424 offset", "<4>1 2016-07-21T19:50:56.123456+02:00 host kernel - - - " + IPT, [TCP])
add("dmesg -T", "[Thu Jul 21 17:50:56 2016] " + IPT, [TCP])
add("dmesg --time-format iso", "2016-07-21T17:50:56,123456+00:00 " + IPT, [TCP])
add("iso no T", "2016-07-21 17:50:56 host kernel: " + IPT, [TCP])
add("iso basic tz", "2016-07-21T17:50:56+0000 host kernel: " + IPT, [TCP])
add("iso tz+02", "2016-07-21T19:50:56+02 host kernel: " + IPT, [TCP])
add("slash date", "2016/07/21 17:50:56 host kernel: " + IPT, [TCP])
add(
    "cisco star",
    '*Jul 21 2016 17:50:56.123: %ASA-4-106023: Deny tcp src outside:192.0.2.1/40000 dst inside:198.51.100.7/23 by access-group "x" [0x0, 0x0]',
    [TCP],
)
add("shorewall", "2016-07-21T17:50:56+00:00 host kernel: Shorewall:net-fw:DROP:" + IPT, [TCP])
add("firewalld", "2016-07-21T17:50:56+00:00 host kernel: FINAL_REJECT: " + IPT, [TCP])
add("openwrt", "2016-07-21T17:50:56+00:00 OpenWrt kernel: [1.2] DROP wan in: " + IPT, [TCP])
add(
    "nft log",
    "2016-07-21T17:50:56+00:00 host kernel: nft-drop IN=eth0 OUT= MACSRC=00:11 MACDST=00:22 MACPROTO=0800 SRC=192.0.2.1 DST=198.51.100.7 LEN=40 TOS=0x00 PREC=0x00 TTL=50 ID=1 DF PROTO=TCP SPT=40000 DPT=23 SEQ=1 ACK=0 WINDOW=1 RES=0x00 SYN URGP=0 OPT (020405B4) MARK=0x1",
    [TCP],
)
add(
    "ipt v6",
    "2016-07-21T17:50:56+00:00 host kernel: IN=eth0 OUT= MAC=00 SRC=2001:0db8:0000:0000:0000:0000:0000:0001 DST=2001:0db8:0000:0000:0000:0000:0000:0007 LEN=60 TC=0 HOPLIMIT=50 FLOWLBL=0 PROTO=TCP SPT=40000 DPT=23 WINDOW=1 RES=0x00 SYN URGP=0",
    [TCP6],
)
add(
    "ipt v6 icmp",
    "2016-07-21T17:50:56+00:00 host kernel: IN=eth0 OUT= SRC=2001:0db8:0000:0000:0000:0000:0000:0001 DST=2001:0db8:0000:0000:0000:0000:0000:0007 LEN=60 TC=0 HOPLIMIT=50 FLOWLBL=0 PROTO=ICMPv6 TYPE=128 CODE=0 ID=1 SEQ=2",
    [PING6],
)
add(
    "ipt udp LEN twice",
    "2016-07-21T17:50:56+00:00 host kernel: IN=eth0 OUT= MAC=x SRC=192.0.2.1 DST=198.51.100.7 LEN=60 TOS=0x00 PREC=0x00 TTL=50 ID=1 PROTO=UDP SPT=40000 DPT=53 LEN=40",
    [UDP],
)
add(
    "ipt icmp",
    "2016-07-21T17:50:56+00:00 host kernel: IN=eth0 OUT= MAC=x SRC=192.0.2.1 DST=198.51.100.7 LEN=60 TOS=0x00 PREC=0x00 TTL=50 ID=1 PROTO=ICMP TYPE=8 CODE=0 ID=3 SEQ=4",
    [PING],
)
add(
    "ipt icmp unreachable inner",
    "2016-07-21T17:50:56+00:00 host kernel: IN=eth0 OUT= MAC=x SRC=192.0.2.1 DST=198.51.100.7 LEN=60 TOS=0x00 PREC=0x00 TTL=50 ID=1 PROTO=ICMP TYPE=3 CODE=3 [SRC=10.0.0.1 DST=10.0.0.2 LEN=28 TOS=0x00 PREC=0x00 TTL=1 ID=9 PROTO=UDP SPT=53 DPT=1234 LEN=8 ] ",
    [(*TCP[:2], 1, 3, 3)],
)
add(
    "ipt proto number",
    "2016-07-21T17:50:56+00:00 host kernel: IN=eth0 OUT= SRC=192.0.2.1 DST=198.51.100.7 LEN=60 TOS=0x00 PREC=0x00 TTL=50 ID=1 PROTO=47",
    [(*TCP[:2], 47, 0, 0)],
)
add(
    "ipt IGMP PROTO=2",
    "2016-07-21T17:50:56+00:00 host kernel: IN=eth0 OUT= SRC=192.0.2.1 DST=224.0.0.1 LEN=60 TOS=0x00 PREC=0x00 TTL=1 ID=0 OPT (94040000) PROTO=2",
    [("192.0.2.1", "224.0.0.1", 2, 0, 0)],
)
add(
    "ipt fragment",
    "2016-07-21T17:50:56+00:00 host kernel: IN=eth0 OUT= SRC=192.0.2.1 DST=198.51.100.7 LEN=60 TOS=0x00 PREC=0x00 TTL=50 ID=1 FRAG:185 PROTO=UDP",
    [],
    rejected=1,
)
add(
    "ipt forward",
    "2016-07-21T17:50:56+00:00 host kernel: IN=eth0 OUT=eth1 SRC=192.0.2.1 DST=198.51.100.7 LEN=40 TOS=0x00 PREC=0x00 TTL=50 ID=1 PROTO=TCP SPT=40000 DPT=23 WINDOW=1 RES=0x00 SYN URGP=0",
    [TCP],
)
add(
    "ipt outgoing skip",
    "2016-07-21T17:50:56+00:00 host kernel: IN= OUT=eth0 SRC=198.51.100.7 DST=192.0.2.1 LEN=40 TOS=0x00 PREC=0x00 TTL=50 ID=1 PROTO=TCP SPT=23 DPT=40000 WINDOW=1 RES=0x00 ACK RST URGP=0\n2016-07-21T17:50:56+00:00 host kernel: "
    + IPT,
    [TCP],
    skipped=1,
)
add(
    "ulogd LOGEMU",
    "2016-07-21T17:50:56+00:00 host drop IN=eth0 OUT= MAC=x SRC=192.0.2.1 DST=198.51.100.7 LEN=40 TOS=00 PREC=0x00 TTL=50 ID=1 DF PROTO=TCP SPT=40000 DPT=23 SEQ=1 ACK=0 WINDOW=1 SYN URGP=0 MARK=0",
    [TCP],
)
add(
    "journald json",
    json.dumps({"__REALTIME_TIMESTAMP": "1469123456123456", "_TRANSPORT": "kernel", "MESSAGE": "[UFW BLOCK] " + IPT}),
    [TCP],
    format="firewall-json",
)
# pfSense
FL = "filterlog[1]: 5,,,1000000103,em0,match,block,in,4,0x0,,50,54321,0,none,6,tcp,40,192.0.2.1,198.51.100.7,40000,23,0,S,7,,1024,,mss"
add("pfsense syslog", "2016-07-21T17:50:56Z pf " + FL, [TCP])
add("pfsense 3164", "Jul 21 2016 17:50:56 pf " + FL, [TCP])
add("pfsense old nopid", "2016-07-21T17:50:56Z pf " + FL.replace("[1]", ""), [TCP])
add(
    "pfsense 5424",
    "<134>1 2016-07-21T17:50:56.123456+00:00 pf.example.org filterlog 12345 - - " + FL.split(": ")[1],
    [TCP],
)
add(
    "opnsense 5424",
    '<134>1 2016-07-21T17:50:56+00:00 OPN filterlog 12345 - [meta sequenceId="1"] '
    + FL.split(": ")[1].replace("5,,,1000000103", "5,,,02f4bab031b57d1e30553ce08e0ec131"),
    [TCP],
)
add(
    "pfsense udp",
    "2016-07-21T17:50:56Z pf filterlog[1]: 5,,,1000000103,em0,match,block,in,4,0x0,,50,1,0,DF,17,udp,60,192.0.2.1,198.51.100.7,40000,53,40",
    [UDP],
)
add(
    "pfsense icmp req",
    "2016-07-21T17:50:56Z pf filterlog[1]: 5,,,1000000103,em0,match,block,in,4,0x0,,50,1,0,none,1,icmp,60,192.0.2.1,198.51.100.7,request,1,2",
    [PING],
)
add(
    "pfsense icmp unreachport",
    "2016-07-21T17:50:56Z pf filterlog[1]: 5,,,1000000103,em0,match,block,in,4,0x0,,50,1,0,none,1,icmp,60,192.0.2.1,198.51.100.7,unreachport,10.0.0.1,udp,53",
    [(*TCP[:2], 1, 3, 3)],
)
add(
    "opnsense icmp datalength",
    "2016-07-21T17:50:56Z pf filterlog[1]: 5,,,x,em0,match,block,in,4,0x0,,50,1,0,none,1,icmp,60,192.0.2.1,198.51.100.7,datalength=40",
    [(*TCP[:2], 1, 65535, 0)],
)
add(
    "pfsense v6 tcp",
    "2016-07-21T17:50:56Z pf filterlog[1]: 5,,,1000000105,em0,match,block,in,6,0x00,0x00000,50,TCP,6,40,2001:db8::1,2001:db8::7,40000,23,0,S,7,,1024,,",
    [TCP6],
)
add(
    "pfsense v6 udp",
    "2016-07-21T17:50:56Z pf filterlog[1]: 5,,,1000000105,em0,match,block,in,6,0x00,0x00000,50,UDP,17,40,2001:db8::1,2001:db8::7,40000,53,32",
    [("2001:db8::1", "2001:db8::7", 17, 40000, 53)],
)
add(
    "pfsense v6 icmp",
    "2016-07-21T17:50:56Z pf filterlog[1]: 5,,,1000000105,em0,match,block,in,6,0x00,0x00000,50,ICMPv6,58,40,2001:db8::1,2001:db8::7,",
    [("2001:db8::1", "2001:db8::7", 58, 65535, 0)],
)
add(
    "pfsense v6 icmp nothing",
    "2016-07-21T17:50:56Z pf filterlog[1]: 5,,,1000000105,em0,match,block,in,6,0x00,0x00000,50,ICMPv6,58,40,2001:db8::1,2001:db8::7",
    [("2001:db8::1", "2001:db8::7", 58, 65535, 0)],
)
add(
    "pfsense v6 hopopts",
    "2016-07-21T17:50:56Z pf filterlog[1]: 5,,,1000000105,em0,match,block,in,6,0x00,0x00000,1,Options,0,36,fe80::1,ff02::16,HBH,RTALERT,0x0000,PADN,",
    [("fe80::1", "ff02::16", 0, 0, 0)],
)
add(
    "pfsense igmp",
    "2016-07-21T17:50:56Z pf filterlog[1]: 5,,,1000000103,em0,match,block,in,4,0xc0,,1,0,0,none,2,igmp,32,192.0.2.1,224.0.0.1,datalength=8",
    [("192.0.2.1", "224.0.0.1", 2, 0, 0)],
)
add(
    "pfsense gre",
    "2016-07-21T17:50:56Z pf filterlog[1]: 5,,,1000000103,em0,match,block,in,4,0x0,,50,0,0,none,47,gre,32,192.0.2.1,198.51.100.7,",
    [(*TCP[:2], 47, 0, 0)],
)
add(
    "pfsense carp",
    "2016-07-21T17:50:56Z pf filterlog[1]: 5,,,1000000103,em0,match,pass,in,4,0x10,,255,0,0,DF,112,carp,56,192.0.2.1,224.0.0.18,advertise,255,1,2,1,1",
    [("192.0.2.1", "224.0.0.18", 112, 0, 0)],
)
add(
    "pfsense out skipped",
    "2016-07-21T17:50:56Z pf " + FL.replace(",in,", ",out,") + "\n2016-07-21T17:50:56Z pf " + FL,
    [TCP],
    skipped=1,
)
add("pfsense tcp seq range", "2016-07-21T17:50:56Z pf " + FL.replace(",S,7,", ",PA,7:107,"), [TCP])
# ASA
for number, line, expected in [
    (
        "106023 no ts outer",
        'Jul 21 2016 17:50:56 asa %ASA-4-106023: Deny tcp src outside:192.0.2.1/40000 dst inside:198.51.100.7/23 by access-group "OUT" [0x0, 0x0]',
        TCP,
    ),
    (
        "106023 user",
        'Jul 21 2016 17:50:56: %ASA-4-106023: Deny tcp src outside:192.0.2.1/40000(LOCAL\\joe) dst inside:198.51.100.7/23(any) by access-group "OUT"',
        TCP,
    ),
    (
        "106023 udp",
        'Jul 21 2016 17:50:56: %ASA-4-106023: Deny udp src outside:192.0.2.1/40000 dst inside:198.51.100.7/53 by access-group "OUT"',
        UDP,
    ),
    (
        "106023 icmp",
        'Jul 21 2016 17:50:56: %ASA-4-106023: Deny icmp src outside:192.0.2.1 dst inside:198.51.100.7 (type 8, code 0) by access-group "OUT" [0x0, 0x0]',
        PING,
    ),
    (
        "106023 proto 47",
        'Jul 21 2016 17:50:56: %ASA-4-106023: Deny protocol 47 src outside:192.0.2.1 dst inside:198.51.100.7 by access-group "OUT" [0x0, 0x0]',
        (*TCP[:2], 47, 0, 0),
    ),
    (
        "106023 gre",
        'Jul 21 2016 17:50:56: %ASA-4-106023: Deny gre src outside:192.0.2.1 dst inside:198.51.100.7 by access-group "OUT" [0x0, 0x0]',
        (*TCP[:2], 47, 0, 0),
    ),
    (
        "106023 v6",
        'Jul 21 2016 17:50:56: %ASA-4-106023: Deny tcp src outside:2001:db8::1/40000 dst inside:2001:db8::7/23 by access-group "OUT" [0x0, 0x0]',
        TCP6,
    ),
    (
        "302020",
        "Jul 21 2016 17:50:56: %ASA-6-302020: Built inbound ICMP connection for faddr 192.0.2.1/1(LOCAL\\joe) gaddr 203.0.113.7/0 laddr 198.51.100.7/0 type 8 code 0",
        PING,
    ),
    (
        "313008",
        "Jul 21 2016 17:50:56: %ASA-3-313008: Denied IPv6-ICMP type=128, code=0 from 2001:db8::1 on interface 2001:db8::7",
        PING6,
    ),
    (
        "106001",
        "Jul 21 2016 17:50:56: %ASA-2-106001: Inbound TCP connection denied from 192.0.2.1/40000 to 198.51.100.7/23 flags SYN  on interface outside",
        TCP,
    ),
    (
        "106006",
        "Jul 21 2016 17:50:56: %ASA-2-106006: Deny inbound UDP from 192.0.2.1/40000 to 198.51.100.7/53 on interface outside",
        UDP,
    ),
    (
        "106007 dns",
        "Jul 21 2016 17:50:56: %ASA-2-106007: Deny inbound UDP from 192.0.2.1/40000 to 198.51.100.7/53 due to DNS Query",
        UDP,
    ),
    (
        "106010",
        "Jul 21 2016 17:50:56: %ASA-3-106010: Deny inbound tcp src outside:192.0.2.1/40000 dst inside:198.51.100.7/23",
        TCP,
    ),
    (
        "106010 protocol",
        "Jul 21 2016 17:50:56: %ASA-3-106010: Deny inbound protocol 41 src outside:192.0.2.1 dst inside:198.51.100.7",
        (*TCP[:2], 41, 0, 0),
    ),
    (
        "106014",
        "Jul 21 2016 17:50:56: %ASA-3-106014: Deny inbound icmp src outside:192.0.2.1 dst inside:198.51.100.7 (type 8, code 0)",
        PING,
    ),
    (
        "106015",
        "Jul 21 2016 17:50:56: %ASA-6-106015: Deny TCP (no connection) from 192.0.2.1/40000 to 198.51.100.7/23 flags RST ACK  on interface outside",
        TCP,
    ),
    (
        "106100 denied",
        "Jul 21 2016 17:50:56: %ASA-6-106100: access-list OUT denied tcp outside/192.0.2.1(40000) -> inside/198.51.100.7(23) hit-cnt 1 first hit [0x1, 0x0]",
        TCP,
    ),
    (
        "106100 icmp",
        "Jul 21 2016 17:50:56: %ASA-6-106100: access-list OUT denied icmp outside/192.0.2.1(8) -> inside/198.51.100.7(0) hit-cnt 1 first hit [0x1, 0x0]",
        PING,
    ),
    (
        "106102",
        "Jul 21 2016 17:50:56: %ASA-6-106102: access-list OUT denied tcp for user 'x' outside/192.0.2.1(40000) -> inside/198.51.100.7(23) hit-cnt 1 first hit",
        TCP,
    ),
    (
        "710003",
        "Jul 21 2016 17:50:56: %ASA-3-710003: TCP access denied by ACL from 192.0.2.1/40000 to outside:198.51.100.7/23",
        TCP,
    ),
    (
        "710005",
        "Jul 21 2016 17:50:56: %ASA-7-710005: UDP request discarded from 192.0.2.1/40000 to outside:198.51.100.7/53",
        UDP,
    ),
    (
        "710006",
        "Jul 21 2016 17:50:56: %ASA-7-710006: EIGRP request discarded from 192.0.2.1 to outside:224.0.0.10",
        ("192.0.2.1", "224.0.0.10", 88, 0, 0),
    ),
    (
        "FTD",
        'Jul 21 2016 17:50:56 ftd : %FTD-4-106023: Deny tcp src outside:192.0.2.1/40000 dst inside:198.51.100.7/23 by access-group "OUT" [0x0, 0x0]',
        TCP,
    ),
    (
        "EMBLEM",
        "<166>:Jul 21 17:50:56 UTC 2016: %ASA-session-6-106100: access-list OUT denied tcp outside/192.0.2.1(40000) -> inside/198.51.100.7(23) hit-cnt 1 first hit",
        TCP,
    ),
    (
        "two stamps",
        '2016-07-21T17:50:57+00:00 asa Jul 21 2016 17:50:56: %ASA-4-106023: Deny tcp src outside:192.0.2.1/40000 dst inside:198.51.100.7/23 by access-group "OUT"',
        TCP,
    ),
    (
        "iso asa rfc5424",
        '<164>1 2016-07-21T17:50:56.123Z asa : %ASA-4-106023: Deny tcp src outside:192.0.2.1/40000 dst inside:198.51.100.7/23 by access-group "OUT"',
        TCP,
    ),
    (
        "if with dash",
        'Jul 21 2016 17:50:56: %ASA-4-106023: Deny tcp src out-side_1:192.0.2.1/40000 dst in.2:198.51.100.7/23 by access-group "OUT"',
        TCP,
    ),
    (
        "106021",
        "Jul 21 2016 17:50:56: %ASA-1-106021: Deny TCP reverse path check from 192.0.2.1 to 198.51.100.7 on interface outside",
        None,
    ),
    (
        "106016",
        "Jul 21 2016 17:50:56: %ASA-2-106016: Deny IP spoof from (192.0.2.1) to 198.51.100.7 on interface outside",
        None,
    ),
    (
        "106011",
        "Jul 21 2016 17:50:56: %ASA-3-106011: Deny inbound (No xlate) tcp src outside:192.0.2.1/40000 dst inside:198.51.100.7/23",
        TCP,
    ),
    (
        "106017 land",
        "Jul 21 2016 17:50:56: %ASA-2-106017: Deny IP due to Land Attack from 192.0.2.1 to 192.0.2.1",
        None,
    ),
    (
        "106012",
        'Jul 21 2016 17:50:56: %ASA-3-106012: Deny IP from 192.0.2.1 to 198.51.100.7, IP options: "Router Alert"',
        None,
    ),
    (
        "106018",
        "Jul 21 2016 17:50:56: %ASA-2-106018: ICMP packet type 8 denied by outbound list 1 src 192.0.2.1 dest 198.51.100.7",
        None,
    ),
]:
    add(number, line, [expected] if expected else [], second=None if number == "two stamps" else SECOND)


@pytest.mark.parametrize("variant", VARIANTS, ids=lambda variant: variant.name)
def test_lines_of_firewalls_give_the_expected_records(tmp_path: Path, variant: Variant) -> None:
    variant.check(tmp_path)
