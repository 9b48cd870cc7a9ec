"""The compiled part: optional at install, so a machine without a C compiler gets a slower bgpipe, not none.

BGPIPE_ACCEL=0       do not build it
BGPIPE_ACCEL=require  a failure to build it is a failure to install (CI)
BGPIPE_SANITIZE=1     build with AddressSanitizer and UndefinedBehaviorSanitizer (make fuzz)
BGPIPE_URL=https://... where the repository can be read: the package links there (set for a release)
"""

import os
import re
import sys
from glob import glob
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

WANT = os.environ.get("BGPIPE_ACCEL", "1")
SANITIZE = os.environ.get("BGPIPE_SANITIZE") == "1"
URL = os.environ.get("BGPIPE_URL", "").rstrip("/")
LINKS = {"Documentation": "docs/index.md", "Changes": "CHANGELOG.md", "Install": "docs/install.md"}

CFLAGS = ["-O1", "-g", "-fno-omit-frame-pointer"] if SANITIZE else ["-O3"]
LDFLAGS = []
if SANITIZE:
    CFLAGS += ["-fsanitize=address,undefined", "-fno-sanitize-recover=undefined"]
    LDFLAGS += ["-fsanitize=address,undefined"]


def extensions() -> list[Extension]:
    if WANT == "0":
        return []
    try:
        from Cython.Build import cythonize
    except ImportError:
        if WANT == "require":
            raise
        print(
            "warning: without Cython the compiled part is not built, and bgpipe is many times slower", file=sys.stderr
        )
        return []
    extensions = [
        Extension(
            path.removeprefix("src/").removesuffix(".pyx").replace("/", "."),
            [path],
            extra_compile_args=CFLAGS,
            extra_link_args=LDFLAGS,
        )
        for path in sorted(glob("src/bgpipe/accel/*.pyx"))
    ]
    extensions = cythonize(
        extensions,
        build_dir="build",
        compiler_directives={
            "language_level": 3,
            "boundscheck": False,
            "wraparound": False,
            "cdivision": True,
            "initializedcheck": False,
        },
    )
    for extension in extensions:  # after cythonize, which makes them anew without it
        extension.optional = WANT != "require"
    return extensions


def long_description() -> str:
    """README.md as a package index can show it: links to files lead to the repository, or are left out."""
    text = Path("README.md").read_text(encoding="utf-8")
    return re.sub(r"\[([^]]+)\]\((?!https?:)([^)]+)\)", rf"[\1]({in_repository('')}\2)" if URL else r"\1", text)


def in_repository(path: str) -> str:
    return f"{URL}/blob/HEAD/{path}"


def project_urls() -> dict[str, str]:
    """Nothing where nobody has said where the repository is: a link that leads nowhere is worse than none."""
    return {"Repository": URL} | {name: in_repository(path) for name, path in LINKS.items()} if URL else {}


class BuildAccel(build_ext):
    """Says what it means that the compiled part can't be built: pip -v shows it, and so does bgpipe when it runs."""

    def run(self) -> None:
        super().run()
        missing = [each.name for each in self.extensions if not os.path.exists(self.get_ext_fullpath(each.name))]
        if missing and not self.inplace:
            print(f"warning: not built: {', '.join(missing)}; bgpipe works, many times slower", file=sys.stderr)


setup(
    ext_modules=extensions(),
    long_description=long_description(),
    long_description_content_type="text/markdown",
    project_urls=project_urls(),
    cmdclass={"build_ext": BuildAccel},
    options={"build_ext": {"parallel": os.cpu_count()}},
)
