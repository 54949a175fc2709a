"""Prediction files of answers alone: ``{id: text}``, or the same under the key ``"answer"``."""

from collections.abc import Mapping

import msgspec

from hopgym.benchmarks.files import Content, Record, decode
from hopgym.benchmarks.official import Entry

_LAYOUT = 'a prediction file is {id: text} or {"answer": {id: text}}'
_FIELDS = msgspec.json.Decoder(dict[str, msgspec.Raw])
_ANSWERS = msgspec.json.Decoder(dict[str, str])


def read_answers(content: Content) -> dict[str, Entry]:
    """Return the entries of a prediction file of answers alone, by task id.

    Raises:
        DataError: When it is none.
    """
    record = Record(content.path, content.data)
    nested = decode(record, _FIELDS, _LAYOUT).get("answer")
    if nested is not None and bytes(nested).startswith(b"{"):
        record = Record(f"{content.path}, 'answer'", nested)
    answers = decode(record, _ANSWERS, _LAYOUT)
    return {task_id: Entry(answer) for task_id, answer in answers.items()}


def write_answers(entries: Mapping[str, Entry]) -> bytes:
    """Return the layout ``{"answer": {id: text}}``; entries without an answer are left out."""
    answers = {i: each.answer for i, each in entries.items() if each.answer is not None}
    return msgspec.json.encode({"answer": answers})
