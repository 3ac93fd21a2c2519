"""The part of the two schemas that staff, roles, partners and sessions make up, to ask directly.

What the edge adds, masking and codes, has tests of its own; here an error's code is read from the
exception that the edge would show.
"""

from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, cast

import strawberry
from graphql import GraphQLError
from pydantic import SecretStr
from strawberry.schema.config import StrawberryConfig
from strawberry.tools import merge_types

from app.core.db import Database
from app.settings import Mode, Settings
from auth.tokens import SigningKeys, TokenSigner, TokenVerifier
from resolvers.admin import audit, organisation, partners, sessions, staff
from resolvers.member import sessions as member_sessions
from schema import organisation as organisation_schema
from schema import partners as partners_schema
from schema import sessions as sessions_schema
from schema import staff as staff_schema
from schema.context import Context, Principal
from schema.scalars import SCALARS

ISSUER = "https://regulars.example"
KEY = SecretStr("a2tra2tra2tra2tra2tra2tra2tra2tra2tra2tra2s=")

ADMIN = strawberry.Schema(
    query=merge_types(
        "Query",
        (organisation.Query, sessions.Query, staff.Query, partners.Query, audit.Query),
    ),
    mutation=merge_types(
        "Mutation",
        (organisation.Mutation, sessions.Mutation, staff.Mutation, partners.Mutation),
    ),
    exception_handlers=[
        *organisation_schema.HANDLERS,
        *sessions_schema.HANDLERS,
        *staff_schema.HANDLERS,
        *partners_schema.HANDLERS,
    ],
    config=StrawberryConfig(scalar_map=SCALARS),
)
MEMBER = strawberry.Schema(
    query=member_sessions.Query,
    mutation=member_sessions.Mutation,
    exception_handlers=sessions_schema.HANDLERS,
)


@dataclass
class BackOffice:
    """Asks a schema as somebody, at a time."""

    database: Database
    now: datetime
    schema: strawberry.Schema = ADMIN
    settings: Settings = field(
        default_factory=lambda: Settings(
            mode=Mode.DEMO,
            public_url=ISSUER,
            encryption_keys={"k": KEY},
            index_key=KEY,
            member_code_keys={"k": KEY},
        )
    )
    keys: SigningKeys = field(init=False)
    signer: TokenSigner = field(init=False)
    verifier: TokenVerifier = field(init=False)

    def __post_init__(self) -> None:
        self.keys = SigningKeys(self.database)
        life = self.settings.access_token_life
        self.signer = TokenSigner(self.keys, issuer=ISSUER, life=life)
        self.verifier = TokenVerifier(self.keys, issuer=ISSUER)

    def at(self, now: datetime) -> "BackOffice":
        """The same at another time, with the keys it knows."""
        later = replace(self, now=now)
        later.keys, later.signer, later.verifier = self.keys, self.signer, self.verifier
        return later

    async def ask(
        self, document: str, principal: Principal | None = None, /, **variables: Any
    ) -> Any:
        """The data of the only field, or the code of the error."""
        context = Context(
            database=self.database,
            settings=self.settings,
            group_id=cast("Any", None),
            now=self.now,
            request_id="test",
            client_address="203.0.113.7",
            principal=principal,
            outside=cast("Any", None),
            signer=self.signer,
        )
        result = await self.schema.execute(document, variables, context)
        if result.errors:
            return code_of(result.errors[0])
        assert result.data is not None
        (answer,) = result.data.values()
        return answer


def code_of(error: GraphQLError) -> str:
    """What the edge would put into `extensions.code`."""
    cause: Any = error
    while isinstance(cause, GraphQLError):
        if cause.original_error is None:
            raise cause
        cause = cause.original_error
    if not hasattr(cause, "code"):
        raise cause
    return str(cause.code)
