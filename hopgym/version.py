"""The version of the package, apart from `hopgym` itself, which registers the environments."""

__version__ = "0.1.0"
