# A card that goes on elsewhere with its interrupt asserted counted the moment of loading as the assertion that ITR
# measures from.
OPTIONS = {"model": "e1000", "profile": "instant", "overflow": "drop", "seed": 0, "twin": False}
OPERATIONS = [
    ("write", 0, 0, 65, 4),
    ("write", 0, 208, 131071, 4),
    ("write", 0, 196, 65535, 4),
    ("migrate",),
]
