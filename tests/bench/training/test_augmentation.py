"""Augmentation: what a training sequence becomes, the same for the same seed."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from baselines.networks.drnn.separator import DRNN
from bench.errors import BenchError
from bench.methods import registry
from bench.methods.context import FitContext
from bench.training import callbacks
from bench.training.augmentation import Augmentation, with_hidden_bins
from bench.training.excerpts import TrainingExcerpts
from bench.training.lightning import Epoch

SMALL = {"hidden": 24, "layers": 2, "frames": 10, "batch_size": 4, "precision": "float32"}
FIELDS = {
    "gain_db": 6.0,
    "polarity": True,
    "spectral_mask": 0.3,
    "pitch_semitones": 3.0,
    "tempo_change": 0.2,
    "average": 0.9,
}


def excerpts(tracks, augmentation=None) -> TrainingExcerpts:
    return TrainingExcerpts(
        tracks, 9.0, 1024, 512, 10, 1, augmentation=augmentation or Augmentation()
    )


def first_batch(cut: TrainingExcerpts):
    return next(iter(Epoch(cut, 0, 0, 1000)))


def test_gains_are_within_their_bound_and_differ_between_targets(tracks):
    gains = Augmentation(gain_db=6.0).gains(500, torch.Generator().manual_seed(0))
    decibels = 20 * gains.log10()
    assert 5.5 < float(decibels.max()) <= 6
    assert -6 <= float(decibels.min()) < -5.5
    assert not torch.equal(gains[:, 0], gains[:, 1])


def test_references_follow_their_gains_and_a_polarity_changes_the_mixture_alone(tracks):
    cut = excerpts(tracks)
    plain = first_batch(cut)
    mixture, references = cut.magnitudes(plain)
    plain.gain[:, 0] = -1.0
    reversed_mixture, same = cut.magnitudes(plain)
    assert torch.equal(references, same)
    assert not torch.allclose(mixture, reversed_mixture, rtol=1e-2)
    plain.gain[:, 0] = 2.0
    _, louder = cut.magnitudes(plain)
    assert torch.allclose(louder[:, :, 0], 2 * references[:, :, 0], rtol=1e-5, atol=1e-6)
    assert torch.equal(louder[:, :, 1], references[:, :, 1])


def test_hidden_bins_lie_side_by_side_and_within_their_bound():
    hidden = Augmentation(spectral_mask=0.3).hidden_bins(200, 513, torch.Generator().manual_seed(0))
    widths = hidden[:, 1] - hidden[:, 0]
    assert 0 <= int(widths.min()) <= int(widths.max()) <= round(0.3 * 513)
    assert int(widths.max()) > 100
    assert int(hidden.max()) <= 513
    seen = with_hidden_bins(torch.ones(200, 3, 513), hidden)
    assert torch.equal(513 - seen[:, 0].sum(-1), widths.float())
    assert bool((seen[0, :, hidden[0, 0] : hidden[0, 1]] == 0).all())


def test_what_is_off_draws_nothing_so_that_the_other_draws_stay(tracks):
    plain, augmented = excerpts(tracks), excerpts(tracks, Augmentation(polarity=True))
    one, two = first_batch(plain), first_batch(augmented)
    assert bool((one.gain == 1).all())
    assert set(two.gain.unique().tolist()) == {-1.0, 1.0}
    assert torch.equal(one.start.sort().values, two.start.sort().values)


@pytest.fixture(scope="module")
def plain(tracks):
    """The weights of a training without augmentation."""
    return DRNN(**SMALL, epochs=2).fit(tracks).weights_


@pytest.mark.parametrize("field", FIELDS)
def test_each_field_changes_the_weights_and_gives_the_same_for_the_same_seed(tracks, plain, field):
    values = {**SMALL, "epochs": 2}
    one, two = (DRNN(**values, **{field: FIELDS[field]}).fit(tracks).weights_ for _ in range(2))
    assert all(np.array_equal(one[name], two[name]) for name in one)
    assert not np.array_equal(plain["output.weight"], one["output.weight"])


class Killed(FitContext):
    """Ends like a killed process after two epochs, where `ends`."""

    def __init__(self, folder, *, ends):
        self.folder, self.ends = folder, ends
        self.epochs = []

    def report_progress(self, done, total, unit="steps", text=""):
        self.epochs.append(done)
        if self.ends and done > 2:
            raise KeyboardInterrupt


def test_an_augmented_and_averaged_training_resumes_to_the_same_weights(
    tracks, dev, tmp_path, monkeypatch
):
    monkeypatch.setattr(callbacks, "CHECKPOINT_SHARE", float("inf"))
    values = {**SMALL, **FIELDS, "epochs": 5}
    for select in ("best", "last"):
        own = DRNN(**values, select=select)
        through = own.fit(tracks, dev, Killed(tmp_path / f"a{select}", ends=False)).weights_
        folder = tmp_path / f"b{select}"
        with pytest.raises(KeyboardInterrupt):
            DRNN(**values, select=select).fit(tracks, dev, Killed(folder, ends=True))
        context = Killed(folder, ends=False)
        resumed = DRNN(**values, select=select).fit(tracks, dev, context)
        assert context.epochs[0] > 0, "it began again"
        assert all(np.array_equal(through[k], resumed.weights_[k]) for k in through)


def test_the_average_follows_the_weights_at_its_decay(tracks):
    values = {**SMALL, "batch_size": 1000, "epochs": 3}  # one step an epoch
    plain, slow, quick = (
        DRNN(**values, average=average).fit(tracks).weights_["output.weight"]
        for average in (0.0, 0.999, 1e-12)
    )
    assert np.allclose(quick, plain, atol=1e-9)
    assert np.abs(slow - plain).max() > 1e-4


@pytest.mark.parametrize("field", FIELDS)
def test_lbfgs_refuses_what_it_cannot_use(field):
    values = {"recipe": "lbfgs", "shift": 0, "pairing": "own", field: FIELDS[field]}
    with pytest.raises(BenchError, match=f"leave out {field}"):
        registry.make(DRNN, values, "here")
