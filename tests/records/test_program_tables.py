# ruff: noqa: E501 - lines of logs are as long as their programs write them.
"""nfdump, Argus, tshark, CICFlowMeter, masscan, ZMap and DShield."""

import json
from pathlib import Path

import pytest
from variants import PING, PING6, SECOND, TCP, TCP6, UDP, Variant, Variants, json_lines

from telescope_transformer.records import read_records

VARIANTS = Variants()


def table(header: str, *rows: str) -> str:
    return "\n".join([header, *rows]) + "\n"


# nfdump csv of several versions
L = "ts,te,td,sa,da,sp,dp,pr,flg,fwd,stos,ipkt,ibyt,opkt,obyt,in,out,sas,das"
R = "2016-07-21 17:50:56,2016-07-21 17:50:57,0.500,192.0.2.1,198.51.100.7,40000,23,TCP,......S.,0,0,3,180,0,0,1,2,0,0"
VARIANTS.add("nf csv", table(L, R), [TCP], format="nfdump-csv")
TUNNEL = R.replace("192.0.2.1,198.51.100.7,40000,23,TCP", "0.0.0.0,0.0.0.0,0,0,GRE")
VARIANTS.add("nf csv, the row of a tunnel", table(L, TUNNEL, R), [TCP], skipped=1)
VARIANTS.add("nf csv +ms", table(L, R.replace("17:50:56,", "17:50:56.123,")), [TCP])
VARIANTS.add(
    "nf csv summary",
    table(L, R, "Summary", "flows,bytes,packets,avg_bps,avg_pps,avg_bpp", "1,180,3,0,0,0"),
    [TCP],
    rejected=0,
)
VARIANTS.add("nf csv icmp 8.0", table(L, R.replace("40000,23,TCP", "0,8.0,ICMP")), [PING])
VARIANTS.add("nf csv icmp 2048", table(L, R.replace("40000,23,TCP", "0,2048,ICMP")), [PING])
VARIANTS.add("nf csv icmp padded", table(L, R.replace("40000,23,TCP", "    0,  8.0,ICMP ")), [PING])
VARIANTS.add(
    "nf csv icmp6",
    table(
        L,
        R.replace("40000,23,TCP", "0,128.0,ICMP6")
        .replace("192.0.2.1", "2001:db8::1")
        .replace("198.51.100.7", "2001:db8::7"),
    ),
    [PING6],
)
VARIANTS.add("nf csv icmp in sp?", table(L, R.replace("40000,23,TCP", "8,0,ICMP")), [(*TCP[:2], 1, 65535, 0)])
VARIANTS.add("nf csv proto num", table(L, R.replace("TCP", "6")), [TCP])
VARIANTS.add(
    "nf csv -o csv 1.7.3 short",
    table(
        "firstSeen,duration,proto,srcAddr,srcPort,dstAddr,dstPort,packets,bytes,bps,pps,bpp,flows",
        "2016-07-21 17:50:56.123,0.000,TCP,192.0.2.1,40000,198.51.100.7,23,1,60,0,0,60,1",
    ),
    [TCP],
    format="nfdump-csv",
)
VARIANTS.add(
    "nf csv reordered custom csv:",
    table(
        "firstSeen,srcAddr,dstAddr,srcPort,dstPort,proto,packets",
        "2016-07-21 17:50:56.123,192.0.2.1,198.51.100.7,40000,23,TCP,1",
    ),
    [TCP],
)
VARIANTS.add(
    "nf csv custom icmp",
    table(
        "firstSeen,srcAddr,dstAddr,srcPort,dstPort,proto,packets",
        "2016-07-21 17:50:56.123,192.0.2.1,198.51.100.7,0,8.0,ICMP,1",
    ),
    [PING],
)
VARIANTS.add(
    "nf -o long text",
    table(
        "Date first seen          Duration Proto      Src IP Addr:Port          Dst IP Addr:Port   Flags Tos  Packets    Bytes Flows",
        "2016-07-21 17:50:56.123     0.000 TCP         192.0.2.1:40000 ->     198.51.100.7:23    ......S.   0        1       60     1",
        "Summary: total flows: 1, total bytes: 60, total packets: 1",
        "Time window: 2016",
        "Total flows processed: 1",
    ),
    [TCP],
)
VARIANTS.add(
    "nf -o line text",
    table(
        "Date first seen          Duration Proto      Src IP Addr:Port          Dst IP Addr:Port   Packets    Bytes Flows",
        "2016-07-21 17:50:56.123     0.000 TCP         192.0.2.1:40000 ->     198.51.100.7:23           1       60     1",
    ),
    [TCP],
)
ENDS = "192.0.2.1:40000 {}  198.51.100.7:23"
VARIANTS.add(
    "nf -o fmt between blanks",
    table(
        "Proto Date first seen              Src IP Addr  Dst IP Addr Src Pt Dst Pt   Flags  Bytes",
        "TCP   2016-07-21 17:50:56.123        192.0.2.1 198.51.100.7  40000     23  ....S.  1.2 M",
        "ICMP  2016-07-21 17:50:56.123        192.0.2.1 198.51.100.7      0    8.0  ......     84",
        "ICMP  2016-07-21 17:50:56.123        192.0.2.1",
        "TCP   2016-07-21 17:50:56.123        192.0.2.1 198.51.100.7  40000     23  .unknown",
        "Summary: total flows: 2",
    ),
    [TCP, PING],
    format="nfdump-line",
    skipped=4,
)
VARIANTS.add(
    "nf -o fmt with a row that does not fit",
    table(
        "Date first seen           Proto      Src IP Addr:Port      Dst IP Addr:Port",
        f"2016-07-21 17:50:56.123  TCP   {ENDS.format('->')}",
        "2016-07-21 17:50:56.123  TCP   192.0.2.1(DE):40000 ->  198.51.100.7(DE):23",
    ),
    [TCP],
    format="nfdump-line",
    rejected=1,
)
VARIANTS.add(
    "nf -o line IPv6 and ICMP",
    "2016-07-21 17:50:56.123     0.000 TCP   2001:db8::1.40000 ->  2001:db8::7.23     1   60   1\n"
    "2016-07-21 17:50:56.123     0.000 ICMP  192.0.2.1:0 ->  198.51.100.7:8.0     1   60   1\n",
    [TCP6, PING],
    format="nfdump-line",
)
VARIANTS.add(
    "nf -o line icmp",
    table(
        "Date first seen          Event  XEvent Proto      Src IP Addr:Port          Dst IP Addr:Port     X-Src IP Addr:Port",
        "x",
    ),
    [],
    rejected=1,
)
NJ = {
    "type": "FLOW",
    "sampled": 0,
    "export_sysid": 1,
    "first": "2016-07-21T17:50:56.123",
    "last": "2016-07-21T17:50:57.000",
    "in_packets": 1,
    "in_bytes": 60,
    "proto": 6,
    "tcp_flags": "......S.",
    "src_port": 40000,
    "dst_port": 23,
    "src_tos": 0,
    "src4_addr": "192.0.2.1",
    "dst4_addr": "198.51.100.7",
}
VARIANTS.add("nf json array", json.dumps([NJ, NJ], indent=1), [TCP, TCP], format="nfdump-json")
VARIANTS.add("nf json log", json_lines(NJ), [TCP])
VARIANTS.add(
    "nf json icmp",
    json_lines(
        {
            **{k: v for k, v in NJ.items() if k not in ("src_port", "dst_port")},
            "proto": 1,
            "icmp_type": 8,
            "icmp_code": 0,
        }
    ),
    [PING],
)
VARIANTS.add(
    "nf json v6",
    json_lines(
        {
            **{k: v for k, v in NJ.items() if k not in ("src4_addr", "dst4_addr")},
            "src6_addr": "2001:db8::1",
            "dst6_addr": "2001:db8::7",
        }
    ),
    [TCP6],
)
VARIANTS.add("nf ndjson 1.7.3", json_lines({**NJ, "proto": "TCP"}), [TCP])
VARIANTS.add(
    "nf pipe",
    "2|1469123456123|1469123457000|6|0|0|0|3221225985|40000|0|0|0|3325256711|23|0|0|1|2|2|0|1|60\n",
    [TCP],
    format="nfdump-pipe",
)
VARIANTS.add(
    "nf pipe, the row of a tunnel",
    "2|1469123456123|1469123457000|47|0|0|0|0|0|0|0|0|0|0|0|0|0|0|0|0|0|0\n"
    "2|1469123456123|1469123457000|6|0|0|0|3221225985|40000|0|0|0|3325256711|23|0|0|1|2|2|0|1|60\n",
    [TCP],
    skipped=1,
)
VARIANTS.add(
    "nf pipe icmp",
    "2|1469123456123|1469123457000|1|0|0|0|3221225985|0|0|0|0|3325256711|2048|0|0|1|2|0|0|1|60\n",
    [PING],
    format="nfdump-pipe",
)
VARIANTS.add(
    "nf pipe v6",
    "10|1469123456123|1469123457000|6|536939960|0|0|1|40000|536939960|0|0|7|23|0|0|1|2|2|0|1|60\n",
    [TCP6],
    format="nfdump-pipe",
)
# Argus
A = "StartTime,Flgs,Proto,SrcAddr,Sport,Dir,DstAddr,Dport,TotPkts,TotBytes,State"
VARIANTS.add(
    "ra default date",
    table(A, "2016/07/21 17:50:56.123456, e        ,tcp,192.0.2.1,40000,   ->,198.51.100.7,23,1,60,REQ"),
    [TCP],
)
VARIANTS.add(
    "ra -u", table(A, "1469123456.123456, e        ,tcp,192.0.2.1,40000,   ->,198.51.100.7,23,1,60,REQ"), [TCP]
)
VARIANTS.add(
    "ra time only",
    table(A, "17:50:56.123456, e        ,tcp,192.0.2.1,40000,   ->,198.51.100.7,23,1,60,REQ"),
    [],
    rejected=1,
)
VARIANTS.add(
    "ra lower-case",
    table(
        "stime,proto,saddr,sport,dir,daddr,dport,pkts,bytes,state",
        "1469123456.1,tcp,192.0.2.1,40000,->,198.51.100.7,23,1,60,REQ",
    ),
    [TCP],
)
VARIANTS.add(
    "Bot-IoT",
    table(
        "pkSeqID,stime,flgs,proto,saddr,sport,daddr,dport,pkts,bytes,state,ltime,seq,spkts,dpkts",
        "1,1469123456.1,e,tcp,192.0.2.1,40000,198.51.100.7,23,2,120,REQ,1469123456.5,7,1,1",
        "2,1469123456.1,e,icmp,192.0.2.1,0x0008,198.51.100.7,0x0011,2,120,ECO,1469123456.5,8,1,1",
    ),
    [TCP, PING],
    format="binetflow",
)
VARIANTS.add(
    "ra, answers without a request, and what are no ports",
    table(
        A,
        "1469123456.1, e,icmp,192.0.2.1,0x0004,   ->,198.51.100.7,0x0100,1,60,SRC",
        "1469123456.1, e,esp,192.0.2.1,,   ->,198.51.100.7,0x20200000,1,60,INT",
        "1469123456.1, e,ipnip,192.0.2.1,,   ->,198.51.100.7,,1,60,INT",
    ),
    [(*TCP[:2], 1, 65535, 0), (*TCP[:2], 50, 0, 0), (*TCP[:2], 4, 0, 0)],
)
VARIANTS.add(
    "ra named ports",
    table(A, "1469123456.1, e,tcp,192.0.2.1,40000,   ->,198.51.100.7,telnet,1,60,REQ"),
    [],
    rejected=1,
)
VARIANTS.add(
    "ra backscatter",
    table(
        "StartTime,Proto,SrcAddr,Sport,Dir,DstAddr,Dport,SrcPkts,DstPkts",
        "1469123456.1,tcp,198.51.100.7,23,   <-,192.0.2.1,40000,0,3",
        "1469123456.1,tcp,192.0.2.1,40000,   <?,198.51.100.7,23,1,0",
        "1469123456.1,tcp,192.0.2.1,40000,  <?>,198.51.100.7,23,1,0",
        "1469123456.1,icmp,198.51.100.7,0x0008,   <-,192.0.2.1,0x1234,0,1",
    ),
    [TCP, TCP, TCP, (*TCP[:2], 1, 65535, 0)],
)
VARIANTS.add(
    "ra icmp 0x0008", table(A, "1469123456.1, e,icmp,192.0.2.1,0x0008,  <->,198.51.100.7,0x1234,1,60,ECO"), [PING]
)
VARIANTS.add(
    "ra icmp echo default",
    table(A, "1469123456.1, e,icmp,192.0.2.1,,  <->,198.51.100.7,,1,60,ECO"),
    [(*TCP[:2], 1, 65535, 0)],
)
VARIANTS.add(
    "ra icmpv6, whose ports are type and code",
    table(
        A,
        "1469123456.1, e,ipv6-icmp,2001:db8::1,1,   ->,2001:db8::7,4,1,60,URP",
        "1469123456.1, e,ipv6-icmp,2001:db8::1,0x0401,   ->,2001:db8::7,0x1234,1,60,URP",
    ),
    [(*TCP6[:2], 58, 1, 4)] * 2,
)
VARIANTS.add(
    "ra man",
    table(
        A,
        "1469123456.1, ,man,0,0,  ,0,0,0,0,STA",
        "1469123456.1, e,tcp,192.0.2.1,40000,   ->,198.51.100.7,23,1,60,REQ",
    ),
    [TCP],
    skipped=1,
)
VARIANTS.add(
    "ra tab", table(A, "1469123456.1, e,tcp,192.0.2.1,40000,   ->,198.51.100.7,23,1,60,REQ").replace(",", "\t"), [TCP]
)
VARIANTS.add(
    "ra dir <- reversed",
    table(A, "1469123456.1, e,tcp,198.51.100.7,23,   <-,192.0.2.1,40000,1,60,RST"),
    [("198.51.100.7", "192.0.2.1", 6, 23, 40000)],
)
VARIANTS.add(
    "unsw",
    table(
        "srcip,sport,dstip,dsport,proto,state,dur,sbytes,dbytes,Stime,Ltime,label",
        "192.0.2.1,40000,198.51.100.7,23,tcp,FIN,0.1,60,0,1469123456,1469123457,0",
    ),
    [TCP],
)
# tshark
F = "frame.time_epoch ip.src ip.dst ip.proto tcp.srcport tcp.dstport udp.srcport udp.dstport icmp.type icmp.code ip.ttl ip.id tcp.flags"
PACKET = ["1469123456.123456000", *TCP[:2], "6", "40000", "23", *[""] * 4, "50", "0x1234", "0x0002"]
EIGHT_DIGITS = ["1469123456.1", *PACKET[1:11], "0x1", "0x00000002"]


def quoted(values: list[str]) -> str:
    return ",".join(f'"{value}"' for value in values)


for nm, sep in {"tab": "\t", "comma": ",", "semi": ";", "bar": "|"}.items():
    VARIANTS.add(
        "tshark " + nm,
        table(
            sep.join(F.split()),
            sep.join(PACKET),
        ),
        [TCP],
        format="tshark",
    )
VARIANTS.add(
    "tshark quoted",
    table(
        ",".join(F.split()),
        quoted(PACKET),
    ),
    [TCP],
)
VARIANTS.add(
    "tshark quoted hdr",
    table(
        quoted(F.split()),
        quoted(PACKET),
    ),
    [TCP],
)
VARIANTS.add(
    "tshark no header",
    "\t".join(["1469123456.123456000", "192.0.2.1", "198.51.100.7", "6", "40000", "23"]) + "\n",
    None,
)
VARIANTS.add(
    "tshark space sep",
    table(
        "frame.time_epoch ip.src ip.dst ip.proto tcp.srcport tcp.dstport",
        "1469123456.123456000 192.0.2.1 198.51.100.7 6 40000 23",
    ),
    [TCP],
)
VARIANTS.add(
    "tshark frame.time",
    table(
        "frame.time\tip.src\tip.dst\tip.proto\ttcp.srcport\ttcp.dstport",
        "Jul 21, 2016 17:50:56.123456000 UTC\t192.0.2.1\t198.51.100.7\t6\t40000\t23",
    ),
    [TCP],
)
VARIANTS.add(
    "tshark frame.time_utc",
    table(
        "frame.time_utc\tip.src\tip.dst\tip.proto\ttcp.srcport\ttcp.dstport",
        "Jul 21, 2016 17:50:56.123456000 UTC\t192.0.2.1\t198.51.100.7\t6\t40000\t23",
    ),
    [TCP],
)
VARIANTS.add(
    "tshark iso 4.4",
    table(
        "frame.time\tip.src\tip.dst\tip.proto\ttcp.srcport\ttcp.dstport",
        "2016-07-21T17:50:56.123456000Z\t192.0.2.1\t198.51.100.7\t6\t40000\t23",
    ),
    [TCP],
)
VARIANTS.add(
    "tshark icmp err",
    table(
        "\t".join(F.split()),
        "\t".join(
            [
                "1469123456.1",
                "192.0.2.1,10.0.0.1",
                "198.51.100.7,10.9.9.9",
                "1,17",
                "",
                "",
                "53",
                "1234",
                "3",
                "3",
                "50,60",
                "0x1,0x2",
                "",
            ]
        ),
    ),
    [(*TCP[:2], 1, 3, 3)],
)
QUOTED = "1469123456.1\t192.0.2.1,10.0.0.1\t198.51.100.7,10.9.9.9\t{}\t53\t1234"
VARIANTS.add(
    "tshark, ports of packets inside ICMP and GRE",
    table(
        "frame.time_epoch\tip.src\tip.dst\tip.proto\tudp.srcport\tudp.dstport",
        *(QUOTED.format(protocols) for protocols in ("1,17", "47,17", "17")),
    ),
    [(*TCP[:2], 1, 65535, 0), (*TCP[:2], 47, 0, 0), (*TCP[:2], 17, 53, 1234)],
)
VARIANTS.add(
    "tshark flags hex8",
    table(
        "\t".join(F.split()),
        "\t".join(EIGHT_DIGITS),
    ),
    [TCP],
)
VARIANTS.add(
    "tshark arp row",
    table(
        "\t".join(F.split()),
        "\t".join(["1469123456.1"] + [""] * 12),
        "\t".join(EIGHT_DIGITS),
    ),
    [TCP],
)
VARIANTS.add(
    "tshark _ws.col.Protocol",
    table(
        "frame.time_epoch\tip.src\tip.dst\t_ws.col.Protocol\ttcp.srcport\ttcp.dstport",
        "1469123456.1\t192.0.2.1\t198.51.100.7\tTCP\t40000\t23",
    ),
    [TCP],
)
VARIANTS.add(
    "tshark ipv6",
    table(
        "frame.time_epoch\tipv6.src\tipv6.dst\tipv6.nxt\ttcp.srcport\ttcp.dstport",
        "1469123456.1\t2001:db8::1\t2001:db8::7\t6\t40000\t23",
    ),
    [TCP6],
)
VARIANTS.add(
    "tshark, IPv6 extension headers",
    table(
        "frame.time_epoch\tipv6.src\tipv6.dst\tipv6.nxt\ttcp.srcport\ttcp.dstport\ticmpv6.type\ticmpv6.code",
        "1469123456.1\t2001:db8::1\t2001:db8::7\t60\t40000\t23\t\t",
        "1469123456.1\t2001:db8::1\t2001:db8::7\t0\t\t\t128\t0",
        "1469123456.1\t2001:db8::1\t2001:db8::7\t44\t\t\t\t",
    ),
    [TCP6, PING6],
    rejected=1,
)
VARIANTS.add(
    "tshark, names of applications",
    table(
        "frame.time_epoch\tip.src\tip.dst\t_ws.col.Protocol\ttcp.srcport\ttcp.dstport\tudp.srcport\tudp.dstport",
        "1469123456.1\t192.0.2.1\t198.51.100.7\tL2TP\t\t\t40000\t53",
        "1469123456.1\t192.0.2.1\t198.51.100.7\tTELNET\t40000\t23\t\t",
        "1469123456.1\t192.0.2.1\t198.51.100.7\tIPv4\t\t\t\t",
        "1469123456.1\t192.0.2.1,198.51.100.7\t198.51.100.7,192.0.2.9\tICMP\t\t\t4321\t53",
    ),
    [UDP, TCP, (*TCP[:2], 1, 65535, 0)],
    rejected=1,
)
VARIANTS.add(
    "tshark both",
    table(
        "frame.time_epoch\tip.src\tip.dst\tipv6.src\tipv6.dst\tip.proto\tipv6.nxt\ttcp.srcport\ttcp.dstport",
        "1469123456.1\t\t\t2001:db8::1\t2001:db8::7\t\t6\t40000\t23",
    ),
    [TCP6],
)
VARIANTS.add(
    "wireshark csv export",
    '"No.","Time","Source","Destination","Protocol","Length","Info"\n"1","0.000000","192.0.2.1","198.51.100.7","TCP","60","40000  >  23 [SYN]"\n',
    None,
)
VARIANTS.add(
    "tshark ek",
    json_lines(
        {"index": {"_index": "packets"}},
        {
            "timestamp": "1469123456123",
            "layers": {
                "frame": {"frame_frame_time_epoch": "1469123456.123"},
                "ip": {"ip_ip_src": "192.0.2.1", "ip_ip_dst": "198.51.100.7", "ip_ip_proto": "6"},
                "tcp": {"tcp_tcp_srcport": "40000", "tcp_tcp_dstport": "23"},
            },
        },
    ),
    [TCP],
)
VARIANTS.add(
    "tshark json",
    json.dumps(
        [
            {
                "_index": "packets",
                "_source": {
                    "layers": {
                        "frame": {"frame.time_epoch": "1469123456.1"},
                        "ip": {"ip.src": "192.0.2.1", "ip.dst": "198.51.100.7", "ip.proto": "6", "ip.ttl": "50"},
                        "tcp": {"tcp.srcport": "40000", "tcp.dstport": "23"},
                    }
                },
            }
        ]
    ),
    [TCP],
)
VARIANTS.add(
    "tshark json -e",
    json.dumps(
        [
            {
                "_index": "packets",
                "_source": {
                    "layers": {
                        "frame.time_epoch": ["1469123456.1"],
                        "ip.src": ["192.0.2.1"],
                        "ip.dst": ["198.51.100.7"],
                        "ip.proto": ["6"],
                        "tcp.srcport": ["40000"],
                        "tcp.dstport": ["23"],
                    }
                },
            }
        ]
    ),
    [TCP],
)
# CIC
C = "Flow ID,Src IP,Src Port,Dst IP,Dst Port,Protocol,Timestamp,Flow Duration,Total Fwd Packet,Label"
for ts in [
    "21/07/2016 05:50:56 PM",
    "21/07/2016 17:50:56",
    "21/7/2016 17:50:56",
    "2016-07-21 17:50:56",
    "21/07/2016 5:50:56 PM",
    "21/07/2016 17:50",
]:
    VARIANTS.add(
        "cic " + ts,
        table(C, f"x,192.0.2.1,40000,198.51.100.7,23,6,{ts},1,1,BENIGN"),
        [TCP],
        format="cicflowmeter",
        second=SECOND - 56 if ts.endswith("50") else SECOND,
    )
VARIANTS.add(
    "cic ambiguous is day first",
    table(C, "x,192.0.2.1,40000,198.51.100.7,23,6,05/07/2016 17:50:56,1,1,BENIGN"),
    [TCP],
    second=SECOND - 16 * 86400,
)
VARIANTS.add(
    "cic 12h AM",
    table(C, "x,192.0.2.1,40000,198.51.100.7,23,6,21/07/2016 12:50:56 AM,1,1,BENIGN"),
    [TCP],
    second=SECOND - 17 * 3600,
)
VARIANTS.add(
    "cic 2017 padded",
    table(
        "Flow ID, Source IP, Source Port, Destination IP, Destination Port, Protocol, Timestamp, Flow Duration, Total Fwd Packets, Label",
        "x,192.0.2.1,40000,198.51.100.7,23,6,21/7/2016 5:50:56,1,1,BENIGN",
    ),
    [TCP],
    second=None,
)
VARIANTS.add(
    "cic python cicflowmeter",
    table(
        "src_ip,dst_ip,src_port,dst_port,protocol,timestamp,flow_duration",
        "192.0.2.1,198.51.100.7,40000,23,6,2016-07-21 17:50:56,1",
    ),
    [TCP],
)
VARIANTS.add(
    "cic no flow id",
    table(
        "Src IP,Src Port,Dst IP,Dst Port,Protocol,Timestamp,Label",
        "192.0.2.1,40000,198.51.100.7,23,6,21/07/2016 05:50:56 PM,Benign",
    ),
    [TCP],
)
VARIANTS.add(
    "cic no flow id ambiguous",
    table(
        "Src IP,Src Port,Dst IP,Dst Port,Protocol,Timestamp,Label",
        "192.0.2.1,40000,198.51.100.7,23,6,05/07/2016 05:50:56 PM,Benign",
    ),
    [],
    rejected=1,
)
VARIANTS.add(
    "cic no IPs (ids2018)",
    table("Dst Port,Protocol,Timestamp,Flow Duration,Label", "23,6,21/07/2016 05:50:56 PM,1,Benign"),
    None,
)
# masscan / zmap
M = {
    "ip": "192.0.2.1",
    "timestamp": "1469123456",
    "ports": [{"port": 23, "proto": "tcp", "status": "open", "reason": "syn-ack", "ttl": 50}],
}
MT = [("192.0.2.1", "240.0.0.0", 6, 0, 23)]
VARIANTS.add(
    "masscan oJ old",
    '{   "ip": "192.0.2.1",   "timestamp": "1469123456", "ports": [ {"port": 23, "proto": "tcp", "status": "open", "reason": "syn-ack", "ttl": 50} ] },\n{finished: 1}\n',
    MT,
    second=SECOND,
)
VARIANTS.add("masscan oJ new", "[\n" + json.dumps(M) + "\n,\n" + json.dumps(M) + "\n]\n", MT * 2)
VARIANTS.add("masscan oJ trailing comma", "[\n" + json.dumps(M) + ",\n" + json.dumps(M) + ",\n]\n", MT * 2, rejected=0)
VARIANTS.add(
    "masscan oD ndjson",
    json_lines(
        {
            "ip": "192.0.2.1",
            "timestamp": "1469123456",
            "port": 23,
            "proto": "tcp",
            "rec_type": "status",
            "data": {"status": "open", "reason": "syn-ack", "ttl": 50},
        },
        {
            "ip": "192.0.2.1",
            "timestamp": "1469123456",
            "port": 23,
            "proto": "tcp",
            "rec_type": "banner",
            "data": {"service_name": "telnet", "banner": "x"},
        },
    ),
    MT,
)
VARIANTS.add(
    "masscan banner",
    json_lines({**M, "ports": [{"port": 23, "proto": "tcp", "service": {"name": "telnet", "banner": "x"}}]}, M),
    MT,
)
VARIANTS.add(
    "masscan multiport",
    json_lines({**M, "ports": [{"port": 23, "proto": "tcp"}, {"port": 80, "proto": "tcp"}]}),
    [*MT, ("192.0.2.1", "240.0.0.0", 6, 0, 80)],
)
VARIANTS.add(
    "masscan udp",
    "#masscan\nopen udp 53 192.0.2.1 1469123456\nclosed tcp 22 192.0.2.1 1469123456\n"
    "banner udp 53 192.0.2.1 1469123456 dns-ver bind 9\n# end\n",
    [("192.0.2.1", "240.0.0.0", 17, 0, 53)],
    rejected=0,
    skipped=4,
)
VARIANTS.add(
    "masscan icmp",
    json_lines({**M, "ports": [{"port": 0, "proto": "icmp", "status": "open", "reason": "none", "ttl": 50}]}),
    [("192.0.2.1", "240.0.0.0", 1, 65535, 0)],
)
VARIANTS.add(
    "masscan oX",
    '<?xml version="1.0"?>\n<nmaprun scanner="masscan" start="1469123456">\n<host endtime="1469123456"><address addr="192.0.2.1" addrtype="ipv4"/><ports><port protocol="tcp" portid="23"><state state="open"/></port></ports></host>\n</nmaprun>\n',
    None,
)
VARIANTS.add(
    "masscan oG", "# Masscan 1.0\nTimestamp: 1469123456\tHost: 192.0.2.1 ()\tPorts: 23/open/tcp//telnet//\n", None
)
Z = ("192.0.2.1", "198.51.100.7", 6, 23, 40000)
VARIANTS.add(
    "zmap full",
    table(
        "saddr,daddr,sport,dport,seqnum,acknum,window,classification,success,repeat,cooldown,timestamp_str,timestamp_ts,timestamp_us",
        "192.0.2.1,198.51.100.7,23,40000,1,2,3,synack,1,0,0,2016-07-21T17:50:56.000+0000,1469123456,123",
    ),
    [Z],
    format="zmap",
)
VARIANTS.add(
    "zmap str only",
    table(
        "saddr,daddr,sport,dport,classification,timestamp_str",
        "192.0.2.1,198.51.100.7,23,40000,synack,2016-07-21T17:50:56.000+0000",
    ),
    [Z],
)
VARIANTS.add("zmap default saddr only", "saddr\n192.0.2.1\n", None)
VARIANTS.add(
    "zmap json",
    json_lines(
        {
            "saddr": "192.0.2.1",
            "daddr": "198.51.100.7",
            "sport": 23,
            "dport": 40000,
            "classification": "synack",
            "success": 1,
            "timestamp_str": "2016-07-21T17:50:56.000+0000",
            "timestamp_ts": 1469123456,
        }
    ),
    [Z],
)
VARIANTS.add(
    "zmap icmp",
    table(
        "saddr,daddr,icmp_type,icmp_code,classification,timestamp_ts,ttl",
        "192.0.2.1,198.51.100.7,0,0,echoreply,1469123456,50",
    ),
    [(*TCP[:2], 1, 0, 0)],
)
VARIANTS.add(
    "zmap udp",
    table(
        "saddr,daddr,sport,dport,classification,udp_pkt_size,timestamp_ts",
        "192.0.2.1,198.51.100.7,53,40000,udp,8,1469123456",
    ),
    [("192.0.2.1", "198.51.100.7", 17, 53, 40000)],
)
# DShield
D = "2016-07-21 17:50:56 +00:00\t1234\t1\t192.0.2.1\t40000\t198.51.100.7\t23\tTCP\tS"
VARIANTS.add("dshield", D + "\n", [TCP], format="dshield")
VARIANTS.add("dshield comment", "# x\n" + D + "\n", [TCP])
VARIANTS.add("dshield tz -05:00", D.replace("17:50:56 +00:00", "12:50:56 -05:00") + "\n", [TCP])
VARIANTS.add("dshield no flags", D.rsplit("\t", 1)[0] + "\n", [TCP])
VARIANTS.add("dshield empty flags", D.replace("\tS", "\t") + "\n", [TCP])
VARIANTS.add("dshield udp", D.replace("\tTCP\tS", "\tUDP\t") + "\n", [("192.0.2.1", "198.51.100.7", 17, 40000, 23)])
VARIANTS.add("dshield icmp", D.replace("\t40000\t", "\t8\t").replace("\t23\tTCP\tS", "\t0\tICMP\t") + "\n", [PING])
VARIANTS.add("dshield sourceport ???", D.replace("\t40000\t", "\t???\t") + "\n", [], rejected=1)
VARIANTS.add(
    "dshield raw tsv",
    "date\ttime\tsource_ip\tsource_port\ttarget_ip\ttarget_port\tprotocol\tflags\n2016-07-21\t17:50:56\t192.0.2.1\t40000\t198.51.100.7\t23\t6\tS\n",
    [TCP],
)
VARIANTS.add(
    "dshield localdshield json",
    json_lines(
        {
            "time": 1469123456,
            "flags": "S",
            "sip": "192.0.2.1",
            "dip": "198.51.100.7",
            "proto": 6,
            "sport": 40000,
            "dport": 23,
            "version": 4,
        }
    ),
    [TCP],
)


@pytest.mark.parametrize("variant", VARIANTS, ids=lambda variant: variant.name)
def test_tables_of_programs_give_the_expected_records(tmp_path: Path, variant: Variant) -> None:
    variant.check(tmp_path)


@pytest.mark.parametrize("flags", ["", "...AP.SF   0", "........   0"])
def test_of_both_directions_nfdump_calls_that_of_the_source_incoming(tmp_path: Path, flags: str) -> None:
    line = f"2016-07-21 17:50:56.123     0.000 TCP   {ENDS.format('<->')}  {flags}    1     3     60     180     1\n"
    (tmp_path / "log").write_text(line)
    (row,) = read_records(tmp_path / "log").table.to_pylist()
    assert (row["packets"], row["bytes"]) == (3, 180)
