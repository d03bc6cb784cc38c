"""A decision memo: GQA or not, and how many KV heads, for a model, hardware and traffic.

    question = Question(trace=trace, trace_name="mine.csv", scenario=scenario, variants=(32, 8, 1))
    memo = write_memo(question, read_evidence(question, results=["8=run.json"]))
    Path("memo.md").write_text(markdown(memo))

Each number in it is a `Figure` that says whether it was measured, and where that is recorded, or
modelled, and by which formula. The answer rests on what was measured alone.
"""

from .blocks import Bullets, Command, Heading, Memo, Plot, Table
from .markdown import markdown
from .page import page
from .question import Evidence, Question
from .records import read_record
from .served import Served, read_served
from .study import Study, study
from .values import Figure, Name, Prose, Record, Words
from .verdict import Verdict, judge
from .write import read_evidence, write_memo

__all__ = [
    "Bullets",
    "Command",
    "Evidence",
    "Figure",
    "Heading",
    "Memo",
    "Name",
    "Plot",
    "Prose",
    "Question",
    "Record",
    "Served",
    "Study",
    "Table",
    "Verdict",
    "Words",
    "judge",
    "markdown",
    "page",
    "read_evidence",
    "read_record",
    "read_served",
    "study",
    "write_memo",
]
