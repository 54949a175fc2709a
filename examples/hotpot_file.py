"""Writes three made-up records in HotpotQA's official layout: ``hotpot_file.py PATH``."""

import json
import sys
from pathlib import Path

PAGES = {
    "Ada Brook": ["Ada Brook is a baker.", " She was born in Elmstead."],
    "Elmstead": ["Elmstead lies on the Farrow.", " It was founded in 1410."],
    "Gil Hart": ["Gil Hart keeps bees in Vale."],
    "Vale": ["Vale is a town on the Thrush.", " It was founded in 1388."],
}
QUESTIONS = (
    ("On which river lies the town where Ada Brook was born?", "the Farrow", "bridge",
     [["Ada Brook", 1], ["Elmstead", 0]]),
    ("On which river lies the town where Gil Hart keeps bees?", "the Thrush", "bridge",
     [["Gil Hart", 0], ["Vale", 0]]),
    ("Which town was founded first, Elmstead or Vale?", "Vale", "comparison",
     [["Elmstead", 1], ["Vale", 1]]),
)  # fmt: skip


def records() -> list[dict[str, object]]:
    """Return the records, each with all pages as its context."""
    context = [[title, sentences] for title, sentences in PAGES.items()]
    return [
        {"_id": f"{number:024x}", "question": question, "answer": answer, "type": kind,
         "level": "hard", "supporting_facts": facts, "context": context}
        for number, (question, answer, kind, facts) in enumerate(QUESTIONS)
    ]  # fmt: skip


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python examples/hotpot_file.py PATH")
    path = Path(sys.argv[1])
    text = json.dumps(records(), indent=1)
    if path.exists() and path.read_bytes() != text.encode():
        sys.exit(f"PATH must be a new file, got {path}, which holds something else; name another")
    path.write_text(text, encoding="utf-8")
