from __future__ import annotations

import time

import numpy as np

from bench.runner.load import PERIOD_S, Load

MIB = 2**20


def test_the_peak_is_met_even_when_the_memory_is_given_back_before_the_end():
    with Load() as load:
        before = load.peak_bytes
        big = np.ones(200 * MIB, dtype=np.uint8)
        time.sleep(5 * PERIOD_S)
        del big
    assert 150 * MIB < load.peak_bytes - before < 400 * MIB


def test_processor_and_memory_go_by_the_names_of_system_metrics():
    with Load() as load:
        start = time.process_time()
        while time.process_time() - start < 0.3:
            pass
        found = load.metrics()
    assert all(name.startswith("system/") for name in found)
    assert found["system/memory_usage_megabytes"] > 50
    assert found["system/cpu_utilization_percentage"] > 10
