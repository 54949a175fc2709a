"""PhantomWiki: universes that it wrote, judged exactly."""

from hopgym.benchmarks.phantomwiki.source import PhantomWikiSource

__all__ = ["PhantomWikiSource"]
