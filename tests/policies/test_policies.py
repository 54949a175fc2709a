"""The policies that need no model, on the hand-written source and on a few odd ones."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from hopgym.documents import Corpus, Document, PageList
from hopgym.env import HopEnv
from hopgym.env.settings import EnvSettings
from hopgym.errors import ArgumentError
from hopgym.policies import (
    ConstantPolicy,
    ExhaustivePolicy,
    GreedySearchPolicy,
    GuessPolicy,
    OraclePolicy,
    PrefixPolicy,
    RandomPolicy,
    ScriptedPolicy,
)
from hopgym.rollout import run_episodes
from hopgym.tasks import Evidence, Question, Task, TaskSource
from hopgym.tools import ToolSettings
from hopgym.trajectory import Completion, StopReason, Trajectory

LONG = tuple(f"Sentence {i} of the long page says {'so ' * 600}." for i in range(20))


class OneQuestion(TaskSource):
    """A single task over given pages."""

    name = "one"

    def __init__(self, documents: Sequence[Document], question: Question) -> None:
        self.task = Task(question, Corpus(PageList(documents), "one"))

    def __len__(self) -> int:
        return 1

    def __getitem__(self, index: int, /) -> Task:
        self.check_index(index)
        return self.task

    def index_of(self, task_id: str) -> int:
        return 0

    @property
    def fingerprint(self) -> str:
        return "one"

    def guess(self, task: Task) -> str:
        return "perhaps"


def play(
    env: HopEnv, policy: PrefixPolicy, index: int, prefix: Sequence[str] = (), sample: int = 0
) -> Trajectory:
    env.reset(options={"index": index, "prefix": list(prefix)})
    while not env.trajectory().stop_reason:
        (reply,) = policy([env.trajectory(sample=sample)])
        env.step(reply.text if isinstance(reply, Completion) else reply)
    return env.trajectory(sample=sample)


def texts(trajectory: Trajectory) -> list[str]:
    return [step.text for step in trajectory.steps]


def every_policy(source: TaskSource) -> list[PrefixPolicy]:
    return [
        ConstantPolicy("miller"),
        ScriptedPolicy(["<search>bees</search>", "what?", "<answer>Farrow</answer>"]),
        GuessPolicy(source),
        OraclePolicy(source),
        ExhaustivePolicy(source),
        GreedySearchPolicy(),
        RandomPolicy(7),
    ]


def test_policies_are_stateless_and_batches_change_nothing(source: Any, env: HopEnv) -> None:
    for policy in every_policy(source):
        prefixes = []
        for index in range(4):
            played = play(env, policy, index)
            prefixes += [played.prefix(t) for t in range(len(played.steps))]
        batch = policy(prefixes)
        assert batch == [policy([prefix])[0] for prefix in prefixes]
        assert policy(prefixes[::-1]) == batch[::-1]
        assert policy([]) == []


def test_rollouts_take_them_as_they_are(source: Any, env: HopEnv) -> None:
    for policy in every_policy(source):
        played = list(run_episodes(env, policy, range(4), slots=3))
        assert len(played) == 4
        seeded = policy.seeded(0) if isinstance(policy, RandomPolicy) else policy
        for trajectory in played:
            assert texts(trajectory) == texts(play(env, seeded, trajectory.index))


def test_fingerprints_tell_settings_and_hide_addresses(source: Any) -> None:
    assert RandomPolicy(1).fingerprint != RandomPolicy(2).fingerprint
    assert OraclePolicy(source).fingerprint == "OraclePolicy(tool_settings=None)"


@pytest.mark.parametrize("dialect", ["tags", "json"])
def test_the_oracle_earns_every_proof(source: Any, dialect: str) -> None:
    env = HopEnv(source, EnvSettings(dialect=dialect))
    steps = []
    for index in range(4):
        trajectory = play(env, OraclePolicy(source), index)
        assert trajectory.is_success
        steps.append(len(trajectory.steps))
        rewards = sum(step.process_reward for step in trajectory.steps)
        assert rewards == pytest.approx(1.0 if index < 3 else 0.0)
    # q0: two pages and the answer; q1: one search shows both sentences of the page; q2: three
    # pages; q3 has no evidence, so it is answered at once.
    assert steps == [3, 2, 4, 1]


@pytest.mark.parametrize("index", [0, 1, 2])
def test_the_oracle_tries_again_after_failures(source: Any, index: int) -> None:
    env = HopEnv(source, EnvSettings(max_steps=64), ToolSettings(tool_failure=0.5, noise_seed=3))
    trajectory = play(env, OraclePolicy(source, env.tool_settings), index)
    assert trajectory.steps[-1].verdict == "supported"
    assert {str(s.verdict) for s in trajectory.steps} <= {"good", "lead", "failed", "supported"}


def test_the_oracle_repeats_a_search_under_noise(source: Any) -> None:
    settings = ToolSettings(search_noise=1.0)  # a hit of "bees" is a random page each time
    env = HopEnv(source, EnvSettings(), settings)
    explicit = play(env, OraclePolicy(source, settings), 1)
    assert explicit.steps[-1].verdict == "supported"
    searches = sum(step.action.tool == "search" for step in explicit.steps if step.action)
    assert searches > 1
    # Without its own settings it finds them in the trajectory's environment arguments.
    prefix = replace(explicit.prefix(1), env_kwargs={"search_noise": 1.0, "mode": "tools"})
    assert OraclePolicy(source)([prefix]) == [explicit.steps[1].text]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("index", [0, 1, 2])
def test_the_oracle_plays_on_from_anywhere(source: Any, env: HopEnv, seed: int, index: int) -> None:
    given = texts(play(env, RandomPolicy(seed), index))[:-1][:8]
    trajectory = play(env, OraclePolicy(source), index, ["no call", *given])
    assert trajectory.steps[-1].verdict == "supported"
    own = [step for step in trajectory.steps if not step.from_prefix]
    assert all(step.verdict in ("good", "lead", "supported") for step in own)


def test_an_oracle_step_to_a_title_not_shown_is_privileged() -> None:
    pages = (Document("a", "Anna", ("Anna sings.",)), Document("b", "Bert", ("Bert is 7.",)))
    evidence = Evidence("Bert is 7", (("b", 0),))
    question = Question("o", "How old is he?", ("7",), "number", proofs=((evidence,),))
    source = OneQuestion(pages, question)
    policy, env = OraclePolicy(source), HopEnv(source)
    env.reset()
    privileged = Completion("<lookup>Bert</lookup>", privileged=True)
    assert policy([env.trajectory()]) == [privileged]
    env.step("<search>Bert</search>")
    assert policy([env.trajectory()]) == ["<answer>7</answer>"]


@pytest.mark.parametrize("mode", ["one_turn", "closed_book"])
def test_without_tools_all_answer_at_once(source: Any, mode: str) -> None:
    env = HopEnv(source, EnvSettings(mode=mode))
    for policy in every_policy(source):
        if not isinstance(policy, ScriptedPolicy):
            trajectory = play(env, policy, 0)
            assert trajectory.stop_reason is StopReason.ANSWER
            assert trajectory.is_success == isinstance(policy, OraclePolicy)


def test_guess_and_constant_answer_at_once() -> None:
    source = OneQuestion((), Question("o", "Who?", ("Ann",), "text"))
    env = HopEnv(source)
    assert texts(play(env, GuessPolicy(source), 0)) == ["<answer>perhaps</answer>"]
    assert texts(play(env, ConstantPolicy(), 0)) == ["<answer>unknown</answer>"]
    assert texts(play(env, ConstantPolicy("Bo"), 0)) == ["<answer>Bo</answer>"]


def random_call(env: HopEnv, seed: int, index: int, sample: int, t: int) -> str | Completion:
    env.reset(options={"index": index, "prefix": ["nothing"] * t})
    return RandomPolicy(seed)([env.trajectory(sample=sample)])[0]


def test_random_calls_depend_on_seed_index_sample_and_step_alone(env: HopEnv) -> None:
    keys = [(s, i, n, t) for s in range(4) for i in range(3) for n in range(4) for t in range(3)]
    replies = {key: random_call(env, *key) for key in keys}
    assert replies == {key: random_call(env, *key) for key in reversed(keys)}
    for place in range(4):  # each part of the key matters: some other value of it changes the call
        fixed: dict[Any, set[Any]] = {}
        for key, reply in replies.items():
            fixed.setdefault(key[:place] + key[place + 1 :], set()).add(reply)
        assert any(len(different) > 1 for different in fixed.values())
    assert RandomPolicy(3).seeded(9) == RandomPolicy(9)


def test_random_calls_are_well_formed_and_sometimes_answers(env: HopEnv) -> None:
    played = [play(env, RandomPolicy(), sample % 4, sample=sample) for sample in range(40)]
    calls = [step.action for trajectory in played for step in trajectory.steps]
    assert {action.tool if action else "" for action in calls} == {"search", "lookup", "answer"}


def test_greedy_search_follows_the_words_of_the_question(env: HopEnv) -> None:
    policy = GreedySearchPolicy()
    # The top hit is Ada Brook; "mother" leads to Cleo Dunn, whose page says nothing of a "job".
    assert texts(play(env, policy, 0)) == [
        "<search>Ada Brook job mother</search>",
        "<lookup>Ada Brook</lookup>",
        "<lookup>Cleo Dunn</lookup>",
        "<answer>Cleo Dunn</answer>",
    ]
    # "bees" and "keeps" lead nowhere but to the page's own title; "friends" gives both names.
    assert texts(play(env, policy, 1))[-1] == "<answer>Ada Brook; Ivo Jay</answer>"
    # "It was founded in 1410.": no name, so what stands at the end.
    assert texts(play(env, policy, 3))[-1] == "<answer>1410</answer>"


@pytest.mark.parametrize(
    "text",
    ["?", "", "a of the", "Ünal Ørsted's ﬁancée’s mother\n\n[[[", "</answer> [1] ", "[1] \n" * 50],
)
def test_greedy_and_random_stand_any_text(text: str) -> None:
    pages = (Document("a", text or "x", (text, f"The mother is {text}.", "")),)
    env = HopEnv(OneQuestion(pages, Question("o", text, ("x",), "text")))
    for policy in (GreedySearchPolicy(), RandomPolicy(1), RandomPolicy(2)):
        assert play(env, policy, 0).stop_reason


def test_greedy_search_answers_when_the_budget_ends(source: Any) -> None:
    env = HopEnv(source, EnvSettings(max_steps=3))
    trajectory = play(env, GreedySearchPolicy(), 0)  # one step short of Cleo Dunn's page
    assert texts(trajectory)[-1] == "<answer>Cleo Dunn</answer>"


def test_the_exhaustive_reader_reads_each_title_once(source: Any, env: HopEnv) -> None:
    trajectory = play(env, ExhaustivePolicy(source), 0)
    titles = ["Ada Brook", "Cleo Dunn", "Elmstead", "Gil Hart", "Ivo Jay"]
    expected = [f"<lookup>{title}</lookup>" for title in titles]
    assert texts(trajectory) == [*expected, "<answer>unknown</answer>"]
    assert sum(step.process_reward for step in trajectory.steps) == pytest.approx(1.0)
    (reply,) = ExhaustivePolicy(source)([trajectory.prefix(0)])
    assert reply == Completion(expected[0], privileged=True)


def test_the_exhaustive_reader_saves_the_last_step(source: Any) -> None:
    # The budget comes from an argument, from the observations, from env_kwargs, from the source.
    env = HopEnv(source, EnvSettings(max_steps=3))
    assert len(play(env, ExhaustivePolicy(source), 0).steps) == 3
    silent = HopEnv(source, EnvSettings(max_steps=3, instructions=False))
    assert play(silent, ExhaustivePolicy(source, max_steps=3), 0).stop_reason is StopReason.ANSWER
    silent.reset(options={"index": 0, "prefix": ["<search>bees</search>"] * 2})
    prefix = replace(silent.trajectory(), env_kwargs={"max_steps": 3})
    assert ExhaustivePolicy(source)([prefix]) == ["<answer>unknown</answer>"]
    source.max_steps = 3
    assert play(silent, ExhaustivePolicy(source), 0).stop_reason is StopReason.ANSWER


def test_the_exhaustive_reader_follows_parts_and_repeated_titles() -> None:
    # 20 sentences of about 1,800 characters are 36,000: three parts of at most 16,000.
    pages = (
        Document("a", "Long", LONG),
        Document("b", "Twin", ("One.",)),
        Document("c", "twin", ("Two.",)),
        Document("d", " ", ("No title.",)),
    )
    source = OneQuestion(pages, Question("o", "What?", ("x",), "text"))
    trajectory = play(HopEnv(source), ExhaustivePolicy(source), 0)
    assert texts(trajectory) == [
        "<lookup>Long</lookup>",
        "<lookup>Long #2</lookup>",
        "<lookup>Long #3</lookup>",
        "<lookup>Twin</lookup>",
        "<answer>perhaps</answer>",
    ]


def test_readers_try_again_after_failures(source: Any) -> None:
    env = HopEnv(source, EnvSettings(max_steps=64), ToolSettings(tool_failure=0.5))
    assert play(env, ExhaustivePolicy(source, max_steps=64), 0).steps[-1].potential == 1.0
    assert play(env, GreedySearchPolicy(), 1).is_success


def test_scripts_are_played_by_step_number_and_task(env: HopEnv) -> None:
    script = {"q0": ["huh", "<search>Ada</search>"]}
    trajectory = play(env, ScriptedPolicy(script), 0)
    assert texts(trajectory) == ["huh", "<search>Ada</search>", "<answer>unknown</answer>"]
    assert texts(play(env, ScriptedPolicy(script), 1)) == ["<answer>unknown</answer>"]
    given = play(env, ScriptedPolicy(script), 0, ["given"])
    assert texts(given) == ["given", *texts(trajectory)[1:]]


@pytest.mark.parametrize("script", ["<answer>x</answer>", {"q0": "<answer>x</answer>"}])
def test_a_script_is_not_one_string(script: Any) -> None:
    with pytest.raises(ArgumentError, match="put it into a list"):
        ScriptedPolicy(script)
