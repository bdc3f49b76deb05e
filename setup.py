"""Declares the C module; every other setting is in pyproject.toml."""

from glob import glob

from setuptools import Extension, setup

setup(
    ext_modules=[
        Extension(
            "stopwhen._core",
            sources=sorted(glob("src/stopwhen/_core/*.c")),
            depends=sorted(glob("src/stopwhen/_core/*.h")),
            # Without a compiler the package installs all the same and watches in pure Python; `stopwhen doctor` says so.
            optional=True,
        ),
    ],
)
