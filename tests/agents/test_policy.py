"""The policy of a language model, with small generators in this process."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from hopgym.env import HopEnv
from hopgym.env.settings import EnvSettings
from hopgym.errors import ArgumentError
from hopgym.rollout import run_episodes
from hopgym.trajectory import Completion, StopReason, Trajectory
from hopgym_agents.generate import Request, Sampling
from hopgym_agents.policy import LLMPolicy
from hopgym_agents.prompts import NATIVE, SWIRL

LOOKUP, ANSWER = "<lookup>Ada Brook</lookup>", "<answer>baker</answer>"


class Scripted:
    """Gives the reply that a function makes of a request, and remembers what it was asked."""

    fingerprint = "scripted"

    def __init__(self, reply: object = ANSWER, concurrency: int = 1, max_tokens: int = 20) -> None:
        self.reply = reply
        self.concurrency = concurrency
        self.sampling = Sampling(max_tokens=max_tokens)
        self.asked: list[Request] = []
        self.calls: list[int] = []

    def __call__(self, requests: Sequence[Request]) -> list[Completion]:
        self.asked += requests
        self.calls.append(len(requests))
        return [self._one(request) for request in requests]

    def _one(self, request: Request) -> Completion:
        reply = self.reply(request) if callable(self.reply) else self.reply
        return (
            reply if isinstance(reply, Completion) else Completion(str(reply), generated_tokens=3)
        )


class Counting(Scripted):
    """Counts a token a character."""

    def count_tokens(self, request: Request) -> int:
        return sum(len(message["content"]) for message in request.messages)


class Drawing(Scripted):
    """Draws its answer from its seed and the request's key."""

    def _one(self, request: Request) -> Completion:
        seeds = np.random.SeedSequence(self.sampling.seed, spawn_key=request.key)
        return Completion(f"<answer>{np.random.default_rng(seeds).integers(10**9)}</answer>")


def by_key(episodes: Sequence[Trajectory]) -> dict[tuple[str, int], Trajectory]:
    return {each.key: each for each in episodes}


@pytest.mark.parametrize("concurrency", [1, 3])
def test_it_plays_episodes_and_hands_their_turns_over(env: HopEnv, concurrency: int) -> None:
    def reply(request: Request) -> Completion:
        if len(request.turns) < 2:
            return Completion(f"{LOOKUP} and so on", token_ids=(7, 8))
        return Completion(ANSWER, token_ids=(9,), generated_tokens=1)

    generate = Scripted(reply, concurrency)
    played = by_key(list(run_episodes(env, LLMPolicy(generate), range(4), samples=2)))
    assert len(played) == 8
    assert played["q0", 1].is_success
    assert [step.text for step in played["q0", 1].steps] == [LOOKUP, LOOKUP, ANSWER]
    assert set(generate.calls) == ({1} if concurrency > 1 else {8})
    keys = sorted(request.key for request in generate.asked)
    assert keys == [(i, sample, t) for i in range(4) for sample in range(2) for t in range(3)]
    for request in generate.asked:
        assert len(request.messages) == 1 + 2 * len(request.turns)
        # What followed the call was cut off, so these tokens do not spell the text that was kept.
        assert [(turn.text, turn.token_ids) for turn in request.turns] == [(LOOKUP, ())] * len(
            request.turns
        )


def test_tokens_of_whole_texts_come_back(env: HopEnv) -> None:
    generate = Scripted(lambda request: Completion(LOOKUP, token_ids=(1, 2, len(request.turns))))
    env = HopEnv(env.source, EnvSettings(max_steps=3))
    list(run_episodes(env, LLMPolicy(generate), [0]))
    assert [turn.token_ids for turn in generate.asked[-1].turns] == [(1, 2, 0), (1, 2, 1)]


@pytest.mark.parametrize(
    ("completion", "finish", "reason"),
    [
        (Completion(""), "empty", StopReason.MALFORMED),
        (Completion(" \n", finish_reason="stop"), "empty", StopReason.MALFORMED),
        (Completion("", finish_reason="length"), "length", StopReason.MALFORMED),
        (Completion("", finish_reason="content_filter"), "refused", StopReason.MALFORMED),
        (Completion("I cannot.", finish_reason="refusal"), "refused", StopReason.MALFORMED),
        (Completion("hm", finish_reason="length"), "length", StopReason.MALFORMED),
        (Completion(ANSWER, finish_reason="stop"), "stop", StopReason.ANSWER),
    ],
)
def test_empty_and_refused_completions_are_told_apart(
    env: HopEnv, completion: Completion, finish: str, reason: StopReason
) -> None:
    (played,) = run_episodes(env, LLMPolicy(Scripted(completion)), [0])
    assert played.stop_reason is reason
    assert {step.completion.finish_reason for step in played.steps if step.completion} == {finish}


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        ("503 for a minute", StopReason.API_ERROR),
        ("out of memory", StopReason.AGENT_ERROR),
    ],
)
def test_failures_of_one_request_end_its_episode_alone(
    env: HopEnv, error: str, reason: StopReason
) -> None:
    def reply(request: Request) -> Completion | str:
        failed = Completion("", error=error, error_reason=reason)
        return failed if request.key[0] == 1 else ANSWER

    played = by_key(list(run_episodes(env, LLMPolicy(Scripted(reply)), range(4))))
    assert (played["q1", 0].stop_reason, played["q1", 0].error) == (reason, error)
    assert {each.stop_reason for each in played.values() if each.index != 1} == {StopReason.ANSWER}


def test_a_full_context_ends_the_episode(env: HopEnv) -> None:
    generate = Counting(LOOKUP, max_tokens=30)
    env.reset(options={"index": 0})
    opening = LLMPolicy(generate).preview(env.trajectory()).tokens
    policy = LLMPolicy(generate, max_context=opening + 400)
    (played,) = run_episodes(env, policy, [0])
    assert played.stop_reason is StopReason.CONTEXT
    sizes = [generate.count_tokens(request) for request in generate.asked]
    assert len(sizes) == len(played.steps) > 1
    assert max(sizes) + 30 <= opening + 400
    assert policy.preview(played).tokens + 30 > opening + 400
    exact = LLMPolicy(generate, max_context=sizes[-1] + 30)
    assert len(by_key(list(run_episodes(env, exact, [0])))["q0", 0].steps) == len(played.steps)


def test_full_and_open_contexts_keep_their_places(env: HopEnv) -> None:
    generate = Counting(lambda request: f"<answer>{request.key[0]}</answer>")
    prefixes = []
    for index in range(4):
        env.reset(options={"index": index})
        prefixes.append(env.trajectory())
    prefixes[1] = replace(prefixes[1], prompt="long " * 1000)
    replies = LLMPolicy(generate, max_context=3000)(prefixes)
    assert [reply.finish_reason for reply in replies] == ["", "context", "", ""]
    assert [reply.text for reply in replies if reply.text] == [
        f"<answer>{i}</answer>" for i in (0, 2, 3)
    ]


def test_the_middle_is_dropped_only_as_far_as_needed(env: HopEnv) -> None:
    generate = Counting(LOOKUP, max_tokens=30)
    env.reset(options={"index": 0})
    bound = LLMPolicy(generate).preview(env.trajectory()).tokens + 450
    (played,) = run_episodes(env, LLMPolicy(generate, max_context=bound, drop_middle=True), [0])
    assert played.stop_reason is StopReason.BUDGET
    kept = [len(request.turns) for request in generate.asked]
    assert kept[:2] == [0, 1] and max(kept) < 15 and min(kept[1:]) >= 1
    for t, request in enumerate(generate.asked):
        assert generate.count_tokens(request) + 30 <= bound
        marked = "left out here]" in request.messages[0]["content"]
        assert marked == (len(request.turns) < t)
        if request.turns:
            assert request.messages[-1]["content"] == played.steps[t - 1].observation
    (short,) = run_episodes(env, LLMPolicy(generate, max_context=100, drop_middle=True), [0])
    assert short.stop_reason is StopReason.CONTEXT and not short.steps


def test_previews_ask_nothing_and_estimate_without_a_tokenizer(env: HopEnv) -> None:
    env.reset(options={"index": 0})
    generate = Scripted()
    preview = LLMPolicy(generate, SWIRL).preview(env.trajectory())
    (message,) = preview.messages
    assert preview.tokens == -(-len(message["content"]) // 3)
    assert (preview.exact, preview.tools, generate.asked) == (False, (), [])
    assert LLMPolicy(Counting()).preview(env.trajectory()).exact
    asked = HopEnv(env.source, EnvSettings(dialect="json"))
    asked.reset(options={"index": 0})
    native = LLMPolicy(generate, NATIVE).preview(asked.trajectory())
    assert len(native.tools) == 3
    assert native.tokens > LLMPolicy(generate).preview(asked.trajectory()).tokens + 100


def test_runs_of_other_seeds_draw_otherwise_and_the_generator_stays_as_it_is(env: HopEnv) -> None:
    generate = Drawing()
    policy = LLMPolicy(generate)
    first, again, other = (
        {key: each.answer for key, each in by_key(list(run)).items()}
        for run in (
            run_episodes(env, policy, range(4), samples=2),
            run_episodes(env, policy, range(4), samples=2, slots=1),
            run_episodes(env, policy, range(4), samples=2, seed=1),
        )
    )
    assert first == again and len(set(first.values())) == 8
    assert not set(first.values()) & set(other.values())
    assert generate.sampling.seed == 0


def test_what_decides_a_run_stands_in_the_fingerprint() -> None:
    generate = Scripted()
    made = {
        LLMPolicy(generate).fingerprint,
        LLMPolicy(generate, SWIRL).fingerprint,
        LLMPolicy(generate, replace(SWIRL, template="{{ question }}")).fingerprint,
        LLMPolicy(generate, max_context=900).fingerprint,
        LLMPolicy(generate, max_context=900, drop_middle=True).fingerprint,
    }
    assert len(made) == 5
    assert all("scripted" in each for each in made)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"max_context": 0}, "max_context must be a whole number from 1, or None, got 0"),
        ({"max_context": True}, "a whole number from 1"),
        ({"drop_middle": True}, "max_context must be given with drop_middle"),
        ({"max_context": 20}, "above the 20 tokens that a completion may have, got 20"),
    ],
)
def test_contexts_that_make_no_sense_are_refused(settings: dict[str, int], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        LLMPolicy(Scripted(), **settings)  # type: ignore[arg-type]


def test_too_few_replies_are_asked_for_again(env: HopEnv) -> None:
    class Forgetful(Scripted):
        def __call__(self, requests: Sequence[Request]) -> list[Completion]:
            return super().__call__(requests)[:1]

    generate = Forgetful()
    with pytest.warns(UserWarning, match="generate must be 4 replies, got 1"):
        played = list(run_episodes(env, LLMPolicy(generate), range(4)))
    assert {each.stop_reason for each in played} == {StopReason.ANSWER}
    assert generate.calls == [4, 1, 1, 1, 1]
