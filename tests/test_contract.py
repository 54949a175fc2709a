"""What holds of every registered id: Gymnasium's contract, specs, infos and rendering."""

import hashlib
import importlib.util
import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gymnasium
import pytest
from gymnasium.envs.registration import EnvSpec
from gymnasium.utils.env_checker import check_env
from gymnasium.utils.performance import benchmark_step

from hopgym.registry import FACTORIES

CANARY = "Zyxgate"
"""An answer that stands in no page and no question."""

CONTEXT: list[Any] = [
    ["Ada Brook", ["Ada Brook is a baker.", " Her mother is Cleo Dunn."]],
    ["Cleo Dunn", ["Cleo Dunn lives in Elmstead.", " She keeps bees."]],
    ["Elmstead", ["Elmstead lies on the Farrow."]],
    ["Elmstead", ["Elmstead is a song."]],
    ["Gil Hart", []],
]
HOTPOT_ASKED = (
    ("Where does the mother of Ada Brook live?", "Elmstead", [["Ada Brook", 1], ["Cleo Dunn", 0]]),
    ("Does Gil Hart keep bees?", "no", []),
    ("What does nobody know?", CANARY, [["Ada Brook", 0]]),
)
JSONL_ASKED = (
    {"answer": "Elmstead", "evidence": [{"shown_by": [["Ada Brook", 1]]}]},
    {"answers": [CANARY, "Cleo Dunn"], "answer_kind": "set"},
    {"answer": "3", "answer_kind": "number", "evidence": [{"shown_by": [["Cleo Dunn", None]]}]},
)
PEOPLE = (
    # name, gender, job, hobby, family as PhantomWiki writes it, father, friends
    ("Ada Brook", "female", "baker", "bees",
     ("The brother of Ada Brook is Bob Brook.", "The father of Ada Brook is Dan Brook."),
     "Dan Brook", ("Cleo Dunn",)),
    ("Bob Brook", "male", "smith", "owls",
     ("The sister of Bob Brook is Ada Brook.", "The father of Bob Brook is Dan Brook."),
     "Dan Brook", ()),
    ("Dan Brook", "male", "tailor", "chess",
     ("The son of Dan Brook is Bob Brook.", "The daughter of Dan Brook is Ada Brook."),
     None, ("Cleo Dunn",)),
    ("Cleo Dunn", "female", "miller", "knots", (), None, ("Ada Brook", "Dan Brook")),
)  # fmt: skip
ASKED_OF_PEOPLE = (
    ("Who is the father of Ada Brook?", ["Dan Brook"], ['father("Ada Brook", Y_2)'],
     "Who is|the|<relation>_1|of|<name>_2|?"),
    ("What is the hobby of the friend of Ada Brook?", ["knots"],
     ["hobby(Y_4, Y_2)", 'friend("Ada Brook", Y_4)'],
     "What is|the|<attribute_name>_1|of|the|<relation>_3|of|<name>_4|?"),
    ("Who is the friend of the person whose occupation is miller?", ["Ada Brook", "Dan Brook"],
     ["friend(Y_4, Y_2)", 'job(Y_4, "miller")'],
     "Who is|the|<relation>_3|of|the person whose|<attribute_name>_5|is|<attribute_value>_5|?"),
)  # fmt: skip


def hotpotqa_file(folder: Path) -> str:
    rows = [
        {"_id": f"id{i}", "question": text, "answer": answer, "supporting_facts": facts,
         "context": CONTEXT, "type": "bridge", "level": "hard"}
        for i, (text, answer, facts) in enumerate(HOTPOT_ASKED)
    ]  # fmt: skip
    (folder / "hotpot.json").write_text(json.dumps(rows))
    return str(folder / "hotpot.json")


def jsonl_file(folder: Path) -> str:
    documents = [
        {"id": f"{title} ({i})" if i == 3 else title, "title": title,
         "sentences": [text.strip() for text in sentences]}
        for i, (title, sentences) in enumerate(CONTEXT)
    ]  # fmt: skip
    questions = [
        {"id": f"id{i}", "question": f"Question number {i}?"} | asked
        for i, asked in enumerate(JSONL_ASKED)
    ]
    lines = map(json.dumps, [*documents, *questions])
    (folder / "own.jsonl").write_text("\n".join(lines))
    return str(folder / "own.jsonl")


def phantomwiki_folder(folder: Path) -> str:
    """Write a small universe in the three files that PhantomWiki leaves."""
    facts, articles = [], []
    for name, gender, job, hobby, family, father, friends in PEOPLE:
        own = {"dob": "0985-05-30", "job": job, "hobby": hobby, "gender": gender}
        facts += [f'type("{name}", person).']
        facts += [f'{relation}("{name}", "{value}").' for relation, value in own.items()]
        facts += [f'parent("{name}", "{father}").'] if father else []
        facts += [f'friend_("{name}", "{friend}").' for friend in friends if name < friend]
        some = "friend of {} is {}" if len(friends) == 1 else "friends of {} are {}"
        known = [f"The {some.format(name, ', '.join(friends))}."] if friends else []
        words = ("date of birth", "occupation", "hobby", "gender")
        told = [f"The {w} of {name} is {v}." for w, v in zip(words, own.values(), strict=True)]
        article = [f"# {name}\n", "## Family", *family, "\n## Friends", *known]
        article += ["\n## Attributes", *told, ""]
        articles.append({"title": name, "article": "\n".join(article), "facts": []})
    questions = [
        {"id": f"id{i}", "question": text, "solution_traces": "[]", "answer": answers,
         "prolog": {"query": query, "answer": "Y_2"}, "template": template.split("|"),
         "type": i, "difficulty": len(query), "is_aggregation_question": False}
        for i, (text, answers, query, template) in enumerate(ASKED_OF_PEOPLE)
    ]  # fmt: skip
    (folder / "articles.json").write_text(json.dumps(articles))
    (folder / "questions.json").write_text(json.dumps(questions))
    (folder / "facts.pl").write_text("\n".join(facts) + "\n")
    return str(folder)


FILES = {
    "hopgym/HotpotQA-v0": hotpotqa_file,
    "hopgym/Jsonl-v0": jsonl_file,
    "hopgym/PhantomWiki-v0": phantomwiki_folder,
}
"""The ids that read a file, and what writes one for them."""

MISSING = {} if importlib.util.find_spec("hopgym.benchmarks.phantomwiki") else {
    "hopgym/PhantomWiki-v0": "there is no hopgym.benchmarks.phantomwiki yet"
}  # fmt: skip
IDS = [
    pytest.param(i, marks=pytest.mark.skipif(i in MISSING, reason=MISSING.get(i, "")), id=i)
    for i in FACTORIES
]
every_id = pytest.mark.parametrize("env_id", IDS)
INFO = {
    "task_id": str, "step": int, "steps_left": int, "tool": str, "argument": str, "verdict": str,
    "process_reward": float, "outcome_reward": float, "potential": float, "oracle_steps": int,
    "is_success": bool, "reason": str, "evidence_source": str, "corpus": str, "gold": str,
}  # fmt: skip


@pytest.fixture(scope="module")
def kwargs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """Return the arguments that each id is made with here."""
    folder = tmp_path_factory.mktemp("files")
    return {i: {"path": FILES[i](folder)} if i in FILES else {} for i in FACTORIES}


def actions(env: gymnasium.Env[str, str], seed: int, count: int) -> Iterator[str]:
    """Yield texts of every kind, in the environment's dialect, over its current corpus."""
    rng, base = random.Random(seed), env.unwrapped
    wrong = ("", "no call", "<search>", "\ud800<think>", "<tool_call>{}</tool_call>", "\0" * 9)
    names = {tool.name: tool.argument for tool in base.tools}
    for _ in range(count):
        title = base.corpus.pages.title(rng.randrange(len(base.corpus)))
        word = rng.choice((*title.split(), "mother", "bees", "nothing #2"))
        argument = rng.choice((title, word, f"{title} {word}", f"{title.lower()} #2", title + "-x"))
        tool = rng.choice([*names] * 2 + ["search", "lookup"])
        if rng.random() < 0.25:
            yield rng.choice(wrong)
        elif base.settings.dialect == "tags":
            yield f"I want {word}. <{tool}>{argument}</{tool}> Done."
        else:
            call = {"name": tool, "arguments": {names.get(tool, "query"): argument}}
            yield f"<tool_call>{json.dumps(call)}</tool_call>"


Turn = tuple[str, float, bool, bool, dict[str, Any]]


def play(env: gymnasium.Env[str, str], seed: int, count: int) -> Iterator[Turn]:
    """Yield every reset (with reward 0) and step of episodes of random texts."""
    observation, info = env.reset(seed=seed)
    yield observation, 0.0, False, False, info
    for text in actions(env, seed, count):
        turn = env.step(text)
        yield turn
        if turn[2] or turn[3]:
            observation, info = env.reset()
            yield observation, 0.0, False, False, info


def digest(env_id: str, kwargs: dict[str, Any]) -> str:
    """Return the SHA-256 of what episodes of random texts return and record, in every mode."""
    digest = hashlib.sha256()
    for mode, dialect in (("tools", "tags"), ("tools", "json"), ("one_turn", "tags")):
        noise = {"search_noise": 0.3, "tool_failure": 0.2} if dialect == "json" else {}
        env = gymnasium.make(env_id, mode=mode, dialect=dialect, reveal=True, **noise, **kwargs)
        for turn in play(env, 5, 40):
            digest.update(repr(turn).encode("utf-8", "backslashreplace"))
            digest.update(repr(env.unwrapped.trajectory()).encode("utf-8", "backslashreplace"))
    return digest.hexdigest()


def test_the_registered_ids_are_those_with_a_factory() -> None:
    assert {i for i in gymnasium.registry if i.startswith("hopgym/")} == set(FACTORIES)
    assert {f"hopgym/{name}-v0" for name in ("People", "PeopleEasy", "PeopleHard")} <= set(
        FACTORIES
    )


# Gymnasium's contract


@every_id
@pytest.mark.filterwarnings("error")
def test_the_checker_has_nothing_to_say(env_id: str, kwargs, capsys) -> None:
    # It wants a first step that does not truncate, which modes of a single step cannot promise.
    for options in ({}, {"dialect": "json", "reward": "both", "reveal": True}):
        check_env(gymnasium.make(env_id, **kwargs[env_id], **options).unwrapped)


@every_id
def test_specs_survive_json(env_id: str, kwargs) -> None:
    env = gymnasium.make(env_id, **kwargs[env_id], max_steps=7, reward="process")
    text = env.spec.to_json()
    json.loads(text)
    twin = gymnasium.make(EnvSpec.from_json(text))
    assert twin.spec == env.spec and twin.unwrapped.settings.max_steps == 7
    assert list(play(twin, 2, 12)) == list(play(env, 2, 12))


@every_id
def test_infos_always_hold_the_same_keys_and_types(env_id: str, kwargs) -> None:
    for mode in ("tools", "one_turn", "closed_book"):
        for extra in (
            {},
            {"dialect": "json", "reveal": True, "tool_failure": 0.3, "reward": "both"},
        ):
            env = gymnasium.make(env_id, mode=mode, **extra, **kwargs[env_id])
            for observation, reward, terminated, truncated, info in play(env, 1, 40):
                assert observation in env.observation_space and type(reward) is float
                assert type(terminated) is type(truncated) is bool
                assert {key: type(value) for key, value in info.items()} == INFO
                numbers = [info["process_reward"], info["outcome_reward"], info["potential"]]
                assert all(0.0 <= number <= 1.0 for number in numbers)
                ended = bool(info["reason"])
                assert info["oracle_steps"] == -1 or ended
                assert bool(info["gold"]) == (ended or "reveal" in extra)
                assert not (terminated and truncated) and (terminated or truncated) == ended
                assert terminated == (info["reason"] == "answer")


@every_id
def test_render_modes(env_id: str, kwargs, capsys) -> None:
    assert FACTORIES[env_id](**kwargs[env_id]).metadata["render_modes"] == ["ansi", "human"]
    ansi = gymnasium.make(env_id, render_mode="ansi", **kwargs[env_id])
    prompt, _ = ansi.reset(seed=0)
    assert ansi.render() == prompt
    observation, *_ = ansi.step("<search>mother</search>")
    assert isinstance(ansi.render(), str) and observation in ansi.render()
    assert capsys.readouterr().out == ""
    human = gymnasium.make(env_id, render_mode="human", **kwargs[env_id])
    human.reset(seed=0)
    human.step("<search>mother</search>")
    printed = capsys.readouterr().out
    assert prompt in printed and observation in printed and human.render() is None


@every_id
def test_steps_can_be_benchmarked(env_id: str, kwargs) -> None:
    assert benchmark_step(gymnasium.make(env_id, **kwargs[env_id]), 0.05, seed=0) > 0
