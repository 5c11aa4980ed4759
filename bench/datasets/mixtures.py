"""The mixtures of a corpus as files: what a system from elsewhere must separate to be scored."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import soundfile

from bench.audio import failure_reason
from bench.datasets.dataset import Dataset
from bench.errors import BenchError


def write_mixtures(
    corpus: Dataset, split: str, folder: Path, report: Callable[[int, int], None]
) -> int:
    """Write ``<track>/mixture.wav`` for each track of a split, as 32 bit floats.

    They are the mixtures that every method separates here: of MIR-1K, for example, both sources at
    one level, and not the sum of the channels of its files. The folder appears whole or not at all.

    Parameters
    ----------
    corpus
        The corpus.
    split
        ``train``, ``dev`` or ``test``.
    folder
        The folder to write, which must not exist yet.
    report
        Function that is told how many tracks are written, and of how many.

    Returns
    -------
    int
        The number of tracks.

    Raises
    ------
    BenchError
        The folder exists or cannot be written, or a track has a name that is no name of a folder.
    """
    if folder.exists():
        raise BenchError(f"{folder} exists; name a folder that does not")
    tracks = corpus.tracks(split)
    if not tracks:
        raise BenchError(f"{corpus.TITLE} has no {split} tracks here")
    part = folder.with_name(f".{folder.name}.part")
    try:
        shutil.rmtree(part, ignore_errors=True)
        for n_done, track in enumerate(tracks):
            report(n_done, len(tracks))
            if Path(track.name).name != track.name:
                raise BenchError(f"the track {track.name!r} has a name that is no name of a folder")
            path = part / track.name / "mixture.wav"
            path.parent.mkdir(parents=True)
            soundfile.write(path, track.mixture.T, track.rate, subtype="FLOAT")
        part.replace(folder)
    except (OSError, soundfile.SoundFileError) as error:
        raise BenchError(f"{folder} cannot be written: {failure_reason(error)}") from None
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return len(tracks)
