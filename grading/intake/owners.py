"""Who else on this machine could read or replace something: by owners and permissions."""

import grp
import os
import pwd
import shlex
import stat
from pathlib import Path

_FIRST_USER = 1000  # Debian's and most systems' first number of a person; those below are services'


def name_of(user: int) -> str:
    """Return a user's name, or what stands for it."""
    try:
        return pwd.getpwuid(user).pw_name
    except KeyError:
        return f"user {user}"


def others_may(status: os.stat_result, permission: int) -> bool:
    """Return whether others than a file's owner have a permission for it.

    Args:
        status: the file's or folder's.
        permission: `stat.S_IROTH`, `stat.S_IWOTH` or `stat.S_IXOTH`; the group's counts too,
            unless the group is the owner's own.
    """
    shared = status.st_mode & (permission << 3) and not _is_own_group(status)
    return bool(status.st_mode & permission or shared)


def _is_own_group(status: os.stat_result) -> bool:
    owner = name_of(status.st_uid)
    try:
        group = grp.getgrgid(status.st_gid)
    except KeyError:
        return False
    if not set(group.gr_mem) <= {owner, "root"}:
        return False
    return group.gr_name == owner or status.st_gid == 0  # others may be everybody's, as `users`


def is_open(path: Path) -> bool:
    """Return whether other users of this machine can come to a folder and list it."""
    path = path.resolve()
    if not path.exists():
        return False
    return others_may(path.stat(), stat.S_IROTH) and all(
        others_may(folder.stat(), stat.S_IXOTH) for folder in (path, *path.parents)
    )


def replaceable(path: Path, me: int) -> list[str]:
    """Return which folders above a path let others put something else in its place, with a remedy.

    Args:
        path: a path from the root; what links on the way lead to is looked at, too.
        me: the user whose folders may be trusted, with root's and those of services.
    """
    problems = []
    above = dict.fromkeys([*path.absolute().parents, *path.resolve().parents])
    for folder in above:
        try:
            status = folder.stat()
        except FileNotFoundError:
            continue
        if status.st_uid != me and status.st_uid >= _FIRST_USER:
            problems.append(
                f"{folder} belongs to {name_of(status.st_uid)}, who can replace what is in it: "
                f"sudo chown {name_of(me)} {shlex.quote(str(folder))}"
            )
        elif others_may(status, stat.S_IWOTH) and not status.st_mode & stat.S_ISVTX:
            problems.append(
                f"others can write to {folder}, and so replace what is in it: "
                f"chmod go-w {shlex.quote(str(folder))}"
            )
    return problems
