"""The ids of generated worlds."""

from hopgym.registry.factory import EnvironmentFactory, write_documentation

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

WORLDS = (_PEOPLE, _PEOPLE_EASY, _PEOPLE_HARD)
