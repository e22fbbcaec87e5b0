"""Wrap the prose of Markdown pages at 100 columns: `make wrap`. Tables, code, headings and generated pages stay as they are."""

import re
import subprocess
import sys
import textwrap
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
WIDTH = 100
GENERATED = "do not edit"  # what a generated page says at its head
ITEM = re.compile(r"(\s*)([-*]|\d+\.) +")
APART = re.compile(r"\s*(\||#|```|<|$)|\s*[-*_]{3,}$")  # what no paragraph goes on in


def wrapped(text: str) -> str:
    """The same page, each paragraph and list item filled anew if one of its lines is too long."""
    lines: list[str] = []
    paragraph: list[str] = []
    fenced = False

    def end() -> None:
        if any(_shown(line) > WIDTH for line in paragraph):
            lines.extend(_filled(paragraph))
        else:
            lines.extend(paragraph)
        paragraph.clear()

    for line in text.splitlines():
        fence = line.lstrip().startswith("```")
        if fence or fenced or APART.match(line):
            end()
            lines.append(line)
            fenced ^= fence
            continue
        if ITEM.match(line):
            end()
        paragraph.append(line)
    end()
    return "\n".join(lines) + "\n"


def _shown(line: str) -> int:
    """Columns without the addresses of links."""
    return len(re.sub(r"\]\([^)]*\)", "]", line))


def _filled(paragraph: list[str]) -> list[str]:
    first = paragraph[0]
    item = ITEM.match(first)
    lead = item[0] if item else first[: len(first) - len(first.lstrip())]
    words = " ".join([first[len(lead) :], *(line.strip() for line in paragraph[1:])])
    # A line must not begin with what would be a list item or a heading.
    words = re.sub(r" ([-*#+]|\d+\.) ", "\u00a0\\1 ", words)
    filled = textwrap.wrap(words, WIDTH, initial_indent=lead, subsequent_indent=" " * len(lead), break_long_words=False, break_on_hyphens=False)
    return [line.replace("\u00a0", " ") for line in filled]


def main(*, check: bool) -> int:
    """Rewrite what git knows or will know. `check`: only name it; 1 if there is any."""
    found = False
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "*.md"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split()
    for name in sorted(listed):
        page = ROOT / name
        text = page.read_text() if page.is_file() else ""
        if text and GENERATED not in text[:600] and text != (new := wrapped(text)):
            found = True
            print(f"{name} has prose above {WIDTH} columns: make wrap" if check else name)
            if not check:
                page.write_text(new)
    return int(check and found)


if __name__ == "__main__":
    sys.exit(main(check="--check" in sys.argv))
