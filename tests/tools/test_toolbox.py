"""The tools: what they print, and which corpus text counts as shown by it."""

import numpy as np
import pytest

from hopgym.actions import Action
from hopgym.documents import Corpus, Document, PageList
from hopgym.env import HopEnv
from hopgym.errors import ArgumentError
from hopgym.tools import Toolbox, ToolSettings, normalized_call
from hopgym.tools.results import RESULT_CHARS, Result

ELM = Document("elm", "Elm", ("Elm trees are tall.", "Owls live there.", "Bees love elm honey."))
OAK = Document("oak", "Oak", ("Oak wood is hard.",))
PAGES = (
    ELM,
    OAK,
    Document("ash1", "Ash", ("Ash is a tree.",)),
    Document("ash2", "Ash", ("Ash is a town.", "Owls visit it.")),
    Document("apollo", "Apollo #2", ("A rocket.",)),
    Document("zoe", "Zoë O’Hara", ("Zoë O’Hara keeps owls.",)),
)
MARK = 100
"""Room for the line that says how a result goes on, in characters."""


def box(*pages: Document, **settings) -> Toolbox:
    return Toolbox(Corpus(PageList(pages or PAGES), "test"), ToolSettings(**settings))


def call(
    tools: Toolbox, tool: str, argument: str, page: int = 1, seed: int | None = None
) -> Result:
    rng = None if seed is None else np.random.default_rng(seed)
    return tools.call(Action(tool, argument, page=page), rng)


def test_a_snippet_shows_the_best_sentences_in_page_order() -> None:
    result = call(box(), "search", "honey bees tall")
    assert result.text == "[1] Elm\nElm trees are tall. Bees love elm honey."
    assert result.sentences == (("elm", 0), ("elm", 2))
    assert result.seen.split("\n") == ["Elm", "Elm trees are tall.", "Bees love elm honey."]
    one = call(box(snippet_sentences=1), "search", "love honey")
    assert one.text == "[1] Elm\nBees love elm honey." and one.sentences == (("elm", 2),)


def test_sentences_that_match_equally_stand_in_page_order() -> None:
    assert call(box(), "search", "elm").sentences == (("elm", 0), ("elm", 2))
    assert call(box(snippet_sentences=1), "search", "elm").sentences == (("elm", 0),)


def test_whole_pages_can_be_searched_for() -> None:
    result = call(box(search_returns="page"), "search", "bees")
    assert result.text == "[1] Elm\nElm trees are tall. Owls live there. Bees love elm honey."
    assert result.sentences == (("elm", 0), ("elm", 1), ("elm", 2))


@pytest.mark.parametrize("k", [1, 2, 3])
def test_results_come_in_pages_of_k(k: int) -> None:
    tools = box(search_k=k)
    everything = tools.corpus.search("owls", 10)
    assert len(everything) == 3
    listed: list[str] = []
    for page in range(1, 3 // k + 1 + bool(3 % k)):
        argument = "owls" if page == 1 else f"owls #{page}"
        result = call(tools, "search", argument)
        assert result == call(tools, "search", "owls", page)
        listed += [line for line in result.text.split("\n") if line.startswith("[")]
    titles = [tools.corpus[i].title for i in everything]
    assert listed[:3] == [f"[{n}] {title}" for n, title in enumerate(titles, start=1)]
    assert call(tools, "search", "owls #9").text == 'No more results for "owls".'
    assert call(tools, "search", "owls", 10**20).text == 'No more results for "owls".'


def test_repeated_titles_are_numbered() -> None:
    result = call(box(), "lookup", "ash")
    assert result.text == (
        "(1 of 2) Ash\nAsh is a tree.\n(2 of 2) Ash\nAsh is a town. Owls visit it."
    )
    assert result.sentences == (("ash1", 0), ("ash2", 0), ("ash2", 1))
    assert call(box(), "lookup", "Oak").text == "Oak\nOak wood is hard."


@pytest.mark.parametrize("title", ["zoe ohara", "Zoë O'Hara", "ZOE O’HARA!"])
def test_a_near_miss_is_told_and_shows_nothing(title: str) -> None:
    result = call(box(), "lookup", title)
    hint = 'A page titled "Zoë O’Hara" exists.'
    assert result == Result(f'No page is titled "{title}". {hint}')
    assert call(box(), "lookup", "Zo").text == 'No page is titled "Zo".'


@pytest.mark.parametrize("tool", ["search", "lookup"])
def test_echoes_are_short_and_show_nothing(tool: str) -> None:
    result = call(box(), tool, "x" * 5000 + "Oak")
    assert len(result.text) < 300 and "x" * 200 + "…" in result.text
    assert result.sentences == () and result.seen == ""


def test_the_whole_argument_comes_before_the_page_suffix() -> None:
    tools = box()
    assert call(tools, "lookup", "Apollo #2").sentences == (("apollo", 0),)
    assert call(tools, "lookup", "Apollo #2 #1").sentences == (("apollo", 0),)
    assert tools.paged(Action("lookup", "Oak #2")) == ("Oak", 2)
    assert call(tools, "lookup", "Oak #2").text == "That page ends with part 1."


@pytest.mark.parametrize("argument", ["Oak#2", "#2", "Oak #0", "Oak #02", "Oak # 2", "Oak #2x"])
def test_what_is_no_page_suffix(argument: str) -> None:
    assert box().paged(Action("search", argument)) == (argument, 1)


def test_json_pages_and_sums_keep_their_argument() -> None:
    tools = box()
    assert tools.paged(Action("lookup", "Oak #3", page=2)) == ("Oak #3", 2)
    assert tools.paged(Action("calculate", "1 #2")) == ("1 #2", 1)
    assert call(tools, "calculate", "1,234 × 2").text == "2468"


def test_the_same_call_is_told_by_tool_argument_and_page() -> None:
    tools = box()
    same = [("  OAK ", 1), ("oak", 1), ("Oak #1", 1)]
    assert len({normalized_call(Action("lookup", a, page=p), tools) for a, p in same}) == 1
    other = [("lookup", "Oak #2"), ("search", "Oak"), ("lookup", "Elm"), ("lookup", "Oak")]
    assert len({normalized_call(Action(tool, a), tools) for tool, a in other}) == 4
    paged = normalized_call(Action("lookup", "Oak", page=2), tools)
    assert paged == normalized_call(Action("lookup", "Oak #2"), tools)


def test_a_long_page_comes_in_parts_that_show_every_sentence_once() -> None:
    long = Document(
        "long", "Long", tuple(f"Sentence {i} of {'very ' * 60}many." for i in range(200))
    )
    tools = box(OAK, long)
    parts = [call(tools, "lookup", "Long" if p == 1 else f"Long #{p}") for p in range(1, 6)]
    assert [pair for part in parts for pair in part.sentences] == [("long", i) for i in range(200)]
    for number, part in enumerate(parts, start=1):
        assert part.text.startswith("Long\n") and len(part.text) <= RESULT_CHARS + MARK
        assert all(long.sentences[i] in part.text for _, i in part.sentences)
        told = part.text.endswith(f"\n[part {number} of 5; the next is #{number + 1}]")
        assert told == (number < 5)
    assert call(tools, "lookup", "Long #6") == Result("That page ends with part 5.")


@pytest.mark.parametrize("tool", ["search", "lookup"])
def test_a_long_sentence_is_cut_with_a_mark_and_not_shown(tool: str) -> None:
    long = Document("long", "Long", ("Long " + "x" * 20_000 + " Oak",))
    result = call(box(long, OAK), tool, "long")
    assert "… [cut: " in result.text and result.text.endswith(" more characters]")
    assert len(result.text) <= RESULT_CHARS + MARK
    assert result.sentences == () and result.seen == "Long"


@pytest.mark.parametrize("place", [0, 1, 2])
def test_what_stands_beside_a_long_sentence_can_be_read(place: int) -> None:
    texts = ["One short sentence that stands beside a long one.", "Another of the kind."]
    texts.insert(place, "x" * 20_000)
    tools = box(Document("long", "Long", tuple(texts)))
    shown = {pair for p in range(1, 4) for pair in call(tools, "lookup", f"Long #{p}").sentences}
    assert shown == {("long", i) for i in range(3) if i != place}


def test_what_a_list_cuts_does_not_count_as_shown() -> None:
    pages = [Document(f"d{i}", f"Page {i}", (f"word {'y' * 3000} {i}.",)) for i in range(9)]
    result = call(box(*pages, search_k=9), "search", "word")
    assert 0 < len(result.sentences) < 9 and "[cut: " in result.text
    assert len(result.text) <= RESULT_CHARS + MARK
    for i in range(9):
        assert ((f"d{i}", 0) in result.sentences) == (f" {i}." in result.text)
        assert (f"Page {i}" in result.seen) == (f"Page {i}" in result.text)


@pytest.mark.parametrize("tool", ["search", "lookup"])
def test_pages_without_sentences_stay_within_the_longest_result(tool: str) -> None:
    pages = [Document(f"d{i}", "word " + "t" * 900, ()) for i in range(200)]
    argument = "word" if tool == "search" else pages[0].title
    result = call(box(*pages, search_k=200), tool, argument)
    assert len(result.text) <= RESULT_CHARS + MARK


def test_a_cut_title_is_not_shown() -> None:
    result = call(box(Document("d", "word " + "t" * 10_000, ("Text.",))), "search", "word")
    assert "…" in result.text and result.sentences == (("d", 0),) and result.seen == "Text."


@pytest.mark.parametrize("seed", range(8))
def test_what_counts_as_shown_stands_in_the_text(seed: int) -> None:
    rng = np.random.default_rng(seed)
    words = ["elm", "oak", "owl", "bee", "x" * 3000]

    def sentence() -> str:
        return " ".join(rng.choice(words, size=rng.integers(1, 5))) + "."

    pages = [
        Document(f"d{i}", str(rng.choice(words)), tuple(sentence() for _ in range(rng.integers(9))))
        for i in range(40)
    ]
    tools = box(
        *pages, search_k=int(rng.integers(1, 40)), search_returns=["page", "snippet"][seed % 2]
    )
    for argument in ("elm", "oak bee", "owl #2", "x" * 3000, "elm #3"):
        for tool in ("search", "lookup"):
            result = call(tools, tool, argument)
            for document, index in result.sentences:
                assert tools.corpus.document(document).sentences[index] in result.text
            assert all(line in result.text for line in result.seen.split("\n"))


def test_noise_replaces_results_by_random_pages() -> None:
    pages = [Document(f"d{i}", f"Page {i}", ("owl." if i < 5 else "fox.",)) for i in range(50)]
    tools = box(*pages, search_noise=1.0)
    noisy = [call(tools, "search", "owl", seed=s) for s in range(20)]
    assert noisy == [call(tools, "search", "owl", seed=s) for s in range(20)]
    drawn = {document for result in noisy for document, _ in result.sentences}
    assert len(drawn) > 20 and len({result.text for result in noisy}) == 20
    assert all(len(set(result.sentences)) == len(result.sentences) for result in noisy)
    half = box(*pages, search_noise=0.5)
    kept = [sum(int(d[1:]) < 5 for d, _ in call(half, "search", "owl", seed=s).sentences)
            for s in range(40)]  # fmt: skip
    # Of five results each stays with chance 1/2 or is drawn back with 1/20: about 2.7 of them.
    assert 2.0 < sum(kept) / 40 < 3.4
    assert call(tools, "lookup", "Page 3", seed=0).sentences == (("d3", 0),)


def test_failures_show_nothing() -> None:
    failed = call(box(tool_failure=1.0), "lookup", "Oak", seed=0)
    assert failed.failed and failed.sentences == () and failed.seen == ""
    assert "Oak" not in failed.text and "failed" in failed.text
    half = [call(box(tool_failure=0.5), "search", "owls", seed=s).failed for s in range(60)]
    assert 15 < sum(half) < 45


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("search_k", 0),
        ("search_k", True),
        ("search_k", 2.0),
        ("search_returns", "pages"),
        ("snippet_sentences", 0),
        ("search_noise", 1.5),
        ("tool_failure", -0.1),
        ("tool_failure", float("nan")),
        ("noise_seed", -1),
        ("noise_seed", "0"),
    ],
)
def test_settings_out_of_range_are_named(name: str, value: object) -> None:
    with pytest.raises(ArgumentError, match=f"^{name} must be .*, got "):
        ToolSettings(**{name: value})


@pytest.mark.parametrize(
    "action",
    [
        "<lookup>cleo-dunn</lookup>",  # a suggestion names the page
        "<lookup>Cleo Dunn and others</lookup>",  # an echo
        "<search>qqq</search> Cleo Dunn",
        "Cleo Dunn works as a baker.",
        "<calculate>Cleo Dunn</calculate>",
        "<answer>Cleo Dunn",
    ],
)
def test_only_corpus_text_is_known(env: HopEnv, action: str) -> None:
    env.reset(options={"index": 0})
    *_, info = env.step(action)
    assert info["potential"] == 0.25 and info["process_reward"] == 0.0
    *_, info = env.step("<lookup>Cleo Dunn</lookup>")
    # The job comes to be held without having been led: from (1/2 + 0)/2 to (1/2 + 1)/2.
    assert info["verdict"] == "good" and info["potential"] == 0.75
