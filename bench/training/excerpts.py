"""Training sequences: excerpts of mixtures whose voice is shifted in a circle.

A clip's voice is rolled against its accompaniment, so that one recording gives many mixtures.
The authors make their shifted copies once, by every multiple of a step (10,000 samples): that is
`TrainingExcerpts.every`. An epoch of mini-batches (`TrainingExcerpts.epoch`) draws one shift a
clip, any at all or a multiple of the step, so that it costs the same however many shifts there are.
It may also put each voice over the accompaniment of any clip: a shifted voice no longer fits its
own one either. All clips lie end to end in one tensor on the device; a batch is gathered from it by
index and transformed there, with no loop over clips or frames.

Where clips have copies at another pitch or tempo, a *recording* is a clip or one of its copies. The
recordings lie in memory as all clips, then the first copy of each, and so on: copy k of clip i, of
n clips, is recording k n + i. Each sequence is cut from one of them, so that an epoch is no longer.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from bench import stft
from bench.errors import BenchError
from bench.methods.subsample import fit_in_memory
from bench.track import TARGETS, Track
from bench.training.altered_copies import alterations, altered
from bench.training.augmentation import NO_AUGMENTATION, Augmentation
from bench.training.objective import Reference, phase_sensitive

Shift = Literal["random"] | int
Pairing = Literal["own", "any"]


@dataclass(frozen=True)
class BatchIndex:
    """Where the sequences of a batch begin, one entry a sequence: ``(sequences,)`` unless stated.

    Attributes
    ----------
    accompaniment
        Index of the recording whose accompaniment is in the mixture.
    start
        First sample of the accompaniment within its recording.
    voice
        Index of the recording whose voice is in the mixture.
    shift
        Number of samples from `start` to the first sample of the voice within its own recording,
        which wraps around.
    n_frames
        Frames that count, from the first.
    gain
        Factor of each target, negative where its polarity is reversed, ``(sequences, targets)``.
    hidden
        First bin, and the bin after the last one, that the network does not see,
        ``(sequences, 2)``.
    """

    accompaniment: Tensor
    start: Tensor
    voice: Tensor
    shift: Tensor
    n_frames: Tensor
    gain: Tensor
    hidden: Tensor

    def split(self, order: Tensor, batch_size: int) -> Iterator[BatchIndex]:
        """Yield the sequences in an order, a batch at a time."""
        for batch in torch.split(order, batch_size):
            yield BatchIndex(*(part[batch] for part in vars(self).values()))

    def part(self, nth: int, n: int) -> BatchIndex:
        """Return every `n`-th sequence from the `nth` on."""
        return BatchIndex(*(values[nth::n] for values in vars(self).values()))


class TrainingExcerpts:
    """The training clips, cut into sequences anew each epoch.

    Parameters
    ----------
    tracks
        Training tracks; their channels are averaged.
    level
        Root mean square of the mixture's spectrogram after scaling, so that the network sees
        every clip equally loud.
    n_fft, hop
        The transform.
    n_frames
        Frames of a sequence.
    n_context
        Frames of context on each side, cut around every sequence.
    shift
        Circular shift of the voice: ``random``, by any number of samples; a step in samples, by its
        multiples; 0: none.
    pairing
        ``own``: each voice over its own accompaniment; ``any``: over that of any clip, drawn anew
        each epoch, in which every voice and every accompaniment occurs once.
    seed
        Seed of the excerpts of a corpus larger than memory.
    augmentation
        Changes of the sequences of `epoch`.
    reference
        ``magnitude`` or ``phase_sensitive``; see `bench.training.objective`.

    Raises
    ------
    BenchError
        There should be copies of a corpus larger than memory.
    """

    def __init__(
        self,
        tracks: Sequence[Track],
        level: float,
        n_fft: int,
        hop: int,
        n_frames: int,
        n_context: int,
        shift: Shift = "random",
        pairing: Pairing = "own",
        seed: int = 0,
        augmentation: Augmentation = NO_AUGMENTATION,
        reference: Reference = "magnitude",
    ) -> None:
        self.augmentation, self.reference = augmentation, reference
        self.shift, self.pairing, self.level, self.seed = shift, pairing, level, seed
        self.n_fft, self.hop, self.n_frames, self.n_context = n_fft, hop, n_frames, n_context
        self.span = (n_frames + 2 * n_context - 1) * hop + n_fft
        first = fit_in_memory(tracks, seed)
        #: The corpus that each epoch's excerpts are cut from, or None where memory holds all of it.
        self.corpus = None if first is tracks else tracks
        #: Epoch of the excerpts in memory.
        self.drawn = 0
        self._load(first)

    def draw(self, epoch: int) -> bool:
        """Load the excerpts of an epoch; return whether they are others than before.

        Only a corpus larger than memory has others.
        """
        if self.corpus is None or epoch == self.drawn:
            return False
        self._load(fit_in_memory(self.corpus, self.seed, epoch))
        self.drawn = epoch
        return True

    def _load(self, tracks: Sequence[Track]) -> None:
        """Put the audio of `tracks` and of their copies into memory, each at the same level."""
        n_fft, hop, level = self.n_fft, self.hop, self.level
        recordings, rates = [], []
        for track in tracks:  # reads its audio
            recordings.append(mono_references(track))
            rates.append(track.rate)
        #: Samples of each clip, without its copies.
        self.lengths = torch.tensor([clip.shape[1] for clip in recordings])
        if self.corpus is not None and self.augmentation.has_copies:
            raise BenchError(
                "copies at another pitch or tempo are made once, of a corpus that fits in memory; "
                "this one is larger: leave out pitch_semitones and tempo_change"
            )
        changes = alterations(self.augmentation.pitch_semitones, self.augmentation.tempo_change)
        recordings += [
            altered(clip, rate, change)
            for change in changes
            for clip, rate in zip(recordings, rates, strict=True)
        ]
        lengths = torch.tensor([recording.shape[1] for recording in recordings])
        self.recording_lengths = lengths
        gains = [level / max(rms(clip.double(), n_fft, hop), 1e-12) for clip in recordings]
        scaled = [clip * gain for clip, gain in zip(recordings, gains, strict=True)]
        #: All recordings end to end, ``(targets, samples)``, float32. Each goes on from its start
        #: after its end, for the length of a sequence: one cut at any sample is contiguous.
        self.audio = torch.cat([extended(clip, self.span) for clip in scaled], dim=1)
        self.offsets = (lengths + self.span).cumsum(0) - (lengths + self.span)

    @property
    def clips(self) -> Tensor:
        """All clips once and no copy, ``(targets, samples)``."""
        parts = [
            self.audio[:, start : start + n]
            for start, n in zip(self.offsets.tolist(), self.lengths.tolist(), strict=False)
        ]
        return torch.cat(parts, dim=1)

    def clip_magnitudes(self) -> Tensor:
        """Return the magnitudes of the mixtures of all clips, ``(frames, bins)``."""
        mixture = self.clips.sum(0, keepdim=True)
        return stft.forward(mixture, self.n_fft, self.hop)[0].abs().T

    @property
    def n_sequences(self) -> int:
        """Sequences in an epoch: every clip covered about once."""
        return int(self._sequences_per_clip().sum())

    def _sequences_per_clip(self) -> Tensor:
        step = self.n_frames * self.hop
        return (self.lengths + step // 2).div(step, rounding_mode="floor").clamp(min=1)

    @property
    def shifts(self) -> tuple[Tensor, int]:
        """The number of shifts of each clip, and the step between two of them in samples.

        Shifts begin at 0, and the last one leaves at least a whole step.
        """
        step = 1 if self.shift == "random" else self.shift
        if step == 0:
            return torch.ones_like(self.lengths), 0
        return self.lengths.div(step, rounding_mode="floor").clamp(min=1), step

    def epoch(self, generator: torch.Generator, batch_size: int) -> Iterator[BatchIndex]:
        """Draw an epoch: each clip cut from a random start, every voice shifted, all shuffled."""
        counts = self._sequences_per_clip()
        clip, nth = numbered(counts)

        def draw(below: Tensor) -> Tensor:
            share = torch.rand(len(below), generator=generator, dtype=torch.float64)
            return (share * below).long()

        phase = draw(self.lengths)
        n_shifts, step = self.shifts
        shift = draw(n_shifts) * step
        start = (phase[clip] + nth * self.n_frames * self.hop) % self.lengths[clip]
        own = torch.arange(len(clip))
        sung = own if self.pairing == "own" else torch.randperm(len(clip), generator=generator)
        recording = clip
        n_recordings = len(self.recording_lengths) // len(self.lengths)
        if n_recordings > 1:
            drawn_copy = torch.randint(n_recordings, clip.shape, generator=generator)
            recording = drawn_copy * len(self.lengths) + clip
            start = start * self.recording_lengths[recording] // self.lengths[clip]
        drawn = BatchIndex(
            recording,
            start,
            recording[sung],
            start[sung] + shift[clip[sung]] - start,
            torch.full_like(clip, self.n_frames),
            self.augmentation.gains(len(clip), generator),
            self.augmentation.hidden_bins(len(clip), self.n_fft // 2 + 1, generator),
        )
        yield from drawn.split(torch.randperm(len(clip), generator=generator), batch_size)

    def every(self, batch_size: int) -> Iterator[BatchIndex]:
        """Yield as many frames as every shifted mixture has, in sequences of at most `n_frames`.

        The number of frames leaves out the last partial one of a clip, as the authors' transform
        does. A clip is taken as a circle, as in its shifts: with `n_context` frames of context the
        frames that count begin `n_context` frames after its start, and the last ones wrap around.
        """
        n_shifts, step = self.shifts
        mixture, nth_shift = numbered(n_shifts)
        frames = ((self.lengths - self.n_fft) // self.hop + 1).clamp(min=1)[mixture]
        counts = -(-frames // self.n_frames)
        sequence, nth = numbered(counts)
        clip, first = mixture[sequence], nth * self.n_frames
        whole = BatchIndex(
            clip,
            first * self.hop,
            clip,
            nth_shift[sequence] * step,
            (frames[sequence] - first).clamp(max=self.n_frames),
            torch.ones(len(clip), len(TARGETS)),
            torch.zeros(len(clip), 2, dtype=torch.long),
        )
        yield from whole.split(torch.arange(len(clip)), batch_size)

    def magnitudes(self, excerpts: BatchIndex) -> tuple[Tensor, Tensor]:
        """Gather a batch and transform it on the device that holds `audio`.

        Returns
        -------
        mixture
            ``(sequence, frame + 2 n_context, bins)``.
        references
            ``(sequence, frame, targets, bins)``.
        """

        def gather(target: str, recording: Tensor, start: Tensor) -> Tensor:
            first = self.offsets[recording] + start % self.recording_lengths[recording]
            cuts = self.audio[TARGETS.index(target)].unfold(0, self.span, 1)
            return cuts[first.to(self.audio.device)]

        at = {
            "vocals": (excerpts.voice, excerpts.start + excerpts.shift),
            "accompaniment": (excerpts.accompaniment, excerpts.start),
        }
        gains = excerpts.gain.to(self.audio.device).T.unsqueeze(-1)
        sources = [
            gather(target, *at[target]) * gain for target, gain in zip(TARGETS, gains, strict=True)
        ]
        flat = torch.cat(sources)
        spectra = stft.forward_unpadded(flat, self.n_fft, self.hop).transpose(-1, -2)
        spectra = spectra.reshape(len(TARGETS), -1, *spectra.shape[1:])
        inside = slice(self.n_context, self.n_context + self.n_frames)
        mixture, inner_sources = spectra.sum(0), spectra[:, :, inside]
        if self.reference == "magnitude":
            references = inner_sources.abs()
        else:
            references = phase_sensitive(inner_sources, mixture[:, inside])
        return mixture.abs(), references.permute(1, 2, 0, 3)


def numbered(counts: Tensor) -> tuple[Tensor, Tensor]:
    """Return each index i ``counts[i]`` times, and with it 0, 1, … within these repetitions.

    Examples
    --------
    >>> numbered(torch.tensor([1, 3]))
    (tensor([0, 1, 1, 1]), tensor([0, 0, 1, 2]))
    """
    index = torch.repeat_interleave(torch.arange(len(counts)), counts)
    return index, torch.arange(len(index)) - (counts.cumsum(0) - counts)[index]


def extended(clip: Tensor, n: int) -> Tensor:
    """Return a clip ``(targets, samples)`` and after it `n` samples of it, from its start.

    Examples
    --------
    >>> extended(torch.tensor([[1, 2, 3]]), 4)
    tensor([[1, 2, 3, 1, 2, 3, 1]])
    """
    return clip[:, torch.arange(clip.shape[1] + n) % clip.shape[1]]


def mono_references(track: Track) -> Tensor:
    """Return a track's references as ``(targets, samples)``, channels averaged, float32."""
    return torch.stack(
        [torch.from_numpy(track.references[t].mean(axis=0)) for t in TARGETS]
    ).float()


def rms(sources: Tensor, n_fft: int, hop: int) -> float:
    """Return the root mean square of the spectrogram of a mix of incoherent sources.

    Parameters
    ----------
    sources
        ``(sources, samples)``; a mixture alone is one source.
    """
    power = stft.forward(sources, n_fft, hop).abs().square().mean(dim=(-1, -2))
    return float(power.sum().sqrt())
