# TDH written from inside the write-back of owed descriptors (memory behind functions, or a DMA message on its way)
# made the count of what is owed go below 0: four thousand million write-backs.
OPTIONS = {"model": "e1000", "profile": "instant", "overflow": "drop", "seed": 0, "twin": False}
OPERATIONS = [
    ("write", 6, 4, 7, 2),
    ("write", 0, 0, 65, 4),
    ("write", 0, 1024, 17039626, 4),
    ("write", 0, 14376, 17301504, 4),
    ("write", 0, 14340, 0, 4),
    ("write", 0, 14344, 4294967295, 4),
    ("write", 0, 14336, 3207149, 4),
    ("write", 0, 14360, 22, 4),
    ("inside", "write", [("write", 0, 14352, 63, 4)]),
    ("write", 0, 14360, 4, 4),
]
