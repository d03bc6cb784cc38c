"""Calls with arguments that no function can take, and what a refusal of one must be."""

import signal
import traceback
from contextlib import contextmanager
from pathlib import Path

import gqa_lib

LIBRARY = Path(gqa_lib.__file__).parent
MOST_S = 5  # a call that is still running then hangs


class Hangs(Exception):
    """A call did not come back."""


@contextmanager
def _limit():
    def stop(*_):
        raise Hangs

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, MOST_S)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def what_comes_of(call, phrase):
    """(kind, text) of a call: "clear", "raw" (an error that is not ours), "silent" or "hang".

    Clear is a ValueError that the library's own code raised, with the phrase in it, and what to do.
    """
    try:
        with _limit():
            result = call()
    except Hangs:
        return "hang", f"not back after {MOST_S} s"
    except Exception as error:
        where = Path(traceback.extract_tb(error.__traceback__)[-1].filename)
        ours = LIBRARY in where.parents and isinstance(error, ValueError)
        clear = ours and phrase in str(error) and len(str(error)) > len(phrase) + 20
        return "clear" if clear else "raw", f"{type(error).__name__}: {error}"
    return "silent", repr(result)[:80]


def assert_refused(call, phrase):
    """Check that a call is refused clearly."""
    kind, text = what_comes_of(call, phrase)
    assert kind == "clear", f"{kind}: {text}"
