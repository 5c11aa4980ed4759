"""The working directory: where cells, reports and the default MLflow store lie."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Workspace:
    """Names every place below a working directory that the suite reads or writes.

    Attributes
    ----------
    root
        The working directory.
    """

    root: Path = Path()

    @property
    def runs(self) -> Path:
        """The folder of all cells: what they have learnt and scored."""
        return self.root / "runs"

    @property
    def reports(self) -> Path:
        """The folder of all reports."""
        return self.root / "reports"

    @property
    def experiments(self) -> Path:
        """The folder of the experiment files that ``bench list`` shows."""
        return self.root / "experiments"

    @property
    def database(self) -> Path:
        """The SQLite file of the default MLflow store."""
        return self.root / "mlflow.db"

    @property
    def artifacts(self) -> Path:
        """The folder of the artifacts of the default MLflow store."""
        return self.root / "mlartifacts"

    @property
    def store_notes(self) -> Path:
        """Notes on MLflow stores: which was last seen at each URI, and whose rows it holds."""
        return self.runs / "mlflow.json"

    @property
    def store_lock(self) -> Path:
        """The lock that one process holds while it makes the tables of an MLflow store."""
        return self.runs / "mlflow.lock"
