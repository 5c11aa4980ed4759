"""One cell from start to end: claim, train, then separate and score each test track."""

from __future__ import annotations

import platform
import time

import numpy as np
import pandas as pd
import threadpoolctl
import torch
from numpy.typing import NDArray

from bench.datasets import open_dataset
from bench.methods import chunks, registry
from bench.methods.separator import Separator
from bench.methods.shared_work import sharing
from bench.plan.cells import Cell
from bench.runner.context import BusyError, ProgressWriter
from bench.runner.failure import record_failure
from bench.runner.job import Job, JobResult
from bench.runner.training import check_holds, trained_method
from bench.runner.usage import Usage
from bench.scoring.prepared import Prepared
from bench.scoring.protocols import protocol, score_track, scores_pitch
from bench.store.cell_folder import CellFolder
from bench.store.claim import Claim, claimed
from bench.store.estimates import keep, kept
from bench.store.listening import write_estimates
from bench.store.trained import training_folder
from bench.track import Audio, PitchTrack, Track

#: Cache of prepared references, shared by the cells of one worker, and its largest size in bytes.
_PREPARED: dict[str, Prepared] = {}
PREPARED_BYTES = 1 << 29
#: Cache of the mixture's SDR by track: it takes as long to compute as the score of an estimate.
_MIXTURE_SDR: dict[str, NDArray[np.float64]] = {}
#: Digest of the test split to which both caches belong.
_CACHED_SPLIT = [""]


def compute(job: Job, cell: Cell) -> JobResult:
    """Compute a cell, unless another process has computed it or computes it now."""
    if job.modules is not None:
        registry.look_in(job.modules)
    folder = CellFolder(job.runs, cell)
    if not job.runs.is_dir():
        why = f"{job.runs} is not on {platform.node()}: all hosts must share that folder"
        return JobResult("stopped", why)
    why = _version_mismatch(cell)
    if why:
        return JobResult("stopped", why)
    try:
        torch.set_num_threads(job.n_threads)
        with claimed(folder.path) as claim, threadpoolctl.threadpool_limits(job.n_threads):
            if claim is None:
                return JobResult("busy")
            if folder.is_done():
                return JobResult("found")
            state = folder.state_after(job.began)
            if state.get("stage") == "failed":
                return JobResult("failed", state.get("error", ""))
            folder.begin()
            try:
                run_cell(job, folder, claim)
            except BusyError:
                return JobResult("busy")
            except Exception as error:  # noqa: BLE001 - a failed cell must not end the others
                return record_failure(folder, error)  # under the claim: nobody else begins it
            return JobResult("done")
    except Exception as error:  # noqa: BLE001 - a failed cell must not end the others
        return record_failure(folder, error)


def _version_mismatch(cell: Cell) -> str:
    """Return why this worker must not compute a cell: its code is of another version.

    Empty where its versions of the method and of the protocols are those that were planned.

    A worker that was started before a method was changed would write the numbers of the old code
    under the name of the new one.
    """
    cls = registry.find_method(cell.method)
    here = {f"method {cell.method}": (cls.VERSION, cell.version)}
    for name, version in cell.protocols.items():
        here[f"protocol {name}"] = (protocol(name).version, version)
    for what, (own, planned) in here.items():
        if own != planned:
            return (
                f"the worker on {platform.node()} has version {own} of {what}, and the run needs "
                f"version {planned}: start the workers again with the same code"
            )
    return ""


def run_cell(job: Job, folder: CellFolder, claim: Claim) -> None:
    """Do what is missing of a cell: its training, then separation and scores track by track.

    Raises
    ------
    BenchError
        The data, or what the method made of them, cannot be used.
    BusyError
        Another process has taken the cell over, or runs its training.
    """
    cell = folder.cell
    _clear_caches_of_other_splits(cell.digests["test"])
    tracks = open_dataset(cell.dataset, job.data).tracks("test")
    missing = [name for name in cell.protocols if folder.scores_bytes(name) is None]
    scored: dict[str, dict[int, pd.DataFrame]] = {name: {} for name in missing}
    score_s = dict.fromkeys(missing, 0.0)
    audio_s = 0.0
    is_followed = any(scores_pitch(name) for name in missing)
    with Usage() as usage:
        separation = Separation(job, folder, claim, usage)
        for n_done, index in enumerate(_turn(cell, len(tracks))):
            track = tracks[index]
            estimates = separation.estimates(track, n_done, len(tracks))
            followed = separation.followed_pitch(track) if is_followed else None
            start = time.perf_counter()
            references = _prepared(cell, track)
            for name in missing:
                scores = score_track(name, track, estimates, references, followed)
                scored[name][index] = pd.DataFrame(scores)
                # The first protocol's time includes what all of them need of the track.
                score_s[name] += time.perf_counter() - start
                start = time.perf_counter()
            if references.known_mixture_sdr is not None:
                _MIXTURE_SDR[_track_key(cell, track)] = references.known_mixture_sdr
            audio_s += track.duration_s
    facts = {
        "fit": training_folder(folder).fit_facts() if cell.learns else {},
        "separate_s": separation.seconds,
        "audio_s": audio_s,
        "n_tracks": len(tracks),
        "peak_bytes": usage.peak_bytes,
        "provenance": job.provenance(),
    }
    for name in missing:
        check_holds(claim)
        in_order = [scored[name][index] for index in range(len(tracks))]
        frame = pd.concat(in_order, ignore_index=True)
        folder.write_scores(name, frame, {**facts, "score_s": score_s[name]})
    folder.write_state("done")


def _turn(cell: Cell, n_tracks: int) -> list[int]:
    """Return the indices of the tracks in the order in which a cell goes through them.

    Each cell begins at another one. Rows that share work, as the pitch track of a clip, and are
    computed at the same time then do it for different tracks, and find what the other has done; if
    they went side by side, both would do it.
    """
    first = int(cell.fingerprint[:8], 16) % n_tracks
    return [*range(first, n_tracks), *range(first)]


def _clear_caches_of_other_splits(digest: str) -> None:
    """Empty the caches unless they hold tracks of this test split.

    A worker of a scheduler outlives a run, and may compute cells of another corpus next.
    """
    if _CACHED_SPLIT[0] != digest:
        _PREPARED.clear()
        _MIXTURE_SDR.clear()
        _CACHED_SPLIT[0] = digest


def _prepared(cell: Cell, track: Track) -> Prepared:
    """Return the prepared references of a track, from the cache where it holds them.

    The cache keeps the tracks that come first and drops none: every cell goes through all tracks,
    so that those that come next would be dropped just before they are needed.
    """
    key = _track_key(cell, track)
    if key in _PREPARED:
        return _PREPARED[key]
    references = Prepared(track, _MIXTURE_SDR.get(key))
    if references.n_bytes + sum(other.n_bytes for other in _PREPARED.values()) <= PREPARED_BYTES:
        _PREPARED[key] = references
    return references


def _track_key(cell: Cell, track: Track) -> str:
    """Return the key of a test track in the caches of this worker."""
    return f"{cell.digests['test']}/{track.name}"


class Separation:
    """The estimates of a cell: those that it has kept, or new ones after a training if needed.

    Parameters
    ----------
    job
        Settings of the run.
    folder
        Folder of the cell.
    claim
        Claim on the folder.
    usage
        Measures this process. It begins anew once the method is trained, so that the memory of a
        separation is not that of the training before it.

    Attributes
    ----------
    seconds
        Time in seconds that separation has taken so far. Where arrays came from another row, it
        includes the time that computing them took there (`bench.methods.shared_work`).
    """

    def __init__(self, job: Job, folder: CellFolder, claim: Claim, usage: Usage) -> None:
        self._job, self._folder, self._claim, self._usage = job, folder, claim, usage
        self._progress = ProgressWriter(folder)
        self._method: Separator | None = None
        self.seconds = 0.0

    def estimates(self, track: Track, n_done: int, n_tracks: int) -> dict[str, Audio]:
        """Return the estimates of a track, and write its clip to listen to if it has one.

        Parameters
        ----------
        track
            The track.
        n_done, n_tracks
            Number of tracks that are finished, and number of all.
        """
        stored = kept(self._folder, track)
        if stored is None:
            estimates = self._separate(track, n_done, n_tracks)
        else:
            self._progress.write("score", n_done, n_tracks, "tracks")
            estimates, seconds = stored
            self.seconds += seconds
        write_estimates(self._folder, self._job.clips, track, estimates)
        return estimates

    def followed_pitch(self, track: Track) -> PitchTrack | None:
        """Return the pitch that the method follows in a track that has labels, if it does."""
        cls = registry.find_method(self._folder.cell.method)
        if track.pitch is None or cls.followed_pitch is Separator.followed_pitch:
            return None
        with sharing(self._folder.shared_folder):
            return chunks.followed_pitch(self._trained_method(), track)

    def _trained_method(self) -> Separator:
        """Return the method, which is trained first if it has to be."""
        if self._method is None:
            self._method = trained_method(self._job, self._folder, self._claim)
            self._usage.restart()
        return self._method

    def _separate(self, track: Track, n_done: int, n_tracks: int) -> dict[str, Audio]:
        """Separate a track by the method."""
        method = self._trained_method()
        self._progress.write("separate", n_done, n_tracks, "tracks")
        start = time.perf_counter()
        with sharing(self._folder.shared_folder) as work:
            estimates = chunks.separate_track(method, track)
        seconds = time.perf_counter() - start + work.spared_s
        self.seconds += seconds
        if self._job.keep_estimates:
            keep(self._folder, track, estimates, seconds)
        return estimates
