"""Audio in plain folders: ``<track>/vocals.wav`` and ``<track>/accompaniment.wav``, or FLAC."""

from __future__ import annotations

import hashlib
from pathlib import Path

from bench.errors import BenchError
from bench.track import TARGETS, Audio, Track

SUFFIXES = (".wav", ".flac")


def track_names(root: Path) -> list[str]:
    """Return the names of the folders in `root`, sorted.

    Raises
    ------
    BenchError
        There is no such folder, or none in it.
    """
    names = sorted(p.name for p in root.glob("*") if p.is_dir() and not p.name.startswith("."))
    if not names:
        raise BenchError(
            f"no tracks: looked for {root}/<track>/vocals.wav and accompaniment.wav (or .flac)"
        )
    return names


def find_audio(folder: Path, target: str) -> Path:
    """Return the file of a target.

    Raises
    ------
    BenchError
        There is none, or more than one.
    """
    found = [path for s in SUFFIXES if (path := folder / f"{target}{s}").is_file()]
    if len(found) != 1:
        problem = "both a WAV and a FLAC" if found else "no WAV or FLAC"
        raise BenchError(f"{problem} of {target} in {folder}: expected one of "
                         f"{' and '.join(target + s for s in SUFFIXES)}")  # fmt: skip
    return found[0]


def read_audio(path: Path) -> tuple[Audio, int]:
    """Return audio ``(channels, samples)``, float64, and its rate in hertz.

    Raises
    ------
    BenchError
        The file cannot be read.
    """
    import soundfile

    try:
        audio, rate = soundfile.read(path, dtype="float64", always_2d=True)
    except (OSError, soundfile.SoundFileError) as error:
        raise BenchError(f"{path} cannot be read ({str(error).rpartition(': ')[2]})") from None
    return audio.T.copy(), int(rate)


def load_track(root: Path, name: str) -> Track:
    """Return a track whose references lie in ``root/name``.

    Raises
    ------
    BenchError
        A file is missing or damaged, or the two differ in rate, channels or length.
    """
    audio, rates = {}, set()
    for target in TARGETS:
        audio[target], rate = read_audio(find_audio(root / name, target))
        rates.add(rate)
    if len(rates) > 1:
        raise BenchError(f"references of track {name!r} in {root} have several rates: {rates}")
    return Track(name, rates.pop(), audio)


def load_estimates(root: Path, track: Track) -> dict[str, Audio]:
    """Return the estimates of a track in ``root/<its name>``.

    Raises
    ------
    BenchError
        A file is missing or damaged, or its rate is not the track's.
    """
    estimates = {}
    for target in TARGETS:
        path = find_audio(root / track.name, target)
        estimates[target], rate = read_audio(path)
        if rate != track.rate:
            raise BenchError(f"{path} has {rate} Hz and its reference {track.rate} Hz")
    return estimates


def digest(root: Path, names: list[str]) -> str:
    """Return the SHA-256 of the names and contents of the files of these tracks."""
    sha = hashlib.sha256()
    for name in names:
        for target in TARGETS:
            content = find_audio(root / name, target).read_bytes()
            sha.update(f"{name}/{target}\0{hashlib.sha256(content).hexdigest()}\n".encode())
    return sha.hexdigest()
