"""Tests of what is refused before a model is trained, and of folders that outlive a kill."""

import json
import shutil
import signal
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from hopgym.errors import ArgumentError, DataError
from hopgym_agents.modeling import Precision, load_trainable, merge_adapter, save_trained
from hopgym_agents.modeling.saving import _replaced_folder

NEEDED = ("torch", "transformers", "peft", "bitsandbytes")
MISSING = [package for package in NEEDED if find_spec(package) is None]
learns = [
    pytest.mark.torch,
    pytest.mark.filterwarnings("ignore:.*gradient_checkpointing.* is deprecated:FutureWarning"),
    pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}"),
]
LORA = Precision("lora", rank=4, alpha=8)


def with_torch(test: Any) -> Any:
    for mark in learns:
        test = mark(test)
    return test


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from hopgym_agents.modeling.tiny import make_tiny

    return Path(make_tiny(tmp_path_factory.mktemp("tiny") / "m", hidden=32, layers=1).path)


@pytest.fixture
def bare(tiny: Path, tmp_path: Path) -> Path:
    """The model without its weights: what is told of it is told before they are loaded."""
    folder = tmp_path / "bare"
    shutil.copytree(tiny, folder, ignore=shutil.ignore_patterns("*.safetensors"))
    return folder


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"kind": "qlorra"}, "one of full, lora, qlora .did you mean 'qlora'"),
        ({"kind": "lora", "rank": 0}, "rank must be a whole number from 1, got 0"),
        ({"kind": "lora", "alpha": 1.5}, "alpha must be a whole number from 1, got 1.5"),
        ({"kind": "lora", "dtype": "float16"}, "one of auto, float32, bfloat16 for the kind lora"),
        ({"kind": "full", "dtype": "bfloat16"}, "one of auto, float32 for the kind full"),
    ],
)
def test_precisions_that_are_none(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ArgumentError, match=said):
        Precision(**settings)


@with_torch
@pytest.mark.parametrize("kind", ["full", "lora", "qlora"])
def test_a_device_that_is_not_there(bare: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ArgumentError, match=r"device must be cpu or auto.*torch sees no CUDA"):
        load_trainable(bare, Precision(kind), device="cuda:0")
    with pytest.raises(ArgumentError, match="device must be auto, cpu, cuda or cuda:N, got 'gpu'"):
        load_trainable(bare, Precision(kind), device="gpu")
    with pytest.raises(ArgumentError, match="seed must be a whole number from 0, got -1"):
        load_trainable(bare, Precision(kind), seed=-1)


@with_torch
def test_precisions_and_optimisers_by_device(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    from hopgym_agents.modeling.precision import resolve_device, resolve_dtype

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert (resolve_device("auto"), resolve_device("cpu")) == ("cuda:1", "cpu")
    types = {
        kind: resolve_dtype(Precision(kind), "cuda:1").dtype for kind in ("full", "lora", "qlora")
    }
    assert types == {"full": "float32", "lora": "bfloat16", "qlora": "bfloat16"}
    assert resolve_dtype(Precision("qlora"), "cpu").dtype == "float32"
    assert resolve_dtype(Precision("lora", dtype="float32"), "cuda:1").dtype == "float32"


@with_torch
def test_a_package_that_is_not_there(bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from hopgym_agents.modeling import precision

    monkeypatch.setattr(precision, "find_spec", lambda name: name != "bitsandbytes" or None)
    with pytest.raises(ArgumentError, match=r"kind qlora needs bitsandbytes; pip install 'hopgym"):
        load_trainable(bare, Precision("qlora"), device="cpu")


@with_torch
def test_folders_without_a_model(tmp_path: Path) -> None:
    (tmp_path / "adapter").mkdir()
    (tmp_path / "adapter" / "adapter_config.json").touch()
    for name, said in (
        (tmp_path, "which is one without a config.json$"),
        (str(tmp_path / "adapter"), "but with an adapter: name its base"),
        (tmp_path / "none", "which is none"),
        (str(tmp_path / "none"), "which is none"),
        ("./none/such", "which is none"),
        ("none-such", "model: expected a folder with a model or an id of the Hub"),
    ):
        with pytest.raises(ArgumentError, match=said):
            load_trainable(name, LORA, device="cpu")


@with_torch
@pytest.mark.parametrize(
    ("template", "pad", "said"),
    [
        (None, True, "must have a chat template, got none; set its chat_template"),
        ("{{ messages[0].content }}", True, "does not write messages of the role 'user' after"),
        ("{{ raise_exception('no') }}", True, "refuses messages of the roles"),
        (
            "{% for each in messages %}{{ each.content | upper }}{% endfor %}",
            True,
            "chat template of .* cannot be used as it is",
        ),
        ("as it is", False, "must have a pad token, got none; set its pad_token"),
    ],
)
def test_tokenizers_that_do_not_go(bare: Path, template: str | None, pad: bool, said: str) -> None:
    config = json.loads((bare / "tokenizer_config.json").read_text())
    if template != "as it is":
        (bare / "chat_template.jinja").unlink()
        if template:
            (bare / "chat_template.jinja").write_text(template)
    if not pad:
        config["pad_token"] = None
        (bare / "tokenizer_config.json").write_text(json.dumps(config))
    with pytest.raises(ArgumentError, match=said):
        load_trainable(bare, Precision(), device="cpu")


@with_torch
def test_weights_that_are_missing(bare: Path) -> None:
    with pytest.raises(DataError, match="model must be a folder or an id of the Hub"):
        load_trainable(bare, Precision(), device="cpu")


@with_torch
def test_weights_that_are_quantised_already(tiny: Path, tmp_path: Path) -> None:
    from hopgym_agents.generate.loading import WeightOptions, load_model, load_tokenizer

    load_model(str(tiny), WeightOptions("cpu", "float32", True)).save_pretrained(tmp_path / "four")
    load_tokenizer(str(tiny)).save_pretrained(tmp_path / "four")
    for kind in ("full", "lora"):
        with pytest.raises(ArgumentError, match=f"kind {kind} needs weights that are not quant"):
            load_trainable(tmp_path / "four", Precision(kind), device="cpu")
    with pytest.warns(UserWarning, match="already has a `quantization_config`"):  # transformers'
        load_trainable(tmp_path / "four", Precision("qlora"), device="cpu")


@with_torch
def test_adapters_that_do_not_go(tiny: Path, tmp_path: Path) -> None:
    from hopgym_agents.modeling.tiny import make_tiny

    adapter = tmp_path / "adapter"
    save_trained(load_trainable(tiny, LORA, device="cpu"), adapter)
    other = make_tiny(tmp_path / "other", hidden=32, layers=1, seed=1).path
    wrong = "must go on the weights it was trained on, got those of .*other"
    with pytest.raises(ArgumentError, match=wrong):
        load_trainable(other, LORA, device="cpu", adapter=adapter)
    with pytest.raises(ArgumentError, match=wrong):
        merge_adapter(other, adapter, tmp_path / "merged", device="cpu")
    with pytest.raises(ArgumentError, match=r"rank must be 4 as in the adapter .*, got 8"):
        load_trainable(tiny, Precision("lora", rank=8, alpha=8), device="cpu", adapter=adapter)
    with pytest.raises(ArgumentError, match="kind must be 'lora' as in the adapter"):
        load_trainable(tiny, Precision("qlora", 4, 8), device="cpu", adapter=adapter)
    with pytest.raises(ArgumentError, match="adapter must be None for the kind full"):
        load_trainable(tiny, Precision(), device="cpu", adapter=adapter)
    with pytest.raises(ArgumentError, match=r"which holds no hopgym_adapter\.json"):
        load_trainable(tiny, LORA, device="cpu", adapter=tiny)
    (adapter / "hopgym_adapter.json").write_text('{"kind": "lora"}')
    with pytest.raises(DataError, match="must say kind, rank, alpha, dtype and base"):
        merge_adapter(tiny, adapter, tmp_path / "merged", device="cpu")
    assert not (tmp_path / "merged").exists()


@with_torch
def test_an_adapter_is_saved_over_an_older_one(tiny: Path, tmp_path: Path) -> None:
    trained = load_trainable(tiny, LORA, device="cpu")
    trained.model.add_adapter("ref", trained.model.peft_config["default"])  # as trl does
    save_trained(trained, tmp_path / "adapter")
    assert not (tmp_path / "adapter" / "ref").exists()
    (tmp_path / "adapter" / "README.md").write_text("older")
    save_trained(trained, tmp_path / "adapter")
    assert (tmp_path / "adapter" / "README.md").read_text() != "older"
    assert [each.name for each in tmp_path.iterdir()] == ["adapter"]
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "letter.txt").write_text("dear")
    with pytest.raises(ArgumentError, match=r"new, empty or holds a model.*name another one"):
        save_trained(trained, tmp_path / "home")
    assert (tmp_path / "home" / "letter.txt").read_text() == "dear"


def write(path: Path, words: str) -> None:
    with _replaced_folder(path) as folder:
        (folder / "config.json").write_text(words)


def test_what_fails_on_the_way_leaves_the_older_folder(tmp_path: Path) -> None:
    path = tmp_path / "model"
    write(path, "old")
    with pytest.raises(KeyboardInterrupt), _replaced_folder(path) as folder:
        (folder / "config.json").write_text("new")
        raise KeyboardInterrupt
    assert (path / "config.json").read_text() == "old"
    assert [each.name for each in tmp_path.iterdir()] == ["model"]


def test_systems_that_cannot_exchange_folders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from hopgym_agents.modeling import saving

    monkeypatch.setattr(saving, "_exchange", lambda one, other: False)
    path = tmp_path / "model"
    write(path, "old")
    write(path, "new")
    assert (path / "config.json").read_text() == "new"
    path.rename(tmp_path / "model.old")  # killed in between
    with pytest.raises(KeyboardInterrupt), _replaced_folder(path):
        raise KeyboardInterrupt
    assert (path / "config.json").read_text() == "new"
    assert [each.name for each in tmp_path.iterdir()] == ["model"]


@pytest.mark.skipif(sys.platform != "linux", reason="folders are exchanged on Linux alone")
def test_a_kill_leaves_a_replaced_folder(tmp_path: Path) -> None:
    program = (
        "import sys\nfrom pathlib import Path\nfrom itertools import count\n"
        "from hopgym_agents.modeling.saving import _replaced_folder\n"
        "for number in count():\n"
        "    with _replaced_folder(Path(sys.argv[1])) as folder:\n"
        "        for name in ('config.json', 'a', 'b', 'c'):\n"
        "            (folder / name).write_text(str(number))\n"
    )
    path = tmp_path / "model"
    write(path, "-1")
    for wait in (0.001, 0.004, 0.007):
        writer = subprocess.Popen([sys.executable, "-c", program, str(path)])
        until = time.monotonic() + 60
        while not (path / "c").exists() and time.monotonic() < until:
            time.sleep(0.001)
        time.sleep(wait)
        writer.send_signal(signal.SIGKILL)
        writer.wait()
        assert len({(path / name).read_text() for name in ("config.json", "a", "b", "c")}) == 1
        write(path, "-1")
        assert [each.name for each in tmp_path.iterdir()] == ["model"]
