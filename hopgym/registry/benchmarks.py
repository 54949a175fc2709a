"""The ids over files: real benchmarks, PhantomWiki's output, and a user's own JSONL."""

from typing import TYPE_CHECKING, Any

from hopgym.registry.factory import (
    BENCHMARK_ARGUMENTS,
    CORPUS_ARGUMENT,
    environment,
    from_benchmark,
    from_file,
)

if TYPE_CHECKING:
    from hopgym.env import HopEnv


@environment("hopgym/HotpotQA-v0", BENCHMARK_ARGUMENTS + CORPUS_ARGUMENT)
def hotpotqa(render_mode: str | None = None, **arguments: Any) -> "HopEnv":
    """HotpotQA: two-hop questions over Wikipedia, judged by supporting sentences.

    ## Description
    The official questions; their supporting facts are the evidence. In the setting
    `fullwiki` most records lack a gold paragraph, and their steps are not judged.

    ## Starting State
    As in `hopgym/People-v0`.

    ## Arguments
    `corpus` is `"record"` by default. `setting="distractor"`, or `"fullwiki"`, which names the
    form of the file and changes nothing else.

    ## References
    Yang et al. 2018, arXiv 1809.09600; scored as `hotpot_evaluate_v1.py` scores.
    """
    from hopgym.benchmarks.hotpotqa import HotpotQASource

    return from_benchmark(HotpotQASource, arguments, render_mode)


@environment("hopgym/TwoWiki-v0", BENCHMARK_ARGUMENTS + CORPUS_ARGUMENT)
def twowiki(render_mode: str | None = None, **arguments: Any) -> "HopEnv":
    """2WikiMultihopQA: questions over two to four pages, with evidence triples.

    ## Description
    The official questions; their supporting facts are the evidence, their triples the hops.

    ## Starting State
    As in `hopgym/People-v0`.

    ## Arguments
    `aliases=None`: path of `id_aliases.json`; with it the aliases of an answer count as right.

    ## References
    Ho et al. 2020, arXiv 2011.01060; scored as `2wikimultihop_evaluate_v1.1.py` scores.
    """
    from hopgym.benchmarks.twowiki import TwoWikiSource

    return from_benchmark(TwoWikiSource, arguments, render_mode)


@environment("hopgym/MuSiQue-v0", BENCHMARK_ARGUMENTS + CORPUS_ARGUMENT)
def musique(render_mode: str | None = None, **arguments: Any) -> "HopEnv":
    """MuSiQue: questions of two to four hops composed from single ones.

    ## Description
    The official questions over twenty paragraphs; the supporting paragraphs are the evidence,
    the decomposition the hops. In the variant `full` half of the questions have no answer in their
    paragraphs; the answer `unknown` says so.

    ## Starting State
    As in `hopgym/People-v0`.

    ## Arguments
    `variant="ans"` (or `"full"`, in which `limit` keeps pairs whole).

    ## References
    Trivedi et al. 2022, arXiv 2108.00573; scored as `evaluate_v1.0.py` scores.
    """
    from hopgym.benchmarks.musique import MuSiQueSource

    return from_benchmark(MuSiQueSource, arguments, render_mode)


@environment("hopgym/CofCA-v0", BENCHMARK_ARGUMENTS + CORPUS_ARGUMENT)
def cofca(render_mode: str | None = None, **arguments: Any) -> "HopEnv":
    """CofCA: questions over counterfactual passages, with sub-questions.

    ## Description
    Wikipedia passages rewritten so that memory does not help. Nothing is annotated as evidence,
    so steps are not judged; the sub-questions are the hops.

    ## Starting State
    As in `hopgym/People-v0`.

    ## Arguments
    `questions="final"` (or `"all"`: the sub-questions are tasks of their own as well).

    ## References
    Wu et al. 2025, arXiv 2402.11924; there is no official script.
    """
    from hopgym.benchmarks.cofca import CofCASource

    return from_benchmark(CofCASource, arguments, render_mode)


@environment("hopgym/BeerQA-v0", BENCHMARK_ARGUMENTS + CORPUS_ARGUMENT)
def beerqa(render_mode: str | None = None, **arguments: Any) -> "HopEnv":
    """BeerQA: open questions of one or more hops, from SQuAD and HotpotQA.

    ## Description
    Records hold their gold paragraphs alone, which are the evidence, so that a search over them
    is none: by default all paragraphs of the file are searched, and `corpus=PATH` gives Wikipedia.

    ## Starting State
    As in `hopgym/People-v0`.

    ## Arguments
    `corpus` is `"split"` by default, and `"record"` searches the gold paragraphs alone.

    ## References
    Qi et al. 2021, arXiv 2010.12527; scored as `eval_beerqa.py` scores.
    """
    from hopgym.benchmarks.beerqa import BeerQASource

    return from_benchmark(BeerQASource, arguments, render_mode)


@environment("hopgym/GSM8K-v0", BENCHMARK_ARGUMENTS)
def gsm8k(render_mode: str | None = None, **arguments: Any) -> "HopEnv":
    """GSM8K: word problems of grade school, worked out with a calculator.

    ## Description
    The calculations that the worked solution annotates are the evidence: a `calculate` that
    gives an annotated value from what is known is good. This is a heuristic, as other ways lead to
    the answer as well.

    ## Starting State
    As in `hopgym/People-v0`.

    ## Arguments
    `config="main"` (or `"socratic"`). There is nothing to search: `corpus` is `"record"` at most.

    ## References
    Cobbe et al. 2021, arXiv 2110.14168; scored as `grade_school_math/dataset.py` scores.
    """
    from hopgym.benchmarks.gsm8k import GSM8KSource

    return from_benchmark(GSM8KSource, arguments, render_mode)


@environment("hopgym/SynthWorlds-v0", BENCHMARK_ARGUMENTS + CORPUS_ARGUMENT)
def synthworlds(render_mode: str | None = None, **arguments: Any) -> "HopEnv":
    """SynthWorlds: parallel worlds with real and with made-up names.

    ## Description
    Questions over one corpus of documents; the gold documents are the evidence.

    ## Starting State
    As in `hopgym/People-v0`.

    ## Arguments
    `variant="rm"` (real names) or `"sm"` (made-up names); `documents=None`: path of the
    documents of that variant, which join the corpus `"split"`.

    ## References
    Gu et al. 2025, arXiv 2510.24427; scored by exact match and token F1, dates by their day.
    """
    from hopgym.benchmarks.synthworlds import SynthWorldsSource

    return from_benchmark(SynthWorldsSource, arguments, render_mode)


@environment("hopgym/Jsonl-v0")
def jsonl(render_mode: str | None = None, **arguments: Any) -> "HopEnv":
    """Your own questions and documents, from one JSONL file.

    ## Description
    The format is described in `hopgym.benchmarks.jsonl`; evidence is optional, and steps are
    judged where it is given.

    ## Starting State
    As in `hopgym/People-v0`.

    ## Arguments
    `path` (required): the file. `limit=None`: take the first so many questions.

    ## References
    None: the data are yours.
    """
    from hopgym.benchmarks.jsonl import JsonlSource

    return from_file(JsonlSource, arguments, render_mode, "a JSONL file of questions")


@environment("hopgym/PhantomWiki-v0")
def phantomwiki(render_mode: str | None = None, **arguments: Any) -> "HopEnv":
    """A universe written by PhantomWiki: its own articles and questions, judged exactly.

    ## Description
    Reads `articles.json`, `questions.json` and `facts.pl`; answers and proofs come from the
    facts by the proof rule of worlds.

    ## Starting State
    As in `hopgym/People-v0`.

    ## Arguments
    `path` (required): the folder with the three files. `limit=None`: take the first so many
    questions. `max_steps` is by default the largest oracle length of the file and 4 more.

    ## References
    Gong et al. 2025, arXiv 2502.20377.
    """
    from hopgym.benchmarks.phantomwiki import PhantomWikiSource

    return from_file(PhantomWikiSource, arguments, render_mode, "a folder of PhantomWiki's output")
