"""Audio in plain folders: ``<track>/vocals.wav`` and ``<track>/accompaniment.wav``, or FLAC.

As a corpus of your own: ``train|dev|test/<track>/{vocals,accompaniment}.wav``, any rate, any
channels; dev may be left out, and train where nothing is learnt. As references or estimates of
`bench score`: the tracks alone, without the splits.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import ClassVar

from bench import audio
from bench.datasets.dataset import Dataset, check_split, chosen, sha256, streamed
from bench.errors import BenchError, check_text
from bench.track import TARGETS, Audio, Track

_SUFFIXES = (".wav", ".flac")


class Folder(Dataset):
    """A corpus of your own, in the folder that ``--data`` names."""

    TITLE: ClassVar = "a corpus of one's own"
    CITATION: ClassVar = "not stated."
    LICENCE: ClassVar = "not stated"
    SOURCE: ClassVar = "put train|dev|test/<track>/{vocals,accompaniment}.wav (or .flac) there"
    FULL_SIZES: ClassVar = {}

    def names(self, split: str) -> list[str]:
        """Return the folders of tracks of `split`; see `Dataset.names`."""
        check_split(split)
        home = self.root / split
        names = [path.name for path in home.glob("[!.]*") if path.is_dir()]
        for name in names:
            check_text(f"the folder {name!r} in {home}", name)
        remedy = f"{self.SOURCE}, or name the folder that holds it by --data or BENCH_DATA"
        return chosen(names, split, f"{home}/<track>/vocals.wav and accompaniment.wav", remedy)

    def load(self, split: str, name: str) -> Track:
        """Return a track whose files are read when they are asked for; see `Dataset.load`."""
        return load_track(self.root / split, name)

    def fingerprint(self, split: str, name: str) -> str:
        """Return the SHA-256 of the files of both targets."""
        return sha256([_find_audio(self.root / split / name, target) for target in TARGETS])


def track_names(root: Path) -> list[str]:
    """Return the names of the folders in `root`, sorted.

    Raises
    ------
    BenchError
        There is no such folder, or none in it, or a name has control characters.
    """
    names = sorted(p.name for p in root.glob("*") if p.is_dir() and not p.name.startswith("."))
    if not names:
        raise BenchError(
            f"no tracks: looked for {root}/<track>/vocals.wav and accompaniment.wav (or .flac)"
        )
    for name in names:
        check_text(f"the folder {name!r} in {root}", name)
    return names


def _find_audio(folder: Path, target: str) -> Path:
    """Return the file of a target.

    Raises
    ------
    BenchError
        There is none, or more than one.
    """
    paths = [path for s in _SUFFIXES if (path := folder / f"{target}{s}").is_file()]
    if len(paths) != 1:
        problem = "both a WAV and a FLAC" if paths else "no WAV or FLAC"
        raise BenchError(f"{problem} of {target} in {folder}: expected one of "
                         f"{' and '.join(target + s for s in _SUFFIXES)}")  # fmt: skip
    return paths[0]


def load_track(root: Path, name: str) -> Track:
    """Return a track whose references lie in ``root/name``, read when they are asked for.

    Raises
    ------
    BenchError
        A file is missing or damaged, or the two differ in rate, channels or length.
    """
    return streamed(name, {target: [_find_audio(root / name, target)] for target in TARGETS})


def load_estimates(root: Path, track: Track) -> dict[str, Audio]:
    """Return the estimates of a track in ``root/<its name>``.

    Raises
    ------
    BenchError
        A file is missing or damaged, or its rate is not the track's.
    """
    return {target: audio.read_audio(_find_estimate(root, track, target)[0]) for target in TARGETS}


def length_differences(root: Path, track: Track) -> dict[str, int]:
    """Return by how many samples each estimate of a track is longer than its reference.

    Parameters
    ----------
    root
        The folder of all estimates.
    track
        The track.

    Returns
    -------
    dict
        For each target that has another length the difference, negative where it is shorter.

    Raises
    ------
    BenchError
        A file is missing or damaged, or its rate is not the track's.
    """
    differences = {}
    for target in TARGETS:
        _, n_samples = _find_estimate(root, track, target)
        if n_samples != track.n_samples:
            differences[target] = n_samples - track.n_samples
    return differences


def _find_estimate(root: Path, track: Track, target: str) -> tuple[Path, int]:
    """Return the file of an estimate and the number of its samples.

    Raises
    ------
    BenchError
        There is none, or more than one, or its rate is not the track's.
    """
    path = _find_audio(root / track.name, target)
    header = audio.header(path)
    if header.rate != track.rate:
        raise BenchError(f"{path} has {header.rate} Hz and its reference {track.rate} Hz")
    return path, header.n_samples


def digest(root: Path, names: list[str]) -> str:
    """Return the SHA-256 of the names and contents of the files of these tracks."""
    sha = hashlib.sha256()
    for name in names:
        for target in TARGETS:
            with _find_audio(root / name, target).open("rb") as file:
                content = hashlib.file_digest(file, "sha256").hexdigest()
            sha.update(f"{name}/{target}\0{content}\n".encode())
    return sha.hexdigest()
