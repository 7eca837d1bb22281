"""Tables of CICFlowMeter (github.com/ahlashkari/CICFlowMeter) and of data sets made with it."""

from telescope_transformer.records.known_tables import KnownTable, table_format

FORMAT = table_format(
    KnownTable(
        "cicflowmeter",
        {
            "timestamp": ["Timestamp"],
            "src_ip": ["Src IP", "Source IP", "Source_IP", "src_ip"],
            "dst_ip": ["Dst IP", "Destination IP", "Destination_IP", "dst_ip"],
            "protocol": ["Protocol"],
            "src_port": ["Src Port", "Source Port", "Source_Port", "src_port"],
            "dst_port": ["Dst Port", "Destination Port", "Destination_Port", "dst_port"],
            "packets": ["Total Fwd Packet", "Tot Fwd Pkts", "Total Fwd Packets"],
            "bytes": ["Total Length of Fwd Packet", "TotLen Fwd Pkts", "Total Length of Fwd Packets"],
            "label": ["Label"],
        },
        marks=("Flow ID", "Timestamp", "Protocol"),
        day_first=True,
        note="dates of CICFlowMeter are read with the day first, and its times are taken as UTC",
    )
)
