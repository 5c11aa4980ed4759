"""What a run says of its cell: tags, datasets, metrics, tables."""

from __future__ import annotations

import json
import math
import time
from typing import TYPE_CHECKING

from bench import provenance
from bench.runner.plan import Cell
from bench.runner.store import CellFolder
from bench.scoring.aggregate import over_tracks
from bench.tracking.store import json_text

if TYPE_CHECKING:
    import pandas as pd
    from mlflow import MlflowClient


def cell_tags(cell: Cell) -> dict[str, str]:
    """Return what teams filter by, on every child run."""
    tags = {
        "bench.kind": "cell",
        "row": cell.row,
        "method": cell.method,
        "group": cell.group,
        "dataset": cell.dataset,
        "split_digest": cell.digests["test"],
        "seed": "none" if cell.seed is None else str(cell.seed),
        "protocol": ", ".join(cell.protocols),
        "commit": provenance.commit(),
        "fingerprint": cell.fingerprint,
    }
    return tags


def log_inputs(client: MlflowClient, run_id: str, cell: Cell) -> None:
    """Log each split of a cell with its digest as a dataset."""
    from mlflow.entities import Dataset, DatasetInput, InputTag

    inputs = [
        DatasetInput(
            Dataset(
                name=f"{cell.dataset}-{split}",
                digest=digest[:32],
                source_type="local",
                source=json_text({"dataset": cell.dataset, "split": split, "sha256": digest}),
            ),
            [InputTag("mlflow.data.context", split)],
        )
        for split, digest in cell.digests.items()
    ]
    client.log_inputs(run_id, inputs)


def log_scores(
    client: MlflowClient, run_id: str, folder: CellFolder, protocol: str, *, prefix: str
) -> None:
    """Log a finished cell's scores under a protocol: rows, times, the table of all tracks.

    `prefix` goes before the names of the metrics.
    """
    from mlflow.entities import Metric, RunTag

    scores, facts = folder.scores(protocol), folder.score_facts(protocol)
    if scores is None:
        return
    metrics: dict[str, float | None] = {
        "time/fit_s": facts.get("fit", {}).get("fit_s"),
        "time/separate_s": facts["separate_s"],
        "n_tracks": facts["n_tracks"],
    }
    if facts["separate_s"] is not None:
        factor = facts["separate_s"] / max(facts["audio_s"], 1e-9)
        metrics["time/real_time_factor"] = factor
    for row in over_tracks(scores).to_dict("records"):
        key = f"{prefix}{row['target']}/{row['metric']}"
        metrics[key] = row["value"] if math.isfinite(row["value"]) else None
        metrics[f"{key}_undefined"] = row["n_undefined"] or None
        metrics[f"{key}_infinite"] = row["n_infinite"] or None
    now = int(time.time() * 1000)
    logged = [Metric(key, v, now, 0) for key, v in metrics.items() if v is not None]
    # In one go: a store may be far away.
    client.log_batch(run_id, logged, tags=[RunTag("commit", facts["provenance"]["commit"])])
    client.log_dict(run_id, facts["provenance"], "provenance.json")
    log_table(client, run_id, scores, f"scores/{protocol}.json")


def log_table(client: MlflowClient, run_id: str, scores: pd.DataFrame, name: str) -> None:
    """Log scores as the table `name`, over what is there: MLflow's own ``log_table`` adds to it."""
    table = scores.astype({"value": "float64"}).replace([math.inf, -math.inf], math.nan)
    client.log_text(run_id, table.to_json(orient="split", index=False), name)
    tag = "mlflow.loggedArtifacts"
    listed = json.loads(client.get_run(run_id).data.tags.get(tag, "[]"))
    entry = {"path": name, "type": "table"}
    if entry not in listed:
        client.set_tag(run_id, tag, json.dumps([*listed, entry]))
