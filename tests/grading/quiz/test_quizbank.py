"""The quiz bank passes its lint, and the lint finds what it should."""

import re
from dataclasses import replace

import pytest

from grading.quiz.bank import LETTERS, Fact, Option, facts, lint_bank, load_bank

BANK = load_bank()


def test_the_bank_passes_its_lint():
    assert lint_bank(BANK, facts()) == []


def test_every_question_can_be_shown_with_its_facts():
    for one in BANK:
        assert one.right.text
        assert all(facts()[id].text and facts()[id].source for id in one.facts)


def test_a_question_without_a_field_is_named(tmp_path):
    path = tmp_path / "quiz.toml"
    path.write_text('version = 1\n[[questions]]\nid = "Q01"\nclaim = "what_gqa_is"\n')
    with pytest.raises(ValueError, match="has no 'level'"):
        load_bank(path)


def test_a_bank_of_another_version_is_refused(tmp_path):
    path = tmp_path / "quiz.toml"
    path.write_text("version = 2\nquestions = []\n")
    with pytest.raises(ValueError, match="version 2, and this code reads version 1"):
        load_bank(path)


# The lint


def change(place, **changes):
    """Return the bank with other fields in one of its questions."""
    return [*BANK[:place], replace(BANK[place], **changes), *BANK[place + 1 :]]


def option(text=None, why=None):
    """Return the options of the first question with another first wrong one."""
    options = list(BANK[0].options)
    place = options.index(next(o for o in options if o is not BANK[0].right))
    options[place] = Option(text or options[place].text, options[place].why if why is None else why)
    return tuple(options)


def answered(one, letter):
    """Return the question with its right option moved to another letter."""
    options = [o for o in one.options if o is not one.right]
    options.insert(LETTERS.index(letter), one.right)
    return replace(one, options=tuple(options), answer=letter)


def right_text(one, text):
    options = tuple(Option(text, o.why) if o is one.right else o for o in one.options)
    return replace(one, options=options)


def longer(one, factor):
    """Return the question with a right option so many times as long as the longest wrong one."""
    length = max(len(o.text) for o in one.options if o is not one.right)
    return right_text(one, "x" * int(factor * length))


def without(wanted):
    """Return the bank without some questions, numbered anew."""
    kept = [one for one in BANK if not wanted(one)]
    return [replace(one, id=f"Q{n:02}") for n, one in enumerate(kept, 1)]


same_letter = [answered(one, "C") if one.closes == "03" else one for one in BANK]

MUTANTS = {
    "two ids alike": (change(1, id="Q01"), "question 2 is Q01 and should be Q02"),
    "out of order": ([BANK[1], BANK[0], *BANK[2:]], "question 1 is Q02 and should be Q01"),
    "three options": (change(0, options=BANK[0].options[:3]), "3 options instead of 4"),
    "equal options": (change(0, options=option(BANK[0].right.text)), "options are the same"),
    "no such letter": (change(0, answer="E"), "answer 'E' is not one of A, B, C, D"),
    "two letters": (change(0, answer="AB"), "answer 'AB' is not one of"),
    "unknown claim": (change(0, claim="gqa_is_free"), "claim 'gqa_is_free' is unknown"),
    "unknown level": (change(0, level="recall"), "level 'recall' is unknown"),
    "odd lesson": (change(0, lesson="4"), "lesson '4' is not a number of two digits"),
    "few to draw": (without(lambda one: one.claim == "what_gqa_is"), "what_gqa_is has 0 questions"),
    "few in all": (
        without(lambda one: one.closes is None and int(one.id[1:]) > 80),
        "56 questions close no lesson, and the quiz is drawn from 60",
    ),
    "one letter too often": (
        [answered(one, "B") if n % 3 == 0 else one for n, one in enumerate(BANK)],
        "not spread evenly",
    ),
    "right is longest": (
        [longer(one, 1.1) if n % 2 else one for n, one in enumerate(BANK)],
        "right option is the longest in",
    ),
    "right is long": ([longer(one, 2) for one in BANK], "times as long as wrong ones"),
    "right is short": ([longer(one, 0.3) for one in BANK], "times as long as wrong ones"),
    "all of the above": (change(0, options=option("All of the above")), "speaks of other options"),
    "none of these": (change(0, options=option("None of these")), "speaks of other options"),
    "both A and B": (change(0, options=option("Both A and B hold")), "speaks of other options"),
    "like a letter": (change(0, options=option("B: the second one")), "speaks of other options"),
    "empty why": (change(0, options=option(why=" ")), "does not say why"),
    "no such fact": (change(0, facts=("F28", "F999")), "fact F999 does not exist"),
    "no ground": (change(0, facts=(), derived=None), "cites no fact and is not derived"),
    "same stem": (change(1, stem=BANK[0].stem.upper()), "2 questions ask the same"),
    "group": (change(0, stem="How many groups are there?"), "it says group"),
    "group in a why": (change(0, options=option(why="A group of heads.")), "it says group"),
    "dollar": (change(0, stem="What is $G$?"), "has a \\$"),
    "closing one more": (change(30, closes="02"), "lesson 02 is closed by 4 questions"),
    "closing one less": (change(0, closes=None), "lesson 00 is closed by 2 questions"),
    "closing nothing": (change(0, closes="77"), "closes lesson 77, which course.toml does not"),
    "closing letters": (same_letter, "answers that close lesson 03 are all C"),
}


@pytest.mark.parametrize("name", MUTANTS)
def test_the_lint_finds(name):
    bank, message = MUTANTS[name]
    found = lint_bank(bank, facts())
    assert any(re.search(message, problem) for problem in found), found


def test_a_fact_that_nobody_cites_is_found():
    found = lint_bank(BANK, facts() | {"F999": Fact("Unused.", "Nowhere.")})
    assert found == ["no question cites fact F999: leave it out"]


def test_names_in_code_may_have_groups_in_them():
    assert lint_bank(change(0, stem="What is `num_key_value_groups`?"), facts()) == []
