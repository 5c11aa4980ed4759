from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import threadpoolctl
import torch

import bench
from bench.scoring.bss_eval import api, threads


def blas_threads() -> set[int]:
    return {
        lib["num_threads"] for lib in threadpoolctl.threadpool_info() if lib["user_api"] == "blas"
    }


def test_scoring_takes_one_thread_and_leaves_the_callers_settings(monkeypatch):
    seen = []
    energies = api.source_scores

    def watched(*arguments):
        seen.append((torch.get_num_threads(), blas_threads()))
        return energies(*arguments)

    monkeypatch.setattr(api, "source_scores", watched)
    references = np.random.default_rng(0).standard_normal((2, 1, 4000))
    torch.set_num_threads(2)
    try:
        with threadpoolctl.threadpool_limits(2, user_api="blas"):
            bench.scoring.bss_eval_sources(references, references + 0.1)
            assert seen == [(1, {1})]
            assert (torch.get_num_threads(), blas_threads()) == (2, {2})
    finally:
        torch.set_num_threads(1)


class Limits:
    """Stands for BLAS: notes who limits its threads and who restores their number."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def limit(self, **_: object) -> Limits:
        self.calls.append("limit")
        return self

    def restore_original_limits(self) -> None:
        self.calls.append("restore")


def test_the_last_of_several_callers_restores_what_the_first_has_met(monkeypatch):
    limits = Limits()
    monkeypatch.setattr(threads, "_controller", lambda: limits)
    inside = threading.Barrier(3, timeout=30)

    @threads.on_one_thread
    def wait(_: int) -> list[str]:
        inside.wait()
        return list(limits.calls)

    with ThreadPoolExecutor(3) as pool:
        assert list(pool.map(wait, range(3))) == [["limit"]] * 3
    assert limits.calls == ["limit", "restore"]


def test_callers_that_overlap_leave_pytorch_its_threads():
    torch.set_num_threads(2)
    first_is_in, second_is_in, first_is_out = (threading.Event() for _ in range(3))

    @threads.on_one_thread
    def first() -> None:
        first_is_in.set()
        assert second_is_in.wait(30)

    @threads.on_one_thread
    def second() -> None:
        second_is_in.set()
        assert first_is_out.wait(30)

    def one() -> int:
        first()
        first_is_out.set()
        return torch.get_num_threads()

    def other() -> int:
        assert first_is_in.wait(30)
        second()
        return torch.get_num_threads()

    try:
        with ThreadPoolExecutor(2) as pool:
            ends = [pool.submit(one), pool.submit(other)]
            assert [end.result(60) for end in ends] == [2, 2]
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(1)
