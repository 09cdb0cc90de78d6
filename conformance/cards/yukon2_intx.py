"""The same 88E8057 with its interrupt pin in place of messages."""

from dataclasses import replace

from .yukon2 import CARD as MESSAGES

CARD = replace(
    MESSAGES,
    options="disable_msi=1",
    checks=tuple(
        replace(check, arguments=("IO-APIC",)) if check.name == "interrupt" else check for check in MESSAGES.checks
    ),
)
