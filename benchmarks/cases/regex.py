"""Long calls into C with short Python between: a log is searched, split and rewritten with regular expressions."""

import re

LINES = 14_000
TOKEN = re.compile(r"(?P<word>[A-Za-z_]+)|(?P<number>\d+(?:\.\d+)?)|(?P<blank>\s+)|(?P<other>.)")
ENTRY = re.compile(r"^\[(\d+):(\d+)\] (\w+) (.*?)(?: took (\d+) ms)?$", re.MULTILINE)
ADDRESS = re.compile(r"\b(?:\d{1,3}\.){3}\d{1,3}\b")


def log(lines):
    """Return the text of a log."""
    return "\n".join(
        f"[{index % 24}:{index % 60}] {('INFO', 'WARN', 'ERROR')[index % 3]} request {index} from 10.0.{index % 256}.7"
        f" for /shop/{index * 31 % 97}?page={index % 9} took {index * 7 % 400} ms"
        for index in range(lines)
    )


def tokens(line):
    """Return how many tokens of each kind a line has."""
    counts = {}
    for match in TOKEN.finditer(line):
        kind = match.lastgroup
        counts[kind] = counts.get(kind, 0) + 1
    return counts


def run(n):
    """Return a number that depends on all that was found, `n` times."""
    found = 0
    for _ in range(n):
        text = log(LINES)
        slow = {}
        for hour, _minute, level, _rest, took in ENTRY.findall(text):
            if took and int(took) > 200:
                slow[level] = slow.get(level, 0) + int(hour)
        hidden = ADDRESS.sub(lambda match: "x" * len(match.group()), text)
        for line in hidden.splitlines():
            counts = tokens(line)
            found += counts["word"] * 2 + counts["number"]
        found += sum(slow.values())
    return found
