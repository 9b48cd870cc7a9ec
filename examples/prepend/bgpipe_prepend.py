"""Prepend an AS number to the AS path of announcements."""

from __future__ import annotations

from bgpipe.stage import INTEGER, UPDATE, ConfigError, Consuming, Message, Option, TextError, WireError


class Prepend(Consuming):
    """Prepend an AS number to the AS path of announcements."""

    api = 1
    both = True

    asn = Option(INTEGER, 0, "AS number to prepend", metavar="ASN")
    count = Option(INTEGER, 1, "how many times", short="n", metavar="N")

    def attach(self) -> None:
        if not 0 < self.asn < 1 << 32:
            raise ConfigError("--asn is needed: the AS number to prepend")
        if not 0 < self.count < 256:
            raise ConfigError("--count is from 1 to 255")
        self.watch(self.on_message, types=[UPDATE])

    def on_message(self, message: Message) -> None:
        try:
            path = message.update.as_path
            if path is not None:
                hops = [list(hop) if isinstance(hop, tuple) else hop for hop in path.hops]
                message.update = message.update.replace(attrs={"ASPATH": [self.asn] * self.count + hops})
        except (WireError, TextError) as error:
            self.pipeline.log.warning("the AS path stays as it is", stage=str(self), seq=message.seq, error=str(error))
