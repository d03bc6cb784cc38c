"""A memo from a question and evidence."""

from __future__ import annotations

from collections.abc import Iterable

from gqa_lib.course.extras import require

from ..results.load import check_different
from .answer import answer
from .background import asked, memory, traffic
from .blocks import Memo
from .evaluated import is_evaluation, read_evaluation
from .limits import quality, sensitivity
from .missing import missing
from .question import Evidence, Question
from .records import decodings, qualities, read_record
from .served import read_served, split_spec
from .speeds import cost, speed
from .study import study
from .values import Name, Prose
from .verdict import judge


def write_memo(question: Question, evidence: Evidence) -> Memo:
    """Return the decision memo: computed, judged by what was measured, and put into words.

    Args:
        question: the model, hardware, traffic and variants.
        evidence: what was measured.

    Raises:
        ValueError: no variant fits into the memory.
        ModuleNotFoundError: matplotlib, for the plots, is not installed.
    """
    require("matplotlib")
    from gqa_lib.plots import use_style

    use_style()
    found = study(question)
    verdict = judge(found, evidence)
    title = Prose(
        "GQA or not: {model} on {machine}, {trace}",
        model=Name(question.model),
        machine=Name(question.machine),
        trace=Name(question.trace_name),
    )
    blocks = [
        *asked(question),
        *traffic(found),
        *memory(found),
        *speed(found, evidence),
        *cost(found, evidence),
        *quality(question, evidence, verdict),
        *sensitivity(found),
        *missing(found, evidence, verdict),
    ]
    return Memo(title, answer(found, evidence, verdict), blocks)


def read_evidence(
    question: Question,
    records: Iterable[str] = (),
    results: Iterable[str] = (),
    scores: Iterable[str] = (),
) -> Evidence:
    """Return what files say was measured.

    Args:
        question: whose model and hardware they are of.
        records: kernel and quality records, or folders of `gqa bench` runs.
        results: of serving benchmarks, each a file or NUM_KV_HEADS=FILE.
        scores: quality records, and results of lm_eval, these also as NUM_KV_HEADS=FILE.

    Raises:
        ValueError: a file is malformed, or not what it is given as; it is named with its line.
    """
    own = question.scenario.own_config.num_kv_heads
    kernels, trained, evaluated = [], [], []
    scores, results = list(scores), list(results)
    for specs in (results, scores):
        check_different(split_spec(spec)[1] for spec in specs)
    lines = [spec for spec in scores if not is_evaluation(split_spec(spec)[1])]
    served = [
        run for spec in results for run in read_served(spec, question.model, own, question.machine)
    ]
    for path in [*records, *lines]:
        name, rows = read_record(path)
        points, differences = decodings(name, rows), qualities(name, rows)
        if path in lines and not differences:
            raise ValueError(
                f"{name} compares no models: it says nothing of quality. Give a record of "
                "gqa bench quality or uptraining, or results of lm_eval."
            )
        kernels += points
        trained += differences
    for spec in scores:
        if spec not in lines:
            evaluated.append(read_evaluation(spec, question.model, own))
    return Evidence(kernels, served, trained, evaluated)
