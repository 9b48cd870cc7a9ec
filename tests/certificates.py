"""Certificates for tests: an authority, and keys that it vouches for, as PEM files."""

from __future__ import annotations

from pathlib import Path

import trustme


class Authority:
    """cert: its own certificate."""

    def __init__(self, folder: Path, name: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.cert = folder / f"{name}.pem"
        self._made = trustme.CA(organization_name=name)
        self._made.cert_pem.write_to_path(self.cert)

    def issue(self, name: str, *addresses: str) -> tuple[Path, Path]:
        """A certificate with its key; the certificate holds for these addresses."""
        cert, key = self.folder / f"{name}.crt", self.folder / f"{name}.key"
        issued = self._made.issue_cert(*addresses, f"{name}.example", common_name=name)
        issued.private_key_pem.write_to_path(key)
        cert.write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
        return cert, key
