"""The --rpki options as the settings of the sources."""

from __future__ import annotations

from ..net.rpki.settings import RpkiSettings, parse_source, read_key
from ..pipeline.errors import ConfigError
from .options import GlobalOptions


def rpki_settings(options: GlobalOptions) -> RpkiSettings:
    """Raises ConfigError."""
    try:
        settings = RpkiSettings(
            sources=tuple(map(parse_source, options.rpki)),
            refresh=options.rpki_refresh or None,
            retry=options.rpki_retry or None,
            expire=options.rpki_expire or None,
            drops_stale=options.rpki_stale == "drop",
            shrinks=options.rpki_shrink,
            version=int(options.rpki_version),
            md5=read_key(options.rpki_md5),
            ca=options.rpki_ca,
            cert=options.rpki_cert,
            key=options.rpki_key,
            bind=options.rpki_bind,
            insecure=options.rpki_insecure,
            slurm=options.rpki_slurm,
        )
        settings.check()
    except ValueError as error:
        text = str(error)
        raise ConfigError(text if text.startswith("--rpki") else f"--rpki: {text}") from None
    return settings
