"""MUSDB18: 150 songs in full, 44.1 kHz stereo, as stems; its sample of 7 s each; and its WAV form.

Layout of `MUSDB18` and `MUSDB18Sample`: ``MUSDB18/train|test/ARTIST - TITLE.stem.mp4`` (the sample
in ``MUSDB18-7``), AAC streams of mixture, drums, bass, other, vocals, read by musdb, which needs
ffmpeg. Layout of `MUSDB18HQ`: ``MUSDB18-HQ/train|test/SONG/{drums,bass,other,vocals}.wav``. The
accompaniment is drums + bass + other, the mixture the sum of all: the stem files' own mixture
differs from that by its coding error, about 28 dB down. The split is the official one, with musdb's
14 validation songs as dev.
"""

from __future__ import annotations

import functools
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

from bench.datasets.dataset import Dataset, Groups, artist_of, check_split, chosen, sha256, streamed
from bench.errors import BenchError
from bench.track import Audio, Recording, Track

RATE = 44_100
#: musdb's own validation songs.
DEV_SONGS = frozenset({
    "ANiMAL - Rockshow", "Actions - One Minute Smile", "Alexander Ross - Goodbye Bolero",
    "Clara Berry And Wooldog - Waltz For My Victims", "Fergessen - Nos Palpitants",
    "James May - On The Line", "Johnny Lokke - Promises & Lies", "Leaf - Summerghost",
    "Meaxic - Take A Step", "Patrick Talbot - A Reason To Leave", "Skelpolu - Human Mistakes",
    "Traffic Experiment - Sirens", "Triviul - Angelsaint", "Young Griffo - Pennies",
})  # fmt: skip
#: The sources of each target, and of each source its stream in a stem file.
SOURCES = {"vocals": ("vocals",), "accompaniment": ("bass", "drums", "other")}
_STREAMS = {"drums": 1, "bass": 2, "other": 3, "vocals": 4}
_SUFFIX = ".stem.mp4"
LICENCE = (
    "for research, by song: CC BY-NC-SA 4.0 (MedleyDB), restricted (DSD100), others stated in the "
    "corpus's own list"
)


class Songs(Dataset):
    """What the forms of MUSDB18 share: where songs lie, and the split.

    Attributes
    ----------
    FOLDER
        Name of the folder of this form, in the root.
    """

    KNOWN: ClassVar = {"dev": DEV_SONGS}
    FOLDER: ClassVar[str]

    @property
    def home(self) -> Path:
        """The folder of the corpus."""
        return self.root / self.FOLDER

    def groups(self, name: str) -> Groups:
        """Return the track itself as its song, and the artist in its name as its singer."""
        return Groups(name, artist_of(name))

    def subset(self, split: str) -> Path:
        """Return the folder that holds a split: dev songs lie among those of train."""
        check_split(split)
        return self.home / ("test" if split == "test" else "train")

    def of_split(self, names_here: Sequence[str], split: str, looked_for: str) -> list[str]:
        """Return those of the songs that were found that belong to a split."""
        remedy = f"{self.SOURCE}, or name the folder that holds {self.FOLDER} by --data"
        names = [
            name
            for name in names_here
            if split == "test" or (name in DEV_SONGS) == (split == "dev")
        ]
        return chosen(names, split, looked_for, f"{remedy} or BENCH_DATA")


class MUSDB18(Songs):
    """MUSDB18 as stem files."""

    TITLE: ClassVar = "MUSDB18"
    CITATION: ClassVar = (
        "Z. Rafii, A. Liutkus, F.-R. Stöter, S. I. Mimilakis, R. Bittner: The MUSDB18 corpus for "
        "music separation, 2017, doi:10.5281/zenodo.1117372."
    )
    LICENCE: ClassVar = LICENCE
    SOURCE: ClassVar = "get musdb18.zip from doi:10.5281/zenodo.1117372 and unpack it there"
    FULL_SIZES: ClassVar = {"train": 86, "dev": 14, "test": 50}
    FOLDER: ClassVar = "MUSDB18"

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self._lengths: dict[Path, int] = {}  # in samples, known once a stem was decoded

    def path(self, split: str, name: str) -> Path:
        """Return the stem file of a song."""
        return self.subset(split) / f"{name}{_SUFFIX}"

    def names(self, split: str) -> list[str]:
        """Return the songs of `split`; see `Dataset.names`."""
        folder = self.subset(split)
        names = [path.name.removesuffix(_SUFFIX) for path in folder.glob(f"[!.]*{_SUFFIX}")]
        return self.of_split(names, split, f"{folder}/*{_SUFFIX}")

    def load(self, split: str, name: str) -> Track:
        """Return a song whose stems are decoded when they are asked for; see `Dataset.load`."""
        path = self.path(split, name)
        if not path.is_file():
            raise BenchError(f"{self.TITLE}: {path} is missing; {self.SOURCE}")
        stems = _StemFile(path, self._lengths)
        return Track(name, RATE, Recording(name, stems.shape, stems.read))

    def probe(self, split: str, name: str) -> None:
        """Check the streams that a stem file declares; see `Dataset.probe`."""
        _ = _StemFile(self.path(split, name), self._lengths).track

    def fingerprint(self, split: str, name: str) -> str:
        """Return the SHA-256 of the file."""
        return sha256([self.path(split, name)])


class MUSDB18Sample(MUSDB18):
    """The sample of MUSDB18: 7 s of each song."""

    TITLE: ClassVar = "MUSDB18, 7 s excerpts"
    SOURCE: ClassVar = (
        "get MUSDB18-7-STEMS.zip from the releases of sigsep/sigsep-mus-db and unpack it there"
    )
    # 144 songs, of which this counts train, are recalled and not read; test is MUSDB18's.
    FULL_SIZES: ClassVar = {"train": 80, "dev": 14, "test": 50}
    FOLDER: ClassVar = "MUSDB18-7"


class MUSDB18HQ(Songs):
    """MUSDB18 as uncompressed WAV files."""

    TITLE: ClassVar = "MUSDB18-HQ"
    CITATION: ClassVar = (
        "Z. Rafii, A. Liutkus, F.-R. Stöter, S. I. Mimilakis, R. Bittner: MUSDB18-HQ, an "
        "uncompressed version of MUSDB18, 2019, doi:10.5281/zenodo.3338373."
    )
    LICENCE: ClassVar = LICENCE
    SOURCE: ClassVar = "get musdb18hq.zip from doi:10.5281/zenodo.3338373 and unpack it there"
    FULL_SIZES: ClassVar = {"train": 86, "dev": 14, "test": 50}
    FOLDER: ClassVar = "MUSDB18-HQ"

    def files(self, split: str, name: str) -> dict[str, list[Path]]:
        """Return the files of each target."""
        folder = self.subset(split) / name
        return {
            target: [folder / f"{source}.wav" for source in sources]
            for target, sources in SOURCES.items()
        }

    def names(self, split: str) -> list[str]:
        """Return the songs of `split`; see `Dataset.names`."""
        folder = self.subset(split)
        names = [path.name for path in folder.glob("[!.]*") if path.is_dir()]
        return self.of_split(names, split, f"{folder}/ARTIST - TITLE/{{{','.join(_STREAMS)}}}.wav")

    def load(self, split: str, name: str) -> Track:
        """Return a song whose files are read when they are asked for; see `Dataset.load`."""
        return streamed(name, self.files(split, name))

    def fingerprint(self, split: str, name: str) -> str:
        """Return the SHA-256 of the files of all stems."""
        return sha256([path for paths in self.files(split, name).values() for path in paths])


class _StemFile:
    """One stem file, read by musdb.

    Parameters
    ----------
    path
        The stem file.
    lengths
        Samples of the files that were decoded before.
    """

    def __init__(self, path: Path, lengths: dict[Path, int]) -> None:
        self.path, self.lengths = path, lengths
        self.vocals: Audio | None = None

    @functools.cached_property
    def track(self) -> Any:
        """What musdb makes of the file, its streams checked.

        Raises
        ------
        BenchError
            musdb or ffmpeg is missing, or the file is damaged.
        """
        musdb = _imported_musdb()
        try:
            track = musdb.audio_classes.MultiTrack(
                name=self.path.name.removesuffix(_SUFFIX), path=str(self.path), stem_id=0
            )
            streams = track.info.audio_streams
            kinds = {(int(s["channels"]), int(s["sample_rate"])) for s in streams}
        except Exception as error:
            raise BenchError(f"{self.path} is damaged: ffprobe finds no stems in it") from error
        if len(streams) != len(_STREAMS) + 1 or kinds != {(2, RATE)}:
            raise BenchError(
                f"{self.path} is damaged: {len(streams)} streams with channels and rates of "
                f"{sorted(kinds)}, not {len(_STREAMS) + 1} of (2, {RATE})"
            )
        return track

    def shape(self) -> tuple[int, int]:
        """Return ``(channels, samples)`` as decoded: the header counts otherwise."""
        if self.path not in self.lengths:
            self.vocals = self.stem("vocals", 0, None)
            self.lengths[self.path] = self.vocals.shape[1]
        return 2, self.lengths[self.path]

    def read(self, target: str, start: int, n_samples: int) -> Audio:
        """Return a part of a target, the sum of its stems, ``(channels, samples)``."""
        if target == "vocals" and self.vocals is not None:
            return self.vocals[:, start : start + n_samples]
        first, *rest = SOURCES[target]
        total = self.stem(first, start, n_samples)
        for source in rest:
            total = total + self.stem(source, start, n_samples)
        return total

    def stem(self, source: str, start: int, n_samples: int | None) -> Audio:
        """Decode a part of one stem, all of it where `n_samples` is None."""
        track = self.track
        # A little more than is asked for: ffmpeg is told the time, which is rounded.
        duration_s = None if n_samples is None else (n_samples + 16) / RATE
        try:
            audio = track.load_audio(str(self.path), _STREAMS[source], start / RATE, duration_s)
        except Exception as error:
            raise BenchError(f"{self.path} is damaged: {source} cannot be decoded") from error
        channels: Audio = audio.reshape(-1, 2).T[:, :n_samples].copy()
        return channels


def _imported_musdb() -> Any:
    """Return the module musdb.

    Raises
    ------
    BenchError
        It, or ffmpeg, is not installed.
    """
    missing = [name for name in ("ffmpeg", "ffprobe") if shutil.which(name) is None]
    if missing:
        raise BenchError(
            f"MUSDB18's stem files need {' and '.join(missing)}, not found on the PATH: install "
            "ffmpeg by your system's package manager, or use the WAV files of musdb18hq"
        )
    try:
        import musdb
    except ImportError as error:
        raise BenchError(f"MUSDB18's stem files need musdb: pip install musdb ({error})") from None
    return musdb
