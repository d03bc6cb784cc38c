"""The environment variables that the course reads, each where it is needed; all are listed here."""

VARIABLES = {
    "GQA_HOME": "folder of records: progress, gradebook, exchange (default: your user data folder)",
    "GQA_WORK": "folder of your copies of the lessons (default: `work/` in the clone)",
    "GQA_DEVICE": "device to work on, such as `cpu` or `cuda:1` (default: the best there is)",
    "GQA_BACKEND": "attention backend that `auto` takes (default: the fastest known for each call)",
    "GQA_STUDENT": "id of what you hand in through a platform (default: your user name)",
    "GQA_EXCHANGE": "folder of the class's nbgrader exchange (default: none, you learn alone)",
    "GQA_GRADEBOOK": "database of the gradebook, such as `postgresql+psycopg://gqa@localhost/gqa` "
    "(default: an SQLite file among the records)",
    "GQA_SEED": "seed of the hidden tests; set by the grader, for itself alone",
    "GQA_TIME_FACTOR": "what the time limits of grading are multiplied by, such as 3 on a slow or "
    "busy machine (default: 1)",
    "GQA_TOKEN": "token that `gqa lab` asks for, of 12 characters or more (default: a new one each "
    "time, in the address that it prints)",
    "GQA_TUTOR_BASE_URL": "address of a language model for the tutor (default: none, no network)",
    "GQA_TUTOR_MODEL": "name of that model (default: `default`)",
    "GQA_TUTOR_API_KEY": "key for that address (default: none)",
    "GQA_MIN_FREE_MB": "free disk space that the set-up asks for, in MB (default: 3000)",
    "GQA_ALL_TESTS": "whether `.ci/run` runs the slow tests too, such as `1` (default: only where "
    "a new version is set)",
}


def table() -> str:
    """Return the variables as a Markdown table."""
    rows = [f"| `{name}` | {meaning} |" for name, meaning in VARIABLES.items()]
    return "\n".join(["| variable | meaning |", "|---|---|", *rows]) + "\n"
