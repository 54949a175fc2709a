"""The ids over files: the catalogue's benchmarks, PhantomWiki's output and your own JSONL."""

from inspect import cleandoc

from hopgym.benchmarks.catalogue import DATASETS, Dataset
from hopgym.registry.factory import EnvironmentFactory, write_documentation

_ARGUMENTS = """
    `path` (required, but with `hub=True`): the official file, `.json`, `.jsonl` or `.gz`, or a
    folder that holds it. `hub=False`: with True, a pinned revision is read from the Hub, where
    the benchmark is there (`hopgym data list`). `split=None`: which split of a folder or the Hub.
    `limit=None`: take the first so many questions.
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
    shared = _ARGUMENTS + (_CORPUS_ARGUMENT if dataset.searchable else "")
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
        arguments="`path` (required): the file. `limit=None`: take the first so many questions.",
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
    `path` (required): the folder with the three files. `limit=None`: take the first so many
    questions. `max_steps` is by default the largest oracle length of the file and 4 more.
    """,
        references="Gong et al. 2025, arXiv 2502.20377.",
    ),
)

BENCHMARKS = (
    *(_benchmark(dataset) for dataset in DATASETS if dataset.env_id),
    _JSONL,
    _PHANTOMWIKI,
)
