"""What a run in MLflow holds of a cell."""

from __future__ import annotations

import pandas as pd
import pytest

from bench.datasets.synthetic import Synthetic
from bench.plan.cells import cells
from bench.plan.experiment import Experiment
from bench.store.cell_folder import CellFolder
from bench.tracking import content

SCORES = pd.DataFrame(
    {
        "track": ["a"],
        "target": ["vocals"],
        "protocol": ["bss_eval_v3"],
        "metric": ["sdr"],
        "window": [-1],
        "value": [1.5],
        "n_samples": [16_000],
    }
)


@pytest.mark.parametrize("facts", [{}, {"provenance": None, "separate_s": 2.0, "n_tracks": 1}])
def test_a_cell_whose_making_is_not_known_is_recorded_with_what_is(tmp_path, facts):
    methods = [{"method": "mixture", "label": "Mixture"}]
    experiment = Experiment(name="x", title="t", why="w", dataset="synthetic", methods=methods)
    (cell,) = cells(experiment, Synthetic())
    folder = CellFolder(tmp_path, cell)
    folder.begin()
    folder.write_scores("bss_eval_v3", SCORES, facts)
    record = content.finished(folder, experiment)
    assert "commit" not in record.tags
    assert "provenance.json" not in record.files
    assert "time/real_time_factor" not in record.metrics
    assert record.metrics.get("time/separate_s") == facts.get("separate_s")
