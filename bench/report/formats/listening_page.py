"""The page of a listening test: one file with its audio in it, for listeners to open from disk."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from bench.report.formats.page import asset, template


def listening_page(
    name: str, title: str, test: str, target: str, trials: Sequence[Mapping[str, Any]]
) -> str:
    """Return the page.

    Parameters
    ----------
    name, title
        Name and title of the experiment.
    test
        The test's name in the answers.
    target
        The target that is heard.
    trials
        For each track ``id``, ``reference`` and ``stimuli``: audio in base64, with the gain to play
        it with and, for a stimulus, a name that gives nothing away.
    """
    script = asset("listening.js")
    data = json.dumps({"experiment": name, "test": test, "trials": list(trials)})
    return template("listening.html.j2").render(
        title=title,
        target=target,
        n_trials=len(trials),
        n_stimuli=len(trials[0]["stimuli"]),
        data=Markup(data.replace("<", "\\u003c")),  # noqa: S704 - escaped
        script=Markup(script),  # noqa: S704 - our own file
        script_digest=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        style=Markup(asset("page.css") + asset("listening.css")),  # noqa: S704 - our own files
    )
