"""Writes the pages of docs/ that come from the code: environments/, gallery.md and README.md.

Run it as ``python docs/build.py``. What it writes depends on the code and on the titles of the
pages written by hand, on nothing else.
"""

import re
import textwrap
from pathlib import Path
from typing import Any

import gymnasium

from hopgym import GreedySearchPolicy, OraclePolicy, ScriptedPolicy, Trajectory, run_episodes
from hopgym.cli.listing import describe
from hopgym.env import HopEnv
from hopgym.registry import FACTORIES
from hopgym.worlds.people.settings import KINDS
from hopgym.wrappers import hop_env

DOCS = Path(__file__).parent
HEADINGS = (
    *("Description", "Action Space", "Observation Space", "Rewards", "Starting State"),
    *("Episode End", "Information", "Arguments", "References", "Version History"),
)
SHOWN = tuple(zip(KINDS, (1, 2, 3, 1, 2, 2, 4, 3), strict=True))  # kinds and their hops
SEARCHED = range(300)  # the indices among which the gallery finds its episodes
NOTE = "<!-- Written by docs/build.py: change the code and run it again. -->"
LINKS = """\
Every argument with its default: [arguments](../arguments.md). How verdicts and rewards come about:
[what a step is worth](../semantics.md)."""
INTRODUCTION = """\
Episodes of `hopgym/People-v0` with `split="test"`, as an agent meets them: each block is one action
and the observation that follows it. Only the breaks in long lines are added here. The verdicts are
explained in [what a step is worth](semantics.md); `hopgym play hopgym/People-v0` lets you play."""


def build(folder: Path) -> list[str]:
    """Write all pages under a folder; return their names relative to it."""
    pages = {"README.md": index(), "gallery.md": gallery()}
    pages |= {_name(env_id): environment_page(env_id) for env_id in FACTORIES}
    for name, text in pages.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8", newline="\n")
    return list(pages)


def environment_page(env_id: str) -> str:
    """Return the page of an id: its docstring, in Gymnasium's order of headings."""
    documentation = FACTORIES[env_id].__doc__ or ""
    summary, *parts = re.split(r"^ *## ", documentation, flags=re.MULTILINE)
    sections = dict(part.split("\n", 1) for part in parts)
    # An example that needs a file cannot run as it stands, so the tests must not take it for code.
    needs = describe(env_id, FACTORIES[env_id])["needs"]
    path, language = (f', {needs}="..."', "text") if needs else ("", "python")
    made = f'import gymnasium\nimport hopgym\n\nenv = gymnasium.make("{env_id}"{path})'
    # Each section by itself: Python 3.13 takes the indentation off docstrings, not off additions.
    names = sorted(sections, key=HEADINGS.index)
    bodies = [f"## {n}\n\n{textwrap.dedent(sections[n]).strip()}" for n in names]
    return _page(env_id, summary.strip(), f"```{language}\n{made}\n```", links, *bodies)


def gallery() -> str:
    """Return the gallery: questions of every kind, other forms, and what goes wrong."""
    kinds = [_episode(f"{kind}, hops: {hops}", _oracle(kind, hops)) for kind, hops in SHOWN]
    brief, json = _oracle("chain", 2, page_style="brief"), _oracle("attribute", 1, dialect="json")
    return _page(
        "Gallery",
        INTRODUCTION,
        "## The prompt\n\nWhat the reset of the first episode below returns.",
        _block(_oracle(*SHOWN[0]).prompt),
        "## Every kind of question\n\nThe oracle plays: the fewest calls that prove the answer.",
        *kinds,
        "## Other forms",
        _episode('Brief pages: `page_style="brief"`', brief),
        _episode('Calls as JSON: `dialect="json"`', json),
        '### All at once: `mode="one_turn"`\n\nThe prompt holds the pages; the first action must answer.',
        _block(_oracle("chain", 2, mode="one_turn").prompt, keep=8),
        "## What goes wrong",
        _episode("The greedy policy loses its way", _greedy("unsupported")),
        _episode("The greedy policy misreads what it found", _greedy("wrong")),
        _episode("No call, a repeat, and a right answer that was not earned", _scripted()),
    )


def index() -> str:
    """Return the list of all pages."""
    own = [p for p in sorted(DOCS.glob("*.md")) if p.name not in ("README.md", "gallery.md")]
    rows = [describe(env_id, factory) for env_id, factory in FACTORIES.items()]
    return _page(
        "Documentation",
        "To begin with, see the [README](../README.md) of the package.",
        "\n".join([*map(_link, own), "- [Gallery](gallery.md): sample episodes, step by step"]),
        "## Environments",
        "\n".join(f"- [{row['id']}]({_name(row['id'])}): {row['what']}" for row in rows),
        *("## Results", "\n".join(map(_link, sorted(DOCS.glob("results/*.md"))))),
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
    ended = [episode for episode in played if episode.steps[-1].verdict == last]
    return max(ended, key=lambda e: (len({s.verdict for s in e.steps}), -len(e.steps), -e.index))


def _scripted() -> Trajectory:
    oracle = _oracle("attribute", 3)
    call, answer = oracle.steps[0].text, oracle.steps[-1].text
    script = ("I had better read a page first.", f"I begin with the name. {call}", call, answer)
    return next(run_episodes(_env(), ScriptedPolicy(script), [oracle.index]))


def _env(**arguments: Any) -> HopEnv:
    return hop_env(gymnasium.make("hopgym/People-v0", split="test", kinds=KINDS, **arguments))


def _episode(title: str, episode: Trajectory) -> str:
    parts = [f"### {title[0].upper()}{title[1:]}", f"> {episode.question}"]
    for number, step in enumerate(episode.steps, start=1):
        reward = f"process reward {step.process_reward:.2f}, potential {step.potential:.2f}"
        if step.action and step.action.tool == "answer":
            reward = f"outcome reward {step.outcome_reward:.2f}"
        parts.append(f"Step {number}: `{step.verdict}`, {reward}")
        parts.append(_block(f"{step.text}\n\n{step.observation}"))
    return "\n\n".join(parts)


def _block(text: str, keep: int = 0) -> str:
    """Return a text as a block, of which only the first and last ``keep`` lines may be shown."""
    wrapped = (textwrap.fill(line, 100, break_on_hyphens=False) for line in text.split("\n"))
    lines = "\n".join(wrapped).split("\n")
    if keep:
        lines[keep:-keep] = ["", f"[... {len(lines) - 2 * keep} lines are left out here ...]", ""]
    return "\n".join(["```text", *lines, "```"])


def _page(title: str, *parts: str) -> str:
    return "\n\n".join([f"# {title}", NOTE, *parts]) + "\n"


def _link(page: Path) -> str:
    title = page.read_text(encoding="utf-8").partition("\n")[0].removeprefix("# ")
    return f"- [{title}]({page.relative_to(DOCS).as_posix()})"


def _name(env_id: str) -> str:
    return f"environments/{env_id.partition('/')[2]}.md"


if __name__ == "__main__":
    print(*build(DOCS), sep="\n")
