"""`requirements.lock` has what `constraints.txt` pins, what `pyproject.toml` needs, and hashes."""

from __future__ import annotations

import importlib.metadata
import re

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.command import ROOT

#: PyTorch has builds of one version with different files; pip and wheel come before the lock.
NOT_LOCKED = {"torch", "pip", "wheel"}


def locked() -> dict[str, tuple[Requirement, list[str]]]:
    """Return each package of the lock with its requirement and the hashes of its files."""
    text = (ROOT / "requirements.lock").read_text().replace("\\\n", " ")
    packages = {}
    for line in text.splitlines():
        requirement = Requirement(line.split("--hash")[0].strip())
        hashes = re.findall(r"--hash=sha256:([0-9a-f]{64})(?:\s|$)", line)
        assert canonicalize_name(requirement.name) not in packages
        packages[canonicalize_name(requirement.name)] = (requirement, hashes)
    return packages


def needed(requirement: Requirement, seen: set[tuple[str, str]]) -> set[str]:
    """Return the packages that a requirement needs on this machine, itself included."""
    names = {canonicalize_name(requirement.name)}
    for extra in ("", *sorted(requirement.extras)):
        key = (canonicalize_name(requirement.name), extra)
        if key in seen:
            continue
        seen.add(key)
        for line in importlib.metadata.requires(requirement.name) or []:
            other = Requirement(line)
            if other.marker is None or other.marker.evaluate({"extra": extra}):
                names |= needed(other, seen)
    return names


def test_the_lock_and_the_constraints_name_the_same_versions():
    packages = locked()
    for line in (ROOT / "constraints.txt").read_text().split():
        pin = Requirement(line)
        name = canonicalize_name(pin.name)
        assert name in NOT_LOCKED or packages[name][0].specifier == pin.specifier, line


def test_each_package_of_the_lock_has_one_version_and_hashes():
    for name, (requirement, hashes) in locked().items():
        (version,) = requirement.specifier
        assert version.operator == "==", name
        assert hashes, name


def test_all_that_is_installed_for_the_project_is_in_the_lock_and_of_its_version():
    packages = locked()
    project = Requirement("singing-voice-bench[dev,slurm]")
    names = needed(project, set()) - {canonicalize_name(project.name)} - NOT_LOCKED
    assert len(names) > 100
    for name in sorted(names):
        assert name in packages, f"{name} is not in the lock: run `make lock`"
        requirement, _ = packages[name]
        installed = importlib.metadata.version(name)
        assert installed in requirement.specifier, f"{name} {installed}: run `make setup`"


def test_the_lock_has_what_pyproject_asks_for():
    packages = locked()
    for line in importlib.metadata.requires("singing-voice-bench") or []:
        asked = Requirement(line)
        name = canonicalize_name(asked.name)
        if name in NOT_LOCKED:
            continue
        (version,) = packages[name][0].specifier
        assert version.version in asked.specifier, f"{asked}: run `make lock`"
