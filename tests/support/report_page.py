"""A report read back by the standard parser, and episodes to write one of."""

import json
import re
from collections.abc import Iterable
from html.parser import HTMLParser
from typing import Any

from hopgym.env import HopEnv
from hopgym.env.settings import EnvSettings
from hopgym.rollout import run_episodes
from hopgym.trajectory import Trajectory

VOID = {"meta", "rect", "path", "input"}
SCRIPT = {
    "q0": ["<lookup>Ada Brook</lookup>", "<search>Ada</search>", "<answer>baker</answer>"],  # lucky
    "q1": ["<answer>Ada Brook</answer>"],  # one of two, F1 2/3, nothing read
    "q2": ["<lookup>Cleo Dunn</lookup>", "<lookup>Elmstead</lookup>", "<answer>Farrow</answer>"],
    "q3": ["<answer>1410</answer>"],  # right, no evidence
}


class Page(HTMLParser):
    """A page read by the standard parser, which keeps what its tags hold."""

    def __init__(self, page: bytes) -> None:
        super().__init__()
        self.html = page.decode()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.open: list[tuple[str, list[str]]] = []
        self.texts: list[tuple[str, str]] = []
        """Tag with its class, and all text inside, in the order the tags close."""
        self.feed(self.html)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in VOID:
            self.open.append((".".join([tag, *(dict(attrs).get("class") or "").split()]), []))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in VOID
        self.handle_starttag(tag, attrs)

    def handle_endtag(self, tag: str) -> None:
        name, parts = self.open.pop()
        assert name.split(".")[0] == tag
        self.texts.append((name, "".join(parts)))

    def handle_data(self, data: str) -> None:
        for _, parts in self.open:
            parts.append(data)

    @property
    def data(self) -> Any:
        """What the page's script starts from."""
        (text,) = re.findall(r'<script type="application/json" id="data">(.*)</script>', self.html)
        return json.loads(text)

    def all(self, name: str) -> list[str]:
        """The texts of the tags of a name, as in ``i.v.good``, white space folded."""
        return [" ".join(text.split()) for found, text in self.texts if found == name]


def play(
    source: Any, policy: Any, settings: EnvSettings | None = None, indices: Iterable[int] = range(4)
) -> list[Trajectory]:
    return list(run_episodes(HopEnv(source, settings), policy, indices))
