"""The demo's group: its places, card schemes, tills, staff and partner, and how to be them.

The passwords and secrets here open nothing but a database that `load_demo` filled.
"""

import base64
import hashlib
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random
from typing import Any, NamedTuple
from uuid import UUID

from app.core.crypto import fingerprint
from app.core.db import Transaction, changed_copy
from app.demo.members import SPAN_DAYS, Plan, SchemePlan, StorePlan, end_of_history
from app.demo.people import CAST
from app.gateways.sandbox import Directory, PartnerLogin, Person, StaffLogin, WeChatAccount
from app.models.cards import ConsumptionVerification, DeductionRule, Scheme
from app.models.organisation import Node, NodeKind
from app.models.staff import Permission
from app.services import organisation, partners, payment_methods, roles, schemes, staff

CHINA, XINJIANG = "Asia/Shanghai", "Asia/Urumqi"
GROUP_NAME = "禾木餐饮集团 · Hemu Table Group"
CURRENCY = "CNY"
MINI_PROGRAM = "wxdemo0000000001"
OFFICIAL_ACCOUNT = "wxdemo0000000002"
PASSWORD = "regulars-demo-2026"  # noqa: S105  # for people who do not exist


class _Brand(NamedTuple):
    code: str
    name: str
    stores: tuple[tuple[str, str, str], ...]


BRANDS = (
    _Brand("camellia", "山茶咖啡 · Camellia Coffee", (
        ("JA", "静安寺店 · Jing'an Temple, Shanghai", CHINA),
        ("WB", "西岸店 · West Bund, Shanghai", CHINA),
        ("XH", "西湖店 · West Lake, Hangzhou", CHINA),
    )),
    _Brand("lane", "巷口面馆 · Lane Corner Noodles", (
        ("YY", "豫园店 · Yuyuan, Shanghai", CHINA),
        ("PJ", "平江路店 · Pingjiang Road, Suzhou", CHINA),
        ("DB", "大巴扎店 · Grand Bazaar, Urumqi", XINJIANG),
    )),
)  # fmt: skip
TERMINALS = ("收银台 1 · Till 1", "收银台 2 · Till 2")
STORE_GROUPS = (
    ("上海门店 · Shanghai stores", ("JA", "WB", "YY")),
    ("景区门店 · Sights", ("XH", "PJ", "DB")),
)
METHODS = (
    ("cash", "现金 · Cash", True),
    ("wechat_pay", "微信支付 · WeChat Pay", True),
    ("alipay", "支付宝 · Alipay", True),
    ("bank_card", "银行卡 · Bank card", True),
    ("gift_voucher", "礼券 · Gift voucher", False),
    ("house_account", "挂账 · House account", False),
    ("stored_value", "储值 · Stored value", False),
    ("points", "积分 · Points", False),
    ("douyin_voucher", "抖音代金券 · Douyin voucher", False),
)
NOT_FOR_TOP_UPS = {"gift_voucher", "house_account", "stored_value", "points", "douyin_voucher"}
"""TOP-8: what cannot buy stored value."""
BY_TRANSFER = {"wechat_pay", "alipay", "bank_card"}
PROVIDERS = {"wechat_pay": "wechat_pay"}


GROWTH: dict[str, Any] = {
    "tiers_are_computed": True,
    "tiers_version": 1,
    "growth_unit": 1_000,
    "growth_rate": 10,
}
"""TIR-6: 10 growth for each 10.00, cumulatively."""


class _Employee(NamedTuple):
    role: str
    name: str
    place: str
    """The code of the node where the role holds; the group's is empty."""

    @property
    def email(self) -> str:
        return f"{self.role}@regulars.example"

    @property
    def totp_secret(self) -> str:
        # 20 bytes, as RFC 4226 recommends, and the same in every demo.
        digest = hashlib.sha256(f"demo totp {self.role}".encode()).digest()[:20]
        return base64.b32encode(digest).decode()


EMPLOYEES = (
    _Employee("owner", "何禾 · He He", ""),
    _Employee("marketer", "苏木 · Su Mu", "camellia"),
    _Employee("finance", "钱明 · Qian Ming", ""),
    _Employee("support", "安然 · An Ran", ""),
    _Employee("cashier", "李想 · Li Xiang", "JA"),
    _Employee("auditor", "严正 · Yan Zheng", ""),
)
PARTNER = PartnerLogin(
    name="快跑外卖 · Kuaipao Delivery",
    client_id="demo-kuaipao",
    client_secret="demo-secret-of-kuaipao-delivery",  # noqa: S106  # likewise
    scopes=(
        Permission.ORGANISATION_READ,
        Permission.MEMBERS_FIND,
        Permission.CARDS_READ,
        Permission.CARDS_ISSUE,
        Permission.CODES_RESOLVE,
        Permission.PURCHASES_READ,
        Permission.PURCHASES_WRITE,
        Permission.PURCHASES_REFUND,
        Permission.TOP_UPS_READ,
        Permission.TOP_UPS_SELL,
        Permission.SPENDINGS_WRITE,
        Permission.SPENDINGS_REFUND,
        Permission.EVENTS_WRITE,
        Permission.ORDERS_READ,
        Permission.COUPONS_READ,
        Permission.COUPONS_REDEEM,
        Permission.MALL_READ,
        Permission.MALL_FULFIL,
        Permission.GIFT_CARDS_READ,
        Permission.GIFT_CARDS_SELL,
        Permission.GIFT_CARDS_REDEEM,
        Permission.BENEFITS_READ,
        Permission.PACKAGES_READ,
        Permission.PACKAGES_SELL,
    ),
)
PARTNER_REQUESTS_PER_MINUTE = 6_000


def directory() -> Directory:
    """Whom one can be in the sandbox: the cast, all staff, the partner."""
    people: dict[str, Person] = {}
    for one in CAST:
        # Somebody with two records is one person, who can prove what both of them hold.
        earlier = people.get(one.key)
        wechat = (WeChatAccount(MINI_PROGRAM, one.openid),) if one.openid else ()
        people[one.key] = Person(
            key=one.key,
            name=one.name,
            phone=one.phone or (earlier.phone if earlier else None),
            email=one.email or (earlier.email if earlier else None),
            wechat=wechat or (earlier.wechat if earlier else ()),
            # One for all apps of the group: it joins the OpenIDs of each (IDN-1).
            unionid=f"uDemo-{one.key}",
        )
    logins = [StaffLogin(e.name, e.email, PASSWORD, e.totp_secret) for e in EMPLOYEES]
    return Directory(people=tuple(people.values()), staff=logins, partners=(PARTNER,))


@dataclass(slots=True)
class World:
    """The group being built; ids follow from the seed and the time."""

    now: datetime
    seed: int
    group_code: str
    nodes: dict[str, Node] = field(default_factory=dict)
    terminals: dict[str, list[UUID]] = field(default_factory=dict)
    methods: dict[str, UUID] = field(default_factory=dict)
    schemes: list[SchemePlan] = field(default_factory=list)
    staff: dict[str, UUID] = field(default_factory=dict)
    _random: Random = field(init=False)
    _count: int = 0

    def __post_init__(self) -> None:
        self._random = Random(f"{self.seed}:world")  # noqa: S311  # ids are no secrets

    @property
    def opened_at(self) -> datetime:
        """When the group began, before its first member joined."""
        return self.now - timedelta(days=SPAN_DAYS + 30)

    def new_id(self) -> UUID:
        self._count += 1
        moment_ms = int(self.opened_at.timestamp() * 1_000) + self._count
        noise = self._random.getrandbits(80) & ~(0xF << 76 | 0x3 << 62)
        return UUID(int=moment_ms << 80 | 0x7 << 76 | 0x2 << 62 | noise)

    @property
    def group(self) -> Node:
        return self.nodes[""]

    def plan(self, *, members: int, regulars: int) -> Plan:
        """What the members of this world follow from."""
        return Plan(
            group_id=self.group.id.bytes,
            schemes=tuple(self.schemes),
            earning_methods=tuple(self.methods[c].bytes for c, _, earns in METHODS if earns),
            other_methods=tuple(self.methods[c].bytes for c in ("gift_voucher", "house_account")),
            cashier_id=self.staff["cashier"].bytes,
            app_id=MINI_PROGRAM,
            members=members,
            regulars=regulars,
            seed=self.seed,
            ends_us=end_of_history(self.now),
        )


async def build(tx: Transaction, world: World, *, password_hash: str) -> None:
    """Write everything but the members; in one transaction, into an empty database."""
    await _places(tx, world)
    await _money(tx, world)
    await _employ(tx, world, password_hash)
    await _partner(tx, world)


async def _places(tx: Transaction, world: World) -> None:
    def place(
        kind: NodeKind, code: str, name: str, zone: str, *, brand_id: UUID | None = None
    ) -> Node:
        node = organisation.new_node(
            id=world.new_id(),
            kind=kind,
            group_id=world.nodes[""].id if world.nodes else UUID(int=0),
            brand_id=brand_id,
            code=code,
            name=name,
            time_zone=zone,
            created_at=world.opened_at,
        )
        if kind is NodeKind.GROUP:
            node = changed_copy(node, group_id=node.id)
        return changed_copy(node, brand_id=node.id) if kind is NodeKind.BRAND else node

    group = world.nodes[""] = place(NodeKind.GROUP, world.group_code, GROUP_NAME, CHINA)
    for brand in BRANDS:
        above = world.nodes[brand.code] = place(NodeKind.BRAND, brand.code, brand.name, CHINA)
        for code, name, zone in brand.stores:
            world.nodes[code] = place(NodeKind.STORE, code, name, zone, brand_id=above.id)
    await tx.insert(*world.nodes.values())
    for code, node in world.nodes.items():
        if node.kind is NodeKind.STORE:
            world.terminals[code] = [world.new_id() for _ in TERMINALS]
            await tx.insert(
                *(
                    organisation.new_terminal(
                        id=id_, store_id=node.id, name=name, created_at=world.opened_at
                    )
                    for id_, name in zip(world.terminals[code], TERMINALS, strict=True)
                )
            )
    for name, codes in STORE_GROUPS:
        set_ = organisation.new_store_group(
            id=world.new_id(), perspective_id=group.id, name=name, created_at=world.opened_at
        )
        members = [
            organisation.new_store_group_store(
                id=world.new_id(), store_group_id=set_.id, store_id=world.nodes[code].id
            )
            for code in codes
        ]
        await tx.insert(set_, *members)


async def _money(tx: Transaction, world: World) -> None:
    """Payment methods, and the two schemes: one of a brand, one of the whole group."""
    for code, name, earns in METHODS:
        method = payment_methods.new_method(
            id=world.new_id(),
            group_id=world.group.id,
            code=code,
            name=name,
            is_net_receipt=earns,
            can_pay_top_up=code not in NOT_FOR_TOP_UPS,
            moves_by_transfer=code in BY_TRANSFER,
            provider=PROVIDERS.get(code),
        )
        world.methods[code] = method.id
        await tx.insert(method)
    stores = {code for brand in BRANDS[:1] for code, _, _ in brand.stores}
    await _scheme(
        tx, world, world.nodes["camellia"], "山茶会员卡 · Camellia Card", stores,
        (("新芽 · Sprout", 0), ("满枝 · In Bloom", 1_000)),
        points_unit=100, points_rate=1, valid_days=None, **GROWTH,
        consumption_verification=ConsumptionVerification.SMS,
    )  # fmt: skip
    await _scheme(
        tx, world, world.group, "禾木家宴卡 · Hemu Table Card", set(world.terminals),
        (("邻居 · Neighbour", 0), ("老友 · Old Friend", 1_500)),
        points_unit=1_000, points_rate=5, valid_days=1_095, **GROWTH,
        consumption_verification=ConsumptionVerification.PIN,
    )  # fmt: skip


async def _scheme(
    tx: Transaction,
    world: World,
    perspective: Node,
    name: str,
    store_codes: set[str],
    tiers: tuple[tuple[str, int], ...],
    **rules: Any,
) -> None:
    scheme: Scheme = schemes.new_scheme(
        id=world.new_id(),
        group_id=world.group.id,
        perspective_id=perspective.id,
        name=name,
        currency=CURRENCY,
        deduction_rule=DeductionRule.BONUS_FIRST,
        created_at=world.opened_at,
        **rules,
    )
    rows = [
        schemes.new_tier(
            id=world.new_id(), scheme_id=scheme.id, level=level, name=title, growth_from=growth
        )
        for level, (title, growth) in enumerate(tiers, start=1)
    ]
    await tx.insert(scheme, *rows)
    stores = tuple(
        StorePlan(world.nodes[code].id.bytes, tuple(t.bytes for t in terminals), code)
        for code, terminals in world.terminals.items()
        if code in store_codes
    )
    world.schemes.append(
        SchemePlan(
            id=scheme.id.bytes,
            currency=CURRENCY,
            points_unit=scheme.points_unit,
            points_rate=scheme.points_rate,
            valid_days=scheme.valid_days,
            tiers=tuple((row.id.bytes, row.growth_from) for row in rows),
            stores=stores,
        )
    )


async def _employ(tx: Transaction, world: World, password_hash: str) -> None:
    """One of each built-in role, with a password and a second factor that are known."""
    await roles.ensure_built_in(tx, group_id=world.group.id)
    for employee in EMPLOYEES:
        account = staff.new_staff(
            id=world.new_id(),
            group_id=world.group.id,
            name=employee.name,
            email=employee.email,
            email_index=staff.email_index(employee.email),
            password_hash=password_hash,
            totp_secret=employee.totp_secret,
            created_at=world.opened_at,
        )
        await tx.insert(account)
        world.staff[employee.role] = account.id
        role = await roles.built_in(tx, group_id=world.group.id, name=employee.role)
        await staff.give(
            tx, staff_id=account.id, role_id=role.id, node_id=world.nodes[employee.place].id,
            now=world.opened_at,
        )  # fmt: skip


async def _partner(tx: Transaction, world: World) -> None:
    client = partners.new_client(
        id=world.new_id(),
        group_id=world.group.id,
        client_id=PARTNER.client_id,
        name=PARTNER.name,
        secret_hash=fingerprint(PARTNER.client_secret.encode()),
        scopes=sorted(PARTNER.scopes),
        requests_per_minute=PARTNER_REQUESTS_PER_MINUTE,
        created_at=world.opened_at,
    )
    node = partners.new_partner_node(
        id=world.new_id(), partner_client_id=client.id, node_id=world.group.id
    )
    await tx.insert(client, node)
