"""The manual is true: its commands run, and it names all that the command line takes.

The commands of a page run in one process, in its order, in a workspace in which `quick` was run
with fewer rows and a small network. Commands that are marked as not run are parsed by the command
line's own parser.
"""

from __future__ import annotations

import importlib
import inspect
import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pytest
import soundfile
import typer
import yaml
from dask_jobqueue.core import Job
from dask_jobqueue.slurm import SLURMJob

from bench.cli.main import app
from bench.datasets import DATASETS
from bench.datasets.synthetic import Synthetic
from bench.methods import registry
from bench.plan import experiment as schema
from bench.plan.cells import cells
from bench.plan.experiment_file import read_experiment
from bench.scoring.protocols import PROTOCOLS
from bench.training.network_separator import NetworkSeparator
from tests.command import bench
from tests.manual import PAGES, ROOT, Block, blocks

#: The rows of `quick` that the pages need, and a network that trains in a moment.
ROWS = ("Mixture", "Ideal ratio mask", "DRNN-2")
SMALL = {"recurrent": 2, "hidden": 16, "epochs": 2, "batch_size": 4}
ALL = {str(page.relative_to(ROOT)): blocks(page) for page in PAGES}
BLOCKS = [block for page in ALL.values() for block in page]


def write(folder: Path, audio: dict[str, np.ndarray], rate: int) -> None:
    folder.mkdir(parents=True)
    for target, signal in audio.items():
        soundfile.write(folder / f"{target}.wav", signal.T, rate, subtype="DOUBLE")


@pytest.fixture(scope="module")
def house(tmp_path_factory) -> Iterator[Path]:
    """A workspace with a finished `quick`, a song, a corpus and another system's estimates."""
    folder = tmp_path_factory.mktemp("manual")
    rng = np.random.default_rng(0)
    for track in Synthetic().tracks("test"):
        noisy = {t: a + 1e-3 * rng.standard_normal(a.shape) for t, a in track.references.items()}
        write(folder / "references" / track.name, dict(track.references), track.rate)
        write(folder / "my_system" / track.name, noisy, track.rate)
    shutil.copytree(folder / "references", folder / "my_corpus" / "test")
    shutil.copytree(folder / "references", folder / "my_corpus" / "train")
    soundfile.write(folder / "song.flac", 0.1 * rng.standard_normal((32_000, 2)), 16_000)
    quick = yaml.safe_load((ROOT / "experiments" / "quick.yaml").read_text(encoding="utf-8"))
    quick["methods"] = [entry for entry in quick["methods"] if entry["label"] in ROWS]
    quick["methods"][-1]["fixed"] = SMALL
    for package in ("mid-side", "blstm-karaoke"):
        (folder / package).mkdir()
    (folder / "experiments").mkdir()
    (folder / "experiments" / "quick.yaml").write_text(yaml.safe_dump(quick), encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for name in ("MLFLOW_TRACKING_URI", "BENCH_DATA"):
            patch.setenv(name, "")  # so that it is as it was afterwards, whatever the pages set
            patch.delenv(name)
        for package in ("mid-side", "blstm-karaoke"):
            patch.syspath_prepend(str(folder / package))
        assert bench("run", "experiments/quick.yaml", "--workers", "0") == 0
        yield folder
        mlflow.set_tracking_uri(None)


def run_id(house: Path) -> str:
    """Return the id of the run of the trained row."""
    client = mlflow.MlflowClient(tracking_uri=f"sqlite:///{house / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("quick")
    (run,) = client.search_runs([experiment.experiment_id], "tags.row = 'DRNN-2'")
    return str(run.info.run_id)


@pytest.mark.parametrize("page", ALL)
def test_the_commands_of_a_page_run(house, page):
    names: dict[str, Any] = {"__name__": "page"}
    for block in ALL[page]:
        if block.file:
            path = house / block.file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block.text, encoding="utf-8")
            importlib.invalidate_caches()
        if block.reason:
            continue
        if block.language == "python":
            code = compile(block.text, block.place, "exec", dont_inherit=True)
            exec(code, names)  # noqa: S102 - the manual's own
        elif block.language == "sh":
            for variables, words in block.commands():
                assert words[0] == "bench", f"{block.place}: mark what is not run: {words}"
                assert not variables, block.place
                run(house, words[1:], block)


def run(house: Path, words: list[str], block: Block) -> None:
    """Run a command of a page; cells are computed in this process, which is quicker."""
    words = [word.replace("RUN_ID", run_id(house)) if "RUN_ID" in word else word for word in words]
    if words[0] in ("run", "reproduce") and "--workers" not in words:
        words += ["--workers", "0"]
    assert bench(*words) == 0, f"{block.place}: bench {' '.join(words)}"


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block.place)
def test_a_block_is_what_the_command_line_and_the_parsers_take(block):
    if block.language == "sh":
        for _, words in block.commands():
            check_command(words, block)
    elif block.language == "yaml":
        check_yaml(yaml.safe_load(block.text), block)
    elif block.language == "python":
        compile(block.text, block.place, "exec")
    else:
        assert block.language in ("", "toml"), f"{block.place}: nothing checks this language"


def check_yaml(value: Any, block: Block) -> None:
    """Refuse keys and values that no experiment, list of methods or setting of SLURM jobs takes."""
    if isinstance(value, list):
        for entry in map(schema.MethodEntry.model_validate, value):
            registry.make(registry.find_method(entry.method), entry.fixed, block.place)
    elif "methods" in value:
        assert block.file, f"{block.place}: name the file, so that a command can use it"
        schema.Experiment.model_validate({"name": Path(block.file).stem, **value})
    else:
        job = inspect.signature(Job).parameters | inspect.signature(SLURMJob).parameters
        assert set(value["jobqueue"]["slurm"]) <= set(job), block.place


def check_command(words: list[str], block: Block) -> None:
    """Refuse a command whose program, target or options do not exist."""
    program, *rest = words
    if program == "bench":
        parse(typer.main.get_command(app), rest)
    elif program == "make":
        targets = re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
        assert set(rest) <= set(targets), block.place
    elif program == "mlflow":
        from mlflow.cli import cli

        parse(cli, rest)
    elif program == "dask":
        module = importlib.import_module(f"distributed.cli.dask_{rest[0]}")
        parse(module.main, rest[1:])
    else:
        assert block.reason, block.place
        assert program in (".", "pip"), f"{block.place}: nothing checks {program}"


def parse(command: Any, words: list[str]) -> None:
    """Parse words as the command does, down to its subcommand, and call nothing.

    An option of a group, such as ``--version``, acts as soon as its value is known: there the
    words are taken apart and no further.
    """
    if not hasattr(command, "commands"):
        command.make_context(command.name, list(words))
        return
    context = command.context_class(command, info_name=command.name)
    _, rest, _ = command.make_parser(context).parse_args(list(words))
    if rest:
        _, subcommand, rest = command.resolve_command(context, rest)
        parse(subcommand, rest)


def leaves(command: Any, name: str = "bench") -> Iterator[tuple[str, Any]]:
    """Yield each command below a command, with its name as it is typed."""
    for word, child in sorted(getattr(command, "commands", {}).items()):
        yield from leaves(child, f"{name} {word}")
    if not hasattr(command, "commands"):
        yield name, command


def test_every_command_and_option_is_described_and_no_other():
    page = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")
    sections = re.split(r"^## `", page, flags=re.MULTILINE)[1:]
    described = {}
    for section in sections:
        heading, _, body = section.partition("`\n")
        name = " ".join(re.match(r"[a-z ]+", heading)[0].split())
        described[name] = set(re.findall(r"^\| `(-[\w-]+)", body, re.MULTILINE))
    options = {
        name: {
            option
            for parameter in command.params
            for option in parameter.opts
            if option.startswith("-") and option != "--help"
        }
        for name, command in leaves(typer.main.get_command(app))
    }
    assert described == options


def test_every_key_of_an_experiment_file_is_described():
    page = (ROOT / "docs" / "experiment_file.md").read_text(encoding="utf-8")
    parts = [schema.Experiment, schema.MethodEntry, schema.Table]
    parts += [schema.Figure, schema.Pivot, schema.Transform]
    missing = {key for part in parts for key in part.model_fields if f"`{key}`" not in page}
    assert not missing


@pytest.mark.parametrize(
    ("page", "names"),
    [
        ("methods.md", [*registry.table(), *registry.fields(NetworkSeparator)]),
        ("datasets.md", list(DATASETS)),
        ("which_number_is_it.md", list(PROTOCOLS)),
    ],
)
def test_every_method_dataset_and_protocol_is_described(page, names):
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    assert [name for name in names if f"`{name}`" not in text] == []


def anchors(page: Path) -> set[str]:
    """Return the names by which headings of a page are linked to."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_to_a_file_and_a_heading_that_are_there(page):
    text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.M)
    for target, _, anchor in re.findall(r"\]\(([^)#\s]*)(#?)([^)\s]*)\)", text):
        if target.startswith("https://"):
            continue
        path = page.parent / target if target else page
        assert path.exists(), target
        assert not anchor or anchor in anchors(path), f"{target}#{anchor}"


def test_every_page_of_the_manual_is_in_its_index():
    index = (ROOT / "docs" / "README.md").read_text(encoding="utf-8")
    pages = [page.name for page in (ROOT / "docs").glob("*.md") if page.name != "README.md"]
    assert [name for name in pages if f"]({name})" not in index] == []


def test_every_new_name_in_the_changelog_can_be_imported():
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    names = re.findall(r"^\| `.+\| `(bench|baselines)([\w.]+)` \|$", text, re.MULTILINE)
    assert names
    for name in map("".join, names):
        module, _, attribute = name.rpartition(".")
        parent = importlib.import_module(module)
        assert hasattr(parent, attribute) or importlib.import_module(name), name


def _n_trainings(name: str) -> int:
    """Return the number of trainings of an experiment, those of members of an ensemble too."""
    planned = cells(read_experiment(ROOT / "experiments" / f"{name}.yaml"), Synthetic())
    trained = [cell.training_cell for cell in planned if cell.learns]
    each = [member for cell in trained for member in cell.member_cells or [cell]]
    return len({cell.fingerprint for cell in each})


def _n_clips(name: str) -> str:
    """Return the number of test clips of a committed report; a dash where there is none."""
    path = ROOT / "reports" / name / "provenance.json"
    if name == "quick" or not path.is_file():  # not committed, though a demo may have left it
        return "–"
    recorded = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return str(max(scores["n_tracks"] for cell in recorded for scores in cell["scores"].values()))


def test_every_experiment_is_listed_with_its_trainings_and_its_report():
    text = (ROOT / "docs" / "experiments.md").read_text(encoding="utf-8")
    lines = re.findall(r"^\| \[?`(\w+)`(\S*) \| [^|]+ \| (\d+) \| (\S+) \|$", text, re.MULTILINE)
    listed = {name: (int(trainings), clips) for name, _, trainings, clips in lines}
    assert len(listed) == len(lines)
    names = {path.stem for path in (ROOT / "experiments").glob("*.yaml")}
    assert listed == {name: (_n_trainings(name), _n_clips(name)) for name in names}
    for name, link, _, clips in lines:
        assert link == ("" if clips == "–" else f"](../reports/{name}/table.md)")
