"""Trained methods in folders: whatever class `Separator.save` wrote there."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from bench.errors import BenchError, exception_text
from bench.methods import registry
from bench.methods.separator import Separator


def load_saved(folder: Path, **after_training: Any) -> Separator:
    """Return the method saved in a folder.

    Parameters
    ----------
    folder
        Folder with the ``separator.json`` that `Separator.save` wrote.
    after_training
        Values that replace saved hyperparameters, of those in `Separator.AFTER_TRAINING` alone.

    Raises
    ------
    BenchError
        The folder holds no saved method, its files are damaged, or its class cannot be imported or
        has another version now.
    """
    path = folder / "separator.json"
    if not path.is_file():
        raise BenchError(f"no saved method in {folder}: separator.json is missing")
    try:
        class_path = str(json.loads(path.read_text(encoding="utf-8"))["class"])
    except (ValueError, KeyError, TypeError):
        class_path = ""
    if ":" not in class_path:
        raise BenchError(f"{path} is damaged: it names no class")
    package = Path.cwd() / re.split(r"[.:]", class_path)[0]
    if folder.resolve().is_relative_to(package.resolve()):
        raise BenchError(f"{path} names code in its own folder, {class_path}, which is not run")
    try:
        return registry.find_method(class_path).load(folder, **after_training)
    except BenchError:
        raise
    except Exception as error:  # noqa: BLE001 - a damaged file fails in many ways
        raise BenchError(f"the weights in {folder} are damaged: {exception_text(error)}") from None
