"""``bench list``: experiments, methods and datasets by name, and one method in full."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from bench.cli.options import HERE, complete_method
from bench.errors import check_known


def list_names(
    kind: Annotated[
        str | None,
        typer.Argument(
            metavar="[KIND|METHOD]",
            help="experiments, methods or datasets; or a method, for its hyperparameters.",
            autocompletion=lambda incomplete: _complete(incomplete),
        ),
    ] = None,
) -> None:
    """List experiments, methods and datasets by the names that files and commands take."""
    console = Console()
    if kind is not None and kind not in KINDS:
        _print_method(console, kind)
        return
    for title in [kind] if kind else KINDS:
        table = Table(title=title, title_justify="left", box=None)
        table.add_column("name", no_wrap=True)
        table.add_column("what it is")
        for name, description in KINDS[title]():
            table.add_row(Text(name), Text(description))
        console.print(table)
        console.print()


def _complete(incomplete: str) -> Iterator[str]:
    """Yield the kinds and the methods that begin with `incomplete`."""
    yield from (kind for kind in KINDS if kind.startswith(incomplete))
    yield from complete_method(incomplete)


def _print_method(console: Console, name: str) -> None:
    """Print what a method is, and each of its hyperparameters.

    Raises
    ------
    BenchError
        There is no such method, nor such a list.
    """
    from bench.methods import registry
    from bench.methods.describe import describe, summary

    if ":" not in name:
        check_known("list or method", name, [*KINDS, *registry.table()])
    cls = registry.find_method(name)
    table = Table(
        "hyperparameter", "default", "allowed", "what it is", title_justify="left", box=None
    )
    for one in describe(cls):
        table.add_row(*map(Text, (one.name, one.default, one.values, one.meaning)))
    console.print(Text(f"{name} ({cls.GROUP}): {summary(cls)}"))
    console.print(table)


def _experiments() -> Iterator[tuple[str, str]]:
    """Yield the name of each experiment file, and its title."""
    import yaml

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # ten times as fast, where it is built
    for path in sorted(HERE.experiments.glob("*.yaml")):
        try:
            content = yaml.load(path.read_bytes(), Loader=loader)  # noqa: S506 - both are safe
            yield path.stem, str(content.get("title", ""))
        except (OSError, yaml.YAMLError, AttributeError, ValueError):
            yield path.stem, "not readable as an experiment"


def _methods() -> Iterator[tuple[str, str]]:
    """Yield each built-in method, with what it is."""
    from bench.methods import registry
    from bench.methods.describe import summary

    for name in registry.table():
        yield name, summary(registry.find_method(name))


def _datasets() -> Iterator[tuple[str, str]]:
    """Yield each dataset, with its title, size and licence."""
    from bench import datasets

    for name in datasets.DATASETS:
        corpus = datasets.find_dataset(name)
        sizes = ", ".join(f"{n} {split}" for split, n in corpus.FULL_SIZES.items())
        title = f"{corpus.TITLE}: {sizes} tracks" if sizes else corpus.TITLE
        yield name, f"{title}. Licence: {corpus.LICENCE}."


KINDS = {"experiments": _experiments, "methods": _methods, "datasets": _datasets}
