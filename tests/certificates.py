"""Certificates for tests, made by openssl: an authority, and keys that it vouches for."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest


class Authority:
    """cert: its own certificate, a PEM file."""

    def __init__(self, folder: Path, name: str) -> None:
        if not shutil.which("openssl"):
            pytest.skip("certificates are made by the command openssl, which is not here")
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.cert = folder / f"{name}.pem"
        self._key = folder / f"{name}.key"
        self._openssl("req", "-x509", *self._new(self._key), "-subj", f"/CN={name}", "-out", self.cert, "-days", 30)

    def issue(self, name: str, *addresses: str) -> tuple[Path, Path]:
        """A certificate with its key; the certificate holds for these addresses."""
        cert, key, request = (self.folder / f"{name}.{suffix}" for suffix in ("crt", "key", "req"))
        extensions = self.folder / f"{name}.ext"
        extensions.write_text("subjectAltName=" + ",".join(f"IP:{each}" for each in addresses) if addresses else "")
        self._openssl("req", *self._new(key), "-subj", f"/CN={name}", "-out", request)
        by = ("-CA", self.cert, "-CAkey", self._key, "-CAcreateserial", "-days", 30, "-extfile", extensions)
        self._openssl("x509", "-req", "-in", request, *by, "-out", cert)
        return cert, key

    def _new(self, key: Path) -> tuple[object, ...]:
        return ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", key)

    def _openssl(self, *words: object) -> None:
        subprocess.run(["openssl", *map(str, words)], check=True, capture_output=True)
