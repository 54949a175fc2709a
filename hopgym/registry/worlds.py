"""The ids of generated worlds."""

from typing import TYPE_CHECKING, Any

from hopgym.registry.factory import environment, make_environment, take

if TYPE_CHECKING:
    from hopgym.env import HopEnv


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

    worlds, arguments = take(WorldSettings, arguments)
    questions, arguments = take(QuestionSettings, arguments)
    questions |= _within_budget(QuestionSettings(**questions).max_oracle_steps, arguments)
    return make_environment(
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


def _within_budget(max_oracle_steps: int, arguments: dict[str, Any]) -> dict[str, int]:
    """Return bounds for questions that the oracle can answer within the step budget."""
    budget = arguments.get("max_steps")
    tools = arguments.get("mode", "tools") == "tools"
    if not tools or not isinstance(budget, int) or budget < 2:
        return {}
    return {"max_oracle_steps": min(max_oracle_steps, budget)}
