"""Why episodes end as they do: each reason through a real episode."""

from collections.abc import Sequence

import pytest

from hopgym.env import HopEnv
from hopgym.env.settings import EnvSettings
from hopgym.errors import ArgumentError
from hopgym.evaluation.endings import ENDINGS, EpisodeSelector, ending_of
from hopgym.rollout import run_episodes
from hopgym.tools import ToolSettings
from hopgym.trajectory import Completion, StopReason, Trajectory

# By reason: what the agent writes, at which task, in what environment.
Reply = str | Completion
READ = ("<lookup>Ada Brook</lookup>", "<lookup>Cleo Dunn</lookup>")
RIGHT, WRONG, BLANK = (f"<answer>{said}</answer>" for said in ("baker", "smith", ""))
NO_CALL, REFUSED = "let me think", Completion("I cannot", finish_reason="refused")
AGENT_ERROR = Completion("", error="ValueError: x", error_reason=StopReason.AGENT_ERROR)
API_ERROR = Completion("", error="503", error_reason=StopReason.API_ERROR)
FAILS, FOUR = ToolSettings(tool_failure=1.0), EnvSettings(max_steps=4)

CASES: dict[str, tuple[Sequence[Reply], int, dict]] = {
    "supported": ((*READ, RIGHT), 0, {}),
    "lucky": ((RIGHT,), 0, {}),
    "right": (("<answer>1410</answer>",), 3, {}),
    "no answer": ((*READ, BLANK), 0, {}),
    "unsupported": ((WRONG,), 0, {}),
    "wrong": ((*READ, WRONG), 0, {}),
    "agent error": ((READ[0], AGENT_ERROR), 0, {}),
    "api error": ((READ[0], API_ERROR), 0, {}),
    "context": ((READ[0], Completion("", finish_reason="context")), 0, {}),
    "refused": ((REFUSED,) * 3, 0, {}),
    "empty": (("", " \n", Completion("", finish_reason="empty")), 0, {}),
    "tool error": (READ * 2, 0, {"settings": FOUR, "tool_settings": FAILS}),
    "malformed": ((NO_CALL,) * 3, 0, {}),
    "budget": (READ * 2, 0, {"settings": FOUR}),
}


def played(env: HopEnv, replies: Sequence[Reply], index: int) -> Trajectory:
    def policy(prefixes: Sequence[Trajectory]) -> list[Reply]:
        return [replies[len(prefix.steps)] for prefix in prefixes]

    (trajectory,) = run_episodes(env, policy, [index])
    return trajectory


def test_there_is_a_case_for_every_reason() -> None:
    assert set(CASES) == {ending.name for ending in ENDINGS}
    assert len(ENDINGS) == len(CASES)


@pytest.mark.parametrize("name", CASES)
def test_every_reason_through_an_episode(source, name: str) -> None:
    replies, index, made_with = CASES[name]
    trajectory = played(HopEnv(source, **made_with), replies, index)
    assert ending_of(trajectory).name == name
    assert trajectory.is_success == (name in ("supported", "lucky", "right"))
    assert len(trajectory.steps) == len(replies) - ("error" in name and name != "tool error") - (
        name == "context"
    )


def test_what_came_last_decides(env: HopEnv) -> None:
    # A refusal that the agent got over is not why it failed, nor is an empty text.
    assert ending_of(played(env, (REFUSED, "", WRONG), 0)).name == "unsupported"
    assert ending_of(played(env, ("", REFUSED, NO_CALL), 0)).name == "malformed"
    assert ending_of(played(env, (NO_CALL, NO_CALL, REFUSED), 0)).name == "refused"
    assert ending_of(played(env, ("<answer>smith</answer>",), 3)).name == "wrong"
    assert ending_of(played(env, (BLANK,), 3)).name == "no answer"


def test_an_agent_that_raises_is_an_agent_error(env: HopEnv) -> None:
    def policy(prefixes: Sequence[Trajectory]) -> list[str]:
        raise ValueError("no model")

    (trajectory,) = run_episodes(env, policy, [0])
    assert (ending_of(trajectory).name, trajectory.steps) == ("agent error", ())


def test_an_episode_under_way_has_no_ending(env: HopEnv) -> None:
    env.reset(options={"index": 0})
    with pytest.raises(ArgumentError, match="has ended"):
        ending_of(env.trajectory())


def test_a_run_has_one_reason_for_each_episode(source) -> None:
    watch = EpisodeSelector(3)
    runs = [
        played(HopEnv(source, **made_with), replies, index)
        for replies, index, made_with in CASES.values()
    ]
    assert list(watch.observe(runs)) == runs
    assert watch.endings == dict.fromkeys(CASES, 1)
    assert not any(each.is_success for each in watch.select(3))
