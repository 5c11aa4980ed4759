"""A gammatone filterbank, and what its units show of a voice: energy, and period at a known pitch.

    |G_c(f)| = (1 + ((f - f_c) / b_c)^2)^-2,   b_c = 1.019 * 24.7 (4.37 f_c / 1000 + 1)

the magnitude of the fourth-order filter at centre frequency f_c, without its term at -f_c. The
filters here have no phase, so that all units of a frame lie at the same time. A unit is one
filter's output within 40 ms about the centre of a frame. At the lag of the voice's period, the
correlation of a unit with itself is near 1 where the voice is alone in it. Where one filter passes
several harmonics, the correlation of its envelope is near 1 instead.

References
----------
Patterson, Nimmo-Smith, Holdsworth, Rice: An efficient auditory filterbank based on the gammatone
function, APU report 2341, 1988.
Glasberg, Moore: Derivation of auditory filter shapes from notched-noise data, Hearing Research 47,
1990 (ERB).
Hu, Wang: Monaural speech segregation based on pitch tracking and amplitude modulation, IEEE Trans.
Neural Networks 15(5), 2004 (units and their periods).
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import scipy
from numpy.typing import NDArray

Vector = NDArray[np.float64]
Units = NDArray[np.float64]

#: Lowest centre frequency in hertz, and the highest as a share of the sampling rate.
LOWEST, HIGHEST = 80.0, 0.475
#: Length of a unit in seconds.
UNIT_S = 0.04
#: Zero padding in seconds: the transform is circular, so that the filters ring into it after the
#: end and before the start.
RING_S = 0.25


def centre_frequencies(n_filters: int, rate: int) -> Vector:
    """Return the filters' centre frequencies in hertz, equally spaced in ERB, ``(filters,)``."""
    lowest, highest = (21.4 * np.log10(4.37e-3 * f + 1) for f in (LOWEST, HIGHEST * rate))
    spaced: Vector = (10 ** (np.linspace(lowest, highest, n_filters) / 21.4) - 1) / 4.37e-3
    return spaced


def response(frequency: Vector, centre: float) -> Vector:
    """Return how much one filter passes of frequencies in hertz: 1 at its centre frequency."""
    bandwidth = 1.019 * 24.7 * (4.37e-3 * centre + 1)
    return np.asarray(1 / np.square(1 + np.square((frequency - centre) / bandwidth)))


def bin_shares(n_filters: int, n_bins: int, rate: int) -> NDArray[np.float64]:
    """Return the part of the energy of each bin that each filter passes, of all that they pass.

    Parameters
    ----------
    n_filters
        Number of filters.
    n_bins
        Number of bins from 0 Hz to half the sampling rate.
    rate
        Sampling rate in hertz.

    Returns
    -------
    ndarray
        ``(bins, filters)``; each row adds up to 1. Its product with a value of each filter is a
        value of each bin.
    """
    frequency = np.linspace(0.0, rate / 2, n_bins)
    centres = centre_frequencies(n_filters, rate)
    passed = np.stack([response(frequency, centre) ** 2 for centre in centres], axis=1)
    return np.asarray(passed / passed.sum(axis=1, keepdims=True))


class Filterbank:
    """The filters' outputs of one signal, one filter at a time, so that memory holds one.

    Parameters
    ----------
    audio
        ``(samples,)``.
    rate
        Sampling rate in hertz.
    n_filters
        Number of filters.
    centres
        Sample at the centre of each unit, ``(frames,)``; units reach beyond the audio, into zeros.
    """

    def __init__(self, audio: Vector, rate: int, n_filters: int, centres: NDArray[np.int_]) -> None:
        self.rate, self.centres = rate, centres
        self.frequencies = centre_frequencies(n_filters, rate)
        self.n_samples = len(audio)
        self._n_fft = scipy.fft.next_fast_len(len(audio) + int(RING_S * rate), real=True)
        self._spectrum = scipy.fft.rfft(audio, self._n_fft)

    def __len__(self) -> int:
        return len(self.frequencies)

    @property
    def unit(self) -> int:
        """Length of a unit in samples."""
        return round(UNIT_S * self.rate)

    def outputs(self) -> Iterator[NDArray[np.complex64]]:
        """Yield each filter's analytic output, ``(samples,)``; its magnitude is the envelope."""
        frequency = scipy.fft.rfftfreq(self._n_fft, 1 / self.rate)
        for centre in self.frequencies:
            spectrum = np.zeros(self._n_fft, np.complex64)
            spectrum[: len(frequency)] = 2 * self._spectrum * response(frequency, centre)
            yield scipy.fft.ifft(spectrum, overwrite_x=True)[: self.n_samples]

    def energies(self) -> Units:
        """Return the energy of each unit, ``(filters, frames)``."""
        return np.stack([self._energy(output) for output in self.outputs()])

    def periods(self, pitch: Vector) -> tuple[Units, Units, Units]:
        """Return energies, and how well each unit agrees with a pitch.

        Parameters
        ----------
        pitch
            Pitch of each frame in hertz, ``(frames,)``; 0 where there is none.

        Returns
        -------
        energies, fine, envelope
            ``(filters, frames)`` each. The last two are correlations from -1 to 1 of the output and
            of its envelope with themselves one period later; 0 where there is no pitch.
        """
        energies = np.empty((len(self), len(self.centres)))
        fine, envelope = np.zeros_like(energies), np.zeros_like(energies)
        voiced = np.flatnonzero(pitch > 0)
        lags = np.round(self.rate / pitch[voiced]).astype(int)
        margin = self.unit + int(lags.max(initial=0))
        first = self.centres[voiced] - (self.unit + lags) // 2 + margin
        earlier = first[:, None] + np.arange(self.unit)
        later = np.clip(earlier + lags[:, None], 0, self.n_samples + 2 * margin - 1)
        earlier = np.clip(earlier, 0, self.n_samples + 2 * margin - 1)
        for n, output in enumerate(self.outputs()):
            energies[n] = self._energy(output)
            padded = np.pad(output, margin)
            for values, correlation in ((padded.real, fine), (np.abs(padded), envelope)):
                one, two = values[earlier], values[later]
                if correlation is envelope:
                    one = one - one.mean(axis=1, keepdims=True)
                    two = two - two.mean(axis=1, keepdims=True)
                products = (
                    np.einsum("ij,ij->i", a, b) for a, b in ((one, two), (one, one), (two, two))
                )
                across, own, other = products
                correlation[n, voiced] = across / np.sqrt(np.maximum(own * other, 1e-30))
        return energies, fine, envelope

    def _energy(self, output: NDArray[np.complex64]) -> Vector:
        """Return the energy of one filter's units, ``(frames,)``."""
        power = np.square(output.real, dtype=np.float64) + np.square(output.imag, dtype=np.float64)
        until = np.concatenate([[0.0], np.cumsum(power)])
        start = np.clip(self.centres - self.unit // 2, 0, self.n_samples)
        stop = np.clip(self.centres - self.unit // 2 + self.unit, 0, self.n_samples)
        return np.asarray(until[stop] - until[start])
