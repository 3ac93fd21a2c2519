"""People whom staff write down, look for and list."""

from typing import Any

from app.core.ids import type_id
from app.models.organisation import Node
from tests.factories.cards import Counter
from tests.factories.staff import Employee

CUSTOMER = """mutation ($input: CustomerCreateInput!) { customerCreate(input: $input) {
  __typename
  ... on Member { id name gender birthday region attributes { key value }
    identities { kind } contacts { kind masked } cards { id } recruitmentStore { name } }
  ... on ContactTaken { memberId }
  ... on UnknownAttribute { key }
} }"""
MEMBER = """mutation ($input: MemberCreateInput!) { memberCreate(input: $input) {
  __typename
  ... on Member { id name contacts { kind masked } recruitmentStore { name }
    cards { id number scheme { id } issuingStore { name } } }
  ... on ContactTaken { memberId }
} }"""
MEMBERS = """query ($filter: MemberFilter, $first: Int! = 20, $after: String) {
  members(filter: $filter, first: $first, after: $after) {
    edges { node { id } } pageInfo { hasNextPage endCursor } } }"""
CARDS = """query ($filter: CardFilter, $first: Int! = 20, $after: String) {
  cards(filter: $filter, first: $first, after: $after) {
    edges { node { id number status holder { name phone } } }
    pageInfo { hasNextPage endCursor } } }"""


async def a_customer(counter: Counter, /, who: Employee | None = None, **given: Any) -> Any:
    """Write somebody down; what the mutation answers."""
    return await counter.as_staff(CUSTOMER, who=who, input=given)


async def a_member(counter: Counter, /, who: Employee | None = None, **given: Any) -> Any:
    """Write somebody down with a card of the shop's scheme; what the mutation answers."""
    scheme_id = type_id("sch", counter.shop.scheme.id)
    return await counter.as_staff(MEMBER, who=who, input={"schemeId": scheme_id} | given)


async def members_found(counter: Counter, /, who: Employee | None = None, **given: Any) -> Any:
    """The ids of the members for whom it all holds, or the code of the error."""
    page = await counter.as_staff(MEMBERS, who=who, filter=given)
    return page if isinstance(page, str) else [edge["node"]["id"] for edge in page["edges"]]


async def cards_found(counter: Counter, /, who: Employee | None = None, **given: Any) -> Any:
    """The numbers of the cards for which it all holds, or the code of the error."""
    page = await counter.as_staff(CARDS, who=who, filter=given)
    return page if isinstance(page, str) else [edge["node"]["number"] for edge in page["edges"]]


def node_id(node: Node) -> str:
    return type_id("node", node.id)
