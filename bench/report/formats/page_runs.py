"""The runs and the provenance of a page: how each cell was computed, and from what."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bench import provenance
from bench.report.numbers import NOTHING
from bench.store.results import Results


def cell_runs(results: Results, facts: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return for each cell its seed, MLflow runs, commit and hyperparameters."""
    set_by_file = {
        label: values for entry in results.experiment.methods for label, values in entry.variants()
    }
    runs = []
    for cell in facts["cells"]:
        first: dict[str, Any] = next(iter(cell["scores"].values()), {})
        commit = str(first.get("provenance", {}).get("commit", "")) or NOTHING
        values = cell["hyperparameters"]
        chosen = {k: values[k] for k in set_by_file.get(cell["row"], {}) if k in values}
        runs.append(
            {
                "row": cell["row"],
                "method": cell["method"],
                "seed": NOTHING if cell["seed"] is None else cell["seed"],
                "status": cell["status"],
                "runs": cell.get("mlflow_runs", []),
                "commit": provenance.short(commit),
                "chosen": chosen,
                "others": {k: v for k, v in values.items() if k not in chosen},
                "fingerprint": cell["fingerprint"][:12],
            }
        )
    return runs


def joint_provenance(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Return digests of the data, versions, machines and commits of all cells."""
    digests: dict[str, str] = {}
    versions: dict[str, set[str]] = {}
    machines: set[str] = set()
    commits: set[str] = set()
    for cell in facts["cells"]:
        digests |= cell["digests"]
        for scored in cell["scores"].values():
            for captured in (scored.get("provenance"), scored.get("fit", {}).get("provenance")):
                if not captured:
                    continue
                commits.add(captured["commit"])
                machines.add(_machine(captured))
                for name, version in captured["versions"].items():
                    versions.setdefault(name, set()).add(version)
    return {
        "digests": digests,
        "versions": {name: ", ".join(sorted(values)) for name, values in versions.items()},
        "machines": sorted(machines),
        "commits": sorted(commits),
    }


def _machine(captured: Mapping[str, Any]) -> str:
    """Return a machine in a line."""
    on = captured["machine"]
    words = [on["processor"], f"{on['cores']} cores", f"{on['memory_gib']} GiB", on["system"]]
    return ", ".join([*words, *([on["accelerator"]] if captured["device"] == "cuda" else [])])
