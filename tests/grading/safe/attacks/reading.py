"""Submissions that read what is not theirs: tests, answers, other submissions, the graders' memory.

Whatever they find they print; a word that only the graders have must not be among it.
"""

# %% the instructor's file
# exercise: attention
# must: No such file
print(open(SECRET_FILE).read())

# %% the instructor's file, by other ways to the root
# exercise: attention
# never: GOT IN
import os

for root in (
    "/proc/1/root",
    "/proc/self/root",
    "/proc/1/cwd",
    "/..",
    "/proc/self/cwd/../..",
    "/proc/thread-self/root",
    "/mnt",
    "/oldroot",
    "/newroot",
    "/tmp/oldroot",
):
    try:
        print("GOT IN", open(root + SECRET_FILE).read())
    except OSError:
        pass
for name in os.listdir("/proc/self/fd"):
    try:
        where = os.open(f"{'../' * 20}{SECRET_FILE[1:]}", os.O_RDONLY, dir_fd=int(name))
        print("GOT IN", os.read(where, 1000))
    except OSError:
        pass

# %% every file that looks like the course's
# exercise: attention
# never: GOT IN
import os

WANTED = {"planted", "lesson01.py", "lesson04.py", "grade_notebook.py", "grade.log",
          "01-multi-head-attention.py", "02-kv-cache.py", "04-grouped-query-attention.py"}
SKIPPED = ("/proc", "/sys", "/usr/share", "/usr/include")
for folder, folders, files in os.walk("/"):
    folders[:] = [f for f in folders if os.path.join(folder, f) not in SKIPPED]
    for name in WANTED & {*folders, *files}:
        print("GOT IN", os.path.join(folder, name))

# %% the environment, its own and others'
# exercise: attention
# never: GOT IN
import glob
import os

print(dict(os.environ))
for path in glob.glob("/proc/[0-9]*/environ") + glob.glob("/proc/[0-9]*/cmdline"):
    try:
        print(path, open(path, "rb").read())
    except OSError:
        pass
if any(name.startswith(("GQA_", "NBGRADER")) for name in os.environ):
    print("GOT IN")

# %% other processes
# exercise: attention
# never: GOT IN
import os

others = [int(n) for n in os.listdir("/proc") if n.isdigit() and int(n) != os.getpid()]
for pid in others:
    status = open(f"/proc/{pid}/status").read()
    if f"PPid:\t{os.getpid()}\n" not in status and "bwrap" not in status.splitlines()[0]:
        print("GOT IN", pid, status.splitlines()[0])

# %% memory of parents and others
# exercise: attention
# never: GOT IN
import ctypes
import os

libc = ctypes.CDLL(None, use_errno=True)
for pid in {1, 2, 3, os.getppid()} - {0, *map(int, os.listdir("/proc/self/task"))}:
    for name in ("mem", "maps", "environ", "stack", "syscall", "auxv"):
        try:
            if open(f"/proc/{pid}/{name}", "rb").read(10):
                print("GOT IN", pid, name)
        except OSError:
            pass
    if libc.ptrace(16, pid, 0, 0) == 0:
        print("GOT IN", pid, "ptrace")

# %% ptrace and process_vm_readv of a child of its own
# exercise: attention
# never: GOT IN
import ctypes
import os
import time

libc = ctypes.CDLL(None, use_errno=True)
pid = os.fork()
if not pid:
    time.sleep(0.5)
    os._exit(0)
if libc.ptrace(0x4206, pid, 0, 0) == 0:
    print("GOT IN: ptrace")
data = ctypes.create_string_buffer(8)
vector = (ctypes.c_void_p * 2)(ctypes.addressof(data), 8)
if libc.process_vm_readv(pid, vector, 1, vector, 1, 0) > 0:
    print("GOT IN: process_vm_readv")
os.kill(pid, 9)

# %% the tests, in its history and its memory
# exercise: attention
import gc
import re

shell = get_ipython()
print(shell.user_ns.get("In"), list(shell.history_manager.get_range(raw=True)))
pattern = re.compile(b"CANARY" + b"-[0-9a-f]{16}")
found = set()
for row in open("/proc/self/maps"):
    span, rights, *_ = row.split()
    start, end = (int(part, 16) for part in span.split("-"))
    if "rw" in rights and end - start < 1 << 27:
        with open("/proc/self/mem", "rb") as memory:
            try:
                memory.seek(start)
                found |= set(pattern.findall(memory.read(end - start)))
            except (OSError, ValueError, OverflowError):
                pass
print(found)

# %% the tests, out of its memory while they run
# exercise: attention
# must: not yet
import re

pattern = re.compile(b"CANARY" + b"-[0-9a-f]{16}")


def attention(q, k, v, causal=True):
    found = set()
    for row in open("/proc/self/maps"):
        span, rights, *_ = row.split()
        start, end = (int(part, 16) for part in span.split("-"))
        if "rw" in rights and end - start < 1 << 24:
            with open("/proc/self/mem", "rb") as memory:
                try:
                    memory.seek(start)
                    found |= set(pattern.findall(memory.read(end - start)))
                except (OSError, ValueError, OverflowError):
                    pass
    raise ValueError(f"found {found}")


# %% what its descriptors lead to
# exercise: attention
# never: GOT IN
import os

for name in sorted(os.listdir("/proc/self/fd")):
    try:
        where = os.readlink(f"/proc/self/fd/{name}")
    except OSError:
        continue
    if not where.startswith(
        ("socket:", "/dev/null", "/proc/", "/home/student/", "anon_inode:", "pipe:", "/run/")
    ):
        print("GOT IN", name, where)

# %% descriptors that came with the messages
# exercise: attention
# never: GOT IN
import os
import socket

for name in os.listdir("/proc/self/fd"):
    try:
        line = socket.socket(fileno=os.dup(int(name)))
        line.settimeout(0.1)
        _, ancillary, *_ = line.recvmsg(1, 1000, socket.MSG_PEEK)
        if any(kind == socket.SCM_RIGHTS for _, kind, _ in ancillary):
            print("GOT IN", name)
    except (OSError, ValueError):
        pass

# %% the library's answer, imported
# exercise: attention
# must: holds the library's own answers
from gqa_lib.kernels.reference import attention_reference

attention = attention_reference

# %% the library's answer, imported behind importlib's back
# exercise: attention
# never: GOT IN
import importlib
import importlib.machinery
import sys

sys.meta_path[:] = [f for f in sys.meta_path if "student" not in type(f).__module__]
importlib.invalidate_caches()
for name in (
    "gqa_lib.attention",
    "gqa_lib.kernels",
    "gqa_lib.kernels.reference",
    "gqa_lib.cache",
    "gqa_lib.learn.exercises",
    "gqa_lib.learn.checking.difference",
    "grading.safe",
    "grading.authoring.verify",
):
    try:
        print("GOT IN", importlib.import_module(name))
    except ImportError:
        pass

# %% the library's answer, by its file
# exercise: attention
# never: GOT IN
import glob
import os
import sys

import gqa_lib

places = {os.path.dirname(gqa_lib.__file__), *sys.path, "/opt/gqa/environment"}
for place in places:
    for name in (
        "gqa_lib/attention/layer.py",
        "attention/layer.py",
        "kernels/reference.py",
        "gqa_lib/kernels/reference.py",
        "learn/exercises/lesson01.py",
        "grading/authoring/planted",
        "lib/python3*/site-packages/gqa_lib/attention/layer.py",
    ):
        for path in glob.glob(os.path.join(place, name)):
            print("GOT IN", path)

# %% an answer in a module of its own
# exercise: attention
# must: not yet
import pathlib
import sys

pathlib.Path("/tmp/gqa_lib").mkdir()
pathlib.Path("/tmp/gqa_lib/__init__.py").write_text("")
pathlib.Path("/tmp/gqa_lib/attention.py").write_text(
    "def attention(q, k, v, causal=True):\n    return q * 0\n"
)
sys.path.insert(0, "/tmp")
sys.modules.pop("gqa_lib")
sys.meta_path[:] = [f for f in sys.meta_path if "student" not in type(f).__module__]
from gqa_lib.attention import attention
