"""What `tests/grading/limited/test_limited.py` has done in a limited process."""

import contextlib
import ctypes
import json
import os
import socket
import sys
import time

warmed = 0


def warm():
    global warmed
    warmed += 1


def length(data: bytes) -> bytes:
    return str(len(data)).encode()


def process(data: bytes) -> bytes:
    return f"{os.getpid()} {os.getppid()} {warmed}".encode()


def walls(data: bytes) -> bytes:
    """Return what a reader is and sees, and whether it can leave anything behind."""
    with contextlib.suppress(OSError):
        os.mkdir("/tmp/left")
    what = {
        "space": os.readlink("/proc/self/ns/pid"),
        "processes": [int(one) for one in os.listdir("/proc") if one.isdigit()],
        "left": os.listdir("/tmp"),
        "at": os.getcwd(),
        "writable": [path for path in sys.path if os.access(path or ".", os.W_OK)],
        "dumpable": ctypes.CDLL(None).prctl(3, 0, 0, 0, 0),
    }
    return json.dumps(what).encode()


def much_memory(data: bytes) -> bytes:
    return str(len(bytearray(600 << 20))).encode()


def much_time(data: bytes) -> bytes:
    end = time.process_time() + float(data)
    while time.process_time() < end:
        pass
    return b"done"


def long_wait(data: bytes) -> bytes:
    time.sleep(float(data))
    return b"done"


def long_answer(data: bytes) -> bytes:
    return bytes(int(data))


def broken(data: bytes) -> bytes:
    raise KeyError(data.decode())


def ends(data: bytes) -> bytes:
    os._exit(0)


def half_an_answer(data: bytes) -> bytes:
    line = next(fd for fd in range(3, 64) if _is_line(fd))
    os.write(line, (1000).to_bytes(8, "big") + b"+" + b"x" * 100)
    os._exit(0)


def writes_a_file(data: bytes) -> bytes:
    with open(data.decode(), "w") as file:
        file.write("x" * 100_000)
    return b"written"


def reaches_out(data: bytes) -> bytes:
    """Return what comes of opening a file, listing a folder, calling a port and forking."""
    path, folder, port = json.loads(data)
    tries = (
        lambda: open(path).close(),
        lambda: os.listdir(folder),
        lambda: socket.create_connection(("127.0.0.1", port), 5),
        os.fork,
    )
    return json.dumps([_came_of(one) for one in tries]).encode()


def _came_of(what) -> str:
    try:
        what()
    except Exception as error:
        return type(error).__name__
    return "done"


def files(data: bytes) -> bytes:
    found = (os.path.join(at, one) for at, _, names in os.walk(data.decode()) for one in names)
    return "\n".join(found).encode(errors="replace")


def talks(data: bytes) -> bytes:
    print("x" * 200_000, file=sys.stderr)
    return b"done"


def _is_line(fd: int) -> bool:
    try:
        return "socket" in os.readlink(f"/proc/self/fd/{fd}")
    except OSError:
        return False
