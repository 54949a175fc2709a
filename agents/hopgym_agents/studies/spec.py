"""What a study is: what is trained, from which start, and on what all of it is evaluated.

The dataclasses are the tables of a study file, by the same names; `hopgym_agents.studies.reading`
makes them.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Annotated, Any

from msgspec import Meta

_One = Annotated[int, Meta(ge=1)]
_Zero = Annotated[int, Meta(ge=0)]
_Table = dict[str, Any]

POLICIES = ("oracle", "greedy", "random", "unknown", "guess")
"""What is played on every suite beside the models, where the file does not say."""
START = "start"
"""Name of the model that runs start from, in tables and as the policy of a collection."""
GRID = "grid"
"""Name of the suite that values are chosen by."""


@dataclass(frozen=True, slots=True)
class Tiny:
    """A model from scratch, its weights of the study's seed; see `hopgym_agents.modeling.tiny`."""

    hidden: int = 128
    layers: int = 3


@dataclass(frozen=True, slots=True)
class Worlds:
    """What all parts of a study play in that say nothing else."""

    id: str = ""
    kwargs: _Table = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Collect:
    """Episodes to learn from."""

    policy: str = "oracle"
    """A policy's name, or ``start``: the model that the run starts from."""
    options: _Table = field(default_factory=dict)
    """Of the policy."""
    env: str = ""
    kwargs: _Table = field(default_factory=dict)
    tasks: _One = 1_000
    first: _Zero = 0
    """Index of the first task."""
    samples: _One = 1
    seed: _Zero = 0
    """Of the policy; a model's adds the study's seed."""
    keep: str = ""
    """A filter: of what passes it, as many episodes are learnt from as of any other filter, which
    is how SWiRL compares them (Goldie et al. 2025, section 4); empty: all."""


@dataclass(frozen=True, slots=True)
class Stage:
    """A training run on the way to the start."""

    collect: Collect | None = None
    method: str = "sft"
    train: _Table = field(default_factory=dict)
    """Options of the run."""


@dataclass(frozen=True, slots=True)
class Start:
    """The model that every arm starts from, one for each seed."""

    model: str = ""
    """A folder or Hub id; else `tiny` is made."""
    tiny: Tiny = field(default_factory=Tiny)
    stage: tuple[Stage, ...] = ()


@dataclass(frozen=True, slots=True)
class Arm:
    """A way to train, run once for each seed."""

    name: str
    method: str
    collect: Collect | None = None
    grid: dict[str, list[Any]] = field(default_factory=dict)
    """Options by dotted name, each with the values to choose from."""
    options: _Table = field(default_factory=dict)
    """Of the run: the study's ``base`` with what else the arm says."""


@dataclass(frozen=True, slots=True)
class Grid:
    """How values are chosen from the grids of arms: on the first seed, by success."""

    n: _One = 100
    kwargs: _Table = field(default_factory=lambda: {"split": "dev"})
    """Of the tasks that decide."""
    options: _Table = field(default_factory=dict)
    """Of the runs that are chosen from, such as smaller limits."""


@dataclass(frozen=True, slots=True)
class Suite:
    """Tasks that everything is evaluated on."""

    name: str
    env: str = ""
    kwargs: _Table = field(default_factory=dict)
    n: _One | None = None
    """The first so many tasks; all where it is left out."""
    file: str = ""
    """Name of the option that gives the argument ``path``: ``--hotpotqa FILE``."""
    policies: tuple[str, ...] | None = None
    options: _Table = field(default_factory=dict)
    """Of models on this suite, over the study's ``play``."""


@dataclass(frozen=True, slots=True)
class GivenModel:
    """A model that is evaluated and not trained."""

    name: str
    options: _Table
    """Of the policy ``llm``."""


@dataclass(frozen=True, slots=True)
class Study:
    """All that a study is."""

    title: str
    seeds: tuple[_Zero, ...] = (0,)
    env: Worlds = field(default_factory=Worlds)
    start: Start | None = None
    arm: tuple[Arm, ...] = ()
    grid: Grid = field(default_factory=Grid)
    suite: tuple[Suite, ...] = ()
    model: tuple[GivenModel, ...] = ()
    policies: tuple[str, ...] = POLICIES
    play: _Table = field(default_factory=lambda: {"temperature": 0.0, "max_tokens": 64})
    """Options of the policy ``llm`` for evaluations."""

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON."""
        return asdict(self)


INSIDE: Mapping[tuple[type, str], type] = {
    (Study, "env"): Worlds,
    (Study, "start"): Start,
    (Study, "arm"): Arm,
    (Study, "grid"): Grid,
    (Study, "suite"): Suite,
    (Study, "model"): GivenModel,
    (Start, "tiny"): Tiny,
    (Start, "stage"): Stage,
    (Stage, "collect"): Collect,
    (Arm, "collect"): Collect,
}
"""The tables inside tables, by the table and its key."""
