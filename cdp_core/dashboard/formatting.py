"""Numbers, money and times as a person reads them. Plain functions; all times are UTC."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import date, datetime, timedelta

_SYMBOLS = {"USD": "$", "EUR": "€", "GBP": "£", "JPY": "¥", "CNY": "¥", "INR": "₹", "AUD": "A$", "CAD": "C$"}
_UNITS = ((365 * 86400, "year"), (30 * 86400, "month"), (86400, "day"), (3600, "hour"), (60, "minute"))
_ACRONYMS = {"id": "ID", "crm": "CRM", "sha256": "SHA-256", "url": "URL", "ip": "IP", "csv": "CSV", "sql": "SQL"}


def number(value: float | None) -> str:
    """Grouped digits, at most two decimals.

    >>> number(69659), number(12.5), number(None)
    ('69,659', '12.5', '–')
    """
    if value is None:
        return "–"
    if float(value).is_integer():
        return f"{int(value):,}"
    return f"{value:,.2f}".rstrip("0").rstrip(".")


def compact(value: float | None) -> str:
    """Short form for tiles; below ten thousand every digit is shown.

    >>> compact(9876), compact(69659), compact(1_250_000)
    ('9,876', '69.7k', '1.25M')
    """
    if value is None:
        return "–"
    for size, unit in ((1e9, "B"), (1e6, "M"), (1e4, "k")):
        if abs(value) >= size:
            scale = 1e3 if unit == "k" else size
            return f"{value / scale:,.{2 if unit != 'k' else 1}f}".rstrip("0").rstrip(".") + unit
    return number(value)


def money(value: float | None, currency: str | None) -> str:
    """An amount with its currency; without a known currency a plain number with two decimals.

    >>> money(412.3, "USD"), money(-5, "SEK"), money(3.5, None)
    ('$412.30', '-5.00 SEK', '3.50')
    """
    if value is None:
        return "–"
    digits = f"{abs(value):,.2f}"
    sign = "-" if value < 0 else ""
    symbol = _SYMBOLS.get(currency or "")
    if symbol:
        return f"{sign}{symbol}{digits}"
    return f"{sign}{digits} {currency}" if currency else f"{sign}{digits}"


def money_format(currency: str | None) -> str:
    """The same as a format of a number column.

    >>> money_format("USD")
    '$%,.2f'
    """
    symbol = _SYMBOLS.get(currency or "")
    if symbol:
        return f"{symbol}%,.2f"
    return f"%,.2f {currency}" if currency else "%,.2f"


def percent(share: float | None) -> str:
    """A share of one in per cent; never rounded up to 100 or down to 0.

    >>> percent(0.9996), percent(1.0), percent(0.123), percent(0.0001)
    ('>99.9%', '100%', '12.3%', '<0.1%')
    """
    if share is None:
        return "–"
    if share in (0, 1):
        return f"{share:.0%}"
    if share > 0.999:
        return ">99.9%"
    return "<0.1%" if share < 0.001 else f"{share:.1%}"


def ago(then: datetime | None, now: datetime) -> str:
    """Distance to `now` in its largest unit.

    >>> ago(datetime(1998, 6, 28), datetime(1998, 7, 1)), ago(datetime(1998, 7, 1, 2), datetime(1998, 7, 1))
    ('3 days ago', 'in 2 hours')
    """
    if then is None:
        return "never"
    seconds = (now - then).total_seconds()
    size = abs(seconds)
    for unit, name in _UNITS:
        if size >= unit:
            count = int(size // unit)
            words = f"{count} {name}{'s' if count > 1 else ''}"
            return f"{words} ago" if seconds >= 0 else f"in {words}"
    return "just now"


def exact(then: datetime | date | None) -> str:
    """Day, month, year and UTC time.

    >>> exact(datetime(1998, 7, 1, 9, 5)), exact(date(1998, 7, 1))
    ('1 Jul 1998, 09:05 UTC', '1 Jul 1998')
    """
    if then is None:
        return "–"
    day = f"{then.day} {then:%b %Y}"
    return f"{day}, {then:%H:%M} UTC" if isinstance(then, datetime) else day


def duration(seconds: float | None) -> str:
    """
    >>> duration(0.42), duration(12.3), duration(185)
    ('0.42 s', '12 s', '3 min 5 s')
    """
    if seconds is None:
        return "–"
    if seconds < 10:
        return f"{seconds:.2f} s" if seconds < 1 else f"{seconds:.1f} s"
    if seconds < 60:
        return f"{seconds:.0f} s"
    span = timedelta(seconds=round(seconds))
    minutes, rest = divmod(int(span.total_seconds()), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def label(name: str) -> str:
    """A name from the configuration as a heading in sentence case.

    >>> label("total_spent"), label("crm_contact_id"), label("orders_90d")
    ('Total spent', 'CRM contact ID', 'Orders 90d')
    """
    words = [_ACRONYMS.get(word, word) for word in name.replace("-", "_").split("_") if word]
    text = " ".join(words)
    return text[:1].upper() + text[1:]


def labels(names: Iterable[str]) -> str:
    """Names from the configuration in a line of Markdown.

    >>> labels(["high_value", "crm_id"])
    'High value, CRM ID'
    """
    return ", ".join(escape(label(name)) for name in names)


def plural(count: int, word: str, many: str | None = None) -> str:
    """
    >>> plural(1, "row"), plural(2130, "row"), plural(2, "identity", "identities")
    ('1 row', '2,130 rows', '2 identities')
    """
    return f"{count:,} {word if count == 1 else many or word + 's'}"


def code(text: str) -> str:
    """Text from configuration as code in Markdown: it ends where it should, whatever is in it.

    >>> code("^0+$"), code("a`b")
    ('`^0+$`', '`` a`b ``')
    """
    text = " ".join(text.split())
    if "`" not in text:
        return f"`{text}`"
    longest = max(len(run) for run in re.findall("`+", text))
    return f"{'`' * (longest + 1)} {text} {'`' * (longest + 1)}"


def escape(text: str) -> str:
    """Text from data or configuration as plain text in Markdown.

    >>> escape("a*b [c]")
    'a\\\\*b \\\\[c\\\\]'
    """
    for sign in "\\`*_{}[]<>()#+!|$~:":
        text = text.replace(sign, "\\" + sign)
    return text
