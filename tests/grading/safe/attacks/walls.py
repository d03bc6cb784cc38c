"""Submissions that try to get out of the sandbox, or at the kernel of the machine below it."""

# %% the network
# exercise: attention
# never: GOT IN
import socket

for family, address in (
    (socket.AF_INET, ("127.0.0.1", PORT)),
    (socket.AF_INET, ("192.0.2.1", 80)),
    (socket.AF_INET6, ("::1", PORT)),
):
    try:
        with socket.socket(family) as line:
            line.settimeout(0.2)
            line.connect(address)
            print("GOT IN", address)
    except OSError:
        pass

# %% a socket of the grader's that has no file
# exercise: attention
# never: GOT IN
import socket

for kind in (socket.SOCK_STREAM, socket.SOCK_SEQPACKET, socket.SOCK_DGRAM):
    try:
        with socket.socket(socket.AF_UNIX, kind) as line:
            line.connect("\0" + ABSTRACT)
            print("GOT IN")
    except OSError:
        pass

# %% sockets to the kernel and the machine below
# exercise: attention
# never: GOT IN
import socket

for family, kind, number in (
    (socket.AF_NETLINK, socket.SOCK_RAW, 0),
    (socket.AF_PACKET, socket.SOCK_RAW, 3),
    (socket.AF_INET, socket.SOCK_RAW, 1),
    (40, socket.SOCK_STREAM, 0),
    (38, 5, 0),
):
    try:
        socket.socket(family, kind, number).close()
        print("GOT IN", family, kind)
    except OSError:
        pass

# %% namespaces of its own
# exercise: attention
# never: GOT IN
import ctypes
import os
import subprocess

libc = ctypes.CDLL(None, use_errno=True)
for flag in (0x10000000, 0x00020000, 0x20000000, 0x40000000, 0x08000000, 0x04000000, 0x02000000):
    if libc.unshare(flag) == 0:
        print("GOT IN: unshare", hex(flag))
for command in (
    "unshare -U true",
    "unshare -r mount -t tmpfs none /tmp",
    "bwrap --ro-bind / / true",
):
    try:
        if subprocess.run(command.split(), capture_output=True).returncode == 0:
            print("GOT IN:", command)
    except OSError:  # there is no such program
        pass
pid = libc.syscall(56, 0x10000000 | 17, 0, 0, 0, 0)  # clone
if pid == 0:
    os._exit(0)
if pid > 0:
    print("GOT IN: clone")

# %% mounts
# exercise: attention
# never: GOT IN
import ctypes
import os
import subprocess

libc = ctypes.CDLL(None, use_errno=True)
for folder in (b"/tmp", b"/proc", b"/usr", b"/"):
    if libc.mount(b"none", folder, b"tmpfs", 0, None) == 0:
        print("GOT IN: mount")
    if libc.umount2(folder, 2) == 0:
        print("GOT IN: umount")
    if libc.mount(None, folder, None, 32 | 4096, None) == 0:
        print("GOT IN: remount")
if (
    libc.chroot(b"/tmp") == 0 or libc.pivot_root(b"/tmp", b"/tmp") == 0
    if hasattr(libc, "pivot_root")
    else False
):
    print("GOT IN: root")
for path in ("/tmp/device", "/dev/sda"):
    try:
        os.mknod(path, 0o60600, os.makedev(8, 0))
        print("GOT IN", path)
    except OSError:
        pass

# %% programs with a right of their own
# exercise: attention
# never: GOT IN
import os
import subprocess

for command in (
    "su -c id",
    "sudo -n id",
    "mount -t tmpfs none /tmp",
    "newgrp",
    "passwd -S",
    "chsh",
    "pkexec id",
    "setpriv --reuid=0 id",
    "ping -c 1 127.0.0.1",
):
    try:
        done = subprocess.run(
            command.split(), capture_output=True, stdin=subprocess.DEVNULL, timeout=1
        )
        if b"uid=0" in done.stdout or command.startswith(("mount", "ping")) and not done.returncode:
            print("GOT IN:", command)
    except (OSError, subprocess.TimeoutExpired):
        pass
for change in (os.setuid, os.setgid):
    try:
        change(0)
        print("GOT IN", change)
    except OSError:
        pass

# %% a program with a right of its own that it makes
# exercise: attention
# never: GOT IN
import os
import shutil
import subprocess
import sys

shutil.copy(os.path.realpath("/proc/self/exe"), "/tmp/id")
os.chmod("/tmp/id", 0o6755)
tells = "import os; print(os.geteuid())"
home = os.environ | {"PYTHONHOME": sys.base_prefix}
ran = subprocess.run(["/tmp/id", "-Sc", tells], capture_output=True, check=True, env=home)
if not int(ran.stdout):
    print("GOT IN")

# %% rights that it still has
# exercise: attention
# never: GOT IN
for row in open("/proc/self/status"):
    name, _, value = row.partition(":")
    if name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb") and int(value, 16):
        print("GOT IN", row)
    if name == "NoNewPrivs" and value.strip() != "1":
        print("GOT IN", row)
    if name == "Seccomp" and value.strip() != "2":
        print("GOT IN", row)

# %% the kernel's rarer doors
# exercise: attention
# never: GOT IN
import ctypes
import platform

libc = ctypes.CDLL(None, use_errno=True)
DOORS = {
    "bpf": 321,
    "perf_event_open": 298,
    "userfaultfd": 323,
    "io_uring_setup": 425,
    "add_key": 248,
    "keyctl": 250,
    "memfd_create": 319,
    "memfd_secret": 447,
    "open_by_handle_at": 304,
    "fsopen": 430,
    "open_tree": 428,
    "pidfd_getfd": 438,
    "kexec_load": 246,
    "shmget": 29,
    "msgget": 68,
    "semget": 64,
    "quotactl": 179,
    "mq_open": 240,
}
if platform.machine() == "x86_64":
    for name, number in DOORS.items():
        libc.syscall(number, 0, 0, 0, 0, 0, 0)
        if ctypes.get_errno() not in (1, 38):  # not permitted, not there
            print("GOT IN:", name, ctypes.get_errno())
        libc.syscall(number | 0x40000000, 0, 0, 0, 0, 0, 0)
        if ctypes.get_errno() not in (1, 38):
            print("GOT IN: x32", name, ctypes.get_errno())

# %% the same doors by the calls of 32 bits
# exercise: attention
# never: GOT IN
import ctypes
import mmap
import platform

if platform.machine() == "x86_64":
    code = mmap.mmap(-1, 4096, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, 7)
    code.write(b"\x53\xb8\x74\x01\x00\x00\x31\xdb\x31\xc9\xcd\x80\x5b\xc3")  # int 0x80, 372
    call = ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(code)))
    if call() not in (-1, -38):
        print("GOT IN", call())

# %% the terminal of the grader
# exercise: attention
# never: GOT IN
import fcntl
import os
import termios

for path in ("/dev/tty", "/dev/console", "/dev/tty0"):
    try:
        line = os.open(path, os.O_RDWR | os.O_NOCTTY)
        fcntl.ioctl(line, termios.TIOCSTI, b"x")
        print("GOT IN", path)
    except OSError:
        pass

# %% limits that it raises
# exercise: attention
# never: GOT IN
import os
import resource

for name in ("AS", "CPU", "NPROC", "FSIZE", "NOFILE", "CORE", "MEMLOCK"):
    kind = getattr(resource, f"RLIMIT_{name}")
    try:
        resource.setrlimit(kind, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        print("GOT IN", name)
    except (OSError, ValueError):
        pass
try:
    os.nice(-5)
    print("GOT IN: nice")
except OSError:
    pass
