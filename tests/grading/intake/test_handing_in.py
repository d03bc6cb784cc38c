"""Handing in takes what is graded and nothing else, under the name that its feedback has."""

import nbformat
import pytest
from classroom import NAME
from nbgrader.auth import Authenticator
from nbgrader.exchange import ExchangeError

from grading.intake.hand_in import WholeSubmit

FILE = f"{NAME}.ipynb"


@pytest.fixture
def desk(room, tmp_path):
    """A learner's folder of a released assignment, and a function that hands it in."""
    outbound = tmp_path / "exchange" / "gqa" / "outbound" / NAME
    outbound.mkdir(parents=True)
    nbformat.write(nbformat.read(room.released, 4), outbound / FILE)
    room.config.Exchange.assignment_dir = str(tmp_path / "work")
    room.config.Exchange.cache = str(tmp_path / "cache")
    folder = tmp_path / "work" / NAME
    folder.mkdir(parents=True)

    def hand_in():
        authenticator = Authenticator(config=room.config)
        app = WholeSubmit(coursedir=room.course, config=room.config, authenticator=authenticator)
        app.log = room.log
        app.start()
        places = (room.inbound, tmp_path / "cache" / "gqa")
        return [{p.name for p in next(place.iterdir()).iterdir()} for place in places]

    room.course.student_id = "*"
    return folder, hand_in, room


GRADED = {FILE, "timestamp.txt", "submission_secret.txt"}


def test_only_what_is_graded_is_handed_in(desk):
    folder, hand_in, room = desk
    nbformat.write(room.answered(), folder / FILE)
    (folder / "quiz_answers.json").write_text("{}")
    (folder / "data").mkdir()
    for name in ("data/big.csv", "<b>.txt", ".hidden"):
        (folder / name).write_text("1,2,3")
    assert hand_in() == [GRADED | {"quiz_answers.json"}] * 2
    assert "Not handed in: ?b?.txt, data" in room.lines


def test_a_renamed_notebook_gets_its_name_back(desk):
    folder, hand_in, room = desk
    nbformat.write(room.answered(), folder / f"{NAME} (1).ipynb")
    assert hand_in() == [GRADED] * 2
    assert f"{NAME} (1).ipynb is handed in as {FILE}" in room.lines
    room.course.student_id = "*"
    room.collect()
    assert room.autograde()
    assert list(room.scores().values()) == [2]


@pytest.mark.parametrize("names", [(), (f"{NAME} (1).ipynb", f"{NAME} (2).ipynb")])
def test_where_nobody_can_tell_which_is_meant_nothing_is_handed_in(desk, names):
    folder, hand_in, room = desk
    for name in names:
        nbformat.write(room.answered(), folder / name)
    with pytest.raises(ExchangeError, match=f"Nothing was handed in: {FILE} is not in"):
        hand_in()
    assert list(room.inbound.iterdir()) == []
