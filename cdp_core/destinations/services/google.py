"""Google Customer Match through the Data Manager API: members are added and removed by hashed identifiers.

Rule: Data Manager API v1, audienceMembers:ingest and :remove; 10,000 members a call, 300 calls a minute. A call with
one wrong member takes none of them and names the wrong ones.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import BaseModel, Field

from cdp_core.destinations.base import Batch, BatchRefused, Delivery, SendResult, Unavailable
from cdp_core.destinations.google_login import GoogleLogin, logged_in
from cdp_core.destinations.http import Answer, Http, HttpOptions
from cdp_core.destinations.services import members
from cdp_core.destinations.services.members import KEY, MemberOptions, Members
from cdp_core.errors import DestinationError

if TYPE_CHECKING:
    import polars as pl

_ADDRESS = ("given_name", "family_name", "region_code", "postal_code")
_PLACE = re.compile(r"^audience_?members\[(\d+)\]", re.IGNORECASE)
_REASON = re.compile(r"^[A-Z_]{3,60}$")
WHERE = "destination google"
SCOPE = "https://www.googleapis.com/auth/datamanager"
_NOBODY = "0" * 64
_SHOWN = {
    "email": _NOBODY,
    "phone": _NOBODY,
    "mobile_id": "00000000-0000-4000-8000-000000000000",
    "address": f'{{"givenName":"{_NOBODY}","familyName":"{_NOBODY}","regionCode":"US","postalCode":"94043"}}',
}
"""A member that nobody is: no text has this digest that anybody knows."""
Consent = Literal["granted", "denied"]


class GoogleOptions(GoogleLogin, HttpOptions):
    """Log in with `credentials`, `refresh_token` or `access_token`; all of them belong in the environment."""

    base_url: str = Field("https://datamanager.googleapis.com/v1", description="The Data Manager API")
    operating_account: str = Field(pattern=r"^[0-9-]{1,20}$", description="The account that owns the audience")
    login_account: str | None = Field(None, pattern=r"^[0-9-]{1,20}$", description="A manager account to log in with")
    account_type: Literal["GOOGLE_ADS", "DISPLAY_VIDEO_PARTNER", "DISPLAY_VIDEO_ADVERTISER", "DATA_PARTNER"] = Field(
        "GOOGLE_ADS", description="What kind of account it is"
    )


class GoogleSyncOptions(MemberOptions):
    """`ad_user_data` and `ad_personalization` say what the people of this sync have consented to; unset, nothing."""

    ad_user_data: Consent | None = Field(None, description="Consent to send data to Google for ads")
    ad_personalization: Consent | None = Field(None, description="Consent to personalised ads")


class GoogleDestination:
    """An audience of Customer Match, by e-mail, phone and address, or by mobile id.

    Google knows no key: what a person no longer is, is taken out by what was delivered before. A row without any
    identifier to match by is refused with the reason, as is one that Google names.
    """

    Options: ClassVar[type[BaseModel]] = GoogleOptions
    SyncOptions: ClassVar[type[BaseModel]] = GoogleSyncOptions
    known_fields: ClassVar[Mapping[str, str]] = {
        "email": "E-mail address",
        "phone": "Phone number, any form",
        "given_name": "First name",
        "family_name": "Last name",
        "region_code": "Country, name or code",
        "postal_code": "Post code",
        "mobile_id": "Advertising id of a phone, in an audience of its own",
    }
    batch_rows = 10_000
    by_content = True
    calls_per_second = 4.0

    def __init__(self, options: GoogleOptions, root: Path) -> None:
        self.options, self.root = options, root
        self._client: Http | None = None
        self._delivery: Delivery | None = None

    def place(self, delivery: Delivery) -> str:
        return f"google:{self.options.base_url}/{self.options.operating_account}/{delivery.options.audience_id}"

    def prepare(self, delivery: Delivery) -> None:
        fields = members.checked_fields("google", list(delivery.fields), delivery.key, where=WHERE)
        address = [f for f in _ADDRESS if f in fields]
        if address and len(address) < len(_ADDRESS):
            raise DestinationError("an address needs all four of its fields", where=WHERE, choices=list(_ADDRESS))
        if "mobile_id" in fields and len(fields) > 1:
            raise DestinationError("mobile_id goes into an audience of its own", where=WHERE,
                                   hint="map either mobile_id or the others")  # fmt: skip
        if not fields:
            raise DestinationError("no field of the mapping identifies anybody", where=WHERE,
                                   choices=["email", "phone", "mobile_id", *_ADDRESS])  # fmt: skip
        self._delivery, self._fields = delivery, fields
        self._identifiers = [f for f in ("email", "phone", "mobile_id") if f in fields] + (
            ["address"] if address else []
        )

    def send(self, batch: Batch) -> SendResult:
        import polars as pl

        if not batch.rows.height:
            return SendResult()
        now = self._members(batch.rows, batch.key)
        failed = members.blank(now, self._identifiers)
        if batch.before is not None and batch.before.null_count() < batch.before.len():
            before = self._members(members.decoded(batch.before, batch.rows), batch.key)
            gone = members.gone(before, now, self._identifiers)
            self._call("remove", members.unshared(gone, self._identifiers, batch.wanted), failed)
        self._call("ingest", now.values.filter(~pl.col(KEY).is_in(list(failed))), failed)
        return SendResult(failed=failed)

    def remove_rows(self, batch: Batch) -> SendResult:
        failed: dict[str, str] = {}
        if batch.rows.height:
            held = batch.payload if batch.before is None else batch.before.fill_null(batch.payload)
            made = self._members(members.decoded(held, batch.rows), batch.key)
            self._call("remove", members.unshared(made.values, self._identifiers, batch.wanted), failed)
        return SendResult(failed=failed)

    def erase_rows(self, delivery: Delivery, batch: Batch) -> SendResult:
        """Takes people out of the audience: Google keeps nothing else of them."""
        self.prepare(delivery)
        return self.remove_rows(batch)

    def identifiers(self, payload: pl.Series) -> pl.DataFrame:
        assert self._delivery is not None
        rows = members.from_text(payload, self._delivery.fields)
        return members.identified(self._members(rows, self._delivery.key), self._identifiers)

    def test(self) -> str:
        """A call for a request that does not exist proves the token and changes nothing."""
        answer = self._http().call("GET", "/requestStatus:retrieve", params={"requestId": "none"}, accept=(400, 404))
        if answer.status == 404 and not isinstance(answer.json(), dict):
            raise DestinationError("this is not the Data Manager API", where=WHERE, hint="look at base_url")
        return "Google takes the token"

    def test_sync(self, delivery: Delivery) -> str:
        """An invented member, which Google checks with all that goes with it and does not take (validateOnly)."""
        import polars as pl

        self.prepare(delivery)
        shown = pl.DataFrame({KEY: ["test"], **{name: [_SHOWN[name]] for name in self._identifiers}})
        content = self._body("ingest", shown, only_check=True)
        answer = self._http().call("POST", "/audienceMembers:ingest", content=content, accept=(400,))
        if answer.status == 400:
            why = "; ".join(sorted(set(_wrong(answer, 1).values())))
            raise DestinationError(f"would refuse a member: {why}", where=WHERE, hint="look at the mapping")
        if not isinstance(answer.json(), dict):
            raise DestinationError("this is not the Data Manager API", where=WHERE, hint="look at base_url")
        return f"Google would take members into the audience {delivery.options.audience_id}"

    def _members(self, rows: pl.DataFrame, key: str) -> Members:
        """With `address` as one identifier: the four parts as JSON text, null unless all four are there."""
        import polars as pl

        assert self._delivery is not None
        made = members.members("google", rows, key, self._fields, self._delivery.options)
        if "address" not in self._identifiers:
            return made
        names = ["givenName", "familyName", "regionCode", "postalCode"]
        parts = pl.struct(pl.col(f).alias(n) for f, n in zip(_ADDRESS, names, strict=True)).struct.json_encode()
        whole = pl.all_horizontal(pl.col(f).is_not_null() for f in _ADDRESS)
        why = pl.concat_str([pl.lit(f + " ") + pl.col(f) for f in _ADDRESS], separator=", ", ignore_nulls=True)
        values = made.values.with_columns(pl.when(whole).then(parts).alias("address"))
        return Members(values, made.reasons.with_columns(why.alias("address")))

    def _call(self, verb: str, rows: pl.DataFrame, failed: dict[str, str]) -> None:
        """Ingest or remove; members that Google names as wrong go into `failed`, the others are sent again."""
        import polars as pl

        rows = rows.filter(pl.any_horizontal(pl.col(f).is_not_null() for f in self._identifiers))
        while rows.height:
            answer = self._http().call(
                "POST", f"/audienceMembers:{verb}", content=self._body(verb, rows), accept=(400,)
            )
            if answer.status == 200:
                told = answer.json()
                if not (isinstance(told, dict) and told.get("requestId")):
                    raise Unavailable("the answer holds no request id", where=WHERE)
                return
            wrong = _wrong(answer, rows.height)
            failed.update({rows[KEY][i]: f"Google: {reason}" for i, reason in wrong.items()})
            rows = rows.with_row_index("__i").filter(~pl.col("__i").is_in(list(wrong))).drop("__i")

    def _body(self, verb: str, rows: pl.DataFrame, *, only_check: bool = False) -> bytes:
        """The call as JSON; members are written set-wise, from hashes, ids and JSON, which hold nothing to escape."""
        import json

        import polars as pl

        assert self._delivery is not None
        frame = self._frame(verb, self._delivery.options) | ({"validateOnly": True} if only_check else {})
        body = json.dumps(frame, separators=(",", ":"))
        if self._identifiers == ["mobile_id"]:
            each = pl.concat_str([pl.lit('{"mobileData":{"mobileIds":["'), pl.col("mobile_id"), pl.lit('"]}}')])
        else:
            listed = pl.concat_str([_written(f) for f in self._identifiers], separator=",", ignore_nulls=True)
            each = pl.concat_str([pl.lit('{"userData":{"userIdentifiers":['), listed, pl.lit("]}}")])
        text = rows.select(each.str.join(",")).item()
        return f'{body[:-1]},"audienceMembers":[{text}]}}'.encode()

    def _frame(self, verb: str, options: GoogleSyncOptions) -> dict[str, Any]:
        """What a call says beside its members."""
        account = {"accountType": self.options.account_type}
        where: dict[str, Any] = {
            "operatingAccount": {**account, "accountId": self.options.operating_account.replace("-", "")},
            "productDestinationId": options.audience_id,
        }
        if self.options.login_account:
            where["loginAccount"] = {**account, "accountId": self.options.login_account.replace("-", "")}
        body: dict[str, Any] = {"destinations": [where], "encoding": "HEX"}
        if verb == "ingest":
            body["termsOfService"] = {"customerMatchTermsOfServiceStatus": "ACCEPTED"}
            told = {"adUserData": options.ad_user_data, "adPersonalization": options.ad_personalization}
            body["consent"] = {name: f"CONSENT_{value.upper()}" for name, value in told.items() if value}
        return body

    def _http(self) -> Http:
        if self._client is None:
            options = self.options
            login = logged_in(options, self.root, SCOPE, where=WHERE)
            self._client = Http(options.base_url, where=WHERE, timeout=options.timeout,
                                private=options.private_network, **login)  # fmt: skip
        return self._client


def _written(field: str) -> pl.Expr:
    """One identifier as JSON, null where it is blank."""
    import polars as pl

    if field == "address":
        return pl.concat_str([pl.lit('{"address":'), pl.col(field), pl.lit("}")])
    name = {"email": "emailAddress", "phone": "phoneNumber"}[field]
    return pl.concat_str([pl.lit('{"' + name + '":"'), pl.col(field), pl.lit('"}')])


def _wrong(answer: Answer, rows: int) -> dict[int, str]:
    """Positions of the members that Google names, with its reason word.

    Raises BatchRefused when it names none, and DestinationError when what it names is no member.
    """
    error = answer.error()
    violations = [v for d in _objects(error.get("details")) for v in _objects(d.get("fieldViolations"))]
    found: dict[int, str] = {}
    for violation in violations:
        place = _PLACE.match(str(violation.get("field", "")))
        reason = _word(violation.get("reason"))
        if place is None:
            hint = "look at the accounts, the audience_id and the terms of Customer Match"
            raise DestinationError(f"answered {answer.status}: {reason}", where=WHERE, hint=hint)
        if int(place[1]) < rows:
            found[int(place[1])] = reason
    if not found:
        raise BatchRefused(f"answered {answer.status}: {_word(error.get('status'))}", where=WHERE)
    return found


def _objects(listed: Any) -> list[dict[str, Any]]:
    return [each for each in listed if isinstance(each, dict)] if isinstance(listed, list) else []


def _word(reason: Any) -> str:
    """A reason of Google's list; never free text, in which a value could stand."""
    return reason if isinstance(reason, str) and _REASON.match(reason) else "INVALID_ARGUMENT"
