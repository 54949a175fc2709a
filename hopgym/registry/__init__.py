"""The environment ids, registered with Gymnasium when this package is imported.

Worlds are registered one by one, benchmarks from their catalogue.
"""

from inspect import cleandoc

from hopgym.benchmarks.catalogue import DATASETS, Dataset
from hopgym.registry.factory import (
    FACTORIES,
    EnvironmentFactory,
    UnknownArgumentError,
    register,
    write_documentation,
)

__all__ = ["FACTORIES", "EnvironmentFactory", "UnknownArgumentError", "register"]

_PEOPLE_SOURCE = "hopgym.worlds.people.source:PeopleSource"

_PEOPLE = EnvironmentFactory(
    env_id="hopgym/People-v0",
    source=_PEOPLE_SOURCE,
    documentation=write_documentation(
        summary="""
    Questions over generated universes of fictional people, every step judged exactly.
    """,
        description="""
    Each universe holds people in families and friendships, their towns and employers, and a page
    for each of them. A question follows relations over one to four hops; its answers, hops and
    proofs are known, and the oracle answers every question.
    """,
        starting_state="""
    A question drawn by the seed; without one, the next by index. `options={"index": i}` or
    `{"task_id": s}` name it; `{"prefix": [...]}` replays actions first.
    """,
        arguments="""
    Worlds: `size=25`, `worlds=100000`, `relations="direct"` (or `"all"`, or a tuple of names),
    `page_style="prose"` (or `"brief"`), `distractors=0`, `name_pool="full"` (or `"small"`),
    `names_split="all"` (or `"train"`, `"heldout"`), `world_seed=0`, `split="train"` (or `"dev"`,
    `"test"`). Questions: `questions_per_world=50`, `hops=(1, 4)`, `kinds` (all but `"yesno"`),
    `max_answers=3`, `max_oracle_steps=12` (never above `max_steps`). Episode and tools: see
    `EnvSettings`, `ToolSettings`.
    """,
        references="""
    Universes after PhantomWiki (Gong et al. 2025, arXiv 2502.20377); step verdicts in place of
    the judge of SWiRL (Goldie et al. 2025, arXiv 2504.04736).
    """,
    ),
)

_PEOPLE_EASY = EnvironmentFactory(
    env_id="hopgym/PeopleEasy-v0",
    source=_PEOPLE_SOURCE,
    defaults={"hops": (1, 2), "kinds": ("chain", "attribute"), "max_answers": 1},
    documentation=write_documentation(
        summary="`hopgym/People-v0` with chains and attributes of one or two hops.",
        description="""
    The gentle end: `hops=(1, 2)`, `kinds=("chain", "attribute")`, one answer each.
    """,
        arguments="Those of `hopgym/People-v0`; the three above have other defaults.",
        references="See `hopgym/People-v0`.",
    ),
)

_PEOPLE_HARD = EnvironmentFactory(
    env_id="hopgym/PeopleHard-v0",
    source=_PEOPLE_SOURCE,
    defaults={
        "size": 100,
        "relations": "all",
        "hops": (3, 6),
        "kinds": (
            *("chain", "attribute", "count", "intersection", "comparison", "superlative"),
            *("yesno", "unanswerable"),
        ),
        "max_oracle_steps": 20,
        "max_steps": 32,
    },
    documentation=write_documentation(
        summary=(
            "`hopgym/People-v0` with larger universes, derived relations and three to six hops."
        ),
        description="""
    The hard end: `size=100`, `relations="all"`, `hops=(3, 6)`, `kinds` with `"yesno"`,
    `max_oracle_steps=20`, `max_steps=32`.
    """,
        arguments="Those of `hopgym/People-v0`; the ones above have other defaults.",
        references="See `hopgym/People-v0`; the derived relations are PhantomWiki's.",
    ),
)

_BENCHMARK_ARGUMENTS = """
    `path` (required, but with `hub=True`): the official file, `.json`, `.jsonl` or `.gz`, or a
    folder that holds it. `hub=False`: with True, a pinned revision is read from the Hub, where
    the benchmark is there (`hopgym data list`). `split=None`: which split of a folder or the Hub.
    `limit=None`: use the first `limit` questions.
"""
"""Documents the arguments of every benchmark."""

_CORPUS_ARGUMENT = """
    `corpus=None`: `"record"` (the question's own paragraphs), `"split"` (all paragraphs of the
    file), or the path of paragraphs from elsewhere, `.jsonl` with `title` and `text`, which are
    indexed once and kept on disk; `info["corpus"]` says which. `one_turn` prompts hold the
    question's own paragraphs.
"""
"""Documents the further argument of every benchmark with paragraphs."""


def _benchmark(dataset: Dataset) -> EnvironmentFactory:
    shared = _BENCHMARK_ARGUMENTS + (_CORPUS_ARGUMENT if dataset.searchable else "")
    return EnvironmentFactory(
        env_id=dataset.env_id,
        source=dataset.source,
        documentation=write_documentation(
            summary=dataset.summary,
            description=dataset.description,
            arguments=f"{cleandoc(shared)}\n{cleandoc(dataset.arguments)}",
            references=dataset.references,
        ),
    )


_JSONL = EnvironmentFactory(
    env_id="hopgym/Jsonl-v0",
    source="hopgym.benchmarks.jsonl:JsonlSource",
    required_path="a JSONL file of questions",
    documentation=write_documentation(
        summary="Your own questions and documents, from one JSONL file.",
        description="""
    The format is described in `hopgym.benchmarks.jsonl`; evidence is optional, and steps are
    judged where it is given.
    """,
        arguments="`path` (required): the file. `limit=None`: use the first `limit` questions.",
        references="None: the data are yours.",
    ),
)

_PHANTOMWIKI = EnvironmentFactory(
    env_id="hopgym/PhantomWiki-v0",
    source="hopgym.benchmarks.phantomwiki:PhantomWikiSource",
    required_path="a folder of PhantomWiki's output",
    documentation=write_documentation(
        summary="""
    A universe written by PhantomWiki: its own articles and questions, judged exactly.
    """,
        description="""
    Reads `articles.json`, `questions.json` and `facts.pl`; answers and proofs come from the
    facts by the proof rule of worlds.
    """,
        arguments="""
    `path` (required): the folder with the three files. `limit=None`: use the first
    `limit` questions. `max_steps` is by default the largest oracle length of the file and 4 more.
    """,
        references="Gong et al. 2025, arXiv 2502.20377.",
    ),
)

for _factory in (
    *(_PEOPLE, _PEOPLE_EASY, _PEOPLE_HARD),
    *(_benchmark(dataset) for dataset in DATASETS if dataset.env_id),
    *(_JSONL, _PHANTOMWIKI),
):
    register(_factory)


def __getattr__(name: str) -> EnvironmentFactory:
    """Return the factory of an id: Gymnasium looks ``hopgym.registry:ID`` up as an attribute."""
    if name in FACTORIES:
        return FACTORIES[name]
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
