"""Intel 82540EM under Linux's e1000 driver."""

from . import Card, Check, first_light, life, show

CARD = Card(
    model="e1000",
    module="e1000",
    peer="e1000",
    checks=(
        *first_light(),
        Check("ethtool -t offline", "self-test", ("offline",)),
        Check("ethtool -t online", "self-test", ("online",)),
        show("-i"),
        show("-d"),
        show("-e"),
        Check("ethtool -E", "eeprom-write", ("0x100e8086", "0x10")),
        Check("ethtool -S", "statistics", ("tx_packets", "rx_packets")),
        show("-g"),
        Check("ethtool -G", "rings", ("80", "80", "4096", "4096")),
        show("-k"),
        Check("ethtool -K", "offloads", ("tso=tcp-segmentation-offload", "tx=tx-checksumming", "rx=rx-checksumming",
                                         "sg=scatter-gather", "rxvlan=rx-vlan-offload")),
        show("-c"),
        Check("ethtool -C", "coalescing", ("0", "1", "3", "100")),
        show("-a"),
        Check("ethtool -A", "pause"),
        Check("ethtool -s", "link-modes", ("10/full", "100/full", "1000/full")),
        Check("ethtool -s msglvl", "message-level"),
        Check("ethtool -s wol", "wake-on-lan", ("g",)),
        Check("ethtool -p", "identify"),
        Check("MTU 9000", "mtu", ("9000",)),
        *life(),
    ),
)  # fmt: skip
