"""What is no question: thanks, a greeting, who are you; and what leans on the last question."""

import re

_HELP = (
    "I am the tutor of this course, and I run on your machine. I define its terms, work out sizes "
    "(“KV cache of Llama-3-8B at 8k in fp8”), answer questions on its lessons with the section "
    "they stand in, and say what a cell does. I give no solutions: `hint(\"name\")` helps there."
)
_TALK = (
    (
        r"(?:many |ok(?:ay)? |great |cool |nice |perfect |super )*(?:thanks?|thx|ty|thank you|danke|"
        r"merci|cheers)\b.{0,40}",
        "You are welcome. 🙂",
    ),
    (r"(?:hi|hello|hey|hallo|moin|good (?:morning|evening|afternoon)|servus)\b(?: \w+)?", _HELP),
    (
        r"(?:who|what) are you|wer bist du|what can (?:you|i|one) (?:do|ask)\b.{0,20}|"
        r"how can you help.{0,10}|help(?: me)?|hilfe|are you (?:an? )?(?:ai|bot|human|llm|person)",
        _HELP,
    ),
    (
        r"(?:ok(?:ay)?|cool|nice|great|perfect|got it|i see|understood|alright|super|wow|good|"
        r"makes sense|that makes sense|ah+|aha|verstanden|alles klar)\b(?: now| then)?",
        "Good. Ask on whenever you like.",
    ),
    (
        r"(?:bye|goodbye|see you|good night|tsch\w+|ciao)\b.{0,20}",
        "See you. Your progress is kept.",
    ),
)
_TALKED = [(re.compile(rf"^\W*(?:{words})\W*$"), said) for words, said in _TALK]

_WHY = re.compile(
    r"^\W*(?:(?:and|but|so|ok|hm+|und|aber) )*(?:why|how come|warum|wieso|how so|but why|why not|"
    r"why is (?:that|this|it)(?: so)?|why does (?:it|that) matter|what for)\W*$"
)
_MORE = re.compile(
    r"^\W*(?:(?:and|please|can you|could you|und) )*(?:(?:tell me |say |explain |give me )?"
    r"(?:a bit |some )?(?:more|mehr|further)(?: details?| about (?:that|it|this))?|"
    r"(?:an? )?(?:other )?examples?|go on|continue|elaborate|in (?:more )?detail|"
    r"(?:what|anything) else|i (?:still )?(?:don'?t|do not) (?:get|understand)(?: (?:it|that|this))?|"
    r"explain (?:that|it|this)(?: again)?|again)\W*$"
)
_AND = re.compile(
    r"^\W*(?:(?:ok|okay|so|but|aber) )?(?:and|und|what about|how about|was ist mit|wie ist es|same for|"
    r"now|or|then)(?: (?:what|how|if|for|with|in|at|about|f\w+r|bei|mit|when|on))*\s+(?P<rest>.+?)\W*$"
)
_LEANS = re.compile(r"\b(?:it|that|this|they|them|those|these|das|es|then|one|former|latter)\b")
_KINDS = (
    r"\b(?:mha|multi[- ]?head(?: attention)?)\b|\b(?:mqa|multi[- ]?query(?: attention)?)\b|"
    r"\b(?:gqa|grouped[- ]?query(?: attention)?)\b|\b(?:mla|latent(?: attention)?)\b"
)
_PAIRS = (
    _KINDS,
    r"\b(?:prefill|decode|decoding)\b",
    r"\b(?:keys?|values?|quer(?:y|ies))\b",
    r"\b(?:cpu|gpu)\b",
    r"\b(?:fold(?:ing|ed)?|expand(?:ing|ed)?|broadcast(?:ing)?)\b",
    r"\b(?:memory|compute)[- ]bound\b",
    r"\b(?:internal|external) fragmentation\b",
    r"\b(?:ttft|tpot)\b",
)


def small_talk(question: str) -> str | None:
    """Return what to say to thanks, a greeting and the like, None where it is a question.

    Args:
        question: what the learner wrote.
    """
    text = " ".join(question.lower().split())
    return next((said for pattern, said in _TALKED if pattern.match(text)), None)


def asks_why(question: str) -> bool:
    """Return whether a question is a bare "why?"."""
    return bool(_WHY.match(" ".join(question.lower().split())))


def asks_more(question: str) -> bool:
    """Return whether a question wants to hear more of the same."""
    return bool(_MORE.match(" ".join(question.lower().split())))


def continued(question: str, before: str) -> str | None:
    """Return a whole question for one that leans on the last ("and for MQA?"), None if it does not.

    Args:
        question: what was asked now.
        before: what was asked last, whole.
    """
    text = " ".join(question.split())
    found = _AND.match(text.lower())
    if not found:
        few = len(text.split()) <= 7
        return f"{before} {text}" if few and _LEANS.search(text.lower()) else None
    rest = found["rest"]
    for kind in _PAIRS:
        new = re.search(kind, rest)
        old = re.search(kind, before.lower())
        if new and old and len(rest.split()) <= 4:
            return before[: old.start()] + new[0] + before[old.end() :]
    return f"{before} {rest}" if len(rest.split()) <= 5 else None
