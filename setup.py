"""Declares the C module; every other setting is in pyproject.toml."""

import sys
from pathlib import Path

from setuptools import Extension, setup

CORE = Path("src/stopwhen/_core")

setup(
    ext_modules=[
        Extension(
            "stopwhen._core",
            sources=sorted(map(str, CORE.rglob("*.c"))),
            include_dirs=[str(CORE)],
            depends=sorted(map(str, CORE.rglob("*.h"))),
            # Calls between our own files need not go by way of the dynamic linker's table.
            extra_compile_args=[] if sys.platform == "win32" else ["-O3", "-fvisibility=hidden"],
            # Without a compiler the package installs all the same and works in pure Python: `stopwhen doctor` says so.
            optional=True,
        ),
    ],
)
