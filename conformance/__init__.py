"""Conformance: unmodified operating systems and QEMU itself judge the cards from outside."""
