"""Headers that promise what no audio has are refused before anything is read."""

from __future__ import annotations

import struct

import numpy as np
import pytest
import soundfile

from bench.audio import header, reading
from bench.errors import BenchError


@pytest.mark.parametrize(("rate", "n_channels"), [(2_147_483_647, 1), (1, 1), (16_000, 1024)])
def test_a_rate_or_a_number_of_channels_that_no_audio_has_is_refused(tmp_path, rate, n_channels):
    path = tmp_path / "song.wav"
    soundfile.write(path, np.zeros((16, 1)), 16_000)
    content = bytearray(path.read_bytes())
    struct.pack_into("<HI", content, 22, n_channels, rate)
    struct.pack_into("<H", content, 32, 2 * n_channels)
    path.write_bytes(content)
    with pytest.raises(BenchError, match=f"declares {n_channels} channels at {rate} Hz"):
        header(path)


def test_more_samples_than_memory_holds_are_refused_in_one_line(tmp_path):
    path = tmp_path / "song.wav"
    soundfile.write(path, np.zeros((16, 1)), 16_000)
    with pytest.raises(BenchError, match="it needs more memory than there is"):
        reading(path, lambda _: np.zeros(2**55))
