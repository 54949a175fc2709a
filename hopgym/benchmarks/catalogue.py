"""The catalogue of benchmarks: names, environment ids, files, pinned revisions and licences.

Names and licences are those of the official pages and dataset cards.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from hopgym.errors import ArgumentError, did_you_mean


@dataclass(frozen=True)
class HubForm:
    """One form of a benchmark on the Hub, at a pinned revision."""

    repo: str
    revision: str
    """The commit to read; never a branch, because branches move."""
    splits: Mapping[str, str]
    """The name of each split on the Hub, or its file."""
    config: str | None = None
    files: bool = False
    """Whether ``splits`` names files, for a repository that only its own script can load."""

    def __hash__(self) -> int:
        return hash((self.repo, self.revision, self.config))

    @property
    def url(self) -> str:
        """The web address of the dataset."""
        return f"https://huggingface.co/datasets/{self.repo}"


@dataclass(frozen=True)
class Dataset:
    """The catalogue entry of a benchmark."""

    name: str
    """The name on the command line and of `hopgym.tasks.TaskSource.name`."""
    title: str
    env_id: str
    """The environment id; empty for a benchmark that is scored only."""
    source: str
    """``module:Class`` of the source; ``module:function`` if the benchmark is scored only."""
    licence: str
    origin: str
    """The web address of the official page."""
    files: Mapping[str, tuple[str, ...]]
    """The names of the official files, by split."""
    split: str
    """The default split of a folder or the Hub."""
    hub: Mapping[str, HubForm] = field(default_factory=dict)
    """The forms on the Hub by variant, the default first."""
    note: str = ""
    """What users need to know, in one sentence."""
    searchable: bool = True
    """Whether records have paragraphs, so that the environment takes the argument ``corpus``."""
    summary: str = ""
    """First line of the environment's documentation; the next fields are its sections."""
    description: str = ""
    arguments: str = ""
    """The arguments that only this benchmark has."""
    references: str = ""

    @property
    def by_hand(self) -> str:
        """How to get the data without the Hub, as the end of an error message."""
        names = " or ".join(self.files.get(self.split, ())[:2]) or "the records"
        return f"get {names} from {self.origin} and give its path"


_TRAIN_AND_VALIDATION = {"train": "train", "validation": "validation"}


def _hotpotqa_form(config: str) -> HubForm:
    revision = "1908d6afbbead072334abe2965f91bd2709910ab"
    return HubForm("hotpotqa/hotpot_qa", revision, _TRAIN_AND_VALIDATION, config)


HOTPOTQA = Dataset(
    name="hotpotqa",
    title="HotpotQA",
    env_id="hopgym/HotpotQA-v0",
    source="hopgym.benchmarks.hotpotqa:HotpotQASource",
    licence="CC BY-SA 4.0",
    origin="https://hotpotqa.github.io",
    files={
        "train": ("hotpot_train_v1.1.json",),
        "validation": ("hotpot_dev_distractor_v1.json", "hotpot_dev_fullwiki_v1.json"),
    },
    split="validation",
    hub={name: _hotpotqa_form(name) for name in ("distractor", "fullwiki")},
    summary="HotpotQA: two-hop questions over Wikipedia, judged by supporting sentences.",
    description="""
    The official questions; their supporting facts are the evidence. In the setting
    `fullwiki` most records lack a gold paragraph, and their steps are not judged.
    """,
    arguments="""
    `corpus` is `"record"` by default. `setting="distractor"`, or `"fullwiki"`, which names the
    form of the file and changes nothing else.
    """,
    references="Yang et al. 2018, arXiv 1809.09600; scored as `hotpot_evaluate_v1.py` scores.",
)

TWOWIKI = Dataset(
    name="twowiki",
    title="2WikiMultihopQA",
    env_id="hopgym/TwoWiki-v0",
    source="hopgym.benchmarks.twowiki:TwoWikiSource",
    licence="Apache-2.0",
    origin="https://github.com/Alab-NII/2wikimultihop",
    files={"train": ("train.json",), "validation": ("dev.json",)},
    split="validation",
    hub={
        "": HubForm(
            repo="kamelliao/2wikimultihopqa",
            revision="f4f0d7e4ae275d9281e90c46c93e66d6cdda3674",
            splits={"train": "data/train.json", "validation": "data/dev.json"},
            files=True,
        )
    },
    note="aliases=id_aliases.json of the same release counts aliases as right, as the paper does.",
    summary="2WikiMultihopQA: questions over two to four pages, with evidence triples.",
    description="""
    The official questions; their supporting facts are the evidence, their triples the hops.
    """,
    arguments="""
    `aliases=None`: path of `id_aliases.json`; with it the aliases of an answer count as right.
    """,
    references="""
    Ho et al. 2020, arXiv 2011.01060; scored as `2wikimultihop_evaluate_v1.1.py` scores.
    """,
)

MUSIQUE = Dataset(
    name="musique",
    title="MuSiQue",
    env_id="hopgym/MuSiQue-v0",
    source="hopgym.benchmarks.musique:MuSiQueSource",
    licence="CC BY 4.0",
    origin="https://github.com/StonyBrookNLP/musique",
    files={
        "train": ("musique_ans_v1.0_train.jsonl", "musique_full_v1.0_train.jsonl"),
        "validation": ("musique_ans_v1.0_dev.jsonl", "musique_full_v1.0_dev.jsonl"),
    },
    split="validation",
    hub={
        "ans": HubForm(
            repo="dgslibisey/MuSiQue",
            revision="c8f4f8c9465fb69d31a8eae894c3fd509c4ca321",
            splits=_TRAIN_AND_VALIDATION,
        ),
        "full": HubForm(
            repo="bdsaglam/musique",
            revision="22873a405dd809893b22ada0b499299fb612d2df",
            splits={
                "train": "musique_full_v1.0_train.jsonl",
                "validation": "musique_full_v1.0_dev.jsonl",
            },
            files=True,
        ),
    },
    note="variant='full' adds questions that their paragraphs do not answer, in pairs.",
    summary="MuSiQue: questions of two to four hops composed from single ones.",
    description="""
    The official questions over twenty paragraphs; the supporting paragraphs are the evidence,
    the decomposition the hops. In the variant `full` half of the questions have no answer in their
    paragraphs; the answer `unknown` says so.
    """,
    arguments='`variant="ans"` (or `"full"`, in which `limit` keeps pairs whole).',
    references="Trivedi et al. 2022, arXiv 2108.00573; scored as `evaluate_v1.0.py` scores.",
)

COFCA = Dataset(
    name="cofca",
    title="CofCA",
    env_id="hopgym/CofCA-v0",
    source="hopgym.benchmarks.cofca:CofCASource",
    licence="not stated",
    origin="https://arxiv.org/abs/2402.11924",
    files={},
    split="test",
    note="The authors share it as an anonymous archive, named in the paper.",
    summary="CofCA: questions over counterfactual passages, with sub-questions.",
    description="""
    Wikipedia passages rewritten so that memory does not help. Nothing is annotated as evidence,
    so steps are not judged; the sub-questions are the hops.
    """,
    arguments="""
    `questions="final"` (or `"all"`: the sub-questions are tasks of their own as well).
    """,
    references="Wu et al. 2025, arXiv 2402.11924; there is no official script.",
)

BEERQA = Dataset(
    name="beerqa",
    title="BeerQA",
    env_id="hopgym/BeerQA-v0",
    source="hopgym.benchmarks.beerqa:BeerQASource",
    licence="CC BY-SA 4.0",
    origin="https://beerqa.github.io",
    files={"train": ("beerqa_train_v1.0.json",), "validation": ("beerqa_dev_v1.0.json",)},
    split="validation",
    note="Records hold the gold paragraphs alone; give corpus=PATH for real retrieval.",
    summary="BeerQA: open questions of one or more hops, from SQuAD and HotpotQA.",
    description="""
    Records hold their gold paragraphs alone, which are the evidence, so that a search over them
    is none: by default all paragraphs of the file are searched, and `corpus=PATH` gives Wikipedia.
    """,
    arguments="""
    `corpus` is `"split"` by default, and `"record"` searches the gold paragraphs alone.
    """,
    references="Qi et al. 2021, arXiv 2010.12527; scored as `eval_beerqa.py` scores.",
)


def _gsm8k_form(config: str) -> HubForm:
    revision = "740312add88f781978c0658806c59bc2815b9866"
    return HubForm("openai/gsm8k", revision, {"train": "train", "test": "test"}, config)


GSM8K = Dataset(
    name="gsm8k",
    title="GSM8K",
    env_id="hopgym/GSM8K-v0",
    source="hopgym.benchmarks.gsm8k:GSM8KSource",
    licence="MIT",
    origin="https://github.com/openai/grade-school-math",
    files={
        "train": ("train.jsonl", "train_socratic.jsonl"),
        "test": ("test.jsonl", "test_socratic.jsonl"),
    },
    split="test",
    hub={name: _gsm8k_form(name) for name in ("main", "socratic")},
    searchable=False,
    summary="GSM8K: word problems of grade school, worked out with a calculator.",
    description="""
    The calculations that the worked solution annotates are the evidence: a `calculate` that
    gives an annotated value from what is known is good. This is a heuristic, as other ways lead to
    the answer as well.
    """,
    arguments="""
    `config="main"` (or `"socratic"`). There is nothing to search: `corpus` is `"record"` at most.
    """,
    references="""
    Cobbe et al. 2021, arXiv 2110.14168; scored as `grade_school_math/dataset.py` scores.
    """,
)


def _synthworlds_form(config: str) -> HubForm:
    revision = "d0f02ed540fe8b50b74fcf30eb7f342fd7dcae49"
    return HubForm("kenqgu/SynthWorlds", revision, {"test": "test"}, config)


SYNTHWORLDS = Dataset(
    name="synthworlds",
    title="SynthWorlds",
    env_id="hopgym/SynthWorlds-v0",
    source="hopgym.benchmarks.synthworlds:SynthWorldsSource",
    licence="CC BY 4.0, login required",
    origin="https://huggingface.co/datasets/kenqgu/SynthWorlds",
    files={},
    split="test",
    hub={name: _synthworlds_form(f"qa-{name}") for name in ("rm", "sm")},
    note="documents=PATH gives the documents of the same variant that all questions share.",
    summary="SynthWorlds: parallel worlds with real and with made-up names.",
    description="Questions over one corpus of documents; the gold documents are the evidence.",
    arguments="""
    `variant="rm"` (real names) or `"sm"` (made-up names); `documents=None`: path of the
    documents of that variant, which join the corpus `"split"`.
    """,
    references="""
    Gu et al. 2025, arXiv 2510.24427; scored by exact match and token F1, dates by their day.
    """,
)

SQUAD = Dataset(
    name="squad",
    title="SQuAD 2.0 and 1.1",
    env_id="",
    source="hopgym.benchmarks.squad:score_squad",
    licence="CC BY-SA 4.0",
    origin="https://rajpurkar.github.io/SQuAD-explorer",
    files={"train": ("train-v2.0.json",), "validation": ("dev-v2.0.json",)},
    split="validation",
    note="Scored only.",
)

BAMBOOGLE = Dataset(
    name="bamboogle",
    title="Bamboogle",
    env_id="",
    source="hopgym.benchmarks.squad:score_bamboogle",
    licence="MIT",
    origin="https://github.com/ofirpress/self-ask",
    files={},
    split="test",
    note="Scored only, with SQuAD 1.1's exact match and F1, as it has no script of its own.",
)

DATASETS = (
    HOTPOTQA, TWOWIKI, MUSIQUE, COFCA, BEERQA, GSM8K, SYNTHWORLDS, SQUAD, BAMBOOGLE,
)  # fmt: skip


def find_dataset(name: str) -> Dataset:
    """Return the benchmark with a name, id or title, ignoring case.

    Raises:
        ArgumentError: If there is none; the message names the closest one.
    """
    known = {
        normalize_dataset_name(alias): dataset
        for dataset in DATASETS
        for alias in (dataset.title, dataset.env_id, dataset.name)
        if alias
    }
    key = normalize_dataset_name(name)
    if key not in known:
        names = [dataset.name for dataset in DATASETS]
        hint = did_you_mean(key, known)
        for alias, dataset in known.items():
            hint = hint.replace(repr(alias), repr(dataset.name))
        raise ArgumentError(
            f"a benchmark must be one of {', '.join(names)}, got {name!r}{hint}; "
            "hopgym data list describes them"
        )
    return known[key]


def normalize_dataset_name(name: str) -> str:
    """Return a name in lower case, without the namespace and version of an environment id."""
    return name.strip().lower().removeprefix("hopgym/").removesuffix("-v0")
