from __future__ import annotations

import subprocess
import sys
import time

from bench.runner.usage import Usage

#: Run by itself: what a long test process gives back meanwhile would hide what is asked for here.
ASKS_AND_GIVES_BACK = """
import time
import numpy as np
from bench.runner.usage import PERIOD_S, Usage

with Usage() as usage:
    before = usage.peak_bytes
    big = np.ones(200 * 2**20, dtype=np.uint8)
    time.sleep(5 * PERIOD_S)
    del big
    whole = usage.peak_bytes
    usage.restart()
print((whole - before) / 2**20, (usage.peak_bytes - before) / 2**20)
"""


def test_the_peak_is_met_when_the_memory_is_given_back_and_forgotten_at_a_restart():
    ran = subprocess.run(
        [sys.executable, "-c", ASKS_AND_GIVES_BACK], check=True, capture_output=True, text=True
    )
    peak, after = map(float, ran.stdout.split())
    assert 150 < peak < 400
    assert after < 100


def test_processor_and_memory_go_by_the_names_of_system_metrics():
    with Usage() as usage:
        start = time.process_time()
        while time.process_time() - start < 0.3:
            pass
        metrics = usage.metrics()
    assert all(name.startswith("system/") for name in metrics)
    assert metrics["system/memory_usage_megabytes"] > 50
    assert metrics["system/cpu_utilization_percentage"] > 10
