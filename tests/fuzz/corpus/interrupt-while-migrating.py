# What the guest did from its interrupt handler while another card took over reached the card that had been replaced.
OPTIONS = {"model": "pcnet-fast3", "profile": "instant", "overflow": "drop", "seed": 0, "twin": False}
OPERATIONS = [
    ("write", 6, 4, 7, 2),
    ("write", 0, 18, 1, 2),
    ("write", 0, 16, 2048, 2),
    ("write", 0, 18, 2, 2),
    ("write", 0, 16, 0, 2),
    ("write", 0, 18, 0, 2),
    ("write", 0, 16, 67, 2),
    ("inside", "irq", [("write", 0, 16, 4, 2)]),
    ("migrate",),
]
