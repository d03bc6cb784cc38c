"""Submissions that take memory, processes and time where no sum over processes finds them."""

# %% memory in a child whose first thread has ended
# exercise: attention
# must: MB of memory
# then: honest
import ctypes
import os
import threading
import time


def take():
    time.sleep(0.2)
    kept = bytearray(1200 << 20)
    for place in range(0, len(kept), 4096):
        kept[place] = 1
    time.sleep(1000)


if not os.fork():
    threading.Thread(target=take).start()
    ctypes.CDLL(None).pthread_exit(None)
time.sleep(1000)

# %% memory in many children, a little in each
# exercise: attention
# must: MB of memory
# then: honest
import os
import time

for _ in range(12):
    if not os.fork():
        kept = bytearray(90 << 20)
        for place in range(0, len(kept), 4096):
            kept[place] = 1
        time.sleep(1000)
time.sleep(1000)

# %% memory in the buffers of sockets of many processes
# exercise: attention
# cell_s: 4
# never: GOT IN
# then: honest
import os
import socket
import time

counter = "/tmp/taken"
open(counter, "w").close()
for _ in range(40):
    try:
        if os.fork():
            continue
    except OSError:
        break
    kept = []
    try:
        while True:
            kept += socket.socketpair()
            for one in kept[-2:]:
                one.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 22)
                one.setblocking(False)
                try:
                    while True:
                        sent = one.send(bytes(1 << 16))
                        with open(counter, "a") as file:
                            file.write("x" * (sent >> 12))
                except BlockingIOError:
                    pass
    except OSError:
        time.sleep(1000)
time.sleep(2)
if os.stat(counter).st_size > 1000 << 8:
    print("GOT IN", os.stat(counter).st_size >> 8, "MiB")

# %% memory in the pipes of many processes
# exercise: attention
# cell_s: 4
# never: GOT IN
# then: honest
import fcntl
import os
import time

counter = "/tmp/taken"
open(counter, "w").close()
for _ in range(40):
    try:
        if os.fork():
            continue
    except OSError:
        break
    try:
        while True:
            reading, writing = os.pipe()
            try:
                fcntl.fcntl(writing, 1031, 1 << 20)  # its size
            except OSError:
                pass
            os.set_blocking(writing, False)
            try:
                while True:
                    sent = os.write(writing, bytes(1 << 16))
                    with open(counter, "a") as file:
                        file.write("x" * (sent >> 12))
            except BlockingIOError:
                pass
    except OSError:
        time.sleep(1000)
time.sleep(2)
if os.stat(counter).st_size > 1000 << 8:
    print("GOT IN", os.stat(counter).st_size >> 8, "MiB")

# %% files in all scratch folders, mapped and read
# exercise: attention
# never: GOT IN
# then: honest
import mmap

taken, kept = 0, []
for folder in ("/tmp", "/home/student", "/dev/shm", "/run"):
    for number in range(100):
        try:
            with open(f"{folder}/{number}", "wb+") as file:
                file.truncate(4 << 20)
                block = mmap.mmap(file.fileno(), 4 << 20)
                file.write(bytes(4 << 20))
                file.flush()
                kept.append(block)
                taken += sum(block[place : place + 1] == b"\0" for place in range(0, 4 << 20, 4096))
        except (OSError, ValueError):
            break
if taken > 100 << 8:
    print("GOT IN", taken >> 8, "MiB")

# %% an honest answer that maps and reads all files of the system's libraries
# exercise: attention
# points: all
import mmap
import os
import sys

read = 0
for folder, _, files in os.walk(os.path.join(sys.prefix, "lib")):
    for name in files:
        if not name.endswith((".so", ".py")) or read > 900 << 20:
            continue
        with open(os.path.join(folder, name), "rb") as file:
            if size := os.fstat(file.fileno()).st_size:
                block = mmap.mmap(file.fileno(), size, prot=mmap.PROT_READ)
                sum(block[place] for place in range(0, size, 4096))
                block.close()
                read += size


def attention(q, k, v, causal=True):
    scores = q @ k.mT / q.shape[-1] ** 0.5
    if causal:
        T, S = scores.shape[-2:]
        allowed = torch.ones(T, S, dtype=torch.bool, device=q.device).tril(S - T)
        scores = scores.masked_fill(~allowed, -torch.inf)
    return scores.softmax(-1) @ v


# %% niced spinners in sessions of their own
# exercise: attention
# cell_s: 2
# must: more than 2 s of computing
# then: honest
import os
import time

for number in range(60):
    try:
        if not os.fork():
            os.setsid()
            os.nice(number % 20)
            while True:
                pass
    except OSError:
        break
time.sleep(1000)

# %% computes in children that are waited for
# exercise: attention
# cell_s: 2
# must: more than 2 s of computing
# then: honest
import os
import time

while True:
    pid = os.fork()
    if not pid:
        end = time.monotonic() + 0.03
        while time.monotonic() < end:
            pass
        os._exit(0)
    os.waitpid(pid, 0)

# %% computes in children that nobody waits for
# exercise: attention
# cell_s: 2
# must: more than 2 s of computing
# then: honest
import os
import signal
import time

signal.signal(signal.SIGCHLD, signal.SIG_IGN)
while True:
    try:
        if not os.fork():
            end = time.monotonic() + 0.2
            while time.monotonic() < end:
                pass
            os._exit(0)
    except OSError:
        pass
    time.sleep(0.05)

# %% computes in orphans, as their parent sleeps when it is called
# exercise: attention
# cell_s: 2
# must: time limit
# then: honest
import os
import time


def attention(q, k, v, causal=True):
    for _ in range(4):
        if not os.fork():
            os.setsid()
            if not os.fork():
                while True:
                    pass
            os._exit(0)
    time.sleep(1000)


# %% computes in a thread, its first one ended
# exercise: attention
# cell_s: 2
# must: of computing
# then: honest
import ctypes
import threading


def compute():
    while True:
        pass


threading.Thread(target=compute, daemon=True).start()
ctypes.CDLL(None).pthread_exit(None)

# %% sleeps for ever and catches what wakes it
# exercise: attention
# cell_s: 1
# must: time limit
# then: honest
import time

while True:
    try:
        time.sleep(1000)
    except BaseException:
        pass

# %% sleeps for ever with a moment's work in between
# exercise: attention
# cell_s: 1
# must: time limit
# then: honest
import signal
import time

signal.signal(signal.SIGALRM, signal.SIG_IGN)
while True:
    time.sleep(0.2)
    sum(range(1000))

# %% stops itself when it is called
# exercise: attention
# cell_s: 1
# must: not yet
# then: honest
import os
import signal
import threading


def attention(q, k, v, causal=True):
    if not os.fork():
        while True:
            for pid in (os.getppid(), os.getpid()):
                os.kill(pid, signal.SIGSTOP)
    for thread in threading.enumerate():
        signal.pthread_kill(thread.ident, signal.SIGSTOP)


# %% waits for a program that sleeps
# exercise: attention
# cell_s: 1
# must: more than 1 s of computing or waiting
# then: honest
import subprocess

subprocess.run(["sleep", "1000"], close_fds=False)

# %% threads that start threads
# exercise: attention
# cell_s: 2
# then: honest
import threading
import time


def more():
    while True:
        try:
            threading.Thread(target=more, daemon=True).start()
        except RuntimeError:
            time.sleep(0.01)


more()

# %% as many processes as it may have, each with as many threads
# exercise: attention
# cell_s: 3
# never: GOT IN
# then: honest
import os
import threading
import time

for _ in range(40):
    try:
        if not os.fork():
            for _ in range(100):
                threading.Thread(target=time.sleep, args=(1000,), daemon=True).start()
            time.sleep(1000)
    except OSError:
        break
    except RuntimeError:
        time.sleep(1000)
time.sleep(0.5)
running = 0
for name in os.listdir("/proc"):
    if name.isdigit():
        try:
            running += len(os.listdir(f"/proc/{name}/task"))
        except OSError:
            pass
if running > 40:
    print("GOT IN", running, "threads")

# %% memory in the arguments of programs
# exercise: attention
# cell_s: 4
# never: GOT IN
# then: honest
import subprocess

kept = []
try:
    while len(kept) < 1000:
        many = ["x" * 100_000] * 18
        kept.append(subprocess.Popen(["sleep", "1000", *many], executable="/bin/sleep"))
    print("GOT IN")
except OSError as error:
    print(error)
