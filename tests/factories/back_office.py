"""The two schemas as staff, partners and members ask them, without HTTP between.

What the edge adds, masking and codes, has tests of its own; here an error's code is read from the
exception that the edge would show.
"""

from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, cast

import strawberry
from graphql import GraphQLError
from pydantic import SecretStr

from app.core.db import Database
from app.settings import Mode, Settings
from auth.tokens import SigningKeys, TokenSigner, TokenVerifier
from resolvers.root import admin_schema, member_schema
from schema.context import Context, Principal
from tests.factories.executing import execute

ISSUER = "https://regulars.example"
KEY = SecretStr("a2tra2tra2tra2tra2tra2tra2tra2tra2tra2tra2s=")

ADMIN, MEMBER = admin_schema, member_schema


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
        result = await execute(self.schema, document, variables, context)
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
            return "BAD_USER_INPUT"  # a variable of the wrong shape, as the edge says it
        cause = cause.original_error
    if not hasattr(cause, "code"):
        raise cause
    return str(cause.code)
