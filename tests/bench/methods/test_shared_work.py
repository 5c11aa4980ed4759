import numpy as np
import pytest
from safetensors.numpy import save

from bench.methods import shared_work
from bench.methods.shared_work import SharedWork, shared, sharing

SIGNAL = np.arange(6.0).reshape(2, 3)


@pytest.fixture
def clock(monkeypatch):
    """Let each look at the clock be 1.5 s after the one before."""
    times = iter(1.5 * np.arange(100))
    monkeypatch.setattr(shared_work.time, "perf_counter", lambda: next(times))


def refuse():
    pytest.fail("computed again")


def test_an_array_is_computed_once_and_its_time_is_told_to_whoever_reads_it(tmp_path, clock):
    first, second = SharedWork(tmp_path / "shared"), SharedWork(tmp_path / "shared")
    value = first.array(SIGNAL, {"work": "sum"}, lambda: SIGNAL.sum(axis=0))
    assert first.spared_s == 0
    again = second.array(SIGNAL, {"work": "sum"}, refuse)
    assert again.dtype == value.dtype
    assert np.array_equal(again, SIGNAL.sum(axis=0))
    assert second.spared_s == 1.5
    second.array(SIGNAL, {"work": "sum"}, refuse)
    assert second.spared_s == 3


def test_other_signals_types_shapes_or_settings_are_other_arrays(tmp_path):
    work = SharedWork(tmp_path)
    cases = [
        (SIGNAL, {"k": 1}),
        (SIGNAL, {"k": 2}),
        (SIGNAL + 1, {"k": 1}),
        (SIGNAL.astype(np.int64), {"k": 1}),
        (SIGNAL.ravel(), {"k": 1}),
    ]
    for n, (signal, settings) in enumerate(cases):
        value = work.array(signal, settings, lambda n=n: np.array([n]))
        assert value == n
    assert len(list(tmp_path.iterdir())) == len(cases)


@pytest.mark.parametrize("content", [b"", save({"seconds": np.array(1.0)}), None])
def test_a_damaged_file_is_written_anew(tmp_path, content):
    SharedWork(tmp_path).array(SIGNAL, {}, lambda: SIGNAL * 2)
    (file,) = tmp_path.iterdir()
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2] if content is None else content)
    assert np.array_equal(SharedWork(tmp_path).array(SIGNAL, {}, lambda: SIGNAL * 2), SIGNAL * 2)
    assert np.array_equal(SharedWork(tmp_path).array(SIGNAL, {}, refuse), SIGNAL * 2)
    assert list(tmp_path.iterdir()) == [file]


def test_where_nothing_can_be_kept_the_array_is_computed_each_time(tmp_path):
    (tmp_path / "file").write_text("no folder")
    work = SharedWork(tmp_path / "file" / "shared")
    for n in range(2):
        assert work.array(SIGNAL, {}, lambda n=n: np.array([n])) == n
    assert work.spared_s == 0


def test_only_inside_the_context_are_arrays_kept(tmp_path):
    assert shared(SIGNAL, {}, lambda: SIGNAL) is SIGNAL
    with sharing(tmp_path) as outer:
        shared(SIGNAL, {}, lambda: SIGNAL)
        with sharing(tmp_path) as inner:
            shared(SIGNAL, {}, refuse)
        shared(SIGNAL, {}, refuse)
    assert inner.spared_s > 0
    assert outer.spared_s == inner.spared_s
    assert shared(SIGNAL, {}, lambda: SIGNAL + 1)[0, 0] == 1
