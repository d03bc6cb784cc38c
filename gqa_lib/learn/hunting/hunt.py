"""`hunt`: tries a learner's inputs on wrong answers, and keeps the score."""

import difflib
import os
from collections.abc import Sequence
from typing import Any

from gqa_lib.learn import progress
from gqa_lib.learn.exercises.hunts import all_hunts, find_hunt
from gqa_lib.learn.exercises.hunts.hunt import Hunt, Slip
from gqa_lib.learn.exercises.hunts.inputs import inputs_of
from gqa_lib.learn.exercises.hunts.trying import exposed, idle
from gqa_lib.learn.progress import hunted
from gqa_lib.learn.progress.hunted import Hunted
from gqa_lib.learn.show import show


def hunt(name: str, *inputs: Any) -> None:
    """Try inputs on the wrong answers that are hidden for an exercise, and show which they expose.

    All inputs of a call count together; the best call is kept: most bugs, then fewest inputs.

    Args:
        name: the exercise, such as "split_heads".
        inputs: each a tuple of arguments, or a function that returns such tuples in a list; with
            none, what there is to hunt is shown.
    """
    if "NBGRADER_EXECUTION" in os.environ:  # graded elsewhere, it would show nobody's record
        return
    found = find_hunt(name) if isinstance(name, str) else None
    if found is None:
        lines = [_no_such(name)]
    elif not inputs:
        lines = _invitation(found)
    else:
        lines = _outcome(found, inputs)
    _show(lines)


def _show(lines: Sequence[str]) -> None:
    plain = "\n".join(lines).replace("**", "").replace("`", "")
    show("\n\n".join(lines), text=plain)


def _no_such(name: Any) -> str:
    close = difflib.get_close_matches(str(name), all_hunts(), n=1)
    if close:
        return f'There is no hunt {str(name)!r}. Did you mean `hunt("{close[0]}")`?'
    return f"There is no hunt {str(name)!r}. There are {', '.join(map(repr, all_hunts()))}."


def _invitation(found: Hunt) -> list[str]:
    lines = [
        f"**Bug hunt: {found.name}.** {len(found.bugs)} wrong answers hide here. A right one "
        f"{found.does}.",
        f"You do not see their code: you write inputs, {found.call}. A bug is caught when it gives "
        "another result than a right answer. Several inputs count together, and fewer are better; "
        f"{_inputs(found.fewest)} can catch all. A first try:",
        f"`{found.example}`",
    ]
    if best := _best(found):
        lines.append(f"Your best so far: {best.told()}.")
    return lines


def _outcome(found: Hunt, inputs: Sequence[Any]) -> list[str]:
    try:
        taken = inputs_of(inputs)
        if not taken:
            raise Slip("There is no input in that.")
        catches = exposed(found, taken)
    except Slip as slip:
        return [f"Not tried: {slip}", f"An input is typed as in `{found.example}`."]
    lines = []
    for number, (bug, how) in enumerate(zip(found.bugs, catches, strict=True), 1):
        if not how:
            lines.append(f"**Bug {number}: still at large.**")
            continue
        place, said = next(iter(how.items()))
        by = f" by input {place + 1}" if len(taken) > 1 else ""
        lines.append(f"**Bug {number}: caught{by}**: {said}. {bug.was} {bug.quiet}")
    now = Hunted(sum(map(bool, catches)), len(found.bugs), len(taken))
    return [*lines, *_score(found, now, idle(catches, len(taken)))]


def _score(found: Hunt, now: Hunted, spare: list[int]) -> list[str]:
    before, told = _best(found), f"**{_capital(now.told())}.**"
    if now.caught and hunted.better(before, now) is now:
        told += " That is your best so far." if before else ""
        told += _kept(found, now)
    elif before:
        told += f" Your best is {before.told()}."
    if spare and now.caught:
        which = ", ".join(str(place + 1) for place in spare)
        told += f" Without input {which} it would be as many."
    elif now.caught == now.bugs and now.inputs > found.fewest:
        told += f" {_capital(_inputs(found.fewest))} can do it."
    return [told]


def _kept(found: Hunt, now: Hunted) -> str:
    """Keep a hunt in the learner's record; return what went wrong, if anything did."""
    try:
        hunted.keep(found.lesson, found.name, now)
    except Exception as trouble:  # a full disk or a locked file must not spoil the hunt
        return f" (It was not saved: {trouble})"
    return ""


def _best(found: Hunt) -> Hunted | None:
    best = None
    try:
        events = progress.events(found.lesson, hunted.KIND)
    except Exception:  # a record that cannot be read: the hunt goes on without
        return None
    for event in events:
        if event["exercise"] == found.name and (one := hunted.hunted_of(event)):
            best = hunted.better(best, one)
    return best


def _inputs(count: int) -> str:
    return {1: "one input", 2: "two inputs"}.get(count, f"{count} inputs")


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
