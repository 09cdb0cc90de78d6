"""Stands in for passt: writes down how it was started, and returns every frame.  Conformance meets the real one."""

import json
import os
import socket
import sys

arguments = sys.argv[1:]
if "--mtu" in arguments and arguments[arguments.index("--mtu") + 1] == "bad":
    sys.exit("Invalid MTU: bad")
descriptors = [int(fd) for fd in os.listdir("/proc/self/fd") if os.path.exists(f"/proc/self/fd/{fd}")]
with open(os.environ["PASST_STUB"], "w") as notes:
    json.dump({"pid": os.getpid(), "arguments": arguments, "descriptors": descriptors}, notes)
with open(arguments[arguments.index("--pid") + 1], "w") as ready:
    print(os.getpid(), file=ready)
link = socket.socket(fileno=int(arguments[arguments.index("--fd") + 1]))
while data := link.recv(1 << 16):
    link.sendall(data)
