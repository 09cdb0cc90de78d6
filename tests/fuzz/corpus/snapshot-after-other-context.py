# A packet that another context descriptor cut short left what it had sent in the state.
OPTIONS = {"model": "e1000", "profile": "instant", "overflow": "drop", "seed": 0, "twin": False}
OPERATIONS = [
    ("write", 6, 4, 7, 2),
    ("write", 0, 0, 1073741889, 4),
    ("write", 0, 14336, 4096, 4),
    ("write", 0, 14340, 0, 4),
    ("write", 0, 14344, 1024, 4),
    ("write", 0, 1024, 17039626, 4),
    ("memory", 4512, "0856060000000000000011a900004a9f"),
    ("memory", 4528, "0e182100223200000100002600006400"),
    ("memory", 4544, "6c43050000000000dc0510ef000220c3"),
    ("write", 0, 14360, 29, 4),
    ("snapshot",),
]
