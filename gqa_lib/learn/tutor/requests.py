"""Tells a request for a solution or a quiz answer from a question about the subject.

The tutor has neither to give. It says so at once, and points to the hints.
"""

import re
from functools import cache

from gqa_lib.learn.guide.ladders import all_hints

_ASKING = r"(?:please|pls|plz|just|now|ok|so|hey|hi|and|then|also|kindly|quickly)"
_BEGINNING = (
    rf"^\W*(?:{_ASKING}\W+)*(?:(?:can|could|would|will|may) (?:you|i|we|u)\W+|help me (?:to )?|"
    rf"how (?:do|can|could|would|should|must) (?:i|you|we|one)\W+|how to\W+|i(?: would|'d)? "
    rf"(?:need|want|like) (?:you )?to\W+|let'?s\W+|you (?:must|should|have to)\W+)?"
    rf"(?:{_ASKING}\W+)*"
)
_MAKE = (
    r"(?:write|implement|code|program|solve|complete|finish|fill(?: in| out)?|build|create|make|"
    r"generate|produce|type|draft|do(?= (?:my|the|this|that|it|ex|home|lesson|named)))"
)
_HAND_OVER = (
    r"(?:give|show|send|tell|paste|provide|print|output|reveal|post|share|display|leak|dump|"
    r"copy|hand(?: me| over)?|spell out|(?:i|we)(?: really| just)? (?:need|want)|"
    r"(?:can|could|may) i (?:have|get|see)|let me (?:have|see)|where can i (?:find|get|see))"
)
_CODE = (
    r"(?:solutions?|answers?|(?:source |python |full |exact )?code|implementations?|"
    r"(?:function|method|class) body|"
    r"(?:full|whole|complete|finished|working|entire|correct) "
    r"(?:function|class|method|kernel|cell))"
)
_EXERCISE = (
    r"(?:exercises?|ex\.? ?\d+|homeworks?|assignments?|task \d+|problem \d+|your code here|"
    r"graded (?:cell|function)s?|lesson \d+)"
)
_ORDINAL = r"(?:first|second|third|fourth|fifth|last|next|previous|\d+(?:st|nd|rd|th))"
_QUIZ = rf"(?:quiz(?:zes)?|exam|q ?\d+|question (?:no\.? ?)?\d+|{_ORDINAL} (?:quiz )?question)"
_CHOICE = r"(?:options?|choices?|alternatives?|letter|box(?:es)?|answers?)"
_RIGHT = r"(?:right|correct|true|wrong|false)"
_PICK = r"(?:tick|click|select|choose|pick|mark|check|enter|put)"
_ANSWERING = rf"(?:answers?|solutions?|solve|cheat|key|{_RIGHT}|{_PICK}|{_CHOICE}|is it [a-d])"

_ABOUT_QUIZ = [
    rf"\b{_QUIZ}\b.*\b{_ANSWERING}\b",
    rf"\b{_ANSWERING}\b.*\b{_QUIZ}\b",
    rf"\b{_RIGHT} {_CHOICE}\b",
    rf"\b(?:which|what|whats|is|are|does) .{{0,30}}\b{_CHOICE}\b.{{0,40}}\b(?:{_RIGHT}|{_PICK})\b",
    rf"\b(?:option|choice|answer|alternative) \W?[a-d1-4]\b.{{0,20}}\b{_RIGHT}\b",
    r"\b(?:is it|is the answer|should it be) \W?[a-d]\b(?=\W*(?:$|or\b|,))",
    r"\ba[).:] .*\bb[).:] .*\bc[).:] ",  # a question copied with its options
    r"\banswer(?:s)? ?(?:key|sheet)s?\b",
    rf"\b(?:whether|if|is) \W?[a-d]\W? (?:is |the )?{_RIGHT}\b",
    r"\b[a-d] or [a-d]\b(?=\W*$|.*\bq)",
    rf"\b(?:which|what)(?: ones?)? to {_PICK}\b",
    r"\b(?:what|whats|what's|which)(?: is| are)? the answers?\W*$",
    rf"\b(?:do|take|pass|ace|finish|complete) (?:the|this|my|that) {_QUIZ}\b.{{0,12}}\bfor me\b",
    r"^\W*q(?:uestion)? ?\d+\W*$",
]
_FOR_SOLUTION = [
    r"\bignore (?:\w+ ){0,3}(?:instructions?|rules?|prompt)\b",
    r"\bsolutions?(?: (?:folder|files?|cells?|notebooks?|director(?:y|ies))\b|/)",
    r"\bone[- ]liners?\b",
    r"\byour (?:version|implementation|code|answer|solution)\b.*named_exercise",
    r"\bmodel solutions?\b",
    r"\bhidden (?:tests?|checks?|cases?|cells?)\b",
    r"\b(?:reference|sample|instructor\S*|teacher\S*|official|worked) "
    r"(?:solutions?|implementations?|answers?)\b",
    rf"\b{_CODE} (?:to|of|for|in|from|behind|(?:that )?goes in(?:to)?) "
    rf".{{0,25}}(?:\b{_EXERCISE}|named_exercise)",
    rf"(?:\b{_EXERCISE}|named_exercise)\b.{{0,12}}\b(?:solutions?|answers?|code)\b",
    rf"{_BEGINNING}{_MAKE}\b.{{0,60}}(?:\b{_EXERCISE}|named_exercise)",
    rf"\b{_MAKE}\b.{{0,80}}\bfor me\b",
    rf"{_BEGINNING}{_MAKE} (?:me )?(?:the|some|all the) "
    r"(?:code|function|class|answers?|solutions?)\b",
    rf"\b{_HAND_OVER}\b.{{0,40}}\b{_CODE}\b",
    rf"\b{_HAND_OVER}(?: me)?(?: the| a| your| my)?(?: \w+)? named_exercise",
    r"\bwhat (?:do|should|must|can|shall) (?:i|we) (?:type|write|put|enter|paste|fill)\b"
    rf".*(?:\b{_EXERCISE}|\bcell\b|named_exercise)",
    r"\bwhat to (?:type|write|put|enter|paste|fill)\b",
    r"\b(?:can|could|would|will) (?:you|u) (?:just )?(?:do|solve|write|code|finish) "
    rf"(?:it|this|that|the|my|ex)\b.*(?:\b{_EXERCISE}|named_exercise|for me|$)",
    rf"\b(?:do|cheat (?:on|in|at)) (?:my|the|this) {_EXERCISE}",
    r"^\W*(?:the )?(?:full |whole )?(?:solutions?|answers?|code)\b"
    r"(?:\W+(?:please|pls|plz|now|all))*\W*$",
]
_OWN = re.compile(r"\bmy (?:own )?(?:solutions?|answers?|code)\b")
_COMMON_WORDS = {"attention", "rotate"}  # names of exercises that are words of the subject, too


@cache
def exercises() -> tuple[str, ...]:
    """Return the names of the exercises that have hints, longest first."""
    return tuple(sorted(all_hints(), key=len, reverse=True))


@cache
def _patterns() -> tuple[re.Pattern, re.Pattern, re.Pattern]:
    """Return what finds exercises' names, requests about the quiz, and requests for solutions."""
    names = [rf"\b{re.escape(n.lower())}\b" for n in exercises() if n not in _COMMON_WORDS]
    names += [rf"`{n}`|\b{n}\(|\b{n} (?:function|exercise)|\b{n}(?=\W*$)" for n in _COMMON_WORDS]
    quiz, solution = ("|".join(f"(?:{p})" for p in rows) for rows in (_ABOUT_QUIZ, _FOR_SOLUTION))
    return re.compile("|".join(names)), re.compile(quiz), re.compile(solution)


def request(question: str) -> str | None:
    """Return "quiz" or "solution" where a question asks for that, else None."""
    names, quiz, solution = _patterns()
    text = _OWN.sub("my work", " ".join(question.lower().split()))
    text = names.sub("named_exercise", text)
    if solution.search(text):
        return "solution"
    return "quiz" if quiz.search(text) else None


def exercise_in(question: str) -> str | None:
    """Return the exercise a question names, if any."""
    for name in exercises():
        if re.search(rf"(?<![\w-]){re.escape(name)}(?![\w-])", question):
            return name
    return None
