"""AMD Am79C970A under Linux's pcnet32 driver."""

from . import Card, Check, first_light, life, on_a_raw_wire, show

#: pcnet32 gives back the memory of its rings while interrupts are off, which dma_free_attrs objects to; with QEMU's own
#: pcnet in the same kernel (6.12) as with ours.
KNOWN = "^ethtool -G: .*(dma_free_attrs|Call Trace)"
#: What the driver of either part shows and lets change.
COMMON = (
    Check("ethtool -t offline", "self-test", ("offline",)),
    show("-i", r"^driver: pcnet32$", r"^bus-info: 0000:00:05\.0$",
         *(rf"^supports-{what}: yes$" for what in ("test", "register-dump"))),
    show("-g", r"maximums:\nRX:\s+512$", r"settings:\nRX:\s+32$"),
    Check("ethtool -G", "rings", ("64", "32", "512", "512")),
    Check("ethtool -s msglvl", "message-level"),
    Check("ethtool -p", "identify"),
)  # fmt: skip

REGISTERS = (
    r"Driver:\s+pcnet32$",
    r"APROM:\s+5452\s+1200\s+5634\s+0000\s+1100\s+0000\s+0201\s+5757",
    r"CSR0:\s+Status and Control\s+0x[0-9a-f]{4}\n\s+.*RXON TXON",
    r"CSR4:\s+Test and Features\s+0x[0-9a-f]{4}\n\s+.*APAD_XMT",
    r"CSR112: Missed Frame Count\s+0x0000",
)

CARD = Card(
    model="pcnet",
    module="pcnet32",
    peer="pcnet",
    ipxe="pcnet32",
    checks=(
        *first_light(),
        *COMMON,
        show("-d", *REGISTERS, r"PCnet/PCI II 79C970A", r"PVALID EEDET"),
        *life(KNOWN),
        *on_a_raw_wire(jumbo=None, vlan=("no-tagging", "no-filter")),
    ),
)
