"""Trajectory files changed on purpose, with checksums that fit."""

from collections.abc import Callable

import msgspec

from hopgym.runs.records import RecordFormat

EPISODES = RecordFormat("episode", msgspec.Raw, "an episode")


def changed_record(line: bytes, change: Callable[[bytes], bytes]) -> bytes:
    """Return the line of a record whose JSON is changed, with a new checksum."""
    return EPISODES.encode(msgspec.Raw(change(bytes(EPISODES.verify(line)))))
