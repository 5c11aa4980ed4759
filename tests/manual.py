"""The fenced blocks of README, CONTRIBUTING and the manual, and the words of the commands in them.

Two HTML comments may stand on the line above a block: ``<!-- file: NAME -->`` (the block is a file
of that name) and ``<!-- not run: REASON -->`` (a test checks its options and does not run it).
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]

BLOCK = re.compile(
    r"^(?:<!-- (?P<key>file|not run): (?P<value>.+?) -->\n)?"
    r"```(?P<language>\w*)\n(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True)
class Block:
    """A fenced block of a page.

    Attributes
    ----------
    place
        Page and line number of the block's fence, as ``docs/page.md:12``.
    language
        Word behind the fence; empty for plain text.
    text
        Content of the block.
    file
        Name of the file that the block holds; empty if it is none.
    reason
        Why no test runs the block; empty if one does.
    """

    place: str
    language: str
    text: str
    file: str
    reason: str

    def commands(self) -> Iterator[tuple[dict[str, str], list[str]]]:
        """Yield the variables that each command line sets, and its words."""
        for line in self.text.splitlines():
            words = shlex.split(line, comments=True)
            variables = {}
            while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):
                name, _, variables[name] = words.pop(0).partition("=")
            if words:
                yield variables, words


def blocks(page: Path) -> list[Block]:
    """Return the fenced blocks of a page, in order."""
    text = page.read_text(encoding="utf-8")
    parsed = []
    for match in BLOCK.finditer(text):
        line = text.count("\n", 0, match.start("language")) + 1
        marks = {match["key"]: match["value"]}
        parsed.append(
            Block(
                f"{page.relative_to(ROOT)}:{line}",
                match["language"],
                match["text"],
                marks.get("file", ""),
                marks.get("not run", ""),
            )
        )
    assert len(parsed) * 2 == len(re.findall(r"^```", text, re.MULTILINE)), page
    return parsed
