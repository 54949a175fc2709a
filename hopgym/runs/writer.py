"""Writing trajectory files: one finished episode per line.

A run that was killed leaves a file that the same run resumes: no finished episode is lost, and none
is written twice.
"""

import os
from collections.abc import Set
from functools import partial

from hopgym.errors import RunFileError, require
from hopgym.runs.key_set import Key, KeySet
from hopgym.runs.line_file import LineWriter
from hopgym.runs.resume import resume
from hopgym.runs.trajectory_file import EPISODE_FORMAT, Header, as_recorded
from hopgym.trajectory import Trajectory


class TrajectoryWriter(LineWriter[KeySet]):
    """Appends finished trajectories to a file, as its only writer while it is open.

    Opening resumes the file of a killed run: a half-written last line is cut off, and records of
    errors and damaged ones are dropped, to be played again. A warning names each damaged line. Use
    it as a context manager, or call `close`.

    Args:
        path: The file, created with its folders if it does not exist. While it is open,
            ``<path>.lock`` exists too.
        header: Header of the run. If the file was started by another version of hopgym, a warning
            says so.

    Raises:
        RunFileError: When another writer has the file open, or the file belongs to another config
            or source.
        DataError: When the file is no trajectory file, or has another schema.
    """

    def __init__(self, path: str | os.PathLike[str], header: Header) -> None:
        super().__init__(path, partial(resume, header=header))

    @property
    def finished(self) -> Set[Key]:
        """Task index and sample of the records in the file: a live view, not to be changed."""
        return self.contents

    def write(self, trajectory: Trajectory) -> None:
        """Append a finished trajectory; once this returns, killing the process cannot lose it.

        Raises:
            ArgumentError: When the trajectory has not ended, or could not be read back.
            RunFileError: When the file already holds its task and sample, or the disk is full.
        """
        require(bool(trajectory.stop_reason), "trajectory", "one that has ended", trajectory.key)
        key = trajectory.index, trajectory.sample
        if key in self.contents:
            raise RunFileError(
                f"{self.path} must hold each task and sample once, got {trajectory.key}, of index "
                f"{trajectory.index}, again; leave out what is in finished"
            )
        as_recorded(trajectory)
        self._append(EPISODE_FORMAT.encode(trajectory))
        self.contents.add(key)
