"""Pairs: one submission leaves something behind, and the next, another student's, looks for it."""

# %% leaves files wherever it can
# exercise: attention
import os

for folder, folders, files in os.walk("/"):
    if folder.startswith("/proc"):
        folders.clear()
    elif os.access(folder, os.W_OK):
        try:
            with open(f"{folder}/left_behind", "w") as file:
                file.write("def attention(q, k, v, causal=True): ...")
        except OSError:
            pass

# %% looks for files left behind
# exercise: attention
# never: GOT IN
import os

for folder, folders, files in os.walk("/"):
    if folder.startswith("/proc"):
        folders.clear()
    if "left_behind" in files:
        print("GOT IN", folder)

# %% leaves patches of what it runs beside
# exercise: attention
import builtins
import os
import sys

import torch

from gqa_lib.learn import watch
from grading.student import run, serve

torch.left_behind = builtins.left_behind = serve.left_behind = run.left_behind = True
watch.left_behind = sys.left_behind = True
os.environ["LEFT_BEHIND"] = "1"
torch.manual_seed(1234)
torch.set_default_dtype(torch.float64)

# %% looks for patches of what it runs beside
# exercise: attention
# never: GOT IN
import builtins
import os
import sys

import torch

from gqa_lib.learn import watch
from grading.student import run, serve

if any(hasattr(one, "left_behind") for one in (torch, builtins, serve, run, watch, sys)):
    print("GOT IN: a patch")
if "LEFT_BEHIND" in os.environ or torch.get_default_dtype() != torch.float32:
    print("GOT IN: a setting")

# %% leaves a process that listens
# exercise: attention
import os
import socket
import time

if not os.fork():
    os.setsid()
    line = socket.socket(socket.AF_UNIX)
    line.bind("\0left_behind")
    line.listen()
    try:
        other = socket.create_server(("127.0.0.1", 4711))
    except OSError:
        pass
    time.sleep(3600)
time.sleep(0.2)

# %% looks for a process that listens
# exercise: attention
# never: GOT IN
import os
import socket

for family, address in ((socket.AF_UNIX, "\0left_behind"), (socket.AF_INET, ("127.0.0.1", 4711))):
    try:
        with socket.socket(family) as line:
            line.settimeout(0.2)
            line.connect(address)
            print("GOT IN", address)
    except OSError:
        pass
if [one for one in os.listdir("/proc") if one.isdigit()] not in (["1"], ["1", "2"]):
    print("GOT IN: processes", os.listdir("/proc"))

# %% leaves keys, queues and memory with the kernel
# exercise: attention
import ctypes

libc = ctypes.CDLL(None, use_errno=True)
for ring in (-1, -2, -3, -4, -5):
    libc.syscall(248, b"user", b"left_behind", b"answer", 6, ring)
libc.shmget(0x4711, 4096, 0o1666)
libc.msgget(0x4711, 0o1666)
libc.semget(0x4711, 1, 0o1666)

# %% looks for keys, queues and memory with the kernel
# exercise: attention
# never: GOT IN
import ctypes

libc = ctypes.CDLL(None, use_errno=True)
for ring in (-1, -2, -3, -4, -5):
    if libc.syscall(250, 10, ring, b"user", b"left_behind", 0) > 0:
        print("GOT IN: a key in ring", ring)
if max(libc.shmget(0x4711, 4096, 0), libc.msgget(0x4711, 0), libc.semget(0x4711, 1, 0)) >= 0:
    print("GOT IN: System V")

# %% leaves a lock on what everyone reads
# exercise: attention
import fcntl
import os
import time

import torch

if not os.fork():
    kept = open(torch.__file__)
    fcntl.flock(kept, fcntl.LOCK_EX)
    time.sleep(3600)
time.sleep(0.1)

# %% looks for a lock on what everyone reads
# exercise: attention
# never: GOT IN
import fcntl

import torch

try:
    fcntl.flock(open(torch.__file__), fcntl.LOCK_EX | fcntl.LOCK_NB)
except OSError:
    print("GOT IN")
