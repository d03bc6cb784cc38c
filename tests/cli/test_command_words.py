"""Commands of two words, such as `gqa bench report`, next to those of one."""

import pytest

from gqa_lib.cli import main


def ended(arguments, capsys):
    with pytest.raises(SystemExit) as ending:
        main(arguments)
    return ending.value.code, *capsys.readouterr()


@pytest.mark.parametrize(
    ("second", "own"), [("report", "--output"), ("compare", "--margin")], ids=["report", "compare"]
)
def test_a_command_of_two_words_has_its_own_help(second, own, capsys):
    code, out, _ = ended(["bench", second, "--help"], capsys)
    assert code == 0
    assert out.startswith(f"usage: gqa bench {second} ")
    assert own in out
    code, _, err = ended(["bench", second], capsys)
    assert code == 2
    assert err.startswith(f"gqa bench {second}: the following arguments are required")


def test_commands_of_two_words_are_listed_by_both(capsys):
    _, out, _ = ended(["--help"], capsys)
    assert "\n  bench         run" in out
    assert "\n  bench report  write" in out
    assert "\n  bench compare compare" in out


def test_the_words_of_a_program_s_own_command_line_are_joined_too(capsys, monkeypatch):
    monkeypatch.setattr("sys.argv", ["gqa", "bench", "report", "--help"])
    assert ended(None, capsys)[1].startswith("usage: gqa bench report ")


def test_a_second_word_that_is_no_command_is_an_argument(capsys):
    assert main(["bench", "--list", "roofline"]) == 0
    assert capsys.readouterr().out.startswith("roofline ")
    assert main(["bench", "reports"]) == 1
    assert "there is no benchmark 'reports'" in capsys.readouterr().err
