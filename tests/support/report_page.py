"""A report read back by the standard parser, and episodes to write one of."""

import json
import re
from collections.abc import Iterable
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

from hopgym.documents import Corpus, Document, PageList
from hopgym.env import HopEnv
from hopgym.env.settings import EnvSettings
from hopgym.policies import ScriptedPolicy
from hopgym.rollout import run_episodes
from hopgym.tasks import Evidence, Hop, Question, Task
from hopgym.trajectory import StopReason, Trajectory

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


def hostile_source(base: type, text: str, *, question: str = "", sentence: str = "") -> Any:
    """A source like a base class with one question whose every text holds a given one.

    Each text begins with letters of its own: N(ame), T(itle), S(entence), H(op), HA (its answer),
    F(act), Q(uestion), A(nswer), K(ind). The question and the sentence may hold a text more.
    """

    class Hostile(base):  # type: ignore[misc]
        name = f"N {text}"

        def __init__(self) -> None:
            page = Document("d", f"T {text}", (f"S {sentence}{text}",))
            self.corpus = Corpus(PageList((page,)), "hostile")
            hop = Hop(f"H {text}", (f"HA {text}",))
            fact = Evidence(f"F {text}", (("d", 0),))
            self.question = Question(
                f"q {text}",
                f"Q {question}{text}",
                (f"A {text}",),
                "text",
                (hop,),
                f"K {text}",
                ((fact,),),
            )

        def __len__(self) -> int:
            return 1

        def __getitem__(self, index: int, /) -> Task:
            return Task(self.question, self.corpus)

        def index_of(self, task_id: str) -> int:
            return 0

    return Hostile()


def hostile_runs(source: Any, text: str, replies: Iterable[str]) -> dict[str, list[Trajectory]]:
    """Two runs over a hostile source, one with an error, whose records hold the text as well."""
    (played,) = play(source, ScriptedPolicy(list(replies)), indices=[0])
    played = replace(played, env_id=f"E {text}", env_kwargs={text: [text, {"a": text}]})
    error = replace(played, sample=1, stop_reason=StopReason.AGENT_ERROR, error=f"X {text}")
    return {f"R {text}": [played, error], "other": [played]}


def play(
    source: Any, policy: Any, settings: EnvSettings | None = None, indices: Iterable[int] = range(4)
) -> list[Trajectory]:
    return list(run_episodes(HopEnv(source, settings), policy, indices))
