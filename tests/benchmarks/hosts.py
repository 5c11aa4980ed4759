"""Times how long a sweep takes to end after one of its two hosts is lost, and compares its scores.

    python tests/benchmarks/hosts.py

Writes ``reports/benchmarks/hosts.md``. It needs root and iproute2. The hosts are two sets of
namespaces of this machine with one folder. Each has its own network, name and boot identifier, so
that the suite takes a claim of the other for another machine's and goes by its heartbeat. A cable
that can be cut joins them.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd
from measure import heading, write

METHOD = """\
import os, platform, time
from pydantic import Field
from bench.methods.separator import Separator, separator


@separator
class Noted(Separator):
    '''Takes its time, and notes the host that separates each track.'''

    share: float = Field(0.5)

    def separate(self, mixture, rate):
        with open('log', 'a') as file:
            file.write(f"{platform.node()} {time.time()}\\n")
        time.sleep(float(os.environ.get('WAIT_S', 0)))
        return {'vocals': self.share * mixture, 'accompaniment': (1 - self.share) * mixture}
"""
SWEEP = """\
title: Sweep
why: A drill.
dataset: synthetic
examples: false
methods:
  - {method: 'noted:Noted', label: "Share {share}", sweep: {share: [0.1, 0.2, 0.3, 0.4]}}
"""
TRAINING = """\
title: Sweep
why: A drill.
dataset: synthetic
examples: false
methods:
  - method: drnn
    label: DNN
    fixed: {hidden: 12, layers: 2, recurrent: 1, epochs: 2, precision: float32, ensemble: 2}
"""
#: Address of each host on the cable between them.
ADDRESSES = {"hosta": "10.213.7.1", "hostb": "10.213.7.2"}
BOOT_ID = "/proc/sys/kernel/random/boot_id"
#: Longest time in seconds to wait for anything.
PATIENCE_S = 300.0


class Hosts:
    """Two hosts with a cable between them; commands run there in a working directory."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.processes: list[subprocess.Popen[bytes]] = []
        for name in ADDRESSES:
            (folder / name).write_text(f"{uuid.uuid4()}\n")

    def start(self, host: str, *words: str, **environment: str) -> subprocess.Popen[bytes]:
        """Start a Python module's command on a host."""
        setup = f'mount --bind {self.folder / host} {BOOT_ID} && hostname {host} && exec "$@"'
        command = [
            *("ip", "netns", "exec", host, "unshare", "--uts", "--mount", "sh", "-c", setup, "sh"),
            *(sys.executable, *words),
        ]
        path = os.pathsep.join([str(self.folder), str(Path.cwd())])
        log = (self.folder / f"{host}-{len(self.processes)}.log").open("wb")
        with log:
            process = subprocess.Popen(
                command,
                cwd=self.folder,
                stdout=log,
                stderr=log,
                start_new_session=True,
                env={**os.environ, "PYTHONPATH": path, **environment},
            )
        self.processes.append(process)
        return process

    def bench(self, host: str, *words: str, **environment: str) -> subprocess.Popen[bytes]:
        """Start a command of the suite on a host."""
        code = "from bench.cli.main import main; main()"
        return self.start(host, "-c", code, *words, **environment)

    def end(self, process: subprocess.Popen[bytes]) -> None:
        """Kill a command with all of its processes."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def cut(self) -> None:
        """Cut the cable."""
        run_command("ip", "-n", "hostb", "link", "set", "cableb", "down")


def run_command(*words: str) -> None:
    """Run a command, and fail with what it says."""
    subprocess.run(words, check=True)


@contextlib.contextmanager
def two_hosts(sweep: str) -> Iterator[Hosts]:
    """Make two hosts and a working directory that both see, and remove all of it at the end."""
    folder = Path(tempfile.mkdtemp(prefix="hosts"))
    (folder / "noted.py").write_text(METHOD)
    (folder / "sweep.yaml").write_text(sweep)
    hosts = Hosts(folder)
    try:
        for name in ADDRESSES:
            run_command("ip", "netns", "add", name)
        run_command(
            *("ip", "link", "add", "cablea", "netns", "hosta", "type", "veth"),
            *("peer", "name", "cableb", "netns", "hostb"),
        )
        for (name, address), cable in zip(ADDRESSES.items(), ("cablea", "cableb"), strict=True):
            run_command("ip", "-n", name, "address", "add", f"{address}/24", "dev", cable)
            for device in ("lo", cable):
                run_command("ip", "-n", name, "link", "set", device, "up")
        yield hosts
    finally:
        for process in hosts.processes:
            hosts.end(process)
        for name in ADDRESSES:
            with contextlib.suppress(subprocess.CalledProcessError):
                run_command("ip", "netns", "del", name)
        shutil.rmtree(folder, ignore_errors=True)


def wait_for(condition: Callable[[], object], what: str) -> float:
    """Wait for a condition; return the time in seconds that it took."""
    start = time.monotonic()
    while not condition():
        if time.monotonic() - start > PATIENCE_S:
            raise RuntimeError(f"waited {PATIENCE_S:.0f} s in vain for {what}")
        time.sleep(0.1)
    return time.monotonic() - start


def at_work(hosts: Hosts) -> set[str]:
    """Return the hosts that have separated a track."""
    log = hosts.folder / "log"
    return {line.split()[0] for line in log.read_text().splitlines()} if log.is_file() else set()


def seconds_to_end(process: subprocess.Popen[bytes], hosts: Hosts) -> float:
    """Wait until a sweep has ended well; return the time in seconds that it took."""
    seconds = wait_for(lambda: process.poll() is not None, "the end of the sweep")
    if process.returncode:
        logs = [path.read_text()[-2000:] for path in sorted(hosts.folder.glob("*.log"))]
        raise RuntimeError("a sweep failed:\n" + "\n".join(logs))
    return seconds


def scores(hosts: Hosts) -> pd.DataFrame:
    """Return the scores in the report of the sweep."""
    return pd.read_parquet(hosts.folder / "reports" / "sweep" / "scores.parquet")


def undisturbed(sweep: str) -> pd.DataFrame:
    """Return the scores of the sweep in one process of one host."""
    with two_hosts(sweep) as hosts:
        seconds_to_end(hosts.bench("hosta", "run", "sweep.yaml", "--workers", "0"), hosts)
        return scores(hosts)


def check_same(ours: pd.DataFrame, theirs: pd.DataFrame, decibels: float = 0.0) -> None:
    """Fail unless the scores of two sweeps are the same, or differ by so much at most."""
    keys = ["row", "track", "target", "metric"]
    a, b = (table.sort_values(keys).reset_index(drop=True) for table in (ours, theirs))
    same = a[keys].equals(b[keys])
    gaps = (a["value"] - b["value"])[~(a["value"] == b["value"])].abs()
    if not same or (len(gaps) and not gaps.max() <= decibels):
        raise RuntimeError(f"the scores differ by up to {gaps.max()} dB")


def one_folder() -> tuple[str, float, str]:
    """Two plain `bench run` share a folder; the host that began first vanishes."""
    expected = undisturbed(SWEEP)
    with two_hosts(SWEEP) as hosts:
        words = ("run", "sweep.yaml", "--workers", "1")
        first = hosts.bench("hostb", *words, WAIT_S="2")
        wait_for(lambda: at_work(hosts) == {"hostb"}, "hostb")
        second = hosts.bench("hosta", *words, WAIT_S="2")
        wait_for(lambda: at_work(hosts) == {"hosta", "hostb"}, "hosta")
        hosts.cut()
        hosts.end(first)
        seconds = seconds_to_end(second, hosts)
        check_same(scores(hosts), expected)
    what = (
        "two `bench run` on one folder; the cable is cut and all of one host is killed amid a cell"
    )
    return what, seconds, "identical"


def scheduler() -> tuple[str, float, str]:
    """A scheduler has a worker on each host; the cable is cut, and later the far host is killed."""
    expected = undisturbed(SWEEP)
    with two_hosts(SWEEP) as hosts:
        address = f"tcp://{ADDRESSES['hosta']}:8786"
        dask = ("-m", "dask")
        hosts.start("hosta", *dask, "scheduler", "--host", ADDRESSES["hosta"], "--no-dashboard")
        run = hosts.bench("hosta", "run", "sweep.yaml", "--scheduler", address, WAIT_S="2")
        worker = (*dask, "worker", address, "--nthreads", "1", "--no-dashboard")
        far = hosts.start("hostb", *worker, "--host", ADDRESSES["hostb"], WAIT_S="2")
        hosts.start("hosta", *worker, "--host", ADDRESSES["hosta"], WAIT_S="2")
        wait_for(lambda: at_work(hosts) == {"hosta", "hostb"}, "both hosts")
        hosts.cut()
        time.sleep(5)
        hosts.end(far)
        seconds = seconds_to_end(run, hosts)
        check_same(scores(hosts), expected)
    what = (
        "a Dask scheduler with a worker on each; the cable is cut, 5 s later the far host is killed"
    )
    return what, seconds, "identical"


def one_training() -> tuple[str, float, str]:
    """Both hosts train each network of an ensemble together."""
    expected = undisturbed(TRAINING)
    with two_hosts(TRAINING) as hosts:
        words = ("run", "sweep.yaml", "--workers", "0", "--trainer", "num_nodes=2")
        both = {"MASTER_ADDR": ADDRESSES["hosta"], "MASTER_PORT": "29500"}
        far = hosts.bench("hostb", *words, NODE_RANK="1", GLOO_SOCKET_IFNAME="cableb", **both)
        near = hosts.bench("hosta", *words, NODE_RANK="0", GLOO_SOCKET_IFNAME="cablea", **both)
        seconds = seconds_to_end(near, hosts)
        seconds_to_end(far, hosts)
        check_same(scores(hosts), expected, 0.01)
    return "both train an ensemble of two DRNNs (`num_nodes=2`)", seconds, "within 0.01 dB"


def main() -> None:
    """Run the drills, print and write the report."""
    if os.geteuid() or shutil.which("ip") is None:
        print("two hosts: left out, it needs root and iproute2")
        return
    drills = [one_folder(), scheduler(), one_training()]
    out = [
        "# Two hosts",
        "",
        f"{heading()} Two hosts as namespaces of this machine, each with a network, a name and a "
        "boot identifier of its own, and one folder. Sweeps of 4 cells of 8 tracks, 2 s a track; "
        "the time is from the loss of the host, in the last line from the start; the scores are "
        "compared with those of a sweep in one process.",
        "",
        "| drill | time to the end (s) | scores |",
        "|---|---:|---|",
        *(f"| {what} | {seconds:.0f} | {same} |" for what, seconds, same in drills),
    ]
    print("\n".join(out))
    write("hosts", out)


if __name__ == "__main__":
    main()
