"""One statement a level: everything nested is loaded by id, for all parents at once."""

from uuid import UUID

from strawberry.dataloader import DataLoader

from app.core.db import Database
from app.models.identities import Identity
from app.models.members import AttributeDefinition, Consent, Member
from app.models.organisation import Node
from app.services import identities, members, organisation


class Loaders:
    """One set per operation, so nothing is remembered between people."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.node: DataLoader[UUID, Node] = DataLoader(self._nodes)

        self.member: DataLoader[UUID, Member] = DataLoader(self._members)
        self.identities: DataLoader[UUID, list[Identity]] = DataLoader(self._identities)
        self.consents: DataLoader[UUID, list[Consent]] = DataLoader(self._consents)
        self.attributes: DataLoader[UUID, list[AttributeDefinition]] = DataLoader(self._attributes)

    async def _nodes(self, ids: list[UUID]) -> list[Node]:
        found = await self.database.read(organisation.nodes, ids)
        return [found[i] for i in ids]

    async def _members(self, ids: list[UUID]) -> list[Member]:
        found = await self.database.read(members.by_ids, ids)
        return [found[i] for i in ids]

    async def _identities(self, member_ids: list[UUID]) -> list[list[Identity]]:
        found = await self.database.read(identities.of_members, member_ids)
        return [found[i] for i in member_ids]

    async def _consents(self, member_ids: list[UUID]) -> list[list[Consent]]:
        found = await self.database.read(members.consents_in_force, member_ids)
        return [found[i] for i in member_ids]

    async def _attributes(self, group_ids: list[UUID]) -> list[list[AttributeDefinition]]:
        found = await self.database.read(members.attributes_defined, group_ids)
        return [found[i] for i in group_ids]
