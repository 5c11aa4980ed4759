"""A karaoke corpus made by code from a seed: nothing to download, nothing to decode.

The voice is a source-filter model: harmonics of a gliding pitch with vibrato, shaped by the
formants of a vowel a note, with unvoiced consonants (bursts of filtered noise) and rests between
notes. The accompaniment repeats: a loop of two chords with decaying harmonics, a bass, and drums
(kick, snare, hi-hat of noise). Singers of the test split have other vocal tracts, ranges and
vibratos than those of train, and every song has its own chords and tempo.

It is for demonstration, tests and quick comparison of code. It says nothing of real music.
"""

from __future__ import annotations

import hashlib
import json
from functools import lru_cache
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from bench.datasets.dataset import Dataset, check_split, equal_energy
from bench.errors import BenchError
from bench.track import Audio, Track

RATE = 16_000
_DURATION_S = 4.0
#: Raise it with every change of the sound: it is in the digest.
_RECIPE_VERSION = 1
SEED = 2014

#: First three formants of five vowels in hertz, rounded from Peterson and Barney, JASA 1952.
_VOWELS = np.array(
    [[730, 1090, 2440], [530, 1840, 2480], [270, 2290, 3010], [570, 840, 2410], [300, 870, 2240]]
)
#: Chord roots and thirds in semitones over the key: two chords a loop, so that a clip repeats.
_PROGRESSIONS = (((0, 4), (7, 4)), ((9, 3), (5, 4)), ((0, 4), (5, 4)), ((0, 4), (9, 3)))
_SCALE = np.array([0, 2, 4, 7, 9, 12, 14, 16])

Signal = NDArray[np.float64]


class Synthetic(Dataset):
    """Synthetic karaoke: 12 training, 3 dev and 8 test clips of 4 s, mono, 16 kHz, at 0 dB."""

    TITLE: ClassVar = "Synthetic karaoke"
    CITATION: ClassVar = "made by bench.datasets.synthetic"
    LICENCE: ClassVar = "MIT, as the code that makes it"
    SHARES_AUDIO: ClassVar = True
    SOURCE: ClassVar = "nothing to get: it is made by code"
    FULL_SIZES: ClassVar = {"train": 12, "dev": 3, "test": 8}

    def __init__(self, root: Path = Path()) -> None:
        super().__init__(root)

    def names(self, split: str) -> list[str]:
        """Return the clips of `split`; see `Dataset.names`."""
        check_split(split)
        return [f"{split}_{i:02d}" for i in range(self.FULL_SIZES[split])]

    def load(self, split: str, name: str) -> Track:
        """Make one clip; see `Dataset.load`."""
        if name not in self.names(split):
            raise BenchError(f"synthetic: no clip {name!r} in {split}")
        return make_track(split, name)

    def probe(self, split: str, name: str) -> None:
        """Nothing to check: no clip is there before it is asked for; see `Dataset.probe`."""

    def fingerprint(self, split: str, name: str) -> str:
        """Return the SHA-256 of the recipe of a clip.

        The clip's samples would not do: their last bits may differ between machines.
        """
        recipe = {"version": _RECIPE_VERSION, "seed": SEED, "duration_s": _DURATION_S, "name": name}
        return hashlib.sha256(json.dumps(recipe, sort_keys=True).encode()).hexdigest()


@lru_cache(maxsize=32)
def make_track(split: str, name: str) -> Track:
    """Make the clip `name`, whose singer belongs to `split`."""
    index = int(name.rpartition("_")[2])
    train_like = split in ("train", "dev")
    word = int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "little")
    rng = np.random.default_rng([SEED, word])
    singer = np.random.default_rng([SEED, int(not train_like), index % (2 if train_like else 4)])
    n = int(_DURATION_S * RATE)
    beat_s = 60.0 / rng.uniform(90, 140)
    key = rng.uniform(0, 12)
    sources = {
        "vocals": voice(n, beat_s, key, rng, singer),
        "accompaniment": accompaniment(n, beat_s, key, rng),
    }
    audio: dict[str, Audio] = {target: signal[None] for target, signal in sources.items()}
    track = equal_energy(name, RATE, audio)
    for reference in track.references.values():
        reference.setflags(write=False)  # the track is shared by all who ask for it
    return track


def hertz(semitones: float | Signal, reference: float) -> Signal:
    """Return the frequency of `semitones` above `reference` hertz."""
    return np.asarray(reference * 2.0 ** (np.asarray(semitones) / 12.0))


def voice(
    n: int, beat_s: float, key: float, rng: np.random.Generator, singer: np.random.Generator
) -> Signal:
    """Sing a random melody over `n` samples: voiced vowels, unvoiced consonants, rests."""
    tract = singer.uniform(0.88, 1.15)
    tonic = hertz(key, 130.8 if singer.random() < 0.5 else 196.0)
    depth, speed = singer.uniform(0.2, 0.6), singer.uniform(4.8, 6.5)
    out = np.zeros(n)
    position = int(rng.uniform(0, beat_s) * RATE)
    while position < n:
        length = int(beat_s * rng.choice([0.5, 1.0, 1.0, 2.0]) * RATE)
        stop = min(position + length, n)
        if rng.random() > 0.15 and stop - position > RATE // 20:
            pitch = float(tonic * 2 ** (rng.choice(_SCALE) / 12))
            vowels = _VOWELS[rng.choice(len(_VOWELS), 2)] * tract
            note = _sung_note(stop - position, pitch, vowels, depth, speed, rng)
            out[position:stop] += rng.uniform(0.6, 1.0) * note
        position += length
    return out


def _sung_note(
    n: int, pitch: float, vowels: Signal, depth: float, speed: float, rng: np.random.Generator
) -> Signal:
    """Sing one note of `n` samples: a consonant of noise, then a vowel that glides to another.

    Parameters
    ----------
    pitch
        Hertz.
    vowels
        ``(2, 3)`` formant frequencies in hertz at start and end.
    depth, speed
        Vibrato in semitones and hertz.
    """
    t = np.arange(n) / RATE
    glide = -1.5 * np.exp(-t / 0.04)
    vibrato = depth * np.sin(2 * np.pi * speed * t) * np.clip(t / 0.25, 0, 1)
    jitter = np.cumsum(rng.standard_normal(n)) * 2e-4
    f0 = hertz(glide + vibrato + jitter, pitch)
    phase = 2 * np.pi * np.cumsum(f0) / RATE
    blend = np.clip(np.linspace(-0.5, 1.5, n), 0, 1)
    out = np.zeros(n)
    for k in range(1, int(0.45 * RATE / pitch) + 1):
        f = k * f0
        tone = np.where(f < 0.48 * RATE, np.sin(k * phase), 0.0) / k
        gain = (1 - blend) * _formant_gain(f, vowels[0]) + blend * _formant_gain(f, vowels[1])
        out += gain * tone
    out *= _envelope(n, 0.03, 0.05)
    consonant = int(rng.uniform(0.03, 0.09) * RATE)
    if rng.random() < 0.6 and consonant < n // 2:
        out[:consonant] *= np.linspace(0, 1, consonant) ** 2
        centre = rng.uniform(2500, 6500)
        burst = noise(consonant, centre * 0.7, centre * 1.15, rng) * np.hanning(consonant)
        out[:consonant] += 0.5 * np.abs(out).max() * burst
    breath = 0.01 * float(np.abs(out).max())
    out += breath * noise(n, 500, 7500, rng) * _envelope(n, 0.03, 0.05)
    return out


def _formant_gain(frequency: Signal, formants: Signal) -> Signal:
    """Return the gain of a vocal tract: one resonance a formant, bandwidths of 80 to 160 Hz."""
    gain: Signal = np.full(frequency.shape, 0.01)
    for formant, bandwidth, level in zip(formants, (80, 110, 160), (1.0, 0.6, 0.35), strict=True):
        gain += level / (1 + ((frequency - formant) / bandwidth) ** 2)
    return gain


def accompaniment(n: int, beat_s: float, key: float, rng: np.random.Generator) -> Signal:
    """Play a loop of two chords, a bass and drums over `n` samples."""
    beat = int(beat_s * RATE)
    chords = _PROGRESSIONS[rng.integers(len(_PROGRESSIONS))]
    decay = rng.uniform(0.3, 0.8)
    brightness = rng.uniform(0.9, 1.6)
    drums = [_kick(), _snare(rng), _hihat(rng)]
    levels = rng.uniform([0.5, 0.3, 0.1], [0.9, 0.6, 0.25])
    bar = np.zeros(2 * beat * len(chords))
    for i, (root, third) in enumerate(chords):
        start = 2 * beat * i
        for semitone in (root, root + third, root + 7):
            pitch = float(hertz(key + semitone, 130.8))
            for stroke in (0, beat):
                add(bar, start + stroke, _plucked(2 * beat, pitch, decay, brightness), 0.25)
        add(bar, start, _plucked(2 * beat, float(hertz(key + root, 65.4)), 0.5, 1.6), 0.6)
        for half in range(4):
            add(bar, start + half * beat // 2, drums[2], levels[2])
        add(bar, start, drums[0], levels[0])
        add(bar, start + beat, drums[1], levels[1])
    offset = int(rng.integers(len(bar)))
    return np.resize(np.roll(bar, -offset), n)


def _plucked(n: int, pitch: float, decay_s: float, brightness: float) -> Signal:
    """Pluck a string: harmonics that fall as ``k^-brightness`` and fade the faster the higher."""
    t = np.arange(n) / RATE
    out = np.zeros(n)
    for k in range(1, min(12, int(0.45 * RATE / pitch)) + 1):
        out += np.sin(2 * np.pi * k * pitch * t) * np.exp(-t * k**0.5 / decay_s) / k**brightness
    return out * _envelope(n, 0.004, 0.02)


def _kick() -> Signal:
    """Return a bass drum: a sine that falls from 150 to 50 Hz."""
    t = np.arange(int(0.2 * RATE)) / RATE
    frequency = 50 + 100 * np.exp(-t / 0.03)
    return np.sin(2 * np.pi * np.cumsum(frequency) / RATE) * np.exp(-t / 0.08)


def _snare(rng: np.random.Generator) -> Signal:
    """Return a snare drum: a short tone under noise."""
    t = np.arange(int(0.18 * RATE)) / RATE
    tone = 0.4 * np.sin(2 * np.pi * 190 * t) * np.exp(-t / 0.05)
    return tone + noise(len(t), 800, 6000, rng) * np.exp(-t / 0.06)


def _hihat(rng: np.random.Generator) -> Signal:
    """Return a closed hi-hat: high noise that fades at once."""
    n = int(0.08 * RATE)
    return noise(n, 5000, 7900, rng) * np.exp(-np.arange(n) / (0.02 * RATE))


def noise(n: int, low: float, high: float, rng: np.random.Generator) -> Signal:
    """Return `n` samples of noise between two frequencies in hertz, with unit peak."""
    spectrum = np.fft.rfft(rng.standard_normal(n))
    frequency = np.fft.rfftfreq(n, 1 / RATE)
    spectrum[(frequency < low) | (frequency > high)] = 0
    out = np.fft.irfft(spectrum, n)
    return out / max(float(np.abs(out).max()), 1e-12)


def _envelope(n: int, attack_s: float, release_s: float) -> Signal:
    """Return a rise from 0 to 1 and a fall back to 0 over `n` samples."""
    i = np.arange(n)
    return np.clip(np.minimum(i / (attack_s * RATE), (n - 1 - i) / (release_s * RATE)), 0, 1)


def add(loop: Signal, start: int, sound: Signal, level: float) -> None:
    """Mix `sound` into `loop` in place, around its end."""
    index = (start + np.arange(len(sound))) % len(loop)
    np.add.at(loop, index, level * sound)
