"""The cache of tokenized texts."""

from hopgym_agents.chat import TokenCache


def test_it_makes_once_and_drops_what_was_not_used_for_longest() -> None:
    made = list[str]()

    def tokens(text: str, times: int = 1) -> tuple[int, ...]:
        made.append(text)
        return tuple(range(len(text))) * times

    memory = TokenCache(10)
    for text in ("abcd", "efgh", "abcd", "ij", "abcd"):
        assert memory.get_or_compute(tokens, text) == tuple(range(len(text)))
    assert made == ["abcd", "efgh", "ij"] and memory.tokens == 10
    # Other arguments are another text.
    assert memory.get_or_compute(tokens, "ij", times=2) == (0, 1, 0, 1)
    assert memory.tokens == 10
    memory.get_or_compute(tokens, "abcd")
    memory.get_or_compute(tokens, "efgh")
    assert made == ["abcd", "efgh", "ij", "ij", "efgh"]


def test_what_is_longer_than_all_of_it_is_not_remembered() -> None:
    memory = TokenCache(3)
    assert memory.get_or_compute(lambda text: (1,) * len(text), "long") == (1, 1, 1, 1)
    assert memory.tokens == 0
    assert TokenCache(0).get_or_compute(lambda text: (1,), "a") == (1,)
