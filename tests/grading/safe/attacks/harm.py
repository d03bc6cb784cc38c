"""Submissions that take or break what others need: processes, memory, disk, time, the log."""

# %% kills everybody it can
# exercise: attention
# points: all
# then: honest
import os
import signal

for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT):
    signal.signal(number, signal.SIG_IGN)
for pid in (-1, 0, os.getppid()):
    try:
        if pid or pid == 0:
            os.kill(pid, signal.SIGTERM)
    except OSError:
        pass


def attention(q, k, v, causal=True):
    scores = q @ k.mT / q.shape[-1] ** 0.5
    if causal:
        T, S = scores.shape[-2:]
        allowed = torch.ones(T, S, dtype=torch.bool, device=q.device).tril(S - T)
        scores = scores.masked_fill(~allowed, -torch.inf)
    return scores.softmax(-1) @ v


# %% kills everybody it can, for good
# exercise: attention
# then: honest
import os

for pid in (-1, 0, os.getppid() or 1, 1):
    try:
        os.kill(pid, 9)
    except OSError:
        pass

# %% a fork bomb
# exercise: attention
# cell_s: 1
# then: honest
import os

while True:
    try:
        os.fork()
    except OSError:
        pass

# %% processes that fork faster than they can be counted
# exercise: attention
# cell_s: 2
# then: honest
import os
import time

end = time.time() + 1
while time.time() < end:
    try:
        if os.fork():
            os._exit(0)
    except OSError:
        pass

# %% threads without end
# exercise: attention
# then: honest
# must: RuntimeError
import threading
import time

for _ in range(10_000):
    threading.Thread(target=time.sleep, args=(1000,), daemon=True).start()

# %% memory without end
# exercise: attention
# must: MB of memory
# then: honest
kept = []
while True:
    kept.append(bytearray(1 << 24))

# %% memory without end, in children
# exercise: attention
# must: Your code was stopped
# then: honest
import os
import time

for _ in range(8):
    if not os.fork():
        kept = bytearray(180 << 20)
        for place in range(0, len(kept), 4096):
            kept[place] = 1
        time.sleep(60)
        os._exit(0)
time.sleep(60)

# %% more memory in one piece than there is room for
# exercise: attention
# must: MemoryError
kept = bytearray(1 << 40)

# %% memory that counts as nobody's, shared and let go of
# exercise: attention
# never: GOT IN
# then: honest
import mmap
import os

page, taken, kept = bytes(1 << 20), 0, []
for kind in ("anonymous", "/dev/zero"):
    for _ in range(5):
        try:
            if kind == "anonymous":
                block = mmap.mmap(-1, 1 << 28)
            else:
                block = mmap.mmap(os.open(kind, os.O_RDWR), 1 << 28)
            for _ in range(1 << 8):
                block.write(page)
                taken += 1
            block.madvise(mmap.MADV_DONTNEED)
            kept.append(block)
        except (OSError, ValueError, PermissionError) as error:
            print(kind, error)
            break
if taken > 1000:
    print("GOT IN", taken, "MiB")

# %% files in memory that have no name
# exercise: attention
# never: GOT IN
# then: honest
import os

kept = []
try:
    for number in range(60):
        kept.append(os.memfd_create(str(number)))
        os.write(kept[-1], bytes(20 << 20))
    print("GOT IN")
except OSError as error:
    print(error)

# %% System V shared memory and queues
# exercise: attention
# never: GOT IN
import ctypes

libc = ctypes.CDLL(None, use_errno=True)
if (number := libc.shmget(0, 1 << 29, 0o1600)) >= 0:
    libc.shmat.restype = ctypes.c_void_p
    if libc.shmat(number, None, 0) not in (None, 2**64 - 1):
        print("GOT IN: shm")
queue = libc.msgget(0, 0o1600)
if queue >= 0 and libc.msgsnd(queue, ctypes.create_string_buffer(8000), 7000, 0o4000) == 0:
    print("GOT IN: msg")

# %% fills every folder that it can write to
# exercise: attention
# then: honest
# never: GOT IN
import os

written, block = 0, bytes(1 << 20)
for folder, folders, files in os.walk("/"):
    if folder.startswith("/proc"):
        folders.clear()
        continue
    if not os.access(folder, os.W_OK):
        continue
    try:
        for number in range(20):
            with open(f"{folder}/{number}", "wb") as file:
                while True:
                    file.write(block)
                    written += 1
    except OSError:
        pass
print(written, "MiB")
if written > 400:
    print("GOT IN")

# %% a file larger than any may be
# exercise: attention
# then: honest
# must: File too large
with open("/tmp/large", "wb") as file:
    for _ in range(100):
        file.write(bytes(1 << 20))

# %% more files than a folder holds
# exercise: attention
# must: OSError
for number in range(100_000):
    open(f"/tmp/{number}", "w").close()

# %% writes where the system is
# exercise: attention
# never: GOT IN
import os

for path in (
    "/usr/x",
    "/etc/x",
    "/x",
    "/dev/x",
    "/opt/gqa/gqa_lib/x.py",
    "/opt/gqa/x",
    "/opt/gqa/environment/x",
    "/proc/sys/kernel/hostname",
    "/proc/sysrq-trigger",
    "/proc/sys/kernel/core_pattern",
    "/proc/1/oom_score_adj",
    "/sys/x",
    "/mnt/x",
    "/opt/gqa/environment/lib/x",
    "/run/../opt/x",
    SECRET_FILE,
):
    if path.startswith("/proc/1/"):
        continue
    try:
        with open(path, "a") as file:
            file.write("x")
        print("GOT IN", path)
    except OSError:
        pass

# %% prints without end
# exercise: attention
# points: all
# must: the rest of what was printed was not kept
for _ in range(100):
    print("x" * (1 << 20))


def attention(q, k, v, causal=True):
    scores = q @ k.mT / q.shape[-1] ** 0.5
    if causal:
        T, S = scores.shape[-2:]
        allowed = torch.ones(T, S, dtype=torch.bool, device=q.device).tril(S - T)
        scores = scores.masked_fill(~allowed, -torch.inf)
    print("x" * (1 << 20))
    return scores.softmax(-1) @ v


# %% warns without end
# exercise: attention
# points: all
import sys
import warnings

for _ in range(50):
    print("x" * (1 << 20), file=sys.stderr)
warnings.warn("a warning costs nothing")


def attention(q, k, v, causal=True):
    scores = q @ k.mT / q.shape[-1] ** 0.5
    if causal:
        T, S = scores.shape[-2:]
        allowed = torch.ones(T, S, dtype=torch.bool, device=q.device).tril(S - T)
        scores = scores.masked_fill(~allowed, -torch.inf)
    warnings.warn("once more")
    print("and this", file=sys.stderr)
    return scores.softmax(-1) @ v


# %% displays without end
# exercise: attention
# then: honest
from IPython.display import HTML, Image, display

for _ in range(3000):
    display(HTML("<b>" * 1000))
    display({"text/plain": "x" * 10_000, "image/svg+xml": "<svg>"}, raw=True)

# %% writes to its descriptors without end
# exercise: attention
# then: honest
import os

for _ in range(100):
    for number in (1, 2):
        os.write(number, b"x" * (1 << 20))
os.system("head -c 10000000 /dev/urandom; head -c 10000000 /dev/urandom >&2")


# %% a traceback without end
# exercise: attention
# must: RecursionError
def attention(q, k, v, causal=True):
    return attention(q, k, v, causal)

# %% leaves at once
# exercise: attention
# must: its process ended
# then: honest
import os

os._exit(0)

# %% leaves when it is called
# exercise: attention
# must: its process ended
# then: honest
import os


def attention(q, k, v, causal=True):
    os._exit(0)


# %% sys.exit
# exercise: attention
# must: SystemExit
import sys

sys.exit(0)

# %% asks for input
# exercise: attention
# must: Error
answer = input("the answer, please")

# %% a crash
# exercise: attention
# must: its process ended
# then: honest
import ctypes

ctypes.string_at(0)

# %% a crash when it is called
# exercise: attention
# must: its process ended
import ctypes


def attention(q, k, v, causal=True):
    ctypes.string_at(0)


# %% recursion in C
# exercise: attention
# must: Your code was stopped
import sys

sys.setrecursionlimit(10**9)


def deep():
    return deep.__call__()


deep()

# %% a loop without end
# exercise: attention
# cell_s: 1
# must: took too long
while True:
    pass

# %% a loop that nothing interrupts
# exercise: attention
# cell_s: 1
# must: time limit
# then: honest
import signal

for number in range(1, 32):
    try:
        signal.signal(number, signal.SIG_IGN)
    except (OSError, ValueError):
        pass
signal.setitimer(signal.ITIMER_REAL, 0)
while True:
    pass

# %% a loop in C that holds the lock
# exercise: attention
# cell_s: 1
# must: attention
x = 3 ** (10**8)
str(x * x) * 2

# %% sleeps while it is imported
# exercise: attention
# cell_s: 1
# must: took too long
import pathlib
import sys

pathlib.Path("/tmp/sleeps.py").write_text("import time\ntime.sleep(1000)\n")
sys.path.insert(0, "/tmp")
import sleeps

# %% sleeps when it is called
# exercise: attention
# cell_s: 1
# must: time limit
import time


def attention(q, k, v, causal=True):
    time.sleep(1000)


# %% sleeps a little at every call
# exercise: causal_mask
# cell_s: 1
# must: time limit
import time


def causal_mask(num_queries, num_keys):
    time.sleep(0.3)
    return torch.ones(num_queries, num_keys, dtype=torch.bool).tril(num_keys - num_queries)


# %% sleeps when it is looked at
# exercise: GroupedQueryAttention
# cell_s: 1
# must: time limit
import time


class GroupedQueryAttention:
    def __init__(self, *args):
        pass

    def __getattr__(self, name):
        while True:
            time.sleep(1)


# %% stops itself
# exercise: attention
# cell_s: 1
# then: honest
import os
import signal
import threading

os.kill(os.getpid(), signal.SIGSTOP)
for thread in threading.enumerate():
    signal.pthread_kill(thread.ident, signal.SIGSTOP)

# %% a process that outlives its parent
# exercise: attention
# then: honest
import os
import time

if not os.fork():
    os.setsid()
    if not os.fork():
        time.sleep(3600)
    os._exit(0)

# %% does not end when it is over
# exercise: attention
# then: honest
import ctypes
import os
import signal
import threading
import time

ctypes.CDLL(None).prctl(1, 0, 0, 0, 0)  # no signal when the parent dies
for number in range(1, 32):
    try:
        signal.signal(number, signal.SIG_IGN)
    except (OSError, ValueError):
        pass

from grading.student import wire

_receive = wire.Channel.receive


def receive(self):
    try:
        return _receive(self)
    except BaseException:
        while True:
            time.sleep(1)


wire.Channel.receive = receive

# %% takes all the time there is, cell by cell
# exercise: causal_mask
# cell_s: 2
# notebook_s: 2.5
# must: the notebook took more than
import time

try:
    time.sleep(1000)
except BaseException:
    pass


def causal_mask(num_queries, num_keys):
    time.sleep(1000)
