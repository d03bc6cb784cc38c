"""Training and timing for tests that run a lesson: all that it asks for is done, but little of it.

Run in the lesson's kernel, before its cells. A lesson that is run for its code, not for what it
finds, is then done in seconds.
"""

from gqa_lib import measure

EVERY = 50  # steps of training of which one is done
BUDGET_S = 1  # of a timing


def shorten_timings() -> None:
    """From now on end a timing after its least rounds, once a second is over."""
    time_all = measure.time_arms

    def briefly(arms, *, budget_s=None, **how):
        short = BUDGET_S if budget_s is None else min(budget_s, BUDGET_S)
        return time_all(arms, budget_s=short, **how)

    measure.time_arms = briefly


def shorten_training() -> None:
    """From now on do one step in EVERY, and one model after the other in this process."""
    from gqa_lib.train import loop, runs

    do, losses = loop._one_step, []

    def sometimes(model, optimiser, task, recipe, step, *how):
        if step % EVERY == 1:
            losses.append(do(model, optimiser, task, recipe, step, *how))
        return losses[-1]

    loop._one_step = sometimes
    runs._cores = lambda: 1  # another process would do all steps
