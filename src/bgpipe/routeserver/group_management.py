"""Groups of peers while a route server runs: those of the database are made, changed and removed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from .audit import group_changes
from .groups import PeerGroup
from .list_management import ListManagement, Refused
from .rule_checks import check_rules, each_of
from .settings import OPTION_CHECKS

MAX_NAME: Final = 120
"""Characters of the name of a group."""
MAX_GROUPS: Final = 1000
"""Groups that the database may own."""


class GroupManagement(ListManagement):
    """All methods raise Refused."""

    def group(self, name: str) -> PeerGroup:
        """Raises Refused."""
        found = self.server.tables.groups.get(name)
        if found is None:
            raise Refused("Group not found", 404)
        return found

    async def add_group(self, name: str, fields: Mapping[str, Any]) -> PeerGroup:
        """Makes a group that the database owns. fields: of PeerGroup. Raises Refused."""
        if not name.strip() or len(name) > MAX_NAME or not name.isprintable() or name != name.strip() or "/" in name:
            raise Refused(f"name: 1 to {MAX_NAME} printable characters without / are expected")
        checked = self._checked_group(fields)
        async with self.server.changing:
            if name in self.server.tables.groups:
                raise Refused(f"there is a group {name!r} already", 409)
            if len(self.server.database_groups) >= MAX_GROUPS:
                raise Refused(f"the database has at most {MAX_GROUPS} groups", 409)
            return await self._put_group("add group", None, PeerGroup(name=name, **checked))

    async def change_group(self, name: str, fields: Mapping[str, Any]) -> PeerGroup:
        """Changes what `fields` has. Raises Refused."""
        checked = self._checked_group(fields)
        async with self.server.changing:
            before = self._own_group(name)
            return await self._put_group("change group", before, msgspec.structs.replace(before, **checked))

    async def delete_group(self, name: str) -> None:
        """Removes a group in which nobody is. Raises Refused."""
        async with self.server.changing:
            before = self._own_group(name)
            if members := self.server.members(name):
                shown = ", ".join(f"{each.ip}#{each.asn}" for each in members[:3])
                more = f" and {len(members) - 3} others" if len(members) > 3 else ""
                raise Refused(f"there are peers in this group: {shown}{more}", 409)
            entry = self.actor.entry("delete group", name, group_changes(before, None))
            await self._stored(self.server.store.remove_group(name, entry))
            del self.server.database_groups[name]
            self.server.take_groups(name)

    async def _put_group(self, action: str, before: PeerGroup | None, after: PeerGroup) -> PeerGroup:
        """The lock is held."""
        entry = self.actor.entry(action, after.name, group_changes(before, after))
        await self._stored(self.server.store.save_group(after, entry))
        self.server.database_groups[after.name] = after
        self.server.take_groups(after.name)
        return after

    def _own_group(self, name: str) -> PeerGroup:
        """A group of the database. Raises Refused."""
        found = self.group(name)
        if found.owner == "config":
            raise Refused("this group stands in the configuration, and is changed there", 409)
        return found

    def _checked_group(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        checked = self.checked_rules(fields)
        if "local_asn" in fields:
            checked["local_asn"] = each_of("local_asn", (fields["local_asn"] or 0,), OPTION_CHECKS["local_asn"])[0]
        return checked

    def checked_rules(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        """The fields of a peer or a group as they are kept, if they are those of Rules. Raises Refused."""
        return check_rules(fields, {each.name for each in self.server.lists.public})
