"""All that the pages say, in English and in Russian."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from .messages import in_russian

LANGUAGES: Final = {"en": "English", "ru": "Русский"}
TEXTS: Final[Mapping[str, str]] = {
    "%d would be announced: %d would come, %d would go": "будет анонсировано: %d; добавится: %d, исчезнет: %d",
    "AS number": "номер AS",
    "AS numbers": "номера AS",
    "Accept": "Принять",
    "Add": "Добавить",
    "Add a router at your address": "Добавить маршрутизатор с вашим адресом",
    "Address": "Адрес",
    "Address or prefix": "Адрес или префикс",
    "All lists": "Все списки",
    "All peers": "Все пиры",
    "Announce only routes with one of these communities": "Анонсировать только маршруты с одним из этих community",
    "Approve": "Одобрить",
    "Bad lines": "Ошибки в строках",
    "Changed": "Изменён",
    "Configuration for your router": "Настройка вашего маршрутизатора",
    "Delete this peer": "Удалить этот пир",
    "Description": "Описание",
    "Every announced prefix": "Все анонсируемые префиксы",
    "Foreign IPv4 addresses that widening may add": "Сколько чужих адресов IPv4 может добавить расширение",
    "Foreign IPv6 networks (/64) that widening may add": "Сколько чужих сетей IPv6 (/64) может добавить расширение",
    "Forget the token": "Забыть токен",
    "Gateway for IPv4": "Шлюз для IPv4",
    "Gateway for IPv6": "Шлюз для IPv6",
    "Greatest length of IPv4 prefixes": "Наибольшая длина префиксов IPv4",
    "Greatest length of IPv6 prefixes": "Наибольшая длина префиксов IPv6",
    "Held": "Задержан",
    "In no list": "Нет ни в одном списке",
    "Join prefixes that fill a larger one": "Объединять префиксы, составляющие больший",
    "Kind": "Вид",
    "Least length of IPv4 prefixes": "Наименьшая длина префиксов IPv4",
    "Least length of IPv6 prefixes": "Наименьшая длина префиксов IPv6",
    "Limits": "Ограничения",
    "List": "Список",
    "Lists": "Списки",
    "No peer is known at your address": "С вашего адреса пиры не известны",
    "No routes": "Маршрутов нет",
    "No session": "Сессии нет",
    "Nothing would change": "Ничего не изменится",
    "One in each line": "По одному в строке",
    "Only some are shown": "Показаны не все",
    "Outcome": "Итог",
    "Peer": "Пир",
    "Peers": "Пиры",
    "Prefix": "Префикс",
    "Prefixes": "Префиксы",
    "Prefixes of your own": "Собственные префиксы",
    "Prefixes that would come": "Префиксы, которые добавятся",
    "Prefixes that would go": "Префиксы, которые исчезнут",
    "Prefixes to leave out": "Исключить префиксы",
    "Read it now": "Прочитать сейчас",
    "Received": "Получено",
    "Refuse": "Отклонить",
    "Route": "Маршрут",
    "Route server": "Сервер маршрутов",
    "Router": "Маршрутизатор",
    "Routes": "Маршруты",
    "Routes at most": "Не больше маршрутов",
    "Save": "Сохранить",
    "Search": "Найти",
    "Sent": "Отправлено",
    "Session": "Сессия",
    "Sessions": "Сессии",
    "Show": "Показать",
    "Show what would change": "Показать, что изменится",
    "Since": "С",
    "Source": "Источник",
    "State": "Состояние",
    "Status": "Статус",
    "Stored": "Сохранено",
    "Subscription": "Подписка",
    "The peer is barred": "Пир заблокирован",
    "The peer waits for approval": "Пир ждёт одобрения",
    "This network stands for all other peers in it": "Эта сеть заменяет все остальные пиры в ней",
    "This peer is known by its network, and is changed there": "Этот пир известен по своей сети и меняется там",
    "This peer stands in the configuration, and is changed there": "Этот пир задан в конфигурации и меняется там",
    "Token": "Токен",
    "Trouble": "Неполадка",
    "Use it": "Войти",
    "What is empty is as in the group, or as usual": "Пустое поле: как у группы или как обычно",
    "Where is an address?": "Где адрес?",
    "Whoever has a token may see and do more": "С токеном можно видеть и делать больше",
    "With more routes": "Если маршрутов больше",
    "Your address": "Ваш адрес",
    "Your peers": "Ваши пиры",
    "active": "активен",
    "any": "любая",
    "as usual": "как обычно",
    "barred": "заблокирован",
    "hold": "не менять",
    "inactive": "неактивен",
    "no": "нет",
    "pending": "ждёт одобрения",
    "widen": "расширять",
    "yes": "да",
}
"""The Russian of each English text. A test holds that templates use these and no others."""
Say = Callable[..., str]


def say_in(language: str) -> Say:
    """What says a text in a language: `say("Peers")`, with values in the places of `%d`."""

    def say(text: str, *values: object) -> str:
        found = TEXTS.get(text, text) if language == "ru" else text
        return found % values if values else found

    return say


def tell_in(language: str) -> Callable[[object], str]:
    """What says a message of the route server in a language: see messages.MESSAGES."""

    def tell(text: object) -> str:
        return in_russian(str(text)) if language == "ru" and text else str(text or "")

    return tell


def choose(asked: str, accepted: str) -> str:
    """The language to use. asked: by the person, "" if never. accepted: Accept-Language (RFC 9110 section 12.5.4)."""
    if asked in LANGUAGES:
        return asked
    best, weight = "en", 0.0
    for part in accepted.split(","):
        name, _, parameter = part.partition(";")
        language = name.strip().lower().partition("-")[0]
        try:
            quality = float(parameter.strip().removeprefix("q=") or 1)
        except ValueError:
            quality = 0.0
        if language in LANGUAGES and quality > weight:
            best, weight = language, quality
    return best
