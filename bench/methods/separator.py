"""The contract of a method: what it is given, and what it gives.

A method is a class decorated with `separator`: its fields are its hyperparameters, validated
when it is made, and its constructor takes nothing else. What `fit` learns is kept in attributes
that end in an underscore. A method that gives masks derives from `MaskSeparator` and writes
only `masks`; a bound that is shown the true sources derives from
`bench.methods.oracle.Oracle`.
"""

from __future__ import annotations

import copy
import dataclasses
import errno
import json
import os
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Self, TypeVar, cast, dataclass_transform

import numpy as np
import pydantic
import safetensors.numpy
from numpy.typing import NDArray
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass as pydantic_dataclass

from bench import stft
from bench.errors import BenchError, check_known
from bench.masks import Masks
from bench.methods.context import FitContext
from bench.track import TARGETS, Audio, PitchTrack, Track, check_audio

S = TypeVar("S")

Spectrogram = NDArray[np.complex128]


@dataclass_transform(kw_only_default=True, field_specifiers=(Field, pydantic.Field))
def separator(cls: type[S]) -> type[S]:
    """Make `cls` a method: a dataclass whose fields are validated and named in full."""
    config = ConfigDict(extra="forbid", validate_default=True, allow_inf_nan=False)
    dataclass: Any = pydantic_dataclass(config=config, kw_only=True)(cls)
    return cast(type[S], dataclass)


@separator
class Separator(ABC):
    """A method that separates a mixture into `bench.track.TARGETS`.

    Attributes
    ----------
    VERSION
        Raise it with every change that moves the method's numbers: it is in the fingerprint.
    GROUP
        Where tables show the method: ``supervised``, ``unsupervised`` or ``bound`` (never ranked).
    AFTER_TRAINING
        Hyperparameters that matter in separation alone: cells that differ in no others share one
        training.
    ADDED
        Fields that joined the method after cells of its `VERSION` had been computed, each with the
        value at which the method is the same as before; see `fingerprint_values`.
    READS_LABELS
        Whether the method learns from the labels of pitch of the training tracks, or, a bound,
        reads those of the track that it separates.
    ON_GPU
        Whether the method is faster on a GPU: in a sweep it then waits for one.
    device
        ``cpu`` or ``cuda``, chosen by the caller; never a hyperparameter.
    """

    VERSION: ClassVar[int] = 1
    GROUP: ClassVar[str] = "unsupervised"
    AFTER_TRAINING: ClassVar[frozenset[str]] = frozenset()
    ADDED: ClassVar[Mapping[str, Any]] = {}
    READS_LABELS: ClassVar[bool] = False
    ON_GPU: ClassVar[bool] = False
    device: ClassVar[str] = "cpu"

    def to(self, device: str) -> Self:
        """Run on `device` from now on."""
        vars(self)["device"] = device
        return self

    def fit(
        self, tracks: Sequence[Track], dev: Sequence[Track] = (), context: FitContext | None = None
    ) -> Self:
        """Learn from `tracks`, and choose by `dev` where there is a choice.

        A training-free method does nothing.

        Raises
        ------
        BenchError
            The tracks cannot be learnt from.
        """
        return self

    def check_trained(self) -> None:
        """Refuse to use a method that learns and has not learnt yet.

        Raises
        ------
        BenchError
            The class has a `fit` of its own, and no attribute that ends in an underscore is set.
        """
        if type(self).fit is not Separator.fit and not self.learned():
            name = type(self).__name__
            raise BenchError(f"{name} is not trained: call fit, or load a trained one")

    @abstractmethod
    def separate(self, mixture: Audio, rate: int) -> dict[str, Audio]:
        """Separate a mixture.

        Parameters
        ----------
        mixture
            ``(channels, samples)``, never changed.
        rate
            Sampling rate in hertz.

        Returns
        -------
        dict
            For each target an estimate of the mixture's shape.

        Raises
        ------
        BenchError
            The method learns and is not trained, the audio is empty or not finite, or its rate is
            not the one that the method was trained for.
        """

    def alignment(self, rate: int) -> int:
        """Return the number of samples at whose multiples a chunk of a long song may begin.

        A chunk that begins there has the frames and the states of the whole song.
        """
        return 1

    def lookahead(self, rate: int) -> int:
        """Return the number of samples after a point in time on which the estimates there depend.

        As many samples at the end of a chunk of a long song, and at least its last second, are
        taken from the next chunk. 0 by default.
        """
        return 0

    def members(self) -> Sequence[Self]:
        """Return the untrained members of an ensemble, each trained by itself; by default none.

        Their hyperparameters and seeds differ from the ensemble's. A sweep trains each once, also
        where it is a row of its own, and hands them to `join`.
        """
        return ()

    def join(self, members: Sequence[Self]) -> Self:
        """Combine the trained members into this ensemble.

        Parameters
        ----------
        members
            What `members` returns, trained, in the same order.

        Returns
        -------
        Self
            This method, trained.

        Raises
        ------
        NotImplementedError
            The method is no ensemble.
        """
        raise NotImplementedError(f"{type(self).__name__} is no ensemble")

    def followed_pitch(self, mixture: Audio, rate: int) -> PitchTrack | None:
        """Return the pitch of the voice by which the method separates it; by default None.

        The protocol ``melody`` scores it. The mixture is whole, also where `separate` would be
        given it in chunks.

        Parameters
        ----------
        mixture
            ``(channels, samples)``, never changed.
        rate
            Sampling rate in hertz.

        Returns
        -------
        PitchTrack or None
            One pitch track for all channels; None from a method that follows no pitch.

        Raises
        ------
        BenchError
            As `separate`.
        """
        return None

    def training_facts(self) -> dict[str, Any]:
        """Return facts of the training to keep beside its time, such as the precision it used."""
        return {}

    def for_song(self, blocks: Iterable[Audio], rate: int) -> Self:
        """Return the method prepared for chunks of one long song; by default itself.

        Parameters
        ----------
        blocks
            The song from its start to its end, ``(channels, samples)`` each.
        rate
            Sampling rate in hertz.
        """
        return self

    def hyperparameters(self) -> dict[str, Any]:
        """Return the fields and their values, in order."""
        return {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}

    @classmethod
    def fingerprint_values(cls, values: Mapping[str, Any]) -> dict[str, Any]:
        """Return what of the hyperparameters identifies a cell.

        Fields of `ADDED` are left out where they change nothing: cells that were computed before a
        method gained them keep their fingerprint.

        Parameters
        ----------
        values
            Every hyperparameter by its name.
        """
        return {k: v for k, v in values.items() if k not in cls.ADDED or v != cls.ADDED[k]}

    def learned(self) -> dict[str, Any]:
        """Return the attributes that `fit` set: those that end in an underscore."""
        return {k: v for k, v in vars(self).items() if k.endswith("_") and not k.startswith("_")}

    def save(self, folder: Path) -> None:
        """Write hyperparameters and what was learnt to `folder`, without pickle.

        Arrays, and dicts of arrays, go to ``weights.safetensors``; numbers and strings to
        ``separator.json``, which is written last. All of it is on the disk when this returns, so
        that the caller may delete the checkpoints of the training.

        Raises
        ------
        BenchError
            The method learns and is not trained.
        """
        self.check_trained()
        arrays: dict[str, NDArray[Any]] = {}
        values: dict[str, Any] = {}
        for name, value in self.learned().items():
            if isinstance(value, np.ndarray):
                arrays[name] = np.ascontiguousarray(value)
            elif isinstance(value, dict):
                arrays |= {f"{name}/{key}": np.ascontiguousarray(v) for key, v in value.items()}
            else:
                values[name] = value
        folder.mkdir(parents=True, exist_ok=True)
        safetensors.numpy.save_file(arrays, folder / "weights.safetensors")
        state = {
            "class": f"{type(self).__module__}:{type(self).__qualname__}",
            "version": self.VERSION,
            "hyperparameters": self.hyperparameters(),
            "learned": values,
        }
        (folder / "separator.json").write_text(json.dumps(state, indent=1) + "\n")
        for path in (folder / "weights.safetensors", folder / "separator.json", folder):
            _flush_to_disk(path)

    @classmethod
    def load(cls, folder: Path, **after_training: Any) -> Self:
        """Read back what `save` wrote, with other values of hyperparameters in `AFTER_TRAINING`.

        Raises
        ------
        BenchError
            The folder holds another class or another version of this one, or a hyperparameter is
            not in `AFTER_TRAINING`.
        """
        path = folder / "separator.json"
        if not path.is_file():
            raise BenchError(f"no saved method in {folder}: separator.json is missing")
        state = json.loads(path.read_text(encoding="utf-8"))
        saved_class = state["class"].partition(":")[2]  # its module may have moved since
        if (saved_class, state["version"]) != (cls.__qualname__, cls.VERSION):
            raise BenchError(
                f"{folder} holds {saved_class} version {state['version']}, "
                f"not {cls.__qualname__} version {cls.VERSION}; train it again"
            )
        for name in after_training:
            check_known("hyperparameter after training", name, cls.AFTER_TRAINING)
        self = cls(**{**state["hyperparameters"], **after_training})
        for name, value in state["learned"].items():
            if not name.endswith("_") or name.startswith("_"):
                raise BenchError(f"{path} is damaged: {name!r} is nothing that a method learns")
            setattr(self, name, value)
        for key, array in safetensors.numpy.load_file(folder / "weights.safetensors").items():
            name, _, part = key.partition("/")
            if part:
                vars(self).setdefault(name, {})[part] = array
            else:
                setattr(self, name, array)
        return self


@separator
class TransformSeparator(Separator):
    """A method that works on the short-time Fourier transform of the mixture.

    Parameters
    ----------
    n_fft, hop
        Window length and step of the transform in samples.
    """

    n_fft: int = 1024
    hop: int = 512

    def __post_init__(self) -> None:
        stft.check_settings(self.n_fft, self.hop, self.window_name())

    def window_name(self) -> stft.WindowName:
        """Return the transform's window, of analysis and synthesis; see `bench.stft`.

        `MaskSeparator` transforms by it. Bounds, networks and other methods that are given the
        level of a whole song must keep the sine window, by which their other transforms are made.
        """
        return "sine"

    def alignment(self, rate: int) -> int:
        """Return the hop; see `Separator.alignment`."""
        return self.hop


@separator
class MaskSeparator(TransformSeparator):
    """A method that gives each target a share of the mixture's spectrogram."""

    @abstractmethod
    def masks(self, spectrogram: Spectrogram, rate: int) -> Masks:
        """Return for each target its share, in the spectrogram's shape.

        Shares sum to one, unless the method says that its estimates do not add up.
        """

    def separate(self, mixture: Audio, rate: int) -> dict[str, Audio]:
        """Separate a mixture by masks; see `Separator.separate`."""
        check_mixture(mixture, rate, self)
        spectrogram = stft.forward(mixture, self.n_fft, self.hop, self.window_name())
        return apply(self.masks(spectrogram, rate), spectrogram, mixture.shape[-1], self)


@separator
class ChannelMaskSeparator(MaskSeparator):
    """A mask method that works on one channel at a time, whatever the others hold."""

    @abstractmethod
    def channel_masks(self, channel: Spectrogram, rate: int) -> Masks:
        """Return for each target its share of one channel.

        Parameters
        ----------
        channel
            Complex spectrogram of the channel, ``(bins, frames)``.
        rate
            Sampling rate in hertz.

        Returns
        -------
        dict
            For each target an array ``(bins, frames)``, float64.
        """

    def masks(self, spectrogram: Spectrogram, rate: int) -> Masks:
        """Return the masks of all channels; see `MaskSeparator.masks`."""
        channels = [self.channel_masks(channel, rate) for channel in spectrogram]
        return {target: np.stack([masks[target] for masks in channels]) for target in TARGETS}


@separator
class LevelledSeparator(MaskSeparator):
    """A mask method whose model is given every mixture at the same level.

    Attributes
    ----------
    song_level
        Root mean square of each channel of the song from which a chunk was cut, as `level` returns
        it; None where the mixture is whole.
    """

    song_level: ClassVar[NDArray[np.float64] | None] = None

    def level(self, magnitudes: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the root mean square of each channel, 1 where the channel is silent.

        Parameters
        ----------
        magnitudes
            Magnitudes of the mixture, ``(channels, bins, frames)``.

        Returns
        -------
        ndarray
            ``(channels, 1, 1)``: the level of the whole song where the mixture is a chunk of it.
        """
        level = self.song_level
        if level is None:
            level = np.sqrt(np.square(magnitudes).mean(axis=(1, 2), keepdims=True))
        return np.where(level > 0, level, 1.0)

    def for_song(self, blocks: Iterable[Audio], rate: int) -> Self:
        """Return a copy that knows the level of the whole song; see `Separator.for_song`."""
        prepared = copy.copy(self)
        power = stft.mean_power(blocks, self.n_fft, self.hop)
        vars(prepared)["song_level"] = np.sqrt(power)[:, None, None]
        return prepared


def _flush_to_disk(path: Path) -> None:
    """Wait until a file, or the list of the files in a folder, is on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        # Some network file systems cannot do it for a folder.
        if not (path.is_dir() and error.errno in (errno.EINVAL, errno.ENOTSUP)):
            raise
    finally:
        os.close(descriptor)


def apply(
    masks: Masks, spectrogram: Spectrogram, n_samples: int, settings: TransformSeparator
) -> dict[str, Audio]:
    """Multiply each mask with the mixture's spectrogram and transform back."""
    transform = settings.n_fft, settings.hop, settings.window_name()
    return {t: stft.inverse(masks[t] * spectrogram, n_samples, *transform) for t in TARGETS}


def check_mixture(mixture: Audio, rate: int, method: Separator) -> None:
    """Refuse a mixture that `method` cannot separate.

    Raises
    ------
    BenchError
        The method learns and is not trained, the audio is empty or not finite, or its rate is not
        the one learnt from (``rate_``, where the method has it).
    """
    method.check_trained()
    check_audio(mixture, "the mixture")
    trained = method.learned().get("rate_")
    if trained is not None and trained != rate:
        raise BenchError(
            f"{type(method).__name__} was trained for {trained} Hz and the mixture has {rate} Hz; "
            "resample the mixture or train on that rate"
        )


def common_rate(tracks: Sequence[Track]) -> int:
    """Return the one sampling rate of `tracks`.

    Raises
    ------
    BenchError
        There are no tracks, or they have several rates.
    """
    rates = sorted({track.rate for track in tracks})
    if len(rates) != 1:
        raise BenchError(f"training needs tracks of one sampling rate, and these have {rates} Hz")
    return rates[0]
