"""Real benchmarks, PhantomWiki's output and your own JSONL files, as sources of tasks.

A benchmark is one module and one entry in `hopgym.benchmarks.catalogue`, from which its
environment id, ``hopgym data`` and ``hopgym score`` follow. The module reads records with
`hopgym.benchmarks.passages.PassageRecords` and defines a source with
`hopgym.benchmarks.base.BenchmarkSource`; `hopgym.benchmarks.beerqa` is the shortest example.
"""
