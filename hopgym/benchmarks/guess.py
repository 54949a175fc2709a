"""The best answer to be had from a question's words alone: a floor for real benchmarks.

In: the text of a question. Out: an answer. It reads no page, knows no fact and no other question.
"""

import re

UNKNOWN = "unknown"

_YES_OR_NO = re.compile(
    r"(?:are|is|was|were|do|does|did|has|have|had|can|could|will|would)\b", re.IGNORECASE
)
_CHOICE = re.compile(
    r"(?:[,:?]|\bis|\bwas|\bbetween|\bfirst)\s+([^,:?]+?),?\s+or\s+[^,:?]+\??\s*$", re.IGNORECASE
)
_NAME = re.compile(r"[A-Z][\w.'’-]*(?:\s+(?:of|the|and|de|von|van)?\s*[A-Z0-9][\w.'’-]*)*")


def guess_from_words(question: str) -> str:
    """Return the first of two things to choose from, ``yes``, or the last name in the question.

    ``yes`` is for questions that begin with a verb; where there is nothing of it, ``unknown``. Of
    constants and of the question's names this does best on HotpotQA and 2WikiMultihopQA.
    """
    text = question.strip()
    choice = _CHOICE.search(text)
    if choice:
        return choice[1].strip()
    if _YES_OR_NO.match(text):
        return "yes"
    names = [match[0] for match in _NAME.finditer(text) if match.start() > 0]
    return names[-1] if names else UNKNOWN
