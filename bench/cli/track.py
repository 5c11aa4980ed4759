"""``bench track``: what an MLflow store lacks, recorded from the folders of the cells."""

from __future__ import annotations

from bench.cli.options import HERE, NameArgument, manifest_of
from bench.cli.tables import prepare_report, set_aside_broken_store
from bench.errors import BenchError


def track(name: NameArgument) -> None:
    """Record in MLflow, from the cells' folders, what the store does not have."""
    from bench.report.tabulate import tabulate
    from bench.report.write import write_report
    from bench.tracking.tracker import Tracker

    manifest = manifest_of(name)
    prepare_report(manifest.experiment.name)
    set_aside_broken_store()
    tracker = Tracker(manifest, HERE)
    tracker.connect()
    tracker.forget_missing()
    if tracker.trouble:
        raise BenchError(tracker.trouble)
    try:
        outcomes = manifest.results().outcomes
        folders = zip(manifest.folders, outcomes, strict=True)
        ended = [folder for folder, outcome in folders if outcome.status != "missing"]
        n_refused = 0
        for folder in ended:
            n_refused = 0 if tracker.finish(folder) else n_refused + 1
            if n_refused == 2:  # the store is away, rather than one cell refused
                break
        results = manifest.results(known=outcomes)
        tracker.close(results.n_failed, write_report(tabulate(results), HERE))
    except (KeyboardInterrupt, BenchError):
        tracker.interrupt()
        raise
    if tracker.trouble:
        raise BenchError(tracker.trouble)
    print(f"{len(outcomes)} cells: {len(ended)} in MLflow, {results.n_failed} of them as failed")
