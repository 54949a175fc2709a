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
KINDS_AND_HOPS = tuple(zip(KINDS, (1, 2, 3, 1, 2, 2, 4, 3), strict=True))
INDICES = range(300)  # The gallery selects its episodes from these.
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
    # An example that needs a file cannot run without changes, so tests must not run it.
    needs = describe(FACTORIES[env_id])["needs"]
    path, language = (f', {needs}="..."', "text") if needs else ("", "python")
    example = f'import gymnasium\nimport hopgym\n\nenv = gymnasium.make("{env_id}"{path})'
    # Python 3.13 dedents docstrings, but not text that is added to them: dedent each section.
    ordered = sorted(sections.items(), key=lambda section: HEADINGS.index(section[0]))
    bodies = (f"## {name}\n\n{textwrap.dedent(body).strip()}" for name, body in ordered)
    return _page(env_id, summary.strip(), f"```{language}\n{example}\n```", LINKS, *bodies)


def gallery() -> str:
    """Return the gallery: questions of every kind, other forms, and what goes wrong."""
    kinds = [
        _episode(f"{kind}, hops: {hops}", _oracle(kind, hops)) for kind, hops in KINDS_AND_HOPS
    ]
    return _page(
        "Gallery",
        INTRODUCTION,
        f"## The prompt of the first one\n\n{_block(_oracle(*KINDS_AND_HOPS[0]).prompt)}",
        "## Every kind of question\n\nThe oracle plays: the fewest calls that prove the answer.",
        *kinds,
        "## Other forms",
        _episode('Brief pages: `page_style="brief"`', _oracle("chain", 2, page_style="brief")),
        _episode('Calls as JSON: `dialect="json"`', _oracle("attribute", 1, dialect="json")),
        '### All at once: `mode="one_turn"`\n\nThe prompt holds the pages; an answer is due.',
        _block(_oracle("chain", 2, mode="one_turn").prompt, ends=8),
        "## What goes wrong",
        _episode("The greedy policy loses its way", _greedy("unsupported")),
        _episode("The greedy policy misreads what it found", _greedy("wrong")),
        _episode("No call, a repeat, and a right answer that was not earned", _scripted()),
    )


def index() -> str:
    """Return the list of all pages."""
    pages = [p for p in sorted(DOCS.glob("*.md")) if p.name not in ("README.md", "gallery.md")]
    rows = [(*i.split("/"), describe(factory)["what"]) for i, factory in FACTORIES.items()]
    return _page(
        "Documentation",
        "To begin with, see the [README](../README.md) of the package.",
        "\n".join([*map(_link, pages), "- [Gallery](gallery.md): sample episodes, step by step"]),
        "## Environments",
        "\n".join(f"- [{space}/{i}](environments/{i}.md): {what}" for space, i, what in rows),
        "## Results\n\n" + "\n".join(map(_link, sorted(DOCS.glob("results/*.md")))),
    )


def _oracle(kind: str, hops: int, **arguments: Any) -> Trajectory:
    """Return the oracle's episode on the first question of this kind whose answer is not 0."""
    env = _env(**arguments)
    for i in INDICES:
        question = env.source[i].question
        if (question.kind, len(question.hops)) == (kind, hops) and question.answers[0] != "0":
            return next(run_episodes(env, OraclePolicy(env.source), [i]))
    raise LookupError(f"no {kind} question of {hops} hops among {INDICES}")


def _greedy(last: str) -> Trajectory:
    """Return the episode with this last verdict that has the most different verdicts."""
    episodes = run_episodes(_env(), GreedySearchPolicy(), INDICES)
    matches = (episode for episode in episodes if episode.steps[-1].verdict == last)
    return max(matches, key=lambda e: (len({s.verdict for s in e.steps}), -len(e.steps), -e.index))


def _scripted() -> Trajectory:
    oracle = _oracle("attribute", 3)
    call = oracle.steps[0].text
    answer = oracle.steps[-1].text
    script = ("I had better read a page first.", f"I begin like this. {call}", call, answer)
    return next(run_episodes(_env(), ScriptedPolicy(script), [oracle.index]))


def _env(**arguments: Any) -> HopEnv:
    return hop_env(gymnasium.make("hopgym/People-v0", split="test", kinds=KINDS, **arguments))


def _episode(title: str, episode: Trajectory) -> str:
    parts = [f"### {title[0].upper()}{title[1:]}\n\n> {episode.question}"]
    for number, step in enumerate(episode.steps, start=1):
        reward = f"process reward {step.process_reward:.2f}, potential {step.potential:.2f}"
        if number == len(episode.steps):  # Every episode ends with an answer.
            reward = f"outcome reward {step.outcome_reward:.2f}"
        block = _block(f"{step.text}\n\n{step.observation}")
        parts.append(f"Step {number}: `{step.verdict}`, {reward}\n\n{block}")
    return "\n\n".join(parts)


def _block(text: str, ends: int = 0) -> str:
    """Return a text as a block; if ``ends`` is set, only its first and last ``ends`` lines."""
    wrapped = (textwrap.fill(line, 100, break_on_hyphens=False) for line in text.split("\n"))
    lines = "\n".join(wrapped).split("\n")
    if ends:
        lines[ends:-ends] = ["", f"[... {len(lines) - 2 * ends} lines are left out here ...]", ""]
    return "\n".join(["```text", *lines, "```"])


def _page(title: str, *parts: str) -> str:
    note = "<!-- Written by scripts/build_docs.py: change the code and run it again. -->"
    return "\n\n".join([f"# {title}", note, *parts]) + "\n"


def _link(page: Path) -> str:
    title = page.read_text(encoding="utf-8").partition("\n")[0].removeprefix("# ")
    return f"- [{title}]({page.relative_to(DOCS).as_posix()})"


if __name__ == "__main__":
    print(*build(DOCS), sep="\n")
