"""Which parts of the library hold no exercise's answer: declared here and nowhere else.

A name that ends in `.*` is a package with everything in it.
"""

from gqa_lib.moved import present_name

# What set-up cells and arguments need when a submission is graded: the sandbox has nothing else.
IN_THE_SANDBOX = (
    "gqa_lib",
    "gqa_lib.arguments",
    "gqa_lib.configs",
    "gqa_lib.configs.layer",
    "gqa_lib.configs.notation",
    "gqa_lib.configs.shape",
    "gqa_lib.configs.table",
    "gqa_lib.configs.weights",
    "gqa_lib.course",
    "gqa_lib.course.answers",
    "gqa_lib.hardware",
    "gqa_lib.heads",
    "gqa_lib.learn",
    "gqa_lib.learn.watch.*",
    "gqa_lib.measure.*",
    "gqa_lib.moved",
)
# What a learner's code may use besides, in a notebook.
WITHOUT_ANSWERS = (*IN_THE_SANDBOX, "gqa_lib.course.*", "gqa_lib.learn.*", "gqa_lib.plots.*")


def is_among(module: str, names: tuple[str, ...]) -> bool:
    """Return whether a module is one of `names` or lies in a package among them.

    Args:
        module: its present name.
        names: of modules, or of packages with `.*` after them.
    """
    return any(
        module == name.removesuffix(".*") or (name.endswith(".*") and module.startswith(name[:-1]))
        for name in names
    )


def holds_answers(module: str) -> bool:
    """Return whether a module is a part of the library that an exercise's answer may be in."""
    name = present_name(module)
    return name.partition(".")[0] == "gqa_lib" and not is_among(name, WITHOUT_ANSWERS)
