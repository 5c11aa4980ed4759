"""The training of a cell: under a claim of its own, once for all cells that share it."""

from __future__ import annotations

import shutil
import time
from contextlib import nullcontext

from bench.datasets import open_dataset
from bench.errors import BenchError
from bench.methods.separator import Separator
from bench.methods.shared_work import sharing
from bench.runner.context import BusyError, CellContext
from bench.runner.failure import record_failure
from bench.runner.job import Job, device_here
from bench.runner.usage import Usage
from bench.store.cell_folder import CellFolder
from bench.store.claim import Claim, claimed
from bench.store.trained import load_method, member_folders, training_folder


def trained_method(job: Job, folder: CellFolder, claim: Claim) -> Separator:
    """Return the method of a cell, trained now or before, by this cell or by one that shares it.

    Raises
    ------
    BusyError
        Another process runs the training, or that of a member of the ensemble.
    """
    training = training_folder(folder)
    if folder.cell.learns and not training.is_fitted():
        members = member_folders(training)
        n_busy = 0
        for nth, member in enumerate(members):
            try:
                _train_once(job, member, folder, claim, f"member {nth + 1} of {len(members)}")
            except BusyError:  # the others may be free
                n_busy += 1
        if n_busy:
            raise BusyError
        _train_once(job, training, folder, claim)
    elif folder.cell.learns:  # a process that was killed may have left them after its training
        shutil.rmtree(training.path / "checkpoints", ignore_errors=True)
    return load_method(folder).to(device_here(job.device))


def _train_once(
    job: Job, training: CellFolder, waiting: CellFolder, claim: Claim, part: str = ""
) -> None:
    """Train a cell under a claim of its own, unless it is trained.

    Parameters
    ----------
    job
        Settings of the run.
    training
        Folder of the cell that is trained: the one that waits, or another that it needs.
    waiting
        Folder of the cell that waits, whose progress is shown.
    claim
        Claim on the folder that waits.
    part
        Which part of the waiting cell this training is, shown with its progress.

    Raises
    ------
    BenchError
        The training has failed in this run, of this cell or of another that needs it.
    BusyError
        Another process runs the training.
    """
    if training.is_fitted():
        return
    is_own = training.path == waiting.path
    claiming = nullcontext(claim) if is_own else claimed(training.path)
    with claiming as training_claim:
        if training_claim is None:
            raise BusyError
        if training.is_fitted():
            return
        if not is_own:
            state = training.state_after(job.began)
            if state.get("stage") == "failed":
                raise BenchError(state.get("error", ""))
            if not (training.path / "cell.json").is_file():
                training.begin()
        try:
            _train(job, training, waiting, training_claim, part)
        except BusyError:
            raise
        except Exception as error:
            if not is_own:  # else whoever computes the cell records it
                record_failure(training, error)
            raise


def check_holds(claim: Claim) -> None:
    """Refuse to go on where another process has taken a cell over.

    Raises
    ------
    BusyError
        It has.
    """
    if not claim.holds():
        raise BusyError


def _train(job: Job, training: CellFolder, waiting: CellFolder, claim: Claim, part: str) -> None:
    """Train a cell and keep all of it in its folder; see `_train_once`.

    An ensemble joins what its members have learnt. Its training time is the sum of theirs.
    """
    cell, members = training.cell, member_folders(training)
    start = time.perf_counter()
    with Usage() as usage:
        context = CellContext(training, waiting, claim, job.trainer_options, usage, part)
        context.report_progress(0, 0)
        method = cell.build().to(device_here(job.device))
        spared_s = 0.0
        if members:
            method = method.join([load_method(member) for member in members])
        else:
            dataset = open_dataset(cell.dataset, job.data)
            try:
                with sharing(training.shared_folder) as work:
                    method.fit(dataset.tracks("train"), dataset.tracks("dev"), context)
                spared_s = work.spared_s
            except Exception:
                check_holds(claim)  # several processes pass a BusyError on under another name
                raise
        check_holds(claim)
        method.save(training.fit_folder)
    facts_of_members = [member.fit_facts() for member in members]
    facts = {
        "fit_s": sum(
            [time.perf_counter() - start, context.earlier_s, spared_s]
            + [fact["fit_s"] for fact in facts_of_members]
        ),
        "peak_bytes": max([usage.peak_bytes, *(fact["peak_bytes"] for fact in facts_of_members)]),
        "provenance": job.provenance(),
    }
    if members:
        facts["members"] = [fact["provenance"] for fact in facts_of_members]
    check_holds(claim)
    training.mark_fitted({**facts, **method.training_facts()})
    shutil.rmtree(training.path / "checkpoints", ignore_errors=True)
