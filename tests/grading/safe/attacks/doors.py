"""Submissions that look for what the sandbox need not show, and for calls that nobody needs."""

# %% calls that no exercise needs
# exercise: attention
# never: GOT IN
import ctypes
import platform

libc = ctypes.CDLL(None, use_errno=True)
DOORS = {
    "vmsplice": 278, "splice": 275, "tee": 276, "process_madvise": 440, "pidfd_open": 434,
    "pidfd_send_signal": 424, "io_setup": 206, "remap_file_pages": 216, "personality": 135,
    "modify_ldt": 154, "syslog": 103, "seccomp": 317, "landlock_create_ruleset": 444, "sync": 162,
    "set_mempolicy": 238, "mbind": 237, "swapon": 167, "acct": 163, "iopl": 172, "ioperm": 173,
    "migrate_pages": 256, "move_pages": 279, "execveat": 322, "setxattr": 188, "process_vm_readv":
    310, "kcmp": 312, "ptrace": 101, "mount_setattr": 442, "move_mount": 429, "setns": 308,
    "unshare": 272, "inotify_init1": 294, "fanotify_init": 300, "timer_create": 222, "shmat": 30,
    "sethostname": 170, "clock_settime": 227, "adjtimex": 159, "init_module": 175, "vhangup": 153,
}  # fmt: skip
if platform.machine() == "x86_64":
    for name, number in DOORS.items():
        ctypes.set_errno(0)
        if libc.syscall(number, 0, 0, 0, 0, 0, 0) != -1 or ctypes.get_errno() not in (1, 38):
            print("GOT IN:", name, ctypes.get_errno())

# %% memory given to pipes and let go of
# exercise: attention
# never: GOT IN
import ctypes
import os
import platform

libc = ctypes.CDLL(None, use_errno=True)
r, w = os.pipe()
room = ctypes.create_string_buffer(8192)
number = {"x86_64": 278, "aarch64": 75}.get(platform.machine())
if (
    number
    and libc.syscall(number, w, (ctypes.c_size_t * 2)(ctypes.addressof(room), 4096), 1, 0) > 0
):
    print("GOT IN: vmsplice")
other = os.pipe()
for number in ({"x86_64": (275, 276), "aarch64": (76, 77)}).get(platform.machine(), ()):
    if libc.syscall(number, r, None, other[1], None, 100, 2) > 0:
        print("GOT IN: splice", number)

# %% pipes with more room
# exercise: attention
# never: GOT IN
import fcntl
import os

r, w = os.pipe()
for command, value in ((1031, 1 << 20), (1024, 1), (1033, 1)):
    try:
        fcntl.fcntl(w, command, value)
        print("GOT IN", command)
    except OSError:
        pass

# %% what is written to its own /proc
# exercise: attention
# never: GOT IN
import glob
import os

VALUES = {
    "clear_refs": "5",
    "oom_score_adj": "500",
    "coredump_filter": "255",
    "comm": "x",
    "timerslack_ns": "1",
    "attr/current": "x",
    "loginuid": "0",
    "timens_offsets": "x",
    "setgroups": "deny",
    "uid_map": "0 0 1",
    "projid_map": "0 0 1",
    "autogroup": "1",
}
for folder in ("/proc/self", "/proc/1", "/proc/thread-self", *glob.glob("/proc/self/task/*")):
    for name, value in VALUES.items():
        try:
            with open(f"{folder}/{name}", "w") as file:
                file.write(value)
            print("GOT IN", folder, name)
        except OSError:
            pass

# %% what is written to the kernel's settings
# exercise: attention
# never: GOT IN
import os

for folder, _, names in os.walk("/proc/sys"):
    for name in names:
        try:
            os.close(os.open(os.path.join(folder, name), os.O_WRONLY))
            print("GOT IN", folder, name)
        except OSError:
            pass
for path in ("/proc/sysrq-trigger", "/proc/irq", "/sys", "/sys/fs/cgroup"):
    if os.access(path, os.W_OK):
        print("GOT IN", path)

# %% its /proc, mounted anew
# exercise: attention
# never: GOT IN
import ctypes
import os

libc = ctypes.CDLL(None, use_errno=True)
for kind, flags in ((None, 32), (None, 32 | 4096), (b"proc", 0), (None, 4096)):
    if libc.mount(b"/proc", b"/proc", kind, flags, None) == 0:
        print("GOT IN", flags)
if libc.umount2(b"/proc", 2) == 0 or not os.statvfs("/proc").f_flag & os.ST_RDONLY:
    print("GOT IN")

# %% what pip keeps in the environment
# exercise: attention
# never: GOT IN
import os
import sys

FILES = {
    "pip.conf",
    "setup.log",
    "made-in",
    "pyvenv.cfg",
    "activate",
    "pip",
    "pip3",
    "gqa",
    "jupyter",
    "condarc",
    ".condarc",
    "uv.toml",
    "direct_url.json.bak",
    "nbgrader",
}
FOLDERS = {"conda-meta", "pkgs", "envs", "pkgconfig"}
for folder, folders, names in os.walk("/"):
    folders[:] = [f for f in folders if os.path.join(folder, f) not in ("/proc", "/sys")]
    if "/packages/" in folder or "/venv/scripts/" in folder or folder.startswith(("/usr/lib", "/usr/share")):
        continue
    for name in FILES & {*names} | FOLDERS & {*folders}:
        print("GOT IN", folder, name)
for start in (sys.prefix, sys.base_prefix, sys.exec_prefix):
    if set(os.listdir(start)) - {"bin", "lib", "lib64"}:
        print("GOT IN", start, os.listdir(start))

# %% the course's own records of its installation
# exercise: attention
# never: GOT IN
import glob
import os
import sys

for path in sys.path:
    for one in [*glob.glob(f"{path}/*.pth"), *glob.glob(f"{path}/__editable__*")]:
        if os.path.getsize(one):
            print("GOT IN", one)
    for one in (*glob.glob(f"{path}/gqa_course-*/*"), *glob.glob(f"{path}/gqa_lib/*")):
        if "/packages/" in one or "site-packages" in one:
            print("GOT IN", one)

# %% programs of the system
# exercise: attention
# never: GOT IN
import os
import shutil

for name in (
    "su",
    "sudo",
    "passwd",
    "mount",
    "bwrap",
    "unshare",
    "nsenter",
    "setpriv",
    "gcc",
    "cc",
    "ssh",
    "curl",
    "wget",
    "git",
    "perl",
    "gdb",
    "strace",
    "newuidmap",
    "pkexec",
    "crontab",
):
    for path in (
        shutil.which(name),
        f"/usr/bin/{name}",
        f"/usr/sbin/{name}",
        f"/usr/local/bin/{name}",
    ):
        if path and os.path.exists(path):
            print("GOT IN", path)
for folder in (
    "/usr/include",
    "/usr/src",
    "/usr/share/doc",
    "/usr/local/bin",
    "/usr/sbin",
    "/opt/conda",
):
    if os.path.exists(folder):
        print("GOT IN", folder)

# %% the machine's settings
# exercise: attention
# never: GOT IN
import os

for folder, folders, names in os.walk("/etc"):
    for name in names:
        if name != "ld.so.cache":
            print("GOT IN", folder, name)
for folder in ("/root", "/var", "/boot", "/srv", "/media", "/lost+found", "/sys", "/mnt"):
    if os.path.exists(folder) and os.listdir(folder):
        print("GOT IN", folder)

# %% paths of the instructor's
# exercise: attention
# never: GOT IN
import os
import sys
import sysconfig
import traceback

import torch

WANTED = (f"{COURSE}/", f"{HOME_FOLDER}/")
texts = {
    "path": str(sys.path),
    "torch": torch.__file__,
    "executable": sys.executable,
    "prefix": sys.prefix + sys.base_prefix,
    "environment": str(dict(os.environ)),
}
for name in ("maps", "environ", "cmdline", "status", "limits", "cgroup"):
    for who in ("self", "1"):
        try:
            texts[f"{who} {name}"] = open(f"/proc/{who}/{name}", errors="replace").read()
        except OSError:
            pass
for who in ("self", "1"):
    for name in ("exe", "cwd", "root"):
        try:
            texts[f"{who} {name}"] = os.readlink(f"/proc/{who}/{name}")
        except OSError:
            pass
try:
    torch.zeros(2) @ torch.zeros(3)
except RuntimeError:
    texts["traceback"] = traceback.format_exc()
for name, module in list(sys.modules.items()):
    texts[f"file of {name}"] = str(getattr(module, "__file__", ""))
mounts = open("/proc/self/mountinfo").read()
texts["mounts of ours"] = "\n".join(row for row in mounts.splitlines() if "/opt/gqa/g" in row)
for name, text in texts.items():
    if any(one in text for one in WANTED):
        print("GOT IN", name)

# %% a core dump of its own
# exercise: attention
# never: GOT IN
import ctypes
import platform
import resource

if resource.getrlimit(resource.RLIMIT_CORE) != (1, 1):
    print("GOT IN", resource.getrlimit(resource.RLIMIT_CORE))
for value in ((0, 0), (0, 1), (1, 1), (-1, -1), (1 << 30, 1 << 30)):
    for change in (resource.setrlimit, lambda *limit: resource.prlimit(0, *limit)):
        try:
            change(resource.RLIMIT_CORE, value)
            print("GOT IN", value)
        except (OSError, ValueError):
            pass
number = {"x86_64": 160, "aarch64": 164}.get(platform.machine())
if number and ctypes.CDLL(None).syscall(number, 4, (ctypes.c_uint64 * 2)(0, 1)) == 0:
    print("GOT IN: setrlimit")
if open("/proc/self/coredump_filter").read().strip() != "00000000":
    print("its memory may be dumped, but there is no dump")

# %% sockets of the kernel's, replaced
# exercise: attention
# never: GOT IN
import glob
import os
import socket

for folder in ("/run/kernel", "/run"):
    for number in range(1, 6):
        for name in (f"{folder}/socket-{number}", f"{folder}/kernel-{number}"):
            if os.path.lexists(name):
                print("GOT IN: there is", name)
for make in (
    lambda path: os.symlink("/dev/null", path),
    os.mkdir,
    os.mkfifo,
    lambda path: socket.socket(socket.AF_UNIX).bind(path),
    lambda path: open(path, "w"),
):
    try:
        make("/run/kernel/socket-1")
        print("GOT IN", make)
    except OSError:
        pass

# %% processes of other kinds
# exercise: attention
# never: GOT IN
import ctypes
import os
import platform

libc = ctypes.CDLL(None, use_errno=True)
number = {"x86_64": 56, "aarch64": 220}.get(platform.machine())
for flag in (0x8000, 0x1000, 0x2000, 0x00800000, 0x80000000, 0x00020000, 0x02000000, 0x40000000):
    if number is None:
        break
    child = libc.syscall(ctypes.c_long(number), ctypes.c_long(flag | 17), 0, 0, 0, 0)
    if child == 0:
        os._exit(0)
    if child > 0:
        print("GOT IN", hex(flag))

# %% more time than others
# exercise: attention
# never: GOT IN
import os

for policy in (os.SCHED_FIFO, os.SCHED_RR):
    try:
        os.sched_setscheduler(0, policy, os.sched_param(1))
        print("GOT IN", policy)
    except OSError:
        pass
try:
    os.setpriority(os.PRIO_PROCESS, 0, -5)
    print("GOT IN")
except OSError:
    pass

# %% memory that is nobody's
# exercise: attention
# never: GOT IN
import ctypes
import mmap
import os

libc = ctypes.CDLL(None, use_errno=True)
for flags in (0x21, 0x23, 0x8021, 0x40021):
    try:
        mmap.mmap(-1, 1 << 20, flags)
        print("GOT IN", hex(flags))
    except (OSError, ValueError):
        pass
try:
    with open("/dev/zero", "r+b", buffering=0) as zero:
        mmap.mmap(zero.fileno(), 1 << 20)
    print("GOT IN: /dev/zero")
except (OSError, ValueError):
    pass
if hasattr(os, "memfd_create"):
    try:
        os.memfd_create("x")
        print("GOT IN: memfd")
    except OSError:
        pass

# %% settings of its own process
# exercise: attention
# never: GOT IN
import ctypes

libc = ctypes.CDLL(None, use_errno=True)
for option in (1, 4, 8, 9, 14, 22, 24, 26, 28, 29, 31, 33, 35, 36, 40, 41, 47, 53, 0x59616D61):
    if libc.prctl(option, 0, 0, 0, 0) == 0:
        print("GOT IN", option)

# %% lines of other kinds
# exercise: attention
# never: GOT IN
import fcntl
import os
import socket

for family in (16, 17, 29, 30, 31, 38, 40, 44):
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_SEQPACKET, socket.SOCK_RAW):
        for make in (socket.socketpair, socket.socket):
            if family == 16 and make is socket.socket:
                continue  # a Jupyter kernel asks by one for the machine's own addresses
            try:
                make(family, kind)
                print("GOT IN", family, kind)
            except OSError:
                pass
for path in ("/dev/ptmx", "/tmp"):
    line = os.open(path, os.O_RDONLY)
    for request in (0x5412, 0x5409, 0x40086602, 0x40049409, 0x5410):
        try:
            fcntl.ioctl(line, request, b"x" * 8)
            print("GOT IN", path, request)
        except OSError:
            pass

# %% the library's own answer, by whatever way there is
# exercise: read_kv_shape
# never: GOT IN
import importlib
import pkgutil
import runpy
import sys

import gqa_lib
import gqa_lib.configs

NAME = "from_hf_" + "config"
ways = [
    lambda: getattr(gqa_lib.configs, NAME),
    lambda: gqa_lib.configs.__getattr__(NAME),
    lambda: getattr(importlib.import_module("gqa_lib.configs.hugging_" + "face"), NAME),
    lambda: pkgutil.resolve_name(f"gqa_lib.configs:{NAME}"),
    lambda: vars(gqa_lib.configs)[NAME],
    lambda: runpy.run_module("gqa_lib.configs.hugging_" + "face")[NAME],
    lambda: __import__("gqa_lib.configs", fromlist=[NAME]).__dict__[NAME],
    lambda: getattr(sys.modules["gqa_lib.configs." + "hugging_face"], NAME),
]


def clear_meta():
    sys.meta_path[:] = [one for one in sys.meta_path if "student" not in type(one).__module__]
    return getattr(importlib.import_module("gqa_lib.configs." + "hugging_face"), NAME)


found = None
for way in (*ways, clear_meta):
    try:
        found = way()
        print("GOT IN", way)
    except (ImportError, AttributeError, KeyError):
        pass


def read_kv_shape(hf):
    config = found(hf)
    return config.num_kv_heads, config.head_dim
