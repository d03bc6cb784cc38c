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
_ONE_CHOICE = r"(?:options?|choices?|alternatives?|letter|box(?:es)?|answer)"
_RIGHT = r"(?:right|correct|true|wrong|false)"
_PICK = r"(?:tick|click|select|choose|pick|mark|enter|put)"
_ANSWERING = rf"(?:answers?|solutions?|solve|cheat|key|{_RIGHT}|{_PICK}|{_CHOICE}|is it [a-d])"

_ABOUT_QUIZ = [
    rf"\b{_QUIZ}\b.*\b{_ANSWERING}\b",
    rf"\b{_ANSWERING}\b.*\b{_QUIZ}\b",
    rf"\b{_RIGHT} {_ONE_CHOICE}\b|\b{_RIGHT} answers\b.*\b{_QUIZ}",
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
    r"\b(?:verrat|sag|nenn|gib)\w* (?:mir )?(?:die )?antwort\w*\b.*\bquiz|\bis it [a-d] in\b",
    r"\bfrage \d+\b.*\b(?:richtig|antwort|l(?:ö|oe)sung)|\b(?:richtig|antwort)\w*\b.*\bfrage \d+",
    r"\bquiz[- ]?(?:l(?:ö|oe|o)sung|antwort)\w*|\bl(?:ö|oe|o)sung\w* .*\bquiz",
    r"\b(?:i think|i guess|probably|maybe|must be|surely) (?:it'?s|its|it is|"
    r"the answer is)? ?\W?[a-d]\b"
    r"(?=\W*(?:$|,|\.|right|correct|can you|or\b))",
    r"\bquiz_answers\.json\b.*\b(?:someone|somebody|others?|points|friend|right|full)",
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
    r"\b(?:begin|end) solution\b|\binstructor'?s? notebook",
    r"\breplace raise notimplementederror\b.*\bwith\b|\bcontinue the snippet\b",
    r"\b(?:schreib|gib|zeig|nenn|verrat)\w* (?:mir )?(?:den|die|das|bitte)? ?"
    r"(?:code|l(?:ö|oe|o)sung\w*)",
    r"\b(?:muster)?(?:l(?:ö|oe|o)sung(?:en)?)\b.{0,30}\b(?:aufgabe|lektion|übung|uebung|exercise|"
    r"lesson|named_)",
    r"\b(?:aufgabe|übung|uebung) \d.{0,30}\b(?:l(?:ö|oe|o)sung|l(?:ö|oe)se)",
    r"\bmusterl(?:ö|oe|o)sung",
    r"^\W*(?:the )?(?:full |whole )?(?:solutions?|answers?|code)\b"
    r"(?:\W+(?:please|pls|plz|now|all))*\W*$",
]
_WRITTEN = (  # said of an exercise by its name, these ask for its code
    r"(?:body|line by line|each line|lines of|missing lines|(?:which|what) lines?|code|source|"
    r"verbatim|"
    r"word for word|implement(?:ation)?s?|"
    r"return (?:statement|line|value is)|finished|complete(?:d)?|fill in|dots|yours|your own|"
    r"(?:did|have|had) (?:you|they|he|she|people|students?|i) (?:type|write|written|typed|put)|"
    r"(?:would|should|could|must) .{0,40}(?:written|typed|type|write)|"
    r"(?:numpy|torch|jax|c|c\+\+|rust|java|julia|python|cuda|triton|einsum|one[- ]line)\b ?"
    r"(?:version|code|one)?|pseudo ?-?code|in \d+ lines|"
    r"lines to type|should be inside|all methods|as an? \w+ function|"
    r"fix (?:my|this|it)|my code|def |lambda|pass\b|paste|copy|print the|show me|give me|"
    r"tell me the|dictate|spell out|translate|answer (?:to|for|of)|loesung\w*|l\w+sung\w*|"
    r"musterl\w+|solve|solved|solution|cheat|gib mir|zeig mir|schreib\w*|begin solution)"
)
_ABOUT_CODE = (  # and these ask about it: no request
    r"^\W*(?:what does|why|does|is|are|which|where|when|warum|was macht|how does|how is)\b"
    r"(?!.*\b(?:body|line by line|verbatim|typed|written by|def |pseudo|solution|loesung|"
    r"code of)\b)"
)
_OWN = re.compile(r"\bmy (?:own )?(?:solutions?|answers?|code)\b")
_CODE_OF, _ABOUT = re.compile(rf"(?<!\w){_WRITTEN}"), re.compile(_ABOUT_CODE)
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
    if solution.search(text) or _in_disguise(text):
        return "solution"
    return "quiz" if quiz.search(text) else None


def _in_disguise(text: str) -> bool:
    """Return whether a question names an exercise and wants its code, however it is put."""
    if "named_exercise" not in text or _ABOUT.search(text):
        return False
    return bool(_CODE_OF.search(text))


def exercise_in(question: str) -> str | None:
    """Return the exercise a question names, if any."""
    for name in exercises():
        if re.search(rf"(?<![\w-]){re.escape(name)}(?![\w-])", question):
            return name
    return None
