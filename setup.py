"""The compiled part: optional at install, so a machine without a C compiler gets a slower bgpipe, not none.

BGPIPE_ACCEL=0       do not build it
BGPIPE_ACCEL=require  a failure to build it is a failure to install (CI)
BGPIPE_SANITIZE=1     build with AddressSanitizer and UndefinedBehaviorSanitizer (make fuzz)
"""

import os
from glob import glob

from setuptools import Extension, setup

WANT = os.environ.get("BGPIPE_ACCEL", "1")
SANITIZE = os.environ.get("BGPIPE_SANITIZE") == "1"

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


setup(ext_modules=extensions(), options={"build_ext": {"parallel": os.cpu_count()}})
