"""DSD100: 100 songs in full, 44.1 kHz stereo, of SiSEC 2016.

Layout: ``DSD100/Sources/Dev|Test/NNN - ARTIST - TITLE/{bass,drums,other,vocals}.wav``. The
accompaniment is bass + drums + other, the mixture the sum of all. The official Dev songs train, but
every tenth of them (060, 070, 080, 090, 100), which is our dev set; Test is test.
"""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from bench.datasets.dataset import Dataset, Groups, artist_of, check_split, chosen, sha256, streamed
from bench.datasets.musdb18 import SOURCES
from bench.track import Track


class DSD100(Dataset):
    """DSD100 in its official layout."""

    TITLE: ClassVar = "DSD100"
    CITATION: ClassVar = (
        "A. Liutkus, F.-R. Stöter, Z. Rafii, D. Kitamura, B. Rivet, N. Ito, N. Ono, J. Fontecave: "
        "The 2016 signal separation evaluation campaign, LVA/ICA 2017."
    )
    LICENCE: ClassVar = "for research, by song: stated in the corpus's dsd100.xlsx"
    SOURCE: ClassVar = "get DSD100.zip from the SiSEC 2016 page of its authors and unpack it there"
    FULL_SIZES: ClassVar = {"train": 45, "dev": 5, "test": 50}

    def subset(self, split: str) -> Path:
        """Return the folder that holds a split: dev songs lie among those of train."""
        check_split(split)
        return self.root / "DSD100" / "Sources" / ("Test" if split == "test" else "Dev")

    def files(self, split: str, name: str) -> dict[str, list[Path]]:
        """Return the files of each target."""
        folder = self.subset(split) / name
        return {t: [folder / f"{source}.wav" for source in parts] for t, parts in SOURCES.items()}

    def names(self, split: str) -> list[str]:
        """Return the songs of `split`; see `Dataset.names`."""
        folder = self.subset(split)
        folders = [path.name for path in folder.glob("[!.]*") if path.is_dir()]
        of_split = [
            name for name in folders if split == "test" or _is_dev(name) == (split == "dev")
        ]
        remedy = f"{self.SOURCE}, or name the folder that holds DSD100 by --data or BENCH_DATA"
        return chosen(of_split, split, f"{folder}/SONG/{{bass,drums,other,vocals}}.wav", remedy)

    def groups(self, name: str) -> Groups:
        """Return the track itself as its song, and the artist in its name as its singer."""
        return Groups(name, artist_of(name.partition(" - ")[2]))

    def load(self, split: str, name: str) -> Track:
        """Return a song whose files are read when they are asked for; see `Dataset.load`."""
        return streamed(name, self.files(split, name))

    def fingerprint(self, split: str, name: str) -> str:
        """Return the SHA-256 of the files of all sources."""
        return sha256([path for paths in self.files(split, name).values() for path in paths])


def _is_dev(name: str) -> bool:
    """Tell whether a song of the official Dev set is in our dev set, by its number.

    Examples
    --------
    >>> _is_dev("060 - Artist - Title"), _is_dev("061 - Artist - Title")
    (True, False)
    """
    return name[:3].endswith("0")
