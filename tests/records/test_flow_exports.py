# ruff: noqa: E501 - lines of logs are as long as their programs write them.
"""Exports of AWS, SiLK, yaf, pmacct and nProbe."""

import gzip
from pathlib import Path

import pytest
from variants import PING, SECOND, TCP, TCP6, Variant, Variants, json_lines

VARIANTS = Variants()


def table(header: str, row: str) -> str:
    return header + "\n" + row + "\n"


# ---- AWS VPC
V2 = "version account-id interface-id srcaddr dstaddr srcport dstport protocol packets bytes start end action log-status"
R2 = "2 123456789010 eni-0a1 192.0.2.1 198.51.100.7 40000 23 6 1 40 1469123456 1469123500 REJECT OK"
VARIANTS.add("v2", table(V2, R2), [TCP], format="aws-vpc")
VARIANTS.add("v2 noheader", R2 + "\n", [TCP], format="aws-vpc")
VARIANTS.add(
    "v2 noheader account -",
    "2 - eni-0a1 192.0.2.1 198.51.100.7 40000 23 6 1 40 1469123456 1469123500 REJECT OK\n",
    [TCP],
    format="aws-vpc",
)
VARIANTS.add(
    "v2 noheader unknown",
    "2 unknown eni-0a1 192.0.2.1 198.51.100.7 40000 23 6 1 40 1469123456 1469123500 REJECT OK\n",
    [TCP],
    format="aws-vpc",
)
VARIANTS.add(
    "v2 nodata first",
    "2 123456789010 eni-0a1 - - - - - - - 1469123456 1469123500 - NODATA\n" + R2 + "\n",
    [TCP],
    format="aws-vpc",
    skipped=1,
)
VARIANTS.add("v2 cloudwatch ts prefix", "2016-07-21T17:51:40.000Z " + R2 + "\n", [TCP], format="aws-vpc")
VARIANTS.add("v2 cloudwatch EVENTS", "EVENTS\t1469123510000\t" + R2 + "\t1469123500000\n", [TCP])
VARIANTS.add("v2 gz", gzip.compress(table(V2, R2).encode()), [TCP])
VARIANTS.add(
    "v3",
    table(
        V2 + " vpc-id subnet-id instance-id tcp-flags type pkt-srcaddr pkt-dstaddr",
        R2 + " vpc-1 subnet-1 i-1 2 IPv4 192.0.2.1 198.51.100.7",
    ),
    [TCP],
)
VARIANTS.add(
    "v3 nat",
    table(
        V2 + " vpc-id subnet-id instance-id tcp-flags type pkt-srcaddr pkt-dstaddr",
        R2.replace("192.0.2.1", "10.0.0.5") + " vpc-1 subnet-1 i-1 2 IPv4 192.0.2.1 198.51.100.7",
    ),
    [TCP],
)
VARIANTS.add(
    "v5 custom order",
    table(
        "tcp-flags action dstport srcport dstaddr srcaddr protocol start end flow-direction traffic-path region az-id",
        "2 REJECT 23 40000 198.51.100.7 192.0.2.1 6 1469123456 1469123500 ingress 1 eu-1 az1",
    ),
    [TCP],
    format="aws-vpc",
)
VARIANTS.add(
    "v5 tcpflags absent -",
    table(
        "tcp-flags dstport srcport dstaddr srcaddr protocol start log-status",
        "- 23 40000 198.51.100.7 192.0.2.1 6 1469123456 OK",
    ),
    [TCP],
)
VARIANTS.add(
    "v7 ecs",
    table(
        "version ecs-cluster-arn srcaddr dstaddr srcport dstport protocol packets bytes start end action log-status",
        "7 - 192.0.2.1 198.51.100.7 40000 23 6 1 40 1469123456 1469123500 REJECT OK",
    ),
    [TCP],
)
VARIANTS.add(
    "vpc ipv6", table(V2, R2.replace("192.0.2.1", "2001:db8::1").replace("198.51.100.7", "2001:db8::7")), [TCP6]
)
VARIANTS.add("vpc icmp", table(V2, R2.replace("40000 23 6", "0 0 1")), [(*TCP[:2], 1, 65535, 0)])
VARIANTS.add("vpc proto -1?", table(V2, R2.replace(" 6 ", " - ")), [], rejected=1)
VARIANTS.add(
    "vpc skipdata",
    table(V2, R2 + "\n2 123456789010 eni-0a1 - - - - - - - 1469123456 1469123500 - SKIPDATA"),
    [TCP],
    skipped=1,
)
VARIANTS.add(
    "vpc athena csv",
    '"version","account","interfaceid","sourceaddress","destinationaddress","sourceport","destinationport","protocol","numpackets","numbytes","starttime","endtime","action","logstatus"\n"2","1","eni","192.0.2.1","198.51.100.7","40000","23","6","1","40","1469123456","1469123500","REJECT","OK"\n',
    [TCP],
)
NO_TYPE = (*TCP[:2], 1, 65535, 0)
VPC_ROWS = [R2, R2.replace("40000 23 6", "0 0 1"), "2 1 eni-0a1 - - - - - - - 1469123456 1469123500 - NODATA"]
VARIANTS.add(
    "vpc with commas",
    "\n".join([V2, *VPC_ROWS]).replace(" ", ","),
    [TCP, NO_TYPE],
    rejected=0,
    skipped=1,
    format="aws-vpc",
)
VARIANTS.add(
    "vpc json",
    json_lines(*(dict(zip(V2.replace("-", "_").split(), row.split(), strict=True)) for row in VPC_ROWS)),
    [TCP, NO_TYPE],
    rejected=0,
    skipped=1,
    format="aws-vpc-json",
)
VARIANTS.add(
    "vpc as a query of CloudWatch gives it, whose time is that of the arrival",
    "@timestamp,srcAddr,dstAddr,srcPort,dstPort,protocol,start,end\n"
    "2016-07-21 17:52:00.000,192.0.2.1,198.51.100.7,40000,23,6,1469123456,1469123500\n",
    [TCP],
)
VARIANTS.add(
    "vpc of Alibaba, whose log service adds the time when it wrote a record",
    json_lines({**dict(zip(V2.split(), R2.split(), strict=True)), "__time__": SECOND + 99}),
    [TCP],
)
ORACLE = {
    "sourceAddress": "192.0.2.1",
    "destinationAddress": "198.51.100.7",
    "sourcePort": 40000,
    "destinationPort": 23,
    "protocol": 6,
    "startTime": SECOND,
    "status": "OK",
}
ORACLE_PING = ORACLE | {"protocol": 1, "sourcePort": 0, "destinationPort": 0}
ORACLE_EVENTS = [
    {"data": data, "source": "-", "time": "2016-07-21T17:52:00Z", "type": "com.oraclecloud.vcn.flowlogs.DataEvent"}
    for data in (ORACLE, ORACLE_PING, {"startTime": SECOND, "status": "NODATA"})
]
VARIANTS.add("oracle", json_lines(*ORACLE_EVENTS), [TCP, NO_TYPE], rejected=0, skipped=1, format="oracle-vcn")
VARIANTS.add(
    "oracle, answer of a search",
    json_lines(*({"datetime": 1469123520000, "logContent": event} for event in ORACLE_EVENTS)),
    [TCP, NO_TYPE],
)
IPFIXCOL = {
    "@type": "ipfix.entry",
    "iana:flowStartMilliseconds": "2016-07-21T17:50:56.123Z",
    "iana:sourceIPv4Address": "192.0.2.1",
    "iana:destinationIPv4Address": "198.51.100.7",
    "iana:protocolIdentifier": "TCP",
    "iana:sourceTransportPort": 40000,
    "iana:destinationTransportPort": 23,
}
GOFLOW = {
    "time_received_ns": (SECOND + 3) * 10**9,
    "time_flow_start_ns": SECOND * 10**9,
    "sampler_address": "203.0.113.1",
    "src_addr": "192.0.2.1",
    "dst_addr": "198.51.100.7",
    "proto": "TCP",
    "src_port": 40000,
    "dst_port": 23,
    "icmp_name": "unknown",
}
GOFLOW_PING = GOFLOW | {"proto": "ICMP", "src_port": 0, "dst_port": 0, "icmp_name": "Echo"}
VARIANTS.add(
    "goflow2",
    json_lines(GOFLOW, GOFLOW_PING, GOFLOW_PING | {"dst_port": 2048}, GOFLOW_PING | {"icmp_name": ""}),
    [TCP, PING, PING, NO_TYPE],
)
VFLOW = {"8": "192.0.2.1", "12": "198.51.100.7", "7": 40000, "11": 23, "4": 6, "1": "0x00000028"}


def vflow(header: dict[str, int], *flows: dict[str, object], flat: bool = False) -> str:
    sets = [flow if flat else [{"I": int(name), "V": value} for name, value in flow.items()] for flow in flows]
    return json_lines({"AgentID": "203.0.113.1", "Header": header, "DataSets": sets})


UPTIME = {"Version": 9, "SysUpTime": 10_000, "UNIXSecs": SECOND + 4}
VARIANTS.add("vflow", vflow({"Version": 10, "ExportTime": SECOND + 60}, VFLOW | {"152": SECOND * 1000}), [TCP])
VARIANTS.add(
    "vflow: NetFlow 9 and its options",
    vflow(UPTIME, VFLOW | {"22": 6000, "58": 1}, {"34": 100}),
    [TCP],
    format="vflow",
)
VARIANTS.add("vflow: flat", vflow(UPTIME, VFLOW | {"22": 6000}, flat=True), [TCP])
VARIANTS.add("vflow: only the time of export", vflow({"Version": 10, "ExportTime": SECOND}, VFLOW), [TCP])
VARIANTS.add("ipfixcol2", json_lines(IPFIXCOL), [TCP], format="ipfix-json")
VARIANTS.add(
    "vpc no start (capture window)",
    table("srcaddr dstaddr srcport dstport protocol end", "192.0.2.1 198.51.100.7 40000 23 6 1469123500"),
    None,
)
VARIANTS.add(
    "vpc: egress is not sent to the telescope",
    table(V2 + " flow-direction", R2 + " egress\n" + R2 + " ingress"),
    [TCP],
    skipped=1,
)
VARIANTS.add(
    "tgw",
    table(
        "version resource-type account-id tgw-id srcaddr dstaddr srcport dstport protocol packets bytes start end log-status type packets-lost-no-route",
        "6 TransitGateway 1 tgw 192.0.2.1 198.51.100.7 40000 23 6 1 40 1469123456 1469123500 OK IPv4 0",
    ),
    [TCP],
)
# ---- SiLK
SH = "            sIP|            dIP|sPort|dPort|pro|   packets|     bytes|   flags|                  sTime| duration|                  eTime|sen|"
SR = "      192.0.2.1|   198.51.100.7|40000|   23|  6|         1|        40| S      |2016/07/21T17:50:56.123|    0.000|2016/07/21T17:50:56.123| S0|"
VARIANTS.add("rwcut default", table(SH, SR), [TCP], format="silk")
VARIANTS.add("rwcut no-columns", table(SH, SR).replace(" ", ""), [TCP], format="silk")
VARIANTS.add("rwcut no-final-delim", table(SH[:-1], SR[:-1]), [TCP], format="silk")
VARIANTS.add("rwcut delim comma", table(SH, SR).replace(" ", "").replace("|", ","), [TCP], format="silk")
VARIANTS.add(
    "rwcut delim comma nofinal", table(SH[:-1], SR[:-1]).replace(" ", "").replace("|", ","), [TCP], format="silk"
)
VARIANTS.add("rwcut tab", table(SH, SR).replace(" ", "").replace("|", "\t"), [TCP], format="silk")
VARIANTS.add(
    "rwcut epoch", table(SH, SR).replace("2016/07/21T17:50:56.123", "     1469123456.123"), [TCP], format="silk"
)
VARIANTS.add("rwcut iso", table(SH, SR).replace("2016/07/21T", "2016-07-21 "), [TCP], format="silk")
VARIANTS.add(
    "rwcut m/d/y", table(SH, SR).replace("2016/07/21T17:50:56.123", "07/21/2016 17:50:56.123"), [TCP], format="silk"
)
VARIANTS.add(
    "rwcut int ip",
    table(SH, SR).replace("      192.0.2.1", "     3221225985").replace("198.51.100.7", "  3325256711"),
    [TCP],
    format="silk",
)
VARIANTS.add(
    "rwcut zero padded",
    table(SH, SR).replace("192.0.2.1", "192.000.002.001").replace("198.51.100.7", "198.051.100.007"),
    [TCP],
    format="silk",
)
VARIANTS.add(
    "rwcut hex ip", table(SH, SR).replace("192.0.2.1", "c0000201").replace("198.51.100.7", "c6336407"), [], rejected=1
)
VARIANTS.add("rwcut icmp", table(SH, SR).replace("40000|   23|  6", "    0| 2048|  1"), [PING], format="silk")
VARIANTS.add(
    "rwcut icmp-type-and-code",
    table(
        "            sIP|            dIP|iTy|iCo|sPort|dPort|pro|sTime|",
        "      192.0.2.1|   198.51.100.7|  8|  0|    0| 2048|  1|2016/07/21T17:50:56|",
    ),
    [PING],
)
VARIANTS.add(
    "rwcut iType iCode names",
    table(
        "sIP|dIP|iType|iCode|sPort|dPort|protocol|sTime|", "192.0.2.1|198.51.100.7|8|0|0|2048|1|2016/07/21T17:50:56|"
    ),
    [PING],
)
VARIANTS.add(
    "rwcut icmpTypeCode old",
    table("sIP|dIP|sPort|dPort|pro|sTime|", "192.0.2.1|198.51.100.7|0|8/0|1|2016/07/21T17:50:56|"),
    [PING],
)
VARIANTS.add("rwcut legacy flags", table(SH, SR).replace(" S      ", " 2      "), [TCP])
VARIANTS.add("rwcut no header", SR + "\n", None)
VARIANTS.add(
    "rwcut init flags",
    table(
        "sIP|dIP|sPort|dPort|protocol|initialF|sessionF|sTime|",
        "192.0.2.1|198.51.100.7|40000|23|6| S      | SRPA   |2016/07/21T17:50:56|",
    ),
    [TCP],
)
VARIANTS.add(
    "rwcut sTime+msec",
    "sIP|dIP|sPort|dPort|pro|sTime+msec|\n192.0.2.1|198.51.100.7|40000|23|6|2016/07/21T17:50:56.123|\n",
    [TCP],
)
# ---- yaf
Y = "start-time|end-time|duration|rtt|proto|sip|sp|dip|dp|srcMacAddress|destMacAddress|iflags|uflags|riflags|ruflags|isn|risn|tag|rtag|pkt|oct|rpkt|roct|app|entropy|rentropy|end-reason"
YR = "2016-07-21 17:50:56.123|2016-07-21 17:50:57.000|   0.877|   0.000|  6|                               192.0.2.1|40000|                            198.51.100.7|   23|00:00:00:00:00:00|00:00:00:00:00:00|       S|       0|       0|       0|abcd0123|00000000|000|000|       1|      40|       0|       0|    0|  0|  0|idle"
VARIANTS.add("yafscii tabular", table(Y, YR), [TCP], format="yaf")
VARIANTS.add("yafscii tabular spaces header", table(" | ".join(Y.split("|")), YR), [TCP])
VARIANTS.add(
    "yafscii icmp",
    table(Y, YR).replace("|  6|", "|  1|").replace("|40000|", "|    0|").replace("|   23|", "| 2048|"),
    [PING],
)
VARIANTS.add(
    "yafscii plain",
    "2016-07-21 17:50:56.123 tcp 192.0.2.1:40000 => 198.51.100.7:23 abcd0123:00000000 S/0 (1/40 ->)\n",
    [TCP],
)
VARIANTS.add(
    "yafscii plain2",
    "2016-07-21 17:50:56.123 - 17:50:57.000 (0.877 sec) tcp 192.0.2.1:40000 => 198.51.100.7:23 abcd0123:00000000 S/APF:AS/APF (5/430 <-> 4/200) rtt 12 ms\n",
    [TCP],
)
# ---- pmacct
PC = (
    "TAG,IN_IFACE,SRC_IP,DST_IP,SRC_PORT,DST_PORT,TCP_FLAGS,PROTOCOL,TIMESTAMP_START,TIMESTAMP_END,PACKETS,FLOWS,BYTES"
)
VARIANTS.add(
    "pmacct csv",
    table(
        PC, "0,1,192.0.2.1,198.51.100.7,40000,23,2,tcp,2016-07-21 17:50:56.123456,2016-07-21 17:50:57.000000,1,1,40"
    ),
    [TCP],
    format="pmacct",
)
VARIANTS.add(
    "pmacct csv epoch",
    table(PC, "0,1,192.0.2.1,198.51.100.7,40000,23,2,6,1469123456.123456,1469123457.000000,1,1,40"),
    [TCP],
    format="pmacct",
)
VARIANTS.add(
    "pmacct formatted",
    table(
        "SRC_IP           DST_IP           SRC_PORT  DST_PORT  PROTOCOL    TIMESTAMP_START                PACKETS               BYTES",
        "192.0.2.1        198.51.100.7     40000     23        tcp         2016-07-21T17:50:56Z           1                     40",
    ),
    [TCP],
    format="pmacct",
)
VARIANTS.add(
    "pmacct formatted blank in time",
    table(
        "SRC_IP           DST_IP           SRC_PORT  DST_PORT  PROTOCOL    TIMESTAMP_START                PACKETS               BYTES",
        "192.0.2.1        198.51.100.7     40000     23        tcp         2016-07-21 17:50:56.000000     1                     40",
    ),
    [TCP],
    format="pmacct",
)
VARIANTS.add(
    "pmacct has no ICMP type",
    table(
        PC,
        "0,1,192.0.2.1,198.51.100.7,0,0,0,icmp,1469123456,1469123457,1,1,40\n"
        "0,1,192.0.2.1,198.51.100.7,0,2048,0,icmp,1469123456,1469123457,1,1,40",
    ),
    [(*TCP[:2], 1, 65535, 0), PING],
    format="pmacct",
)
VARIANTS.add(
    "pmacct has no ICMP type in JSON",
    '{"ip_src":"192.0.2.1","ip_dst":"198.51.100.7","port_src":0,"port_dst":0,"ip_proto":"icmp","timestamp_start":1469123456}\n',
    [(*TCP[:2], 1, 65535, 0)],
    format="pmacct-json",
)
VARIANTS.add(
    "pmacct stamp_inserted",
    table(
        "SRC_IP,DST_IP,SRC_PORT,DST_PORT,PROTOCOL,PACKETS,BYTES,STAMP_INSERTED,STAMP_UPDATED",
        "192.0.2.1,198.51.100.7,40000,23,tcp,1,40,2016-07-21 17:50:56,2016-07-21 17:51:00",
    ),
    [TCP],
)
VARIANTS.add(
    "pmacct semi",
    table(PC, "0,1,192.0.2.1,198.51.100.7,40000,23,2,tcp,2016-07-21 17:50:56.123456,x,1,1,40").replace(",", ";"),
    [TCP],
)
VARIANTS.add(
    "pmacct timestamp_arrival/export",
    table(
        "SRC_IP,DST_IP,SRC_PORT,DST_PORT,PROTOCOL,TIMESTAMP_ARRIVAL,PACKETS,BYTES",
        "192.0.2.1,198.51.100.7,40000,23,tcp,2016-07-21 17:50:56.123456,1,40",
    ),
    [TCP],
)
PJ = {
    "event_type": "purge",
    "ip_src": "192.0.2.1",
    "ip_dst": "198.51.100.7",
    "port_src": 40000,
    "port_dst": 23,
    "tcp_flags": "2",
    "ip_proto": "tcp",
    "timestamp_start": "2016-07-21 17:50:56.123456",
    "timestamp_end": "x",
    "packets": 1,
    "flows": 1,
    "bytes": 40,
    "writer_id": "d/1",
}
VARIANTS.add("pmacct json", json_lines(PJ), [TCP], format="pmacct-json")
VARIANTS.add("pmacct json epoch", json_lines({**PJ, "timestamp_start": "1469123456.123456"}), [TCP])
VARIANTS.add(
    "pmacct json stamp",
    json_lines({**{k: v for k, v in PJ.items() if k != "timestamp_start"}, "stamp_inserted": "2016-07-21 17:50:56"}),
    [TCP],
)
VARIANTS.add("pmacct json icmp", json_lines({**PJ, "ip_proto": "icmp", "port_src": 0, "port_dst": 2048}), [PING])
VARIANTS.add(
    "pmacct json arrival",
    json_lines(
        {**{k: v for k, v in PJ.items() if k != "timestamp_start"}, "timestamp_arrival": "2016-07-21 17:50:56.1"}
    ),
    [TCP],
)
# ---- nProbe
NP = "IPV4_SRC_ADDR|IPV4_DST_ADDR|INPUT_SNMP|OUTPUT_SNMP|IN_PKTS|IN_BYTES|FIRST_SWITCHED|LAST_SWITCHED|L4_SRC_PORT|L4_DST_PORT|TCP_FLAGS|PROTOCOL|SRC_TOS|SRC_AS|DST_AS"
VARIANTS.add(
    "nprobe dump",
    table(NP, "192.0.2.1|198.51.100.7|0|0|1|40|1469123456|1469123456|40000|23|2|6|0|0|0"),
    [TCP],
    format="nprobe",
)
VARIANTS.add(
    "nprobe csv %names",
    table("#" + NP, "192.0.2.1|198.51.100.7|0|0|1|40|1469123456|1469123456|40000|23|2|6|0|0|0"),
    [TCP],
    format="nprobe",
)
VARIANTS.add(
    "nprobe comma",
    table(NP, "192.0.2.1|198.51.100.7|0|0|1|40|1469123456|1469123456|40000|23|2|6|0|0|0").replace("|", ","),
    [TCP],
)
VARIANTS.add(
    "nprobe uptime FIRST_SWITCHED",
    table(NP, "192.0.2.1|198.51.100.7|0|0|1|40|12345|12399|40000|23|2|6|0|0|0"),
    [TCP],
    second=None,
)
VARIANTS.add(
    "nprobe json names",
    json_lines(
        {
            "IPV4_SRC_ADDR": "192.0.2.1",
            "IPV4_DST_ADDR": "198.51.100.7",
            "IN_PKTS": 1,
            "IN_BYTES": 40,
            "FIRST_SWITCHED": SECOND,
            "LAST_SWITCHED": SECOND,
            "L4_SRC_PORT": 40000,
            "L4_DST_PORT": 23,
            "TCP_FLAGS": 2,
            "PROTOCOL": 6,
        }
    ),
    [TCP],
    format="nprobe-json",
)
VARIANTS.add(
    "nprobe json v6",
    json_lines(
        {
            "27": "2001:db8::1",
            "28": "2001:db8::7",
            "8": "0.0.0.0",
            "12": "0.0.0.0",
            "22": SECOND,
            "7": 40000,
            "11": 23,
            "4": 6,
            "6": 2,
            "1": 40,
            "2": 1,
        }
    ),
    [TCP6],
    format="nprobe-json",
)
VARIANTS.add(
    "NF-UNSW csv",
    "IPV4_SRC_ADDR,L4_SRC_PORT,IPV4_DST_ADDR,L4_DST_PORT,PROTOCOL,L7_PROTO,IN_BYTES,OUT_BYTES,IN_PKTS,OUT_PKTS,TCP_FLAGS,FLOW_DURATION_MILLISECONDS,Label,Attack\n192.0.2.1,40000,198.51.100.7,23,6,7,40,0,1,0,2,0,0,Benign\n",
    None,
)
VARIANTS.add(
    "NF-v3 csv",
    "FLOW_START_MILLISECONDS,FLOW_END_MILLISECONDS,IPV4_SRC_ADDR,L4_SRC_PORT,IPV4_DST_ADDR,L4_DST_PORT,PROTOCOL,L7_PROTO,IN_BYTES,OUT_BYTES,IN_PKTS,OUT_PKTS,TCP_FLAGS,CLIENT_TCP_FLAGS,ICMP_TYPE,ICMP_IPV4_TYPE,Label,Attack\n1469123456123,1469123456123,192.0.2.1,40000,198.51.100.7,23,6,7.0,40,0,1,0,2,2,0,0,0,Benign\n1469123456123,1469123456123,192.0.2.1,0,198.51.100.7,0,1,7.0,40,0,1,0,0,0,2048,8,0,Benign\n",
    [TCP, PING],
)


@pytest.mark.parametrize("variant", VARIANTS, ids=lambda variant: variant.name)
def test_exports_of_flows_give_the_expected_records(tmp_path: Path, variant: Variant) -> None:
    variant.check(tmp_path)
