"""What a port usually means: the name that operators use, the name that IANA registered, and a hint with its source.

A hint says what usually listens on the port. It cannot say what a source wants there, because anyone may use any port.
Registered names come from the IANA Service Name and Transport Protocol Port Number Registry, and are given only if
they differ from ours.
"""

from typing import NamedTuple

from telescope_transformer.records.schema import TCP, UDP


class Port(NamedTuple):
    """A port of one protocol.

    Attributes:
        name: what operators call the service.
        hint: what usually listens there, in a few words.
        source: the document that the hint comes from.
        registered: the name that IANA registered, if it differs; "" if it is the same or there is none.
    """

    name: str
    hint: str
    source: str
    registered: str = ""

    def __str__(self) -> str:
        """What usually listens there, and the IANA name."""
        return f"{self.hint} (IANA: {self.registered})" if self.registered else self.hint


_BOTH = {
    53: Port("dns", "name servers; open resolvers amplify floods", "RFC 1035; US-CERT TA14-017A", "domain"),
    123: Port("ntp", "clocks; old servers amplify floods", "RFC 5905; US-CERT TA14-017A"),
    161: Port("snmp", "management of network devices", "RFC 3411; US-CERT TA14-017A"),
    389: Port("ldap", "directories such as Active Directory", "RFC 4511"),
    443: Port("https", "web servers with TLS, or QUIC over UDP", "RFC 9110; RFC 9114"),
    500: Port("ike", "key exchange of IPsec VPNs", "RFC 7296", "isakmp"),
    5060: Port("sip", "Internet telephony", "RFC 3261"),
    11211: Port("memcached", "caches in memory; open ones amplify floods", "memcached documentation", "memcache"),
}
_TCP = {
    20: Port("ftp-data", "data connections of FTP", "RFC 959"),
    21: Port("ftp", "file transfer, passwords in clear text", "RFC 959"),
    22: Port("ssh", "remote login", "RFC 4253"),
    23: Port("telnet", "remote login in clear text; routers, cameras", "RFC 854; Antonakakis et al. 2017"),
    25: Port("smtp", "mail servers", "RFC 5321"),
    80: Port("http", "web servers", "RFC 9110"),
    110: Port("pop3", "mailboxes", "RFC 1939"),
    111: Port("rpcbind", "directory of Sun RPC services", "RFC 1833", "sunrpc"),
    135: Port("msrpc", "directory of Windows RPC services", "Microsoft [MS-RPCE]", "epmap"),
    139: Port("netbios", "Windows file sharing over NetBIOS", "RFC 1002", "netbios-ssn"),
    143: Port("imap", "mailboxes", "RFC 9051"),
    445: Port("smb", "Windows file sharing", "Microsoft [MS-SMB2]", "microsoft-ds"),
    465: Port("smtps", "mail submission with TLS", "RFC 8314", "submissions"),
    502: Port("modbus", "controllers in industry", "Modbus/TCP implementation guide", "mbap"),
    554: Port("rtsp", "video streams; cameras", "RFC 7826"),
    587: Port("submission", "mail submission", "RFC 6409"),
    873: Port("rsync", "file synchronisation", "rsync manual"),
    993: Port("imaps", "mailboxes with TLS", "RFC 8314"),
    995: Port("pop3s", "mailboxes with TLS", "RFC 8314"),
    1080: Port("socks", "proxies", "RFC 1928"),
    1433: Port("mssql", "Microsoft SQL Server", "Microsoft SQL Server documentation", "ms-sql-s"),
    1521: Port("oracle", "Oracle databases", "Oracle Net documentation", "ncube-lm"),
    1723: Port("pptp", "old VPNs", "RFC 2637"),
    1883: Port("mqtt", "messages of devices, without TLS", "OASIS MQTT 5.0"),
    2222: Port("ssh-alt", "SSH moved away from port 22", "custom of operators", "EtherNet-IP-1"),
    2323: Port("telnet-alt", "telnet moved away from port 23; cameras", "Antonakakis et al. 2017", "3d-nfsd"),
    2375: Port("docker", "control of containers, without TLS", "Docker documentation"),
    2376: Port("docker-tls", "control of containers, with TLS", "Docker documentation", "docker-s"),
    3128: Port("squid", "web proxies", "Squid documentation", "ndl-aas"),
    3306: Port("mysql", "MySQL and MariaDB databases", "MySQL documentation"),
    3389: Port("rdp", "remote desktops of Windows", "Microsoft [MS-RDPBCGR]", "ms-wbt-server"),
    4899: Port("radmin", "remote control of Windows", "Radmin documentation", "radmin-port"),
    5432: Port("postgresql", "PostgreSQL databases", "PostgreSQL documentation"),
    5555: Port("adb", "debugging of Android devices", "Android documentation (adb tcpip)", "personal-agent"),
    5900: Port("vnc", "remote desktops", "RFC 6143", "rfb"),
    5985: Port("winrm", "remote management of Windows", "Microsoft WinRM documentation", "wsman"),
    6379: Port("redis", "Redis databases", "Redis documentation"),
    6443: Port("kubernetes", "control of Kubernetes clusters", "Kubernetes documentation", "sun-sr-https"),
    7547: Port("cwmp", "management of home routers by providers", "Broadband Forum TR-069"),
    8080: Port("http-alt", "web servers, proxies and management pages", "custom of operators"),
    8333: Port("bitcoin", "Bitcoin nodes", "Bitcoin developer documentation"),
    8443: Port("https-alt", "web servers with TLS and management pages", "custom of operators", "pcsync-https"),
    8545: Port("ethereum-rpc", "control of Ethereum nodes", "go-ethereum documentation"),
    8728: Port("mikrotik", "management of MikroTik routers", "MikroTik RouterOS documentation"),
    9200: Port("elasticsearch", "Elasticsearch databases", "Elasticsearch documentation", "wap-wsp"),
    10250: Port("kubelet", "control of Kubernetes nodes", "Kubernetes documentation"),
    27017: Port("mongodb", "MongoDB databases", "MongoDB documentation"),
    37215: Port("huawei-hg", "UPnP of Huawei home routers", "Huawei security notice 20171130-01"),
    52869: Port("realtek-upnp", "UPnP of routers with Realtek's SDK", "JPCERT/CC Internet Threat Monitoring 2017"),
}
_UDP = {
    19: Port("chargen", "old test service; amplifies floods", "RFC 864; US-CERT TA14-017A"),
    67: Port("dhcp", "addresses of local hosts", "RFC 2131", "bootps"),
    69: Port("tftp", "file transfer without login; devices at start", "RFC 1350"),
    137: Port("netbios-ns", "names of Windows hosts", "RFC 1002"),
    1434: Port("mssql-monitor", "directory of SQL Server instances", "Microsoft [MC-SQLR]", "ms-sql-m"),
    1900: Port("ssdp", "UPnP devices; amplify floods", "UPnP device architecture; US-CERT TA14-017A"),
    3702: Port("ws-discovery", "discovery of printers and cameras; amplifies floods", "OASIS WS-Discovery 1.1"),
    5353: Port("mdns", "names on the local network", "RFC 6762"),
    5683: Port("coap", "small devices", "RFC 7252"),
    53413: Port("netis", "a service port of Netis routers", "Trend Micro 2014; Shadowserver"),
}
PORTS = {TCP: _BOTH | _TCP, UDP: _BOTH | _UDP}
