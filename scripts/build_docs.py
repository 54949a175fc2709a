"""Writes README.md, gallery.md and environments/ of docs/: ``python scripts/build_docs.py``."""

import re
import textwrap
from pathlib import Path
from typing import Any

import gymnasium

from hopgym import GreedySearchPolicy, OraclePolicy, ScriptedPolicy, Trajectory, run_episodes
from hopgym.cli.list import describe
from hopgym.env import HopEnv
from hopgym.registry import FACTORIES
from hopgym.worlds.people.settings import KINDS
from hopgym.wrappers import hop_env

DOCS = Path(__file__).parents[1] / "docs"
HEADINGS = (
    *("Description", "Action Space", "Observation Space", "Rewards", "Starting State"),
    *("Episode End", "Information", "Arguments", "References", "Version History"),
)
SHOWN = tuple(zip(KINDS, (1, 2, 3, 1, 2, 2, 4, 3), strict=True))  # kinds and their hops
SEARCHED = range(300)  # the indices among which the gallery finds its episodes
LINKS = "All defaults: [arguments](../arguments.md). Verdicts: [semantics](../semantics.md)."
INTRODUCTION = """\
Episodes of `hopgym/People-v0` with `split="test"` and all `kinds`: each block is an action and the
observation that follows, long lines broken. [Semantics](semantics.md) explains the verdicts."""


def build(folder: Path) -> list[str]:
    """Write all pages under a folder; return their names relative to it."""
    pages = {"README.md": index(), "gallery.md": gallery()}
    pages |= {f"environments/{i.partition('/')[2]}.md": environment_page(i) for i in FACTORIES}
    for name, text in pages.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8", newline="\n")
    return list(pages)


def environment_page(env_id: str) -> str:
    """Return the page of an id: its docstring, in Gymnasium's order of headings."""
    summary, *parts = re.split(r"^ *## ", FACTORIES[env_id].documentation, flags=re.MULTILINE)
    sections = dict(part.split("\n", 1) for part in parts)
    # An example that needs a file cannot run as it stands, so the tests must not take it for code.
    needs = describe(FACTORIES[env_id])["needs"]
    path, language = (f', {needs}="..."', "text") if needs else ("", "python")
    made = f'import gymnasium\nimport hopgym\n\nenv = gymnasium.make("{env_id}"{path})'
    # Each section by itself: Python 3.13 takes the indentation off docstrings, not off additions.
    ordered = sorted(sections.items(), key=lambda section: HEADINGS.index(section[0]))
    bodies = (f"## {name}\n\n{textwrap.dedent(body).strip()}" for name, body in ordered)
    return _page(env_id, summary.strip(), f"```{language}\n{made}\n```", LINKS, *bodies)


def gallery() -> str:
    """Return the gallery: questions of every kind, other forms, and what goes wrong."""
    kinds = [_episode(f"{kind}, hops: {hops}", _oracle(kind, hops)) for kind, hops in SHOWN]
    return _page(
        "Gallery",
        INTRODUCTION,
        f"## The prompt of the first one\n\n{_block(_oracle(*SHOWN[0]).prompt)}",
        "## Every kind of question\n\nThe oracle plays: the fewest calls that prove the answer.",
        *kinds,
        "## Other forms",
        _episode('Brief pages: `page_style="brief"`', _oracle("chain", 2, page_style="brief")),
        _episode('Calls as JSON: `dialect="json"`', _oracle("attribute", 1, dialect="json")),
        '### All at once: `mode="one_turn"`\n\nThe prompt holds the pages; an answer is due.',
        _block(_oracle("chain", 2, mode="one_turn").prompt, keep=8),
        "## What goes wrong",
        _episode("The greedy policy loses its way", _greedy("unsupported")),
        _episode("The greedy policy misreads what it found", _greedy("wrong")),
        _episode("No call, a repeat, and a right answer that was not earned", _scripted()),
    )


def index() -> str:
    """Return the list of all pages."""
    own = [p for p in sorted(DOCS.glob("*.md")) if p.name not in ("README.md", "gallery.md")]
    rows = [(*i.split("/"), describe(factory)["what"]) for i, factory in FACTORIES.items()]
    return _page(
        "Documentation",
        "To begin with, see the [README](../README.md) of the package.",
        "\n".join([*map(_link, own), "- [Gallery](gallery.md): sample episodes, step by step"]),
        "## Environments",
        "\n".join(f"- [{space}/{i}](environments/{i}.md): {what}" for space, i, what in rows),
        "## Results\n\n" + "\n".join(map(_link, sorted(DOCS.glob("results/*.md")))),
    )


def _oracle(kind: str, hops: int, **arguments: Any) -> Trajectory:
    """Return the oracle's episode of the first such question; counts of none are passed over."""
    env = _env(**arguments)
    for i in SEARCHED:
        question = env.source[i].question
        if (question.kind, len(question.hops)) == (kind, hops) and question.answers[0] != "0":
            return next(run_episodes(env, OraclePolicy(env.source), [i]))
    raise LookupError(f"no {kind} question of {hops} hops among {SEARCHED}")


def _greedy(last: str) -> Trajectory:
    """Return, of the episodes with that last verdict, the one that shows most other verdicts."""
    played = run_episodes(_env(), GreedySearchPolicy(), SEARCHED)
    ended = (episode for episode in played if episode.steps[-1].verdict == last)
    return max(ended, key=lambda e: (len({s.verdict for s in e.steps}), -len(e.steps), -e.index))


def _scripted() -> Trajectory:
    oracle = _oracle("attribute", 3)
    call, answer = oracle.steps[0].text, oracle.steps[-1].text
    script = ("I had better read a page first.", f"I begin like this. {call}", call, answer)
    return next(run_episodes(_env(), ScriptedPolicy(script), [oracle.index]))


def _env(**arguments: Any) -> HopEnv:
    return hop_env(gymnasium.make("hopgym/People-v0", split="test", kinds=KINDS, **arguments))


def _episode(title: str, episode: Trajectory) -> str:
    parts = [f"### {title[0].upper()}{title[1:]}\n\n> {episode.question}"]
    for number, step in enumerate(episode.steps, start=1):
        reward = f"process reward {step.process_reward:.2f}, potential {step.potential:.2f}"
        if number == len(episode.steps):  # all of these end with an answer
            reward = f"outcome reward {step.outcome_reward:.2f}"
        block = _block(f"{step.text}\n\n{step.observation}")
        parts.append(f"Step {number}: `{step.verdict}`, {reward}\n\n{block}")
    return "\n\n".join(parts)


def _block(text: str, keep: int = 0) -> str:
    """Return a text as a block, of which only the first and last ``keep`` lines may be shown."""
    wrapped = (textwrap.fill(line, 100, break_on_hyphens=False) for line in text.split("\n"))
    lines = "\n".join(wrapped).split("\n")
    if keep:
        lines[keep:-keep] = ["", f"[... {len(lines) - 2 * keep} lines are left out here ...]", ""]
    return "\n".join(["```text", *lines, "```"])


def _page(title: str, *parts: str) -> str:
    note = "<!-- Written by scripts/build_docs.py: change the code and run it again. -->"
    return "\n\n".join([f"# {title}", note, *parts]) + "\n"


def _link(page: Path) -> str:
    title = page.read_text(encoding="utf-8").partition("\n")[0].removeprefix("# ")
    return f"- [{title}]({page.relative_to(DOCS).as_posix()})"


if __name__ == "__main__":
    print(*build(DOCS), sep="\n")
