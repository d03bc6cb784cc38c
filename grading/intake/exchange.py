"""The class's exchange: who may write where, so that no student reads or changes another's part.

Students write in two folders, the exchange itself (nbgrader's commands ask for that) and `inbound`.
Both are sticky: only its owner can rename or delete what is in them. Nobody but the instructor can
list `inbound` and `feedback`, where names are secrets.
"""

import contextlib
import glob
import os
import secrets
import shlex
import stat
from collections.abc import Iterable
from pathlib import Path

from nbgrader.exchange.default.exchange import Exchange
from nbgrader.exchange.default.release_assignment import ExchangeReleaseAssignment
from nbgrader.exchange.default.release_feedback import ExchangeReleaseFeedback
from traitlets.config import Config

from gqa_lib.course.manifest import class_exchange

from .owners import name_of, others_may, replaceable

ROOT = 0o1777
FOLDERS = {"": 0o755, "outbound": 0o755, "inbound": 0o1733, "feedback": 0o711}
_TOLD = 6  # problems in one message


class UnsafeExchange(ValueError):
    """An exchange in which students could change each other's work; the message has the remedy."""


def configure(config: Config) -> None:
    """Have nbgrader's release of lessons and feedback keep the exchange's permissions."""
    config.ExchangeFactory.release_assignment = f"{__name__}.SafeRelease"
    config.ExchangeFactory.release_feedback = f"{__name__}.SafeReleaseFeedback"


def prepare_exchange(root: Path, course: str) -> None:
    """Make a class's exchange, or give the folders there that are ours their permissions.

    Args:
        root: the exchange.
        course: the course's folder in it.

    Raises:
        UnsafeExchange: something of it is not ours, or can be replaced; nothing was released.
        OSError: it cannot be made.
    """
    me = os.geteuid()
    _make_folders(root)
    if others_may(root.stat(), stat.S_IWOTH) and root.stat().st_uid == me:
        _set_mode(root, ROOT)
    for name, mode in FOLDERS.items():
        if _is_own_folder(root / course / name, me):
            _set_mode(root / course / name, mode)
    check_exchange(root, course)
    for name, mode in FOLDERS.items():
        folder = root / course / name
        with contextlib.suppress(FileExistsError):  # ours, or found below
            folder.mkdir(mode=0o700)
            _set_mode(folder, mode)
    if root.stat().st_uid == me:  # only now can students write here
        _set_mode(root, ROOT)
    check_exchange(root, course, contents=False)


def _make_folders(root: Path) -> None:
    """Make a folder, and those above it, so that all users can come there whatever the umask is."""
    for folder in reversed([root, *root.parents]):
        if not folder.exists():
            folder.mkdir()
            folder.chmod(0o755)


def check_exchange(root: Path, course: str, *, contents: bool = True) -> None:
    """See that no student can change what others hand in or are given.

    Args:
        root: the exchange.
        course: the course's folder in it.
        contents: whether to look at each lesson and page of feedback, too.

    Raises:
        UnsafeExchange: someone can; the message has the lines to type.
    """
    me = os.geteuid()
    problems = [*replaceable(root, me), *_problems_of_root(root, me)]
    for name, mode in FOLDERS.items():
        problems += _problems_of_folder(root, root / course / name, mode, me)
        if name == "" and problems and not _is_own_folder(root / course, me):
            break  # what is in there goes with it
    if contents:
        problems += _foreign(root, root / course / "outbound", me, deep=True)
        problems += _foreign(root, root / course / "feedback", me, deep=False)
    if problems:
        more = [f"and {len(problems) - _TOLD} more"] if len(problems) > _TOLD else []
        lines = "".join(f"\n  {line}" for line in [*problems[:_TOLD], *more])
        raise UnsafeExchange(
            f"the exchange {root} is not safe: a student could change lessons, or read or remove "
            f"what others hand in. Nothing was done. What is wrong, and the line that mends it:"
            f"{lines}"
        )


def _problems_of_root(root: Path, me: int) -> list[str]:
    status = root.stat()
    if status.st_uid not in (0, me):
        remedy = _away(root, root, status.st_uid)
        if not others_may(root.resolve().parent.stat(), stat.S_IWOTH):  # no student made it
            remedy = f"sudo chown {name_of(me)} {_quoted(root)}"
        return [f"{root} belongs to {name_of(status.st_uid)}: {remedy}"]
    if others_may(status, stat.S_IWOTH) and not status.st_mode & stat.S_ISVTX:
        mend = f"{_sudo(status, me)}chmod 1777 {_quoted(root)}"
        return [f"students can rename what is in {root}: {mend}"]
    return []


def _problems_of_folder(root: Path, folder: Path, mode: int, me: int) -> list[str]:
    try:
        status = folder.lstat()
    except FileNotFoundError:
        return []
    if stat.S_ISLNK(status.st_mode) or not stat.S_ISDIR(status.st_mode):
        return [f"{folder} is a link or a file, not a folder: rm {_quoted(folder)}"]
    if status.st_uid != me:  # never with -R: what is in it would become ours
        remedy = _away(root, folder, status.st_uid)
        if status.st_uid == 0 or folder.name == "inbound":  # of which nothing is believed
            remedy = f"sudo chown {name_of(me)} {_quoted(folder)}"
        return [f"{folder} belongs to {name_of(status.st_uid)}: {remedy}"]
    remedy = f"chmod {mode:o} {_quoted(folder)}"
    sticky = status.st_mode & stat.S_ISVTX
    if others_may(status, stat.S_IWOTH) and not (mode & stat.S_IWOTH and sticky):
        return [f"students can change or remove what is in {folder}: {remedy}"]
    if not mode & stat.S_IROTH and others_may(status, stat.S_IROTH):
        return [f"students can list {folder}, whose names are secrets: {remedy}"]
    return []


def _foreign(root: Path, folder: Path, me: int, *, deep: bool) -> list[str]:
    """Return what in one of our folders others made, or can change."""
    if not _is_own_folder(folder, me):
        return []
    problems: list[str] = []
    moved: set[Path] = set()
    for path in sorted(folder.rglob("*")) if deep else _entries(folder):
        status = path.lstat()
        if moved.intersection(path.parents):
            continue
        if stat.S_ISLNK(status.st_mode):
            problems.append(f"{_shown(path)} is a link: rm {_quoted(path)}")
        elif status.st_uid != me:
            moved.add(path)
            owner = name_of(status.st_uid)
            remedy = _away(root, path, status.st_uid)
            problems.append(f"{_shown(path)} belongs to {owner}: {remedy}")
        elif others_may(status, stat.S_IWOTH):
            remedy = f"chmod -R go-w {_quoted(path)}"
            problems.append(f"students can change {_shown(path)}: {remedy}")
    return problems


def _away(root: Path, path: Path, owner: int) -> str:
    """Return the line that moves what somebody else made next to the exchange, as it is."""
    place = Path(f"{os.path.abspath(root)}-{path.name}-of-{name_of(owner).replace(' ', '-')}")
    if os.path.lexists(place):
        place = Path(f"{place}-{secrets.token_hex(4)}")
    return f"sudo mv -T {_quoted(path)} {_quoted(place)}"


def _shown(path: Path) -> str:
    return "".join(c if c.isprintable() else "?" for c in str(path))


def _quoted(path: Path) -> str:
    return shlex.quote(_shown(path))


def _entries(folder: Path) -> Iterable[Path]:
    return (folder / name for name in os.listdir(folder))


def _is_own_folder(folder: Path, me: int) -> bool:
    try:
        status = folder.lstat()
    except FileNotFoundError:
        return False
    return stat.S_ISDIR(status.st_mode) and status.st_uid == me


def _set_mode(folder: Path, mode: int) -> None:
    kept = folder.stat().st_mode & stat.S_ISGID
    if stat.S_IMODE(folder.stat().st_mode) != mode | kept:
        folder.chmod(mode | kept)


def _sudo(status: os.stat_result, me: int) -> str:
    return "" if status.st_uid == me else "sudo "


class SafeRelease(ExchangeReleaseAssignment):
    """nbgrader's release, into an exchange where students cannot change what they are given."""

    def ensure_root(self) -> None:
        """Make the exchange with its permissions; nbgrader's own would let anyone replace it."""
        if class_exchange() is None or self.coursedir.groupshared:
            super().ensure_root()
            return
        try:
            prepare_exchange(Path(self.root), self.coursedir.course_id)
        except (UnsafeExchange, OSError) as error:
            self.fail(str(error))


class CheckedRoot(Exchange):
    """A step of nbgrader's that takes place only in an exchange that no student can change."""

    def ensure_root(self) -> None:
        """See that nobody can put a link, or another folder, in the place of one of ours."""
        super().ensure_root()
        if class_exchange() is not None and not self.coursedir.groupshared:
            try:
                check_exchange(Path(self.root), self.coursedir.course_id, contents=False)
            except UnsafeExchange as error:
                self.fail(str(error))


class SafeReleaseFeedback(CheckedRoot, ExchangeReleaseFeedback):
    """nbgrader's release of feedback, which students can read whatever the umask is."""

    def copy_files(self) -> None:
        """Release the pages; who knows the secret in a page's name may read it."""
        for page in glob.glob(os.path.join(self.src_path, "*.html")):
            os.chmod(page, 0o644)
        super().copy_files()
