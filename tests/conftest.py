"""Fixtures shared by all tests: a hand-written source of a few pages and questions."""

import signal
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from hopgym.documents import Corpus, Document, PageList
from hopgym.env import HopEnv
from hopgym.errors import ArgumentError
from hopgym.tasks import Evidence, Hop, Question, Task, TaskSource

DOCUMENTS = (
    Document("d0", "Ada Brook", ("Ada Brook was born in 1950.", "Her mother is Cleo Dunn.")),
    Document("d1", "Cleo Dunn", ("Cleo Dunn works as a baker.", "She lives in Elmstead.")),
    Document("d2", "Elmstead", ("Elmstead lies on the Farrow.", "It was founded in 1410.")),
    Document("d3", "Gil Hart", ("Gil Hart keeps bees.", "His friends are Ada Brook and Ivo Jay.")),
    Document("d4", "Ivo Jay", ("Ivo Jay was born in 1948.",)),
)

MOTHER = Evidence("the mother of Ada Brook is Cleo Dunn", (("d0", 1),))
JOB = Evidence("Cleo Dunn works as a baker", (("d1", 0),))
TOWN = Evidence("Cleo Dunn lives in Elmstead", (("d1", 1),))
RIVER = Evidence("Elmstead lies on the Farrow", (("d2", 0),))
FRIENDS = Evidence("the friends of Gil Hart", (("d3", None),), call=("search", "bees"))

QUESTIONS = (
    Question(
        "q0", "What is the job of the mother of Ada Brook?", ("baker",), "text",
        (Hop("mother of Ada Brook", ("Cleo Dunn",)), Hop("job of Cleo Dunn", ("baker",))),
        "attribute", ((MOTHER, JOB),), "hand",
    ),
    Question(
        "q1", "Who are the friends of the person who keeps bees?", ("Ada Brook", "Ivo Jay"), "set",
        (Hop("friends of Gil Hart", ("Ada Brook", "Ivo Jay")),), "chain", ((FRIENDS,),), "hand",
    ),
    Question(
        "q2", "On which river lies the town of the mother of Ada Brook?", ("Farrow", "the Farrow"),
        "text", (), "chain", ((MOTHER, TOWN, RIVER), (TOWN, RIVER)), "hand",
    ),
    Question("q3", "When was Elmstead founded?", ("1410",), "number", (), "attribute", (), "hand"),
)  # fmt: skip


class HandSource(TaskSource):
    """Four questions over five pages; the last has no evidence."""

    name = "hand"

    def __init__(self) -> None:
        self.corpus = Corpus(PageList(DOCUMENTS), "hand")

    def __len__(self) -> int:
        return len(QUESTIONS)

    def __getitem__(self, index: int, /) -> Task:
        return Task(QUESTIONS[self.check_index(index)], self.corpus)

    def index_of(self, task_id: str) -> int:
        ids = [question.id for question in QUESTIONS]
        if task_id not in ids:
            raise ArgumentError(f"task_id must be one of {', '.join(ids)}, got {task_id!r}")
        return ids.index(task_id)

    @property
    def fingerprint(self) -> str:
        return "hand"


@pytest.fixture(scope="session", autouse=True)
def heeded_interrupts() -> Iterator[None]:
    """Heed Ctrl-C, which a shell may have told its background jobs, and so all tests, to ignore."""
    before = signal.getsignal(signal.SIGINT)
    alone = threading.current_thread() is threading.main_thread()
    if alone and before is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    if alone and before is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.SIG_IGN)


@pytest.fixture
def source() -> HandSource:
    """Return the hand-written source."""
    return HandSource()


@pytest.fixture
def env(source: HandSource) -> HopEnv:
    """Return an environment over the hand-written source with all defaults."""
    return HopEnv(source)


@pytest.fixture(scope="session")
def blank(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return the folder of a tiny model with random weights."""
    from hopgym_agents.modeling.tiny import make_tiny

    return make_tiny(tmp_path_factory.mktemp("models") / "tiny", hidden=32, layers=1).path


@pytest.fixture(scope="session")
def taught(blank: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Return the options of a run of ``sft`` that has ended, behind which it is right at times."""
    from tests.support.training_runs import oracle_run, trained

    folder = tmp_path_factory.mktemp("taught")
    trl = {"learning_rate": 1e-2, "lr_scheduler_type": "constant", "max_steps": 48}
    run = oracle_run(folder / "oracle.jsonl", 12, 4)
    given = {"run": run, "filter": "none", "model": blank, "out": str(folder / "out"), "batch": 4}
    given["trl"] = {**trl, "logging_steps": 2, "save_steps": 500}
    trained("sft", given)
    return given
