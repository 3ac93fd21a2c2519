"""Who the demo's members are: a cast that documentation names, and as many others as wanted.

Nobody here is real. Numbers and addresses lead nowhere: the demo speaks to the sandbox only.
"""

from random import Random
from typing import NamedTuple


class Character(NamedTuple):
    """One member's record before it has an id."""

    name: str
    gender: str | None
    birthday: str | None
    region: str
    phone: str | None
    openid: str | None
    email: str | None
    key: str = ""
    """What the sandbox knows somebody of the cast by."""


def _openid(number: int) -> str:
    return f"oDemoMember{number:017d}"


CAST: tuple[Character, ...] = (
    Character("林小满", "FEMALE", "1994-05-21", "上海市", "+8613800000001", _openid(1),
              "xiaoman.lin@mail.example", "lin-xiaoman"),
    Character("Emma Taylor", "FEMALE", "1989-11-02", "上海市", "+8613800000002", _openid(2),
              "emma.taylor@mail.example", "emma-taylor"),
    Character("王浩然", "MALE", "1986-02-14", "杭州市", "+8613800000003", _openid(3),
              None, "wang-haoran"),
    Character("陈思雨", "FEMALE", "2001-08-30", "苏州市", "+8613800000004", _openid(4),
              "siyu.chen@mail.example", "chen-siyu"),
    Character("Daniel Okafor", "MALE", "1979-03-17", "上海市", "+8613800000005", None,
              "daniel.okafor@mail.example", "daniel-okafor"),
    Character("赵一诺", "FEMALE", None, "乌鲁木齐市", "+8613800000006", _openid(6),
              None, "zhao-yinuo"),
    Character("周静", "FEMALE", "1992-12-09", "上海市", None, _openid(7), None, "zhou-jing"),
    Character("徐子轩", "MALE", "1998-07-01", "杭州市", "+8613800000008", _openid(8),
              None, "xu-zixuan"),
    Character("周静", "FEMALE", "1992-12-09", "上海市", "+8613800000007", None,
              "jing.zhou@mail.example", "zhou-jing"),
    Character("Sofia Rossi", "FEMALE", "1995-09-23", "上海市", "+8613800000009", _openid(9),
              "sofia.rossi@mail.example", "sofia-rossi"),
)  # fmt: skip
"""The first members of every demo. 周静 is there twice: she joined once in the mini-program and
once at a till by phone, on one scheme (schemes alternate), and waits to be merged."""

SURNAMES = tuple("王李张刘陈杨黄赵吴周徐孙马朱胡郭何高林罗郑梁谢宋唐许韩冯邓曹彭曾肖田董袁潘于蒋蔡")
GIVEN_NAMES = (
    "伟", "芳", "娜", "敏", "静", "丽", "强", "磊", "洋", "艳", "勇", "杰", "娟", "涛", "明", "超",
    "子涵", "梓萱", "浩然", "欣怡", "宇轩", "诗涵", "思远", "雨桐", "嘉怡", "俊杰", "佳宁", "若曦",
    "一鸣", "晓彤", "志强", "建国", "秀英", "海燕", "文博", "天宇", "雅琪", "晨曦", "可欣", "景行",
)  # fmt: skip
FIRST_NAMES = (
    "Alice", "Ben", "Chloe", "David", "Elena", "Felix", "Grace", "Hugo", "Iris", "Jack", "Kate",
    "Leo", "Maya", "Noah", "Olivia", "Paul", "Quinn", "Rosa", "Sam", "Tess",
)  # fmt: skip
LAST_NAMES = (
    "Adams", "Brown", "Clark", "Dubois", "Evans", "Fischer", "Garcia", "Hughes", "Ivanova",
    "Jensen", "Kim", "Lopez", "Martin", "Novak", "Owens", "Patel", "Reed", "Silva", "Tanaka",
)  # fmt: skip
REGIONS = ("上海市", "上海市", "上海市", "杭州市", "苏州市", "乌鲁木齐市")
GENDERS = ("FEMALE", "MALE", None)
MOBILE_PREFIXES = ("+86136", "+86137", "+86139", "+86150", "+86158", "+86186", "+86187", "+86188")
NUMBER_STEP = 61_803_399
"""Has no factor in common with 10⁸, so no number comes twice within a hundred million."""


NAMES = tuple(surname + given for surname in SURNAMES for given in GIVEN_NAMES) + tuple(
    f"{first} {last}" for first in FIRST_NAMES for last in LAST_NAMES
)


def someone(rng: Random, index: int) -> Character:
    """Member `index`: phone, OpenID and address are unique by the index, the rest is chance."""
    random = rng.random
    birthday = None
    if random() < 0.3:
        year, month, day = 1955 + random() * 52, 1 + random() * 12, 1 + random() * 28
        birthday = f"{int(year)}-{int(month):02d}-{int(day):02d}"
    prefix = MOBILE_PREFIXES[index % len(MOBILE_PREFIXES)]
    return Character(
        NAMES[int(random() * len(NAMES))],
        GENDERS[int(random() * len(GENDERS))],
        birthday,
        REGIONS[int(random() * len(REGIONS))],
        f"{prefix}{index * NUMBER_STEP % 100_000_000:08d}",
        _openid(index + 1_000),
        f"member{index}@mail.example" if index % 16 == 0 else None,
    )
