"""Measure what many watchpoints cost a program that never changes what they watch, and those on other code."""

from __future__ import annotations

from overhead import main

COUNTS = (1, 10, 100, 1000)
VARIANTS = (
    *(f"dict-items-{count}" for count in COUNTS),
    *(f"lists-{count}" for count in COUNTS),
    "nested-lists-100000",
    "list-of-6",
    "list-of-1000000",
    "local",
    "shared-variable",
    "instances-10000",
)


if __name__ == "__main__":
    main("scale", "Measure what many watchpoints cost.", VARIANTS, rounds=5)
