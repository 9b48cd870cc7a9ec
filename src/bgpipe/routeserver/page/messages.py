"""What the route server itself says of peers, lists and forms, in Russian.

Its English texts are made elsewhere, also for the API and the log, and have names and numbers in them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Final

MESSAGES: Final[Mapping[str, str]] = {
    # what becomes of a prefix
    "not chosen": "не выбран",
    "shorter or longer than allowed": "короче или длиннее допустимого",
    "excluded for all peers": "исключён для всех пиров",
    "a bogon in a list that was fetched": "bogon в загруженном списке",
    "excluded for this peer": "исключён для этого пира",
    "a custom prefix takes its place": "его заменяет собственный префикс",
    "its communities are not wanted": "его community не нужны",
    "not announced for MaxRoutes": "не анонсируется из-за MaxRoutes",
    "added by widening for MaxRoutes": "добавлен расширением из-за MaxRoutes",
    "not announced: the peer waits for approval": "не анонсируется: пир ждёт одобрения",
    "not announced: the peer is barred": "не анонсируется: пир заблокирован",
    "announced": "анонсируется",
    "custom prefixes": "собственные префиксы",
    # why there are no routes, or fewer
    "the peer waits for approval": "пир ждёт одобрения",
    "the peer is barred": "пир заблокирован",
    "the session is not up": "сессия не установлена",
    "nothing was announced yet": "ещё ничего не анонсировано",
    "lists are being read for the first time: {}": "списки читаются впервые: {}",
    "lists were never read: {}": "списки ещё не прочитаны: {}",
    "none of the peer's lists has it": "нет ни в одном из списков пира",
    "the peer has subscribed to nothing, and there is no default list": (
        "пир ни на что не подписан, а списка по умолчанию нет"
    ),
    "no route has one of the communities that the peer wants": "ни у одного маршрута нет нужных пиру community",
    "its lists and custom prefixes are empty, or all of it is excluded": (
        "его списки и префиксы пусты или всё исключено"
    ),
    # lists
    "list {} is held back": "список {} задержан",
    "list {}: {}": "список {}: {}",
    "{} prefixes, more than its Max of {}": "префиксов {}, больше его Max: {}",
    "the list was rolled back to version {}": "список возвращён к версии {}",
    "it has collapsed: its source says that none of its {} prefixes is left": (
        "он опустел: по словам источника, ни одного из {} префиксов не осталось"
    ),
    "it has shrunk from {} to {} prefixes": "он уменьшился: было префиксов {}, стало {}",
    "it has grown from {} to {} prefixes": "он вырос: было префиксов {}, стало {}",
    "No such file or directory": "нет такого файла или каталога",
    "the database can't be used": "база данных недоступна",
    "the database can't be used now": "база данных сейчас недоступна",
    # forms
    "an IP address or a network such as 192.0.2.0/24 is expected": "ожидается адрес IP или сеть, например 192.0.2.0/24",
    "a prefix is expected, or behind one {}": "ожидается префикс или, после него, {}",
    "an AS number is expected": "ожидается номер AS",
    "an AS number from 1 to {} is expected": "ожидается номер AS от 1 до {}",
    "{} is reserved: it can be nobody's AS number": "{} зарезервирован: это ничей номер AS",
    "a number is expected": "ожидается число",
    "a number from {} to {} is expected": "ожидается число от {} до {}",
    "a number from {} is expected": "ожидается число от {}",
    "one of {} is expected": "ожидается одно из: {}",
    "{} is no IP address": "{} не адрес IP",
    "no peer can have this address": "у пира не может быть такого адреса",
    "no router can have this address": "у маршрутизатора не может быть такого адреса",
    "an IPv4 address or self is expected": "ожидается адрес IPv4 или self",
    "an IPv6 address or self is expected": "ожидается адрес IPv6 или self",
    "a unicast address that is valid beyond one link is expected": (
        "ожидается адрес unicast, действительный не только в одном канале"
    ),
    "a default route is never announced, nor excluded": "маршрут по умолчанию не анонсируется и не исключается",
    "an IPv4 address inside an IPv6 address is no route": "адрес IPv4 внутри адреса IPv6 не маршрут",
    "a community such as 65001:100, 65001:0:100, rt:65001:100 or no-export is expected": (
        "ожидается community, например 65001:100, 65001:0:100, rt:65001:100 или no-export"
    ),
    "a time such as 2026-12-31T23:59:00Z is expected (ISO 8601)": (
        "ожидается время, например 2026-12-31T23:59:00Z (ISO 8601)"
    ),
    "more than {} characters": "больше {} знаков",
    "unknown lists: {}": "неизвестные списки: {}",
    "there is no text for {}, but for {}": "для {} текста нет, есть для {}",
    "{} is a network: each router in it has a text of its own": (
        "{} это сеть: у каждого маршрутизатора в ней свой текст"
    ),
    "not an IP address: {}": "не адрес IP: {}",
    "prefix length must be 0 to {}: {}": "длина префикса от 0 до {}: {}",
    # who may do what
    "Peer not found": "Пир не найден",
    "Not found": "Не найдено",
    "This token is none of ours": "Это не наш токен",
    "the token is not valid": "токен недействителен",
    "a token is needed: Authorization: Bearer TOKEN": "нужен токен",
    "only the role {} may do this": "это может только роль {}",
    "only an operator may add peers here": "добавлять пиры здесь может только оператор",
    "only an operator may say this: {}": "это может задать только оператор: {}",
    "this is not your own peer": "это не ваш пир",
    "this peer waits for a word of an operator: it can't be deleted": (
        "этот пир ждёт решения оператора, его нельзя удалить"
    ),
    "this peer stands in the configuration, and is changed there": "этот пир задан в конфигурации и меняется там",
    "no version of this list waits for a word": "ни одна версия этого списка не ждёт решения",
    "this form was not made here, or it is too old: load its page again": (
        "эта форма не отсюда или устарела: загрузите страницу снова"
    ),
    "this is no form": "это не форма",
    "the body is too large": "запрос слишком велик",
    "Requests from other sites may change nothing": "запросы с других сайтов ничего не меняют",
}
"""The Russian of each. `{}` stands for a name, a number, or a text that is such a message itself. Errors of the network
and of other servers stay as they are."""
MAX_LENGTH: Final = 500
"""Characters of a message; a longer one has what somebody has sent in it, and stays as it is."""


def _pattern(text: str) -> re.Pattern[str]:
    return re.compile("(.+?)".join(map(re.escape, text.split("{}"))), re.DOTALL)


_PATTERNS: Final = [(_pattern(english), russian) for english, russian in MESSAGES.items() if "{}" in english]


@lru_cache(maxsize=1024)
def in_russian(text: str) -> str:
    """A message in Russian; what is no message of ours stays as it is. `NAME: MESSAGE` is one too."""
    if found := MESSAGES.get(text):
        return found
    if len(text) > MAX_LENGTH:
        return text
    for pattern, russian in _PATTERNS:
        if match := pattern.fullmatch(text):
            return russian.format(*map(in_russian, match.groups()))
    name, colon, rest = text.partition(": ")
    return f"{in_russian(name)}: {in_russian(rest)}" if colon else text
