"""One statement a level: everything nested is loaded by id, for all parents at once."""

from uuid import UUID

from strawberry.dataloader import DataLoader

from app.core.db import Database
from app.models.organisation import Node
from app.services import organisation


class Loaders:
    """One set per operation, so nothing is remembered between people."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.node: DataLoader[UUID, Node] = DataLoader(self._nodes)

    async def _nodes(self, ids: list[UUID]) -> list[Node]:
        found = await self.database.read(organisation.nodes, ids)
        return [found[i] for i in ids]
