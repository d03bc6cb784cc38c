"""The exchange's permissions: what release sets, grading refuses, and two students can do."""

import os
import stat
import subprocess
from pathlib import Path

import pytest

from grading.intake.exchange import UnsafeExchange, check_exchange, prepare_exchange

ADA, BEN = 4201, 4202
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to be two users")


@pytest.fixture
def exchange(tmp_path):
    """A class's exchange, with a lesson and a page of feedback in it."""
    root = tmp_path / "class" / "exchange"
    prepare_exchange(root, "gqa")
    for folder, file in (("outbound/04", "04.ipynb"), ("feedback", "ab12.html")):
        place = root / "gqa" / folder
        place.mkdir(exist_ok=True)
        place.joinpath(file).write_text("{}")
        place.joinpath(file).chmod(0o644)
    (root / "gqa" / "outbound" / "04").chmod(0o755)
    return root


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def test_release_sets_who_may_write_whatever_the_umask(exchange):
    wanted = {"": 0o755, "outbound": 0o755, "inbound": 0o1733, "feedback": 0o711}
    assert mode(exchange) == 0o1777
    assert {name: mode(exchange / "gqa" / name) for name in wanted} == wanted
    for name in ("", "gqa", "gqa/inbound", "gqa/outbound"):
        (exchange / name).chmod(0o777)  # nbgrader's own, and older classes
    with pytest.raises(UnsafeExchange):
        check_exchange(exchange, "gqa")
    before = os.umask(0o077)
    try:
        prepare_exchange(exchange, "gqa")
    finally:
        os.umask(before)
    assert {name: mode(exchange / "gqa" / name) for name in wanted} == wanted
    check_exchange(exchange, "gqa")


def test_the_groups_bit_of_nbgrader_stays(exchange):
    (exchange / "gqa" / "inbound").chmod(0o2733)
    prepare_exchange(exchange, "gqa")
    assert mode(exchange / "gqa" / "inbound") == 0o3733


WRONG = {
    "no sticky bit": (lambda root: root.chmod(0o777), "chmod 1777 {root}"),
    "above": (lambda root: root.parent.chmod(0o777), "chmod go-w {root.parent}"),
    "course": (lambda root: (root / "gqa").chmod(0o777), "chmod 755 {root}/gqa"),
    "outbound": (lambda root: (root / "gqa/outbound").chmod(0o1777), "chmod 755 {root}/gqa/outb"),
    "inbound": (lambda root: (root / "gqa/inbound").chmod(0o733), "chmod 1733 {root}/gqa/inbound"),
    "listed": (lambda root: (root / "gqa/inbound").chmod(0o1777), "chmod 1733 {root}/gqa/inb"),
    "feedback": (lambda root: (root / "gqa/feedback").chmod(0o755), "chmod 711 {root}/gqa/feed"),
    "a lesson": (
        lambda root: (root / "gqa/outbound/04/04.ipynb").chmod(0o666),
        "chmod -R go-w {root}/gqa/outbound/04/04.ipynb",
    ),
    "a link": (
        lambda root: (root / "gqa/feedback/cd-tmp.html").symlink_to("/etc/passwd"),
        "rm {root}/gqa/feedback/cd-tmp.html",
    ),
    "a linked lesson": (
        lambda root: (root / "gqa/outbound/05").symlink_to("/tmp"),
        "rm {root}/gqa/outbound/05",
    ),
}


@pytest.mark.parametrize(("spoil", "remedy"), WRONG.values(), ids=WRONG)
def test_what_a_student_could_use_is_refused_with_the_line_to_type(exchange, spoil, remedy):
    check_exchange(exchange, "gqa")
    spoil(exchange)
    with pytest.raises(UnsafeExchange) as refused:
        check_exchange(exchange, "gqa")
    assert remedy.format(root=exchange) in str(refused.value)


def test_a_folder_of_links_is_refused(exchange, tmp_path):
    (exchange / "gqa" / "inbound").rmdir()
    (exchange / "gqa" / "inbound").symlink_to(tmp_path)
    with pytest.raises(UnsafeExchange, match="is a link"):
        prepare_exchange(exchange, "gqa")


@as_root
@pytest.mark.parametrize("name", ["", "gqa", "gqa/inbound", "gqa/outbound/04", "gqa/feedback"])
def test_what_belongs_to_a_student_is_refused(exchange, name):
    os.chown(exchange / name, ADA, ADA)
    for step in (check_exchange, prepare_exchange):
        with pytest.raises(UnsafeExchange, match=f"user {ADA}"):
            step(exchange, "gqa")


# Two students and an instructor, each a user of the machine


def run_as(user, code):
    """Run code as a user of the machine; return whether it stopped, and with what."""
    read, write = os.pipe()
    if (child := os.fork()) == 0:
        try:
            os.setgroups([])
            os.setresgid(user, user, user)
            os.setresuid(user, user, user)
            exec(code, {})
        except BaseException as error:
            os.write(write, repr(error).encode())
            os._exit(1)
        os._exit(0)
    os.close(write)
    with os.fdopen(read) as said:
        text = said.read()
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), text


@pytest.fixture
def shared(tmp_path_factory):
    """An exchange of an instructor who is an ordinary user, where all users can reach it."""
    above = tmp_path_factory.mktemp("srv")
    for folder in (above, *above.parents):
        if not mode(folder) & stat.S_IXOTH:
            folder.chmod(mode(folder) | 0o711)
    os.chown(above, 4200, 4200)
    place = above / "exchange"
    code = (
        "from pathlib import Path\n"
        "from grading.intake.exchange import *\n"
        f"prepare_exchange(Path({str(place)!r}), 'gqa')\n"
        f"check_exchange(Path({str(place)!r}), 'gqa')"
    )
    status, said = run_as(4200, code)
    assert status == 0, said
    return place


@as_root
def test_students_hand_in_and_can_do_nothing_to_others(shared):
    inbound = shared / "gqa" / "inbound"
    hand_in = (
        f"import os; f = {str(inbound)!r} + '/ada+04+now+x'; os.mkdir(f); os.chmod(f, 0o755)\n"
        "open(f + '/04.ipynb', 'w').write('{}')"
    )
    assert run_as(ADA, hand_in)[0] == 0
    for attempt in (
        f"import os; os.listdir({str(inbound)!r})",
        f"import os; os.rename({str(inbound)!r} + '/ada+04+now+x', {str(inbound)!r} + '/gone')",
        f"import shutil; shutil.rmtree({str(inbound)!r} + '/ada+04+now+x')",
        f"open({str(inbound)!r} + '/ada+04+now+x/04.ipynb', 'w')",
        f"import os; os.rename({str(shared / 'gqa')!r}, {str(shared / 'mine')!r})",
        f"import os; os.rename({str(inbound)!r}, {str(shared / 'mine')!r})",
        f"import os; os.mkdir({str(shared / 'gqa' / 'outbound' / '05')!r})",
        f"import os; os.listdir({str(shared / 'gqa' / 'feedback')!r})",
        f"import os; os.rename({str(shared)!r}, {str(shared) + '2'!r})",
    ):
        status, said = run_as(BEN, attempt)
        assert (status, "PermissionError" in said) == (1, True), attempt
    assert (inbound / "ada+04+now+x" / "04.ipynb").read_text() == "{}"


def remedy_in(error):
    (line,) = (line for line in str(error.value).splitlines() if "sudo" in line)
    return line[line.index("sudo ") + 5 :]


@as_root
def test_what_a_student_made_first_is_moved_away_and_nothing_of_it_adopted(tmp_path):
    root = tmp_path / "exchange"
    (root / "gqa" / "outbound" / "05-planted").mkdir(parents=True)
    for folder in (root / "gqa", *(root / "gqa").rglob("*")):
        os.chown(folder, ADA, ADA)
    root.chmod(0o1777)
    with pytest.raises(UnsafeExchange) as refused:
        prepare_exchange(root, "gqa")
    assert not (root / "gqa" / "inbound").exists()
    subprocess.run(["sh", "-c", remedy_in(refused)], check=True)
    prepare_exchange(root, "gqa")
    assert os.listdir(root / "gqa" / "outbound") == []
    (aside,) = set(tmp_path.iterdir()) - {root}
    assert (aside / "outbound" / "05-planted").stat().st_uid == ADA


@as_root
def test_the_remedy_for_another_users_inbound_leaves_each_hand_in_its_owner(exchange):
    inbound = exchange / "gqa" / "inbound"
    hand_in = inbound / "ben+04+now+x"
    hand_in.mkdir()
    (hand_in / "04.ipynb").write_text("{}")
    os.chown(hand_in, BEN, BEN)
    os.chown(inbound, ADA, ADA)
    before = hand_in.stat()
    with pytest.raises(UnsafeExchange) as refused:
        check_exchange(exchange, "gqa")
    subprocess.run(["sh", "-c", remedy_in(refused)], check=True)
    check_exchange(exchange, "gqa")
    after = hand_in.stat()
    assert (after.st_uid, after.st_ctime_ns) == (before.st_uid, before.st_ctime_ns)


@as_root
@pytest.mark.parametrize("place", ["outbound/04", "outbound/04/04.ipynb", "feedback/ab12.html"])
def test_another_users_lesson_or_page_is_moved_away(exchange, place):
    os.chown(exchange / "gqa" / place, ADA, ADA)
    with pytest.raises(UnsafeExchange) as refused:
        check_exchange(exchange, "gqa")
    assert "-R" not in str(refused.value)
    subprocess.run(["sh", "-c", remedy_in(refused)], check=True)
    check_exchange(exchange, "gqa")
    assert not (exchange / "gqa" / place).exists()


def test_names_are_quoted_in_the_lines_to_type(exchange, tmp_path):
    name = exchange / "gqa" / "outbound" / "a;touch b\x1b"
    name.symlink_to(tmp_path)
    with pytest.raises(UnsafeExchange, match=r"rm '[^']*a;touch b\?'"):
        check_exchange(exchange, "gqa")


# Who counts as a stranger, and what is made in which order


@as_root
@pytest.mark.parametrize("place", ["", "gqa", "gqa/inbound", "gqa/outbound/04", "gqa/feedback"])
@pytest.mark.parametrize("group", [100, 50, 4300])
def test_a_group_that_is_not_the_owners_own_counts_as_students(exchange, place, group):
    folder = exchange / place
    os.chown(folder, -1, group)
    folder.chmod(0o2775)
    with pytest.raises(UnsafeExchange, match="students can"):
        check_exchange(exchange, "gqa")
    os.chown(folder, -1, 0)
    folder.chmod(0o1777 if not place else 0o1733 if place.endswith("inbound") else 0o771)
    check_exchange(exchange, "gqa")


def test_all_users_can_come_to_an_exchange_whatever_the_umask(tmp_path):
    root = tmp_path / "a" / "b" / "exchange"
    before = os.umask(0o077)
    try:
        prepare_exchange(root, "gqa")
    finally:
        os.umask(before)
    assert [mode(folder) for folder in (tmp_path / "a", root.parent)] == [0o755, 0o755]


def test_students_can_write_only_when_the_courses_folders_are_there(tmp_path, monkeypatch):
    root, seen = tmp_path / "exchange", []
    real = Path.mkdir

    def mkdir(folder, *args, **named):
        if folder.is_relative_to(root / "gqa"):
            seen.append(mode(root))
        real(folder, *args, **named)

    monkeypatch.setattr(Path, "mkdir", mkdir)
    prepare_exchange(root, "gqa")
    assert set(seen) == {0o755}
    assert mode(root) == 0o1777


@as_root
def test_a_folder_that_a_student_makes_in_between_is_not_taken(tmp_path, monkeypatch):
    root = tmp_path / "exchange"
    real = Path.mkdir

    def mkdir(folder, *args, **named):
        if folder == root / "gqa":
            real(folder)
            os.chown(folder, ADA, ADA)
        real(folder, *args, **named)

    monkeypatch.setattr(Path, "mkdir", mkdir)
    with pytest.raises(UnsafeExchange, match=f"user {ADA}"):
        prepare_exchange(root, "gqa")
