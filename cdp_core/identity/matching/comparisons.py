"""The comparisons and their levels, as SQL over two normalised records, with the m and u to begin with.

`m` is the share of pairs of one person that reach a level, `u` that of pairs of two people. They stand as they are
when there is too little to train on, and weigh as much as a few dozen pairs when there is enough (refine.py).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from cdp_core.identity.matching.spec import Role


@dataclass(frozen=True, kw_only=True)
class Level:
    """`fixed` levels are rules rather than statistics: training leaves their m and u alone."""

    label: str
    sql: str
    m: float = 0.0
    u: float = 0.0
    tf: str | None = None
    fixed: bool = False
    null: bool = False

    def settings(self) -> dict[str, Any]:
        shown: dict[str, Any] = {"sql_condition": self.sql, "label_for_charts": self.label}
        if self.null:
            return shown | {"is_null_level": True}
        shown |= {"m_probability": self.m, "u_probability": self.u}
        if self.fixed:
            shown |= {"fix_m_probability": True, "fix_u_probability": True}
        if self.tf:
            shown |= {"tf_adjustment_column": self.tf, "disable_tf_exact_match_detection": True}
        return shown


@dataclass(frozen=True, kw_only=True)
class Comparison:
    name: str
    levels: tuple[Level, ...]

    @property
    def scored(self) -> list[Level]:
        """The levels that have an m and a u, the strongest first."""
        return [level for level in self.levels if not level.null]

    def settings(self) -> dict[str, Any]:
        """What Splink's SettingsCreator takes."""
        return {"output_column_name": self.name, "comparison_levels": [level.settings() for level in self.levels]}


def comparisons(roles: frozenset[Role]) -> list[Comparison]:
    """Those for which there is a role, the household last."""
    names: tuple[Role, ...] = ("first_name", "last_name")
    found = [_name(role, roles) for role in names if role in roles]
    single = {
        "birth_date": _birth_date,
        "email": _email,
        "phone": _phone,
        "national_id": _national_id,
        "street": _street,
    }
    found += [make() for role, make in single.items() if role in roles]
    if roles & {"city", "postcode", "state"}:
        found.append(_place(roles))
    if "first_name" in roles:
        found.append(_household())
    return found


def _missing(column: str) -> str:
    return f"{column}_l IS NULL OR {column}_r IS NULL"


def _null(column: str) -> Level:
    return Level(label="not on both", sql=_missing(column), null=True)


def _else(m: float, u: float) -> Level:
    return Level(label="different", sql="ELSE", m=m, u=u)


def _same(column: str) -> str:
    return f"{column}_l = {column}_r"


def _close(column: str, typos: int) -> str:
    return f"damerau_levenshtein({column}_l, {column}_r) <= {typos}"


def _similar(column: str, least: float) -> str:
    return f"jaro_winkler_similarity({column}_l, {column}_r) >= {least}"


def _begins(column: str) -> str:
    return f"(starts_with({column}_l, {column}_r) OR starts_with({column}_r, {column}_l))"


_SWAPPED = "first_name_l = last_name_r AND last_name_l = first_name_r"
_HALF_SWAPPED = (
    "(first_name_l = last_name_r AND coalesce(jaro_winkler_similarity(last_name_l, first_name_r) >= 0.8, TRUE)) OR "
    "(last_name_l = first_name_r AND coalesce(jaro_winkler_similarity(first_name_l, last_name_r) >= 0.8, TRUE))"
)
"""The other half has a typo, or is missing."""


def _name(role: str, roles: frozenset[Role]) -> Comparison:
    """Swapped names are judged once, as a level of the first name; the last name then says nothing."""
    typo = f"{_close(role, 1)} OR {_similar(role, 0.92)}"
    similar = f"{_similar(role, 0.8)} OR ({_close(role, 2)} AND length({role}_l) > 4)"
    levels = [
        _null(role),
        Level(label="the same", sql=_same(role), m=0.70, u=0.01, tf=role),
        Level(label="a typo", sql=typo, m=0.14, u=0.004),
        Level(label="the beginning of the other", sql=_begins(role), m=0.02, u=0.004),
        Level(label="similar", sql=similar, m=0.06, u=0.02),
        _else(0.06, 0.96),
    ]
    if not {"first_name", "last_name"} <= roles:
        return Comparison(name=role, levels=_summing_to_one(levels))
    if role == "last_name":
        both = "first_name_l IS NOT NULL AND first_name_r IS NOT NULL"
        swapped = (
            f"{_missing(role)} OR (NOT coalesce({_same(role)}, FALSE) AND {both} AND ({_SWAPPED} OR {_HALF_SWAPPED}))"
        )
        levels[0] = Level(label="not on both", sql=swapped, null=True)
    else:
        half = f"({_HALF_SWAPPED}) AND NOT coalesce({_same('last_name')}, FALSE)"
        levels.insert(2, Level(label="first and last name swapped", sql=_SWAPPED, m=0.03, u=0.00005))
        levels.insert(3, Level(label="swapped, with a typo", sql=half, m=0.02, u=0.0005))
    return Comparison(name=role, levels=_summing_to_one(levels))


_MONTHS_APART = "abs(birth_month_l - birth_month_r)"
_DAYS_NEAR = "(abs(birth_day_l - birth_day_r) <= 4 OR abs(birth_day_l - birth_day_r) >= 26)"
_SWAPPED_DAY = (
    "birth_year_l = birth_year_r AND substr(birth_date_l, 5, 2) = substr(birth_date_r, 7, 2) "
    "AND substr(birth_date_l, 7, 2) = substr(birth_date_r, 5, 2)"
)
_ONE_SLIP = (
    f"({_close('birth_date', 1)} OR ({_SWAPPED_DAY}) OR ({_MONTHS_APART} = 0 AND {_DAYS_NEAR}) "
    f"OR ({_MONTHS_APART} IN (1, 12, 120) AND birth_day_l = birth_day_r))"
)
"""One character, two neighbours or day and month swapped; one month, year or decade off; a few days off."""
_SLIPS = f"({_MONTHS_APART} IN (0, 1, 2, 11, 12, 13, 119, 120, 121) AND {_DAYS_NEAR} OR {_close('birth_date', 2)})"


def _birth_date() -> Comparison:
    levels = (
        _null("birth_date"),
        Level(label="the same", sql=_same("birth_date"), m=0.75, u=0.0001),
        Level(label="one slip", sql=_ONE_SLIP, m=0.12, u=0.001),
        Level(label="a slip in several parts", sql=_SLIPS, m=0.07, u=0.012),
        _else(0.06, 0.9869),
    )
    return Comparison(name="birth_date", levels=levels)


def _email() -> Comparison:
    close = f"{_close('email', 2)} OR ({_same('email_domain')} AND {_similar('email_user', 0.9)})"
    levels = (
        _null("email"),
        Level(label="the same", sql=_same("email"), m=0.65, u=0.0001),
        Level(label="the same user, another domain", sql=_same("email_user"), m=0.10, u=0.0003),
        Level(label="a typo or two", sql=close, m=0.10, u=0.0003),
        Level(label="similar", sql=f"{_similar('email', 0.88)} OR {_close('email', 4)}", m=0.05, u=0.002),
        _else(0.10, 0.9973),
    )
    return Comparison(name="email", levels=levels)


def _phone() -> Comparison:
    levels = (
        _null("phone"),
        Level(label="the same", sql=_same("phone"), m=0.70, u=0.0002),
        Level(label="one digit", sql=_close("phone", 1), m=0.07, u=0.0002),
        _else(0.23, 0.9996),
    )
    return Comparison(name="phone", levels=levels)


def _national_id() -> Comparison:
    levels = (
        _null("national_id"),
        Level(label="the same", sql=_same("national_id"), m=0.85, u=0.00001),
        Level(label="one digit, or two swapped", sql=_close("national_id", 1), m=0.09, u=0.0001),
        _else(0.06, 0.99989),
    )
    return Comparison(name="national_id", levels=levels)


def _street() -> Comparison:
    similar = f"({_similar('street', 0.9)} OR {_close('street', 2)})"
    number = _same("house_number")
    levels = (
        _null("street"),
        Level(label="the same, with the number", sql=f"{_same('street')} AND {number}", m=0.55, u=0.0002),
        Level(label="the same but for typos, with the number", sql=f"{similar} AND {number}", m=0.15, u=0.0003),
        Level(label="the same, without the number", sql=similar, m=0.15, u=0.005),
        _else(0.15, 0.9945),
    )
    return Comparison(name="street", levels=levels)


def _place(roles: frozenset[Role]) -> Comparison:
    """Postcode and city say much the same, so they are one comparison; the state counts when there is neither."""
    area = "city" if "city" in roles else "state"
    used = [role for role in ("postcode", area) if role in roles]
    levels = [Level(label="not on both", sql=" AND ".join(f"({_missing(c)})" for c in used), null=True)]
    if len(used) == 2:
        both = f"{_same('postcode')} AND {_similar(area, 0.88)}"
        levels.append(Level(label=f"the same postcode and {area}", sql=both, m=0.60, u=0.001))
    if "postcode" in used:
        levels.append(Level(label="the same postcode", sql=_same("postcode"), m=0.10, u=0.002))
    if area in used:
        m, alike = 0.55 / len(used), f"{_similar(area, 0.85)} OR {_close(area, 2)}"
        levels.append(Level(label=f"the same {area}", sql=_same(area), m=m, u=0.03, tf=area))
        levels.append(Level(label=f"a similar {area}", sql=alike, m=m / 3, u=0.01))
    if "postcode" in used:
        levels.append(Level(label="a postcode with a typo", sql=_close("postcode", 1), m=0.05, u=0.005))
    return Comparison(name="place", levels=_summing_to_one([*levels, _else(0.12, 0.95)]))


def _summing_to_one(levels: list[Level]) -> tuple[Level, ...]:
    m, u = (sum(getattr(level, kind) for level in levels) for kind in "mu")
    return tuple(replace(level, m=level.m / m, u=level.u / u) for level in levels)


VETO = 2**-60
"""More than everything else together can outweigh."""


def _household() -> Comparison:
    """Who shares a surname, an address and a phone number need not be one person: the rules that say so.

    Agreement within a household is not independent, which the other comparisons take for granted. Only a national id
    overrules the rules on first names; an e-mail address may be the family's.
    """
    swapped = f"coalesce({_SWAPPED} OR {_HALF_SWAPPED}, FALSE)"
    alike = f"{_similar('first_name', 0.75)} OR {_begins('first_name')} OR {swapped}"
    other_first = f"first_name_l IS NOT NULL AND first_name_r IS NOT NULL AND NOT ({alike})"
    far = f"coalesce(NOT ({_same('birth_date')} OR {_ONE_SLIP} OR {_SLIPS}), FALSE)"
    generation = "abs(birth_year_l - birth_year_r) BETWEEN 16 AND 45"
    home = f"(coalesce({_same('street')}, FALSE) OR coalesce({_same('phone')}, FALSE))"
    levels = (
        Level(label="the same national id", sql=f"coalesce({_close('national_id', 1)}, FALSE)", null=True),
        _rule("another first name and birth date", f"{other_first} AND {far}", VETO),
        _rule("another first name, like twins or couples", other_first, VETO),
        _rule(
            "another birth date, like father and son",
            f"{far} AND {generation} AND {home} AND NOT coalesce({_same('email')}, FALSE)",
            VETO,
        ),
        _rule("another birth date", far, 2**-4),
        Level(label="no rule applies", sql="ELSE", m=0.25, u=0.25, fixed=True),
    )
    return Comparison(name="household", levels=levels)


def _rule(label: str, sql: str, bayes_factor: float) -> Level:
    return Level(label=label, sql=sql, m=bayes_factor / 4, u=0.25, fixed=True)
