# A finished segmented packet left its header's length and what it had sent in the state: loading took it for part of
# a packet.
OPTIONS = {"model": "e1000", "profile": "instant", "overflow": "drop", "seed": 0, "twin": False}
OPERATIONS = [
    ("write", 6, 4, 7, 2),
    ("write", 0, 0, 1073741889, 4),
    ("write", 0, 1024, 17039626, 4),
    ("write", 0, 14336, 4096, 4),
    ("write", 0, 14340, 0, 4),
    ("write", 0, 14344, 1024, 4),
    ("memory", 4208, "0e18210022320000ffff0f27000d803e"),
    ("write", 0, 14360, 16, 4),
    ("migrate",),
]
