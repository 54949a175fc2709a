"""The environments by id: one small factory each, registered with Gymnasium at import.

An id's arguments are those of its source, of `EnvSettings` and of `ToolSettings`, all plain JSON.
Everything but Gymnasium is imported inside the factories, so that ``import hopgym`` stays light.
"""

import inspect
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, TypeVar

import gymnasium

from hopgym.errors import ArgumentError, did_you_mean

if TYPE_CHECKING:
    from hopgym.env import HopEnv
    from hopgym.tasks import TaskSource

S = TypeVar("S")
Factory = Callable[..., "HopEnv"]

FACTORIES: dict[str, Factory] = {}
"""Environment id to its factory; the docstrings are the documentation of the ids."""


class UnknownArgumentError(ArgumentError):
    """An argument that an id does not take."""

    def __init__(self, message: str, name: str = "", known: Iterable[str] = ()) -> None:
        super().__init__(message)
        self.name = name
        self.known = tuple(known)


_COMMON = """
    ## Action Space
    `UnicodeText`: any string. A call is written as `<search>words</search>`,
    `<lookup>title</lookup>` or `<answer>text</answer>` (`dialect="tags"`), or as
    `<tool_call>{"name": ..., "arguments": {...}}</tool_call>` (`dialect="json"`). What stands
    before it is the thought; the first complete call wins; `<think>...</think>` is taken off.
    ` #2` behind an argument asks for the second part of a result. Any other text is malformed:
    it costs a step and gets an observation that shows the right form.

    ## Observation Space
    `UnicodeText`: at reset the question and how to call the tools, then each tool's result.

    ## Rewards
    `reward="outcome"` (default) pays the score of the answer (`score="f1"` or `"em"`), in [0, 1];
    `reward="process"` pays each tool step the share of the evidence that it brought, non-negative
    and adding up to at most 1; `reward="both"` pays the sum. `step_penalty` is taken off each step.

    ## Episode End
    Terminated when an answer is given. Truncated when `max_steps` (16) steps are used up, or after
    `max_malformed` (3) malformed texts in a row.

    ## Information
    Always the same keys: `task_id`, `step`, `steps_left`, `tool`, `argument`, `verdict`,
    `process_reward`, `outcome_reward`, `potential`, `oracle_steps` (-1 before the end),
    `is_success`, `reason`, `evidence_source`, `corpus`, `gold` (a JSON string, empty before the
    end unless `reveal=True`).

    ## Version History
    - v0: first version.
"""


def environment(env_id: str) -> Callable[[Factory], Factory]:
    """Return a decorator that registers a factory and completes its docstring."""

    def decorate(factory: Factory) -> Factory:
        parts = (inspect.cleandoc(factory.__doc__ or ""), inspect.cleandoc(_COMMON))
        factory.__doc__ = "\n\n".join(parts) + "\n"
        FACTORIES[env_id] = factory
        if env_id not in gymnasium.registry:
            gymnasium.register(env_id, entry_point=f"{__name__}:{factory.__name__}")
        return factory

    return decorate


@environment("hopgym/People-v0")
def people(render_mode: str | None = None, **arguments: Any) -> "HopEnv":
    """Questions over generated universes of fictional people, every step judged exactly.

    ## Description
    Each universe holds people in families and friendships, their towns and employers, and a page
    for each of them. A question follows relations over one to four hops; its answers, hops and
    proofs are known, and the oracle answers every question.

    ## Starting State
    A question drawn by the seed; without one, the next by index. `options={"index": i}` or
    `{"task_id": s}` name it; `{"prefix": [...]}` replays actions first.

    ## Arguments
    Worlds: `size=25`, `worlds=100000`, `relations="direct"` (or `"all"`, or a tuple of names),
    `page_style="prose"` (or `"brief"`), `distractors=0`, `name_pool="full"` (or `"small"`),
    `names_split="all"` (or `"train"`, `"heldout"`), `world_seed=0`, `split="train"` (or `"dev"`,
    `"test"`). Questions: `questions_per_world=50`, `hops=(1, 4)`, `kinds` (all but `"yesno"`),
    `max_answers=3`, `max_oracle_steps=12` (never above `max_steps`). Episode and tools: see
    `EnvSettings`, `ToolSettings`.

    ## References
    Universes after PhantomWiki (Gong et al. 2025, arXiv 2502.20377); step verdicts in place of
    the judge of SWiRL (Goldie et al. 2025, arXiv 2504.04736).
    """
    from hopgym.worlds.people.settings import QuestionSettings, WorldSettings
    from hopgym.worlds.people.source import PeopleSource

    worlds, arguments = _take(WorldSettings, arguments)
    questions, arguments = _take(QuestionSettings, arguments)
    questions |= _within_budget(QuestionSettings(**questions).max_oracle_steps, arguments)
    return _environment(
        lambda: PeopleSource(WorldSettings(**worlds), QuestionSettings(**questions)),
        arguments,
        render_mode,
        (WorldSettings, QuestionSettings),
    )


@environment("hopgym/PeopleEasy-v0")
def people_easy(render_mode: str | None = None, **arguments: Any) -> "HopEnv":
    """`hopgym/People-v0` with chains and attributes of one or two hops.

    ## Description
    The gentle end: `hops=(1, 2)`, `kinds=("chain", "attribute")`, one answer each.

    ## Starting State
    As in `hopgym/People-v0`.

    ## Arguments
    Those of `hopgym/People-v0`; the three above have other defaults.

    ## References
    See `hopgym/People-v0`.
    """
    easy = {"hops": (1, 2), "kinds": ("chain", "attribute"), "max_answers": 1}
    return people(render_mode, **(easy | arguments))


@environment("hopgym/PeopleHard-v0")
def people_hard(render_mode: str | None = None, **arguments: Any) -> "HopEnv":
    """`hopgym/People-v0` with larger universes, derived relations and three to six hops.

    ## Description
    The hard end: `size=100`, `relations="all"`, `hops=(3, 6)`, `kinds` with `"yesno"`,
    `max_oracle_steps=20`, `max_steps=32`.

    ## Starting State
    As in `hopgym/People-v0`.

    ## Arguments
    Those of `hopgym/People-v0`; the ones above have other defaults.

    ## References
    See `hopgym/People-v0`; the derived relations are PhantomWiki's.
    """
    from hopgym.worlds.people.settings import KINDS

    hard = {"size": 100, "relations": "all", "hops": (3, 6), "kinds": KINDS}
    bounds = {"max_oracle_steps": 20, "max_steps": 32}
    return people(render_mode, **(hard | bounds | arguments))


@environment("hopgym/HotpotQA-v0")
def hotpotqa(render_mode: str | None = None, **arguments: Any) -> "HopEnv":
    """HotpotQA's distractor setting: ten paragraphs a question, sentence-level evidence.

    ## Description
    The official questions over their own paragraphs; supporting facts are the evidence.

    ## Starting State
    As in `hopgym/People-v0`.

    ## Arguments
    `path` (required): the official JSON file, or rows of the Hub's form, `.json`, `.jsonl` or
    `.gz`. `limit=None`: take the first so many records.

    ## References
    Yang et al. 2018, arXiv 1809.09600; scored as `hotpot_evaluate_v1.py` scores answers.
    """
    from hopgym.benchmarks.hotpotqa import HotpotQASource

    return _from_file(HotpotQASource, arguments, render_mode, "the official HotpotQA file")


@environment("hopgym/Jsonl-v0")
def jsonl(render_mode: str | None = None, **arguments: Any) -> "HopEnv":
    """Your own questions and documents, from one JSONL file.

    ## Description
    The format is described in `hopgym.benchmarks.jsonl`; evidence is optional, and steps are
    judged where it is given.

    ## Starting State
    As in `hopgym/People-v0`.

    ## Arguments
    `path` (required): the file. `limit=None`: take the first so many questions.

    ## References
    None: the data are yours.
    """
    from hopgym.benchmarks.jsonl import JsonlSource

    return _from_file(JsonlSource, arguments, render_mode, "a JSONL file of questions")


@environment("hopgym/PhantomWiki-v0")
def phantomwiki(render_mode: str | None = None, **arguments: Any) -> "HopEnv":
    """A universe written by PhantomWiki: its own articles and questions, judged exactly.

    ## Description
    Reads `articles.json`, `questions.json` and `facts.pl`; answers and proofs come from the
    facts by the proof rule of worlds.

    ## Starting State
    As in `hopgym/People-v0`.

    ## Arguments
    `path` (required): the folder with the three files. `limit=None`: take the first so many
    questions. `max_steps` is by default the largest oracle length of the file and 4 more.

    ## References
    Gong et al. 2025, arXiv 2502.20377.
    """
    from hopgym.benchmarks.phantomwiki import PhantomWikiSource

    return _from_file(PhantomWikiSource, arguments, render_mode, "a folder of PhantomWiki's output")


def _from_file(
    source: Callable[..., "TaskSource"],
    arguments: dict[str, Any],
    render_mode: str | None,
    needed: str,
) -> "HopEnv":
    arguments = dict(arguments)
    path, limit = arguments.pop("path", None), arguments.pop("limit", None)
    if path is None:
        raise ArgumentError(
            f"path must name {needed}, got None; pass path=..., on the command line --path"
        )
    make = lambda: source(path, limit)  # noqa: E731
    return _environment(make, arguments, render_mode, (), ("path", "limit"))


def _environment(
    make_source: Callable[[], "TaskSource"],
    arguments: dict[str, Any],
    render_mode: str | None,
    settings: Iterable[type],
    names: Iterable[str] = (),
) -> "HopEnv":
    """Return the environment over a source, or an error that names an unknown argument."""
    from hopgym.env import HopEnv
    from hopgym.settings import EnvSettings, field_names
    from hopgym.tools import ToolSettings

    known = [
        *names,
        *(n for cls in (*settings, EnvSettings, ToolSettings) for n in field_names(cls)),
    ]
    for_env, arguments = _take(EnvSettings, arguments)
    for_tools, arguments = _take(ToolSettings, arguments)
    for name in arguments:
        hint = did_you_mean(name, known)
        message = f"arguments must be among {', '.join(known)}, got {name!r}{hint}"
        raise UnknownArgumentError(message, name, known)
    tool_settings = ToolSettings(**for_tools)
    env_settings = EnvSettings(**for_env)
    source = make_source()
    if "max_steps" not in for_env and source.max_steps:
        env_settings = EnvSettings(**for_env, max_steps=source.max_steps)
    return HopEnv(source, env_settings, tool_settings, render_mode)


def _within_budget(max_oracle_steps: int, arguments: dict[str, Any]) -> dict[str, int]:
    """Return bounds for questions that the oracle can answer within the step budget."""
    budget = arguments.get("max_steps")
    tools = arguments.get("mode", "tools") == "tools"
    if not tools or not isinstance(budget, int) or budget < 2:
        return {}
    return {"max_oracle_steps": min(max_oracle_steps, budget)}


def _take(settings: type, arguments: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the arguments that a settings dataclass takes, and the others."""
    from hopgym.settings import field_names

    names = field_names(settings)
    taken = {name: value for name, value in arguments.items() if name in names}
    return taken, {name: value for name, value in arguments.items() if name not in names}
