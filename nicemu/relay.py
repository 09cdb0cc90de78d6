"""`python -m nicemu.relay HOST PORT`: joins a socket on standard input and output to a TCP server (guestfwd)."""

from __future__ import annotations

import os
import socket
import sys
import threading

__all__ = ["main"]

PIECE = 1 << 16


def main() -> int:
    """Passes on what comes from either side until both have ended; 1 if the server cannot be reached."""
    _, host, port = sys.argv
    try:
        server = socket.create_connection((host, int(port)))
    except OSError as error:
        print(f"nicemu: guestfwd to {host}:{port}: {error.strerror or error}", file=sys.stderr)
        return 1
    back = threading.Thread(target=_pass_back, args=(server,))
    back.start()
    try:
        while data := os.read(0, PIECE):
            server.sendall(data)
        server.shutdown(socket.SHUT_WR)
    except OSError:  # one side is gone: so is the other
        server.close()
    back.join()
    return 0


def _pass_back(server: socket.socket) -> None:
    try:
        while data := server.recv(PIECE):
            while data:
                data = data[os.write(1, data) :]
    except OSError:
        pass
    with socket.socket(fileno=os.dup(1)) as guest:
        try:
            guest.shutdown(socket.SHUT_WR)
        except OSError:
            return


if __name__ == "__main__":
    sys.exit(main())
