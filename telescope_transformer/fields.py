"""The fields of a flow record, one row each.

Readers, windows, preparation and the running state derive their fields from here. A new field is a new row. A field
that the model reads also needs a row in `FIELD_SIZES` of `model.configuration_telescope`, which is separate because
checkpoints on the Hub carry a copy of that file.
"""

from collections.abc import Mapping
from typing import NamedTuple

import pyarrow as pa

# The unit of all times is a microsecond.
SECOND = 1_000_000
HOUR = 3600 * SECOND
DAY = 24 * HOUR


class RecordField(NamedTuple):
    """A field of a flow record.

    Attributes:
        name: name of the column.
        type: type of the column in a table of flow records.
        required: whether every record has it; other fields are nullable, and absent if no input has them.
        window_type: type in a window's records; None for fields that windows do not store per record.
        largest: largest value that a reader accepts, for numbers with such a bound.
        aliases: column names that are read as this field, compared without case and separators, the preferred one
            first: common names and those of the Elastic Common Schema (source.ip), IPFIX (RFC 5102 and 7011), NetFlow
            version 9 as nProbe writes it, SiLK, pmacct, GoFlow2, ElastiFlow, OCSF, Tranalyzer, NFStream, the flow logs
            of AWS and Google, and the CIC and UNSW data sets. Names made of an end and a kind (attacker_ip) are added
            in records.columns.
        metadata: metadata of the field in the schema.
    """

    name: str
    type: pa.DataType
    required: bool = False
    window_type: pa.DataType | None = None
    largest: int | None = None
    aliases: str = ""
    metadata: Mapping[str, str] | None = None


FIELDS = (
    RecordField(
        "timestamp",
        pa.int64(),
        required=True,
        window_type=pa.int64(),
        aliases=(
            # If a record also has the time it was written, its start time is preferred.
            "eventstart flowstartmilliseconds flowstartmicroseconds flowstartnanoseconds flowstartseconds "
            "flowstart flowstarttimestamp timeflowstartns timeflowstartms timeflowstart netflowfirstswitched "
            "timestampstart jsonpayloadstarttime starttime eventstarttime flowstarttimet flowstarttime starttimestamp "
            "timestart tsstart begintime sessionstart firstpacket start utctime timeutc timestamputc datetimeutc "
            "timestamp ts time datetime firstseen first logtime stime firstswitched eventtime timestampstr "
            "timestampts epoch epochtime unixtime frametimeepoch frametimeutc frametime timegenerated timereceivedns "
            "timereceived stampinserted startedat createdat datefirstseen eventtimestamp attacktime timestampus "
            "timestampms begin connectiontime connecttime occurredat detectedat observedat observationtime capturedat "
            "capturetime packettime utctimestamp isotime timeiso timestampiso tstamp logtimestamp loggedat recordedat "
            "receivedat eventdate localtime connectiontimestamp timefirst bidirectionalfirstseenms date"
        ),
        metadata={"unit": "microseconds since 1970, UTC"},
    ),
    RecordField(
        "src_ip",
        pa.string(),
        required=True,
        aliases=(
            "srcip src saddr sourceip source sa idorigh sip ipv4srcaddr ipv6srcaddr remotehost srchost origh "
            "srcendpointip ipipsrc ipv6ipv6src flowsrcipaddr flowclientipaddr ipsrcaddr ipsourceaddress srcips ip"
        ),
    ),
    # Windows store a destination in 32 bits: an IPv4 address, or a folded IPv6 address (records.addresses).
    RecordField(
        "dst_ip",
        pa.string(),
        required=True,
        window_type=pa.uint32(),
        aliases=(
            "dstip dst daddr destip destinationip destination da idresph dip ipv4dstaddr ipv6dstaddr localhost "
            "dstendpointip ipipdst dsthost resph ipv6ipv6dst flowdstipaddr flowserveripaddr ipdstaddr "
            "ipdestinationaddress destips dest tpotipext host sensor sensorname"
        ),
    ),
    RecordField(
        "protocol",
        pa.uint8(),
        required=True,
        window_type=pa.uint8(),
        largest=2**8 - 1,
        aliases=(
            # If a record also names the service (Stormshield's `ipproto=tcp proto=https`, `network.protocol` of ECS),
            # the transport protocol is used.
            "ipproto ipprotocol protoid transport networktransport networkiananumber connectiontransport "
            "transporttype l4proto l4protocol protocol proto pr prot pro protocolidentifier protocolnumber protonum "
            "ipprotocolnumber l4protonum l4protoname l4protocols ipipproto ipv6ipv6nxt ipv6nxt "
            "connectioninfoprotocolnum connectioninfoprotocolname protocolname protocolid protonumber protoname "
            "transportprotocol transportproto layer4protocol networkprotocol"
        ),
    ),
    RecordField(
        "src_port",
        pa.uint16(),
        required=True,
        window_type=pa.uint16(),
        largest=2**16 - 1,
        aliases=(
            "srcport sport spt sp sourceport idorigp sourcetransportport l4srcport srcpt origp tcpsrcport "
            "udpsrcport tcptcpsrcport udpudpsrcport srcendpointport flowsrcl4portid ipsrcport"
        ),
        metadata={"icmp": "type"},
    ),
    RecordField(
        "dst_port",
        pa.uint16(),
        required=True,
        window_type=pa.uint16(),
        largest=2**16 - 1,
        aliases=(
            "dstport dport dpt dp destport destinationport idrespp destinationtransportport l4dstport dsport "
            "dstpt respp tcpdstport udpdstport tcptcpdstport udpudpdstport dstendpointport flowdstl4portid ipdstport "
            "destportd port"
        ),
        metadata={"icmp": "code"},
    ),
    RecordField(
        "ttl",
        pa.uint8(),
        window_type=pa.uint8(),
        largest=2**8 - 1,
        aliases="ttl ipttl ipipttl ipv6hlim ipv6ipv6hlim minimumttl",
    ),
    # TCP has nine flags (RFC 3540) and three reserved bits; records keep the low eight.
    RecordField(
        "tcp_flags",
        pa.uint8(),
        window_type=pa.uint8(),
        largest=2**12 - 1,
        aliases="tcpflags tcptcpflags flags flg tcpcontrolbits initialtcpflags iflags",
    ),
    RecordField(
        "ip_id",
        pa.uint16(),
        window_type=pa.uint16(),
        largest=2**16 - 1,
        aliases="ipid ipipid ipident ipidentification",
    ),
    RecordField(
        "tcp_seq",
        pa.uint32(),
        window_type=pa.uint32(),
        largest=2**32 - 1,
        aliases="tcpseqraw tcpseq seq tcpsequence tcpsequencenumber isn",
    ),
    RecordField(
        "packets",
        pa.uint32(),
        window_type=pa.uint32(),
        largest=2**32 - 1,
        aliases=(
            "packets pkts packetcount totpkts ipkt packetdeltacount packettotalcount inpkts inpackets sourcepackets "
            "pkt"
        ),
    ),
    # Engines without unsigned 64-bit integers store it as a signed one.
    RecordField(
        "bytes",
        pa.uint64(),
        window_type=pa.uint64(),
        largest=2**63 - 1,
        aliases="bytes octets totbytes ibyt octetdeltacount octettotalcount inbytes sourcebytes oct",
    ),
    RecordField("label", pa.string(), aliases="label"),
    RecordField("tool", pa.string(), aliases="tool"),
)

FLOW_SCHEMA = pa.schema(
    [pa.field(row.name, row.type, nullable=not row.required, metadata=row.metadata) for row in FIELDS]
)
REQUIRED_FIELDS = tuple(row.name for row in FIELDS if row.required)
OPTIONAL_FIELDS = tuple(row.name for row in FIELDS if not row.required)
WINDOW_FIELDS = {row.name: row.window_type for row in FIELDS if row.window_type is not None}
"""The fields that a window stores for each record, and their types."""

ANNOTATIONS = tuple(row.name for row in FIELDS if not row.required and row.window_type is None)
"""Text columns of a window, with the text of most of its records. They are never used for training or clustering."""

TIE_FIELDS = ("dst_ip", "dst_port", "protocol", "src_port")
TIE_ORDER = (*TIE_FIELDS, *(name for name in WINDOW_FIELDS if name not in (*TIE_FIELDS, "timestamp")))
"""Records of one source with equal times are sorted by these fields, null first, so that input order has no effect."""
