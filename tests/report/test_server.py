"""What ``hopgym view`` answers: pages of the list, single episodes, figures when they are there."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import quote, urlencode

import pytest

from hopgym.env import HopEnv
from hopgym.errors import ArgumentError, DataError
from hopgym.policies import ConstantPolicy, ScriptedPolicy
from hopgym.report.browser import EpisodeIndex, EpisodeQuery
from hopgym.report.server import LIST_SIZE, LiveReport, PageServer, html_response
from hopgym.rollout import run_episodes
from hopgym.runs.trajectory_file import read_trajectories
from tests.support.report_page import SCRIPT


@pytest.fixture
def files(env: HopEnv, tmp_path: Path) -> dict[str, Path]:
    """A run with a failure, and a floor."""
    paths = {name: tmp_path / f"{name}.jsonl" for name in ("mine", "unknown")}
    list(run_episodes(env, ScriptedPolicy(SCRIPT), range(4), out=paths["mine"]))
    list(run_episodes(env, ConstantPolicy(), range(4), out=paths["unknown"]))
    return paths


@contextmanager
def served(routes: Any) -> Iterator[Any]:
    """Give a function that asks a server of the routes."""
    with PageServer(routes, 0) as server:
        assert server.server_address[0] == "127.0.0.1"
        Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()

        def ask(path: str, method: str = "GET", host: str = "") -> tuple[HTTPResponse, bytes]:
            connection = HTTPConnection("127.0.0.1", server.server_port, timeout=60)
            named = {"Host": host or f"localhost:{server.server_port}"}
            connection.request(method, path, headers=named)
            response = connection.getresponse()
            content = response.read()
            connection.close()
            return response, content

        yield ask
        server.shutdown()


def test_the_list_begins_with_failures_and_ends_with_floors(files: dict[str, Path]) -> None:
    index = EpisodeIndex(files)
    listing = index.listing(EpisodeQuery(), 0, 100)
    assert (len(index), listing.total) == (8, 8)
    keys = [head.key for head in listing.heads]
    assert keys[:5] == ["mine/q1/0", "mine/q0/0", "mine/q2/0", "mine/q3/0", "unknown/q0/0"]
    assert [head.key for head in index.listing(EpisodeQuery(), 3, 2).heads] == keys[3:5]
    index.close()


def test_the_list_is_searched_and_filtered(files: dict[str, Path]) -> None:
    index = EpisodeIndex(files)

    def found(*words: str, **chosen: str) -> list[str]:
        listing = index.listing(EpisodeQuery(words, tuple(chosen.items())), 0, 100)
        return [head.key for head in listing.heads]

    assert found("elmstead", run="mine") == ["mine/q2/0", "mine/q3/0"]
    assert found("elmstead", "1410") == ["mine/q2/0", "mine/q3/0"]
    assert found("her mother is cleo") == ["mine/q0/0"]
    assert found("nowhere") == []
    assert found(reason="lucky") == ["mine/q0/0"]
    assert found(verdicts="good") == ["mine/q0/0", "mine/q2/0"]
    assert found(kind="chain") == []  # Nobody has looked at the tasks yet.
    index.task_labels.update({1: ("1 hop", "chain"), 2: ("hops unknown", "chain")})
    assert found(kind="chain", run="mine") == ["mine/q1/0", "mine/q2/0"]
    assert [each.options for each in index.filters()][1] == ("1 hop", "hops unknown")
    index.close()


def test_an_episode_is_read_from_where_it_stands(files: dict[str, Path]) -> None:
    half = files["mine"].read_bytes() + b'{"env_id": "half a li'
    files["mine"].write_bytes(half)
    index = EpisodeIndex(files)
    kept = {each.task_id: each for each in read_trajectories(files["mine"])}
    for task_id, trajectory in kept.items():
        assert index.read(f"mine/{task_id}/0") == ("mine", trajectory)
    assert index.read("mine/q9/0") is index.read("../../etc/passwd") is None
    index.close()


@pytest.mark.parametrize("line", [b"{}\n", b'{"env_id": "\xff\xfe"}\n', b"[" * 99_999 + b"\n"])
def test_a_corrupt_line_is_told(files: dict[str, Path], line: bytes) -> None:
    lines = files["mine"].read_bytes().splitlines(keepends=True)
    files["mine"].write_bytes(b"".join([*lines[:2], line, *lines[2:]]))
    with pytest.raises(DataError, match=r"mine\.jsonl, line 3: expected a trajectory"):
        EpisodeIndex(files)


def test_the_page_comes_first_and_the_figures_later(files: dict[str, Path], env: HopEnv) -> None:
    live = LiveReport(files, env.source)
    assert b"being worked out" in live.routes["/"]({}).content

    @contextmanager
    def runs() -> Iterator[Any]:
        yield env.source, {name: read_trajectories(path) for name, path in files.items()}

    assert json.loads(live.routes["/state"]({}).content) == {"working": True}
    live.start_evaluation(runs).join()
    assert json.loads(live.routes["/state"]({}).content) == {"working": False}
    page = live.routes["/"]({})
    assert b"<h2>Results</h2>" in page.content and b"baker" not in page.content
    assert "connect-src 'self'" in page.policy and "unsafe" not in page.policy
    heads = json.loads(live.routes["/episodes"]({"kind": "chain", "run": "mine"}).content)
    assert [head["labels"]["hops"] for head in heads["heads"]] == ["1 hop", "hops unknown"]
    live.close()


def test_figures_that_fail_are_told(files: dict[str, Path], env: HopEnv) -> None:
    @contextmanager
    def runs() -> Iterator[Any]:
        raise DataError("the <pages> are gone")
        yield

    live = LiveReport(files, env.source)
    live.start_evaluation(runs).join()
    page = live.routes["/"]({}).content
    assert b"could not be worked out: the &lt;pages&gt; are gone" in page
    assert b'"working":false' in page
    live.close()


def test_the_server_answers_its_own_paths_alone(files: dict[str, Path], env: HopEnv) -> None:
    live = LiveReport(files, env.source)
    with served(live.routes) as ask:
        response, content = ask("/episodes?" + urlencode({"start": 1, "run": "mine"}))
        assert (json.loads(content)["total"], LIST_SIZE) == (4, 100)
        assert response.headers["Content-Security-Policy"].startswith("default-src 'none'")
        assert response.headers["X-Content-Type-Options"] == "nosniff"
        view = json.loads(ask("/episode?key=" + quote("mine/q0/0", safe=""))[1])
        assert view["expected"]["items"] == ["baker"] and len(view["steps"]) == 3
        assert ask("/episode?key=none")[1] == b"null"
        assert json.loads(ask("/episodes?text=%ff%00")[1])["total"] == 0
        assert ask("/episodes?start=x")[0].status == 400
        assert ask("http://[")[0].status == 400
        assert ask("/episodes?" + "&".join("a=1" for _ in range(99)))[0].status == 400
        for path in ("/../etc/passwd", "/episodes/../state", "/favicon.ico", "//episodes/x"):
            assert ask(path)[0].status == 404
        for host in ("evil.example", "evil.example:80", "127.0.0.1.evil.example"):
            assert ask("/episodes", host=host)[0].status == 403
    live.close()


def test_a_written_page_is_served_as_it_is() -> None:
    page = "<p>é</p>".encode()
    with served({"/": lambda query: html_response(page)}) as ask:
        assert [ask("/")[1], ask("/?x=1", host="127.0.0.1")[1]] == [page, page]
        response, content = ask("/", "HEAD")
        assert (response.status, content) == (200, b"")
        assert response.headers["Content-Security-Policy"] == "frame-ancestors 'none'"


def test_a_port_that_is_not_to_be_had_is_told() -> None:
    with PageServer({}, 0) as server:
        port = server.server_port
        with pytest.raises(ArgumentError, match=f"--port must be a free port.*got {port}"):
            PageServer({}, port)
    with pytest.raises(ArgumentError, match="got 99999"):
        PageServer({}, 99999)
