from __future__ import annotations

import numpy as np
import pytest
import torch

from baselines.networks.drnn.separator import DRNN
from bench import stft
from bench.datasets.mir1k import MIR1K
from bench.track import TARGETS, Track
from bench.training.excerpts import TrainingExcerpts, mono_references, rms
from bench.training.lightning import Epoch


def excerpts(tracks, n_frames=10):
    return TrainingExcerpts(tracks, DRNN.LEVEL, 1024, 512, n_frames, 1)


def test_references_of_a_stereo_track_are_the_mean_of_its_channels(tracks):
    stereo = {t: np.concatenate([a, 3 * a]) for t, a in tracks[0].references.items()}
    one, two = mono_references(tracks[0]), mono_references(Track("two", 16_000, stereo))
    torch.testing.assert_close(two, 2 * one)


def test_phase_sensitive_references_are_those_of_the_shifted_mixture(tracks):
    plain = excerpts(tracks)
    cut = TrainingExcerpts(tracks, DRNN.LEVEL, 1024, 512, 10, 1, reference="phase_sensitive")
    (batch, *_) = Epoch(cut, 0, 0, 100)
    mixture, references = cut.magnitudes(batch)
    plain_mixture, magnitudes = plain.magnitudes(batch)
    assert torch.equal(mixture, plain_mixture)
    torch.testing.assert_close(references.sum(2), mixture[:, 1:-1], rtol=1e-4, atol=1e-4)
    assert (references <= magnitudes * (1 + 1e-5) + 1e-5).all()
    assert (references < 0.9 * magnitudes).any()


def test_an_epoch_is_the_same_for_the_same_seed_and_number_and_no_other(tracks):
    def drawn(seed, epoch):
        return [
            torch.stack([b.accompaniment, b.start, b.shift]) for b in Epoch(cut, seed, epoch, 4)
        ]

    cut = excerpts(tracks)
    assert all(torch.equal(a, b) for a, b in zip(drawn(0, 3), drawn(0, 3), strict=True))
    assert not torch.equal(torch.cat(drawn(0, 3), 1), torch.cat(drawn(0, 4), 1))
    assert not torch.equal(torch.cat(drawn(0, 3), 1), torch.cat(drawn(1, 3), 1))
    assert len(drawn(0, 0)) == len(Epoch(cut, 0, 0, 4))
    assert sum(batch.shape[1] for batch in drawn(0, 0)) == cut.n_sequences


def test_sequences_are_excerpts_of_the_shifted_mixture(tracks):
    cut = excerpts(tracks)
    (batch, *_) = Epoch(cut, 0, 0, 100)
    mixture, references = cut.magnitudes(batch)
    assert mixture.shape == (cut.n_sequences, 12, 513)
    assert references.shape == (cut.n_sequences, 10, 2, 513)
    i = 2
    clip, start, shift = (int(v[i]) for v in (batch.accompaniment, batch.start, batch.shift))
    voice, backing = mono_references(tracks[clip])
    level = DRNN.LEVEL / rms(torch.stack([voice, backing]).double(), 1024, 512)
    rolled = torch.roll(voice, -shift)
    span = 11 * 512 + 1024
    both = [torch.roll(s, -start).repeat(3)[:span] * level for s in (rolled, backing)]
    whole = stft.forward_unpadded(torch.stack(both), 1024, 512).transpose(1, 2)
    assert torch.allclose(mixture[i], whole.sum(0).abs(), atol=1e-3)
    assert torch.allclose(references[i, :, 0], whole[0, 1:-1].abs(), atol=1e-3)
    assert torch.allclose(references[i, :, 1], whole[1, 1:-1].abs(), atol=1e-3)


def test_every_frame_of_every_shifted_mixture_is_given_once(tracks):
    cut = TrainingExcerpts(tracks, DRNN.LEVEL, 1024, 512, 7, 1, shift=9_000)
    seen = []
    for batch in cut.every(5):
        assert torch.equal(batch.voice, batch.accompaniment)
        for clip, start, shift, n in zip(
            batch.accompaniment, batch.start, batch.shift, batch.n_frames, strict=True
        ):
            seen += [(int(clip), int(shift), int(start) // 512 + i) for i in range(int(n))]
    expected = [
        (clip, k * 9_000, frame)
        for clip, track in enumerate(tracks)
        for k in range(track.n_samples // 9_000)
        for frame in range((track.n_samples - 1024) // 512 + 1)
    ]
    assert sorted(seen) == sorted(expected)


@pytest.mark.parametrize("shift", [0, 4_000])
def test_a_step_gives_its_multiples_and_0_none(tracks, shift):
    cut = TrainingExcerpts(tracks, DRNN.LEVEL, 1024, 512, 10, 1, shift)
    drawn = {int(s) for epoch in range(30) for b in Epoch(cut, 0, epoch, 9) for s in b.shift}
    longest = max(track.n_samples for track in tracks)
    assert drawn == ({k * shift for k in range(longest // shift)} if shift else {0})


def test_a_voice_over_any_accompaniment_is_heard_once_an_epoch_like_each_accompaniment(tracks):
    cut = TrainingExcerpts(tracks, DRNN.LEVEL, 1024, 512, 10, 1, "random", "any")
    (batch,) = Epoch(cut, 0, 0, 1000)
    assert torch.equal(batch.accompaniment.sort().values, batch.voice.sort().values)
    assert not torch.equal(batch.accompaniment, batch.voice)
    mixture, references = cut.magnitudes(batch)
    i = int((batch.accompaniment != batch.voice).nonzero()[0])
    clip, voice = int(batch.accompaniment[i]), int(batch.voice[i])
    starts = {"vocals": int(batch.start[i] + batch.shift[i]), "accompaniment": int(batch.start[i])}
    span = 11 * 512 + 1024
    heard = []
    for target, number in (("vocals", voice), ("accompaniment", clip)):
        both = mono_references(tracks[number])
        audio = both[TARGETS.index(target)] * DRNN.LEVEL / rms(both.double(), 1024, 512)
        heard.append(torch.roll(audio, -starts[target]).repeat(3)[:span])
    whole = stft.forward_unpadded(torch.stack(heard), 1024, 512).transpose(1, 2)
    assert torch.allclose(mixture[i], whole.sum(0).abs(), atol=1e-3)
    assert torch.allclose(references[i, :, 0], whole[0, 1:-1].abs(), atol=1e-3)
    assert torch.allclose(references[i, :, 1], whole[1, 1:-1].abs(), atol=1e-3)


def test_the_papers_training_set_has_its_number_of_mixtures_and_frames(shared):
    names = (tracks := MIR1K(shared / "data").tracks("train")).names
    assert len(names) == 171
    cut = TrainingExcerpts(list(tracks), DRNN.LEVEL, 1024, 512, 100, 1, shift=10_000)
    assert int(cut.shifts[0].sum()) == 2_133
    assert sum(int(b.n_frames.sum()) for b in cut.every(4096)) == 565_822
