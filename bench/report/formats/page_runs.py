"""The runs and the provenance of a page: how each cell was computed, and from what."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bench import provenance
from bench.plan.cells import IMPORTED
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
        commit = str((first.get("provenance") or {}).get("commit", "")) or NOTHING
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


def shared_hyperparameters(runs: Sequence[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Take the hyperparameters that all cells of a method share out of its runs, and return them.

    Parameters
    ----------
    runs
        From `cell_runs`. Of those of a method with several, ``chosen`` and ``others`` lose what all
        of them have.

    Returns
    -------
    dict
        By method, the shared values by name.
    """
    by_method: dict[str, list[dict[str, Any]]] = {}
    for run in runs:
        by_method.setdefault(run["method"], []).append(run)
    shared = {}
    for method, of_method in by_method.items():
        all_values = [{**run["chosen"], **run["others"]} for run in of_method]
        same = {
            name: value
            for name, value in all_values[0].items()
            if all(name in values and values[name] == value for values in all_values)
        }
        if len(of_method) < 2 or not same:
            continue
        shared[method] = same
        for run in of_method:
            for kind in ("chosen", "others"):
                run[kind] = {k: v for k, v in run[kind].items() if k not in same}
    return shared


def joint_provenance(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Return digests of the data, versions, machines and commits of all cells."""
    digests: dict[str, str] = {}
    versions: dict[str, set[str]] = {}
    machines: set[str] = set()
    commits: set[str] = set()
    for cell in facts["cells"]:
        if cell["method"] != IMPORTED:  # its digest is of the names of its tracks
            digests |= cell["digests"]
        for scored in cell["scores"].values():
            for captured in provenance.all_captured(scored):
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
    if captured["device"] == "cuda":
        words.append(on["accelerator"])
    if captured.get("threads"):
        plural = "s" if captured["threads"] > 1 else ""
        words.append(f"{captured['threads']} thread{plural} a process")
    return ", ".join(words)
