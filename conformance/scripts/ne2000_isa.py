"""Register scripts for Novell's NE2000: those of the RTL8029AS that are not Realtek's own."""

from .ne2000 import BOARD, locate

__all__ = ["SCRIPTS", "locate"]

SCRIPTS = BOARD
