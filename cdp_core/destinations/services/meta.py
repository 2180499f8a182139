"""Meta Custom Audiences: people are added and removed by hashed identifiers, 10,000 a call.

Rule: Marketing API, Custom Audience Users (POST and DELETE /{audience}/users) and Graph API error codes.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import BaseModel, Field, SecretStr

from cdp_core.destinations.base import Batch, BatchRefused, Delivery, SendResult, Unavailable
from cdp_core.destinations.http import Answer, Http, HttpOptions
from cdp_core.destinations.services import members
from cdp_core.destinations.services.members import KEY, MemberOptions, Members
from cdp_core.errors import DestinationError

if TYPE_CHECKING:
    import polars as pl

_NO_IDENTIFIERS = frozenset({"EXTERN_ID", "COUNTRY", "GEN"})
_STRONG = ("EMAIL", "PHONE", "MADID")
_SLOWER = frozenset({4, 17, 32, 341, 368, 613, 80003})
_TOGETHER = "__together"
_AGAIN = frozenset({1, 2})
_ACCESS = frozenset({3, 10, 102, 190, *range(200, 300)})
TOO_SMALL = "Meta takes nobody out of an audience that would get too small"
_AUDIENCE = frozenset({33, 1713230, 1713098, 1870090})


class TooSmall(BatchRefused):
    """The audience would get too small: no row is at fault, so halving the batch would help none."""


class MetaOptions(HttpOptions):
    """`access_token` is a system user's, with the right ads_management; keep it in the environment, as ${NAME}."""

    base_url: str = Field("https://graph.facebook.com/v25.0", description="The Graph API with its version")
    access_token: SecretStr = Field(description="Token of a system user with ads_management")


class MetaDestination:
    """A custom audience. The sync's key is sent as EXTERN_ID, all else is normalised and hashed here.

    An identifier that a person no longer has is taken out before the new ones go in. A row without any identifier to
    match by is refused with the reason. When Meta calls some of a batch invalid without saying which, it is halved.
    """

    Options: ClassVar[type[BaseModel]] = MetaOptions
    SyncOptions: ClassVar[type[BaseModel]] = MemberOptions
    known_fields: ClassVar[Mapping[str, str]] = {
        "EMAIL": "E-mail address",
        "PHONE": "Phone number, any form",
        "FN": "First name",
        "LN": "Last name",
        "FI": "First initial",
        "CT": "City",
        "ST": "State",
        "ZIP": "Post code",
        "COUNTRY": "Country, name or code",
        "GEN": "Gender",
        "DOBY": "Birth date, of which the year is sent",
        "DOBM": "Birth date, of which the month is sent",
        "DOBD": "Birth date, of which the day is sent",
        "MADID": "Advertising id of a phone",
    }
    batch_rows = 10_000
    by_content = True

    def __init__(self, options: MetaOptions, root: Path) -> None:
        self.options = options
        self._client: Http | None = None
        self._delivery: Delivery | None = None

    def place(self, delivery: Delivery) -> str:
        return f"meta:{self.options.base_url}/{delivery.options.audience_id}:{delivery.key}"

    def prepare(self, delivery: Delivery) -> None:
        fields = members.checked_fields("meta", list(delivery.fields), delivery.key, where="destination meta")
        if not set(fields) - _NO_IDENTIFIERS:
            raise DestinationError("no field of the mapping identifies anybody", where="destination meta",
                                   choices=[*_STRONG, "FN", "LN"])  # fmt: skip
        # A key that is itself an e-mail address or a phone number must not leave unhashed as EXTERN_ID.
        self._keyed = delivery.key == "EXTERN_ID" or delivery.key not in fields
        self._delivery, self._fields = delivery, [f for f in fields if f != "EXTERN_ID"]
        self._identifying = [f for f in self._fields if f not in _NO_IDENTIFIERS]
        self._strong = [f for f in self._identifying if f in _STRONG]
        self._matched_by = self._strong or [_TOGETHER]

    def send(self, batch: Batch) -> SendResult:
        if not batch.rows.height:
            return SendResult()
        now = self._members(batch.rows, batch.key)
        blank = members.blank(now, self._identifying)
        refused = dict(blank)
        if batch.before is not None and batch.before.null_count() < batch.before.len():
            before = self._members(members.decoded(batch.before, batch.rows), batch.key)
            refused |= self._outdated(before, now, refused, batch)
        import polars as pl

        self._call("POST", now.values.filter(~pl.col(KEY).is_in(list(blank))), batch.id)
        return SendResult(failed=refused)

    def remove_rows(self, batch: Batch) -> SendResult:
        """By everything that was delivered: EXTERN_ID alone is not always found again.

        Who shares an identifier with somebody who stays goes without it and without EXTERN_ID, by which Meta would
        take the other out as well.
        """
        if batch.rows.height:
            held = batch.payload if batch.before is None else batch.before.fill_null(batch.payload)
            made = self._members(members.decoded(held, batch.rows), batch.key)
            return SendResult(failed=self._out(made.values, batch.wanted, batch.id))
        return SendResult()

    def remove(self, keys: pl.Series) -> SendResult:
        """By EXTERN_ID alone, where nobody knows what was delivered."""
        import polars as pl

        if keys.len():
            rows = keys.cast(pl.String).alias(KEY).to_frame()
            if not self._keyed:
                assert self._delivery is not None
                key = self._delivery.key
                rows = members.members("meta", rows.rename({KEY: key}), key, [key], self._delivery.options).values
            return SendResult(failed=dict.fromkeys(keys, TOO_SMALL) if self._taken_out(rows, "") else {})
        return SendResult()

    def identifiers(self, payload: pl.Series) -> pl.DataFrame:
        """Each strong field, or all fields together where there is none: names and places alone match nobody."""
        assert self._delivery is not None
        rows = members.from_text(payload, self._delivery.fields)
        made = self._members(rows, self._delivery.key)
        return members.identified(Members(self._together(made.values), made.reasons), self._matched_by)

    def erase(self, delivery: Delivery, keys: pl.Series) -> SendResult:
        self.prepare(delivery)
        return self.remove(keys)

    def erase_rows(self, delivery: Delivery, batch: Batch) -> SendResult:
        """By everything that was delivered, as `remove_rows`."""
        self.prepare(delivery)
        return self.remove_rows(batch)

    def test(self) -> str:
        answer = self._http().call("GET", "/me/permissions", accept=(400, 401, 403))
        granted = {p.get("permission") for p in _checked(answer).get("data", []) if p.get("status") == "granted"}
        if "ads_management" not in granted:
            raise DestinationError(
                "the token has no right to change audiences", where="destination meta", hint="grant ads_management"
            )
        return "Meta takes the token, with the right ads_management"

    def test_sync(self, delivery: Delivery) -> str:
        self.prepare(delivery)
        number = delivery.options.audience_id
        fields = "id,subtype,permission_for_actions"
        told = _checked(self._http().call("GET", f"/{number}?fields={fields}", accept=(400, 401, 403, 404)))
        may = told.get("permission_for_actions")
        if isinstance(may, dict) and may.get("can_edit") is False:
            raise DestinationError(f"the audience {number} may not be changed with this token",
                                   where="destination meta", hint="share it with the system user")  # fmt: skip
        if told.get("subtype", "CUSTOM") != "CUSTOM":
            raise DestinationError(f"the audience {number} is no customer list", where="destination meta")
        return f"Meta lets the audience {number} be changed"

    def _members(self, rows: pl.DataFrame, key: str) -> Members:
        assert self._delivery is not None
        return members.members("meta", rows, key, self._fields, self._delivery.options)

    def _together(self, values: pl.DataFrame) -> pl.DataFrame:
        """With one column more where no field is strong: all that identifies, as one identifier."""
        import polars as pl

        if self._strong:
            return values
        blank = pl.all_horizontal(pl.col(f).is_null() for f in self._identifying)
        whole = pl.struct(self._identifying).struct.json_encode()
        return values.with_columns(pl.when(~blank).then(whole).alias(_TOGETHER))

    def _outdated(self, before: Members, now: Members, blank: dict[str, str], batch: Batch) -> dict[str, str]:
        """Take out what people no longer are, and whole people of whom nothing is left; what Meta did not take out.

        Identifiers go without EXTERN_ID: with it, Meta would take the whole person out.
        """
        import polars as pl

        lost = members.gone(before, now, self._strong or self._identifying)
        if not self._strong:
            rows = self._together(before.values.filter(pl.col(KEY).is_in(lost[KEY].implode())))
            lost = members.unshared(rows, self._matched_by, batch.wanted).drop(_TOGETHER)
        lost = lost.filter(~pl.col(KEY).is_in(list(blank)))
        if self._strong:
            lost = members.unshared(lost, self._strong, batch.wanted)
        whole = before.values.filter(pl.col(KEY).is_in(list(blank)))
        refused = self._taken_out(lost, f"{batch.id}:lost", keyed=False)
        return refused | self._out(whole, batch.wanted, f"{batch.id}:whole")

    def _out(self, values: pl.DataFrame, wanted: pl.Series | None, batch_id: str) -> dict[str, str]:
        """Take whole people out, but for what others are known by who stay; what Meta did not take out."""
        shared = members.sharing(self._together(values), self._matched_by, wanted)
        refused = self._taken_out(values.filter(~shared), batch_id)
        if self._strong and shared.any():
            rest = members.unshared(values.filter(shared).select(KEY, *self._strong), self._strong, wanted)
            refused |= self._taken_out(rest, f"{batch_id}:unshared", keyed=False)
        return refused

    def _taken_out(self, rows: pl.DataFrame, batch_id: str, *, keyed: bool = True) -> dict[str, str]:
        try:
            self._call("DELETE", rows, batch_id, keyed=keyed)
        except TooSmall:
            return dict.fromkeys(rows[KEY], TOO_SMALL)
        return {}

    def _call(self, method: str, rows: pl.DataFrame, batch_id: str, *, keyed: bool = True) -> None:
        if not rows.height:
            return
        assert self._delivery is not None
        filled = [name for name in rows.columns if name != KEY and rows[name].null_count() < rows.height]
        kept = [KEY, *filled] if keyed and self._keyed else filled
        schema = ["EXTERN_ID" if name == KEY else name for name in kept]
        body = {
            "session": _session(f"{batch_id}:{method}", rows.height),
            "payload": {"schema": schema, "data": rows.select(kept).fill_null("").rows()},
        }
        path = f"/{self._delivery.options.audience_id}/users"
        told = _checked(self._http().call(method, path, json=body, accept=(400, 401, 403, 404)))
        if "num_received" not in told:
            raise Unavailable("the answer does not say how many entries were received", where="destination meta")
        if told.get("num_invalid_entries"):
            raise BatchRefused("Meta calls the entry invalid", where="destination meta")

    def _http(self) -> Http:
        if self._client is None:
            token = self.options.access_token.get_secret_value()
            self._client = Http(
                self.options.base_url,
                where="destination meta",
                headers={"Authorization": f"Bearer {token}"},
                timeout=self.options.timeout,
                private=self.options.private_network,
            )
        return self._client


def _session(name: str, rows: int) -> dict[str, Any]:
    """A session of one call, equal when the call is tried again."""
    import hashlib

    number = int.from_bytes(hashlib.sha256(name.encode()).digest()[:7])
    return {"session_id": number, "batch_seq": 1, "last_batch_flag": True, "estimated_num_total": rows}


def _checked(answer: Answer) -> dict[str, Any]:
    """The answer's object. Raises what a Graph API error means: its code tells more than the status, mostly 400."""
    told = answer.json()
    error = told.get("error") if isinstance(told, dict) else None
    if 200 <= answer.status < 300 and not isinstance(error, dict):
        if not isinstance(told, dict):
            raise Unavailable("the answer is no JSON", where="destination meta")
        return told
    error = error if isinstance(error, dict) else {}
    code, subcode = error.get("code"), error.get("error_subcode")
    text = f"answered {answer.status}, error {code}" + (f"/{subcode}" if subcode else "")
    if code in _SLOWER or code in _AGAIN or error.get("is_transient") is True:
        raise Unavailable(text, where="destination meta", retry_after=_regain(answer))
    if code in _ACCESS or answer.status in (401, 403):
        hint = "the token is wrong, has expired or may not change this audience"
        raise DestinationError(text, where="destination meta", hint=hint)
    if subcode in _AUDIENCE or code == 803 or answer.status == 404:
        hint = "look at audience_id, and at the audience in Audience Manager"
        raise DestinationError(text, where="destination meta", hint=hint)
    if "audience size" in f"{error.get('error_user_title')} {error.get('message')}".lower():
        raise TooSmall(TOO_SMALL, where="destination meta")
    raise BatchRefused(text, where="destination meta")


def _regain(answer: Answer) -> float | None:
    """Seconds until calls are taken again: X-Business-Use-Case-Usage names minutes."""
    import json

    try:
        usage = json.loads(answer.headers.get("x-business-use-case-usage", ""))
        minutes = [use["estimated_time_to_regain_access"] for uses in usage.values() for use in uses]
        return min(60.0 * max(minutes), 3600.0) or None
    except (ValueError, TypeError, KeyError, AttributeError):
        return None
