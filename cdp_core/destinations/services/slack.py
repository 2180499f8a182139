"""Slack: a report of what a sync has changed, in a channel."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator

from cdp_core.destinations.base import Batch, Delivery, SendResult, Unavailable
from cdp_core.destinations.http import HttpOptions, checked_url
from cdp_core.errors import DestinationError, SpecError

if TYPE_CHECKING:
    from cdp_core.destinations.http import Answer, Http

_LATER = {"ratelimited", "rate_limited", "internal_error", "fatal_error", "service_unavailable", "request_timeout"}
_HINTS = {
    "action_prohibited": "an admin forbids posting there",
    "channel_is_archived": "the channel is archived",
    "channel_not_found": "look at the channel's id; a private channel must have invited the app",
    "invalid_auth": "the token is wrong",
    "invalid_token": "make the webhook anew: its address is not valid any more",
    "is_archived": "the channel is archived",
    "missing_scope": "the app needs the scope chat:write",
    "no_active_hooks": "make the webhook anew: it was turned off",
    "no_service": "make the webhook anew: its address is not valid any more",
    "no_team": "look at the webhook's address",
    "not_in_channel": "invite the app into the channel, or give it the scope chat:write.public",
    "token_revoked": "the token was revoked",
}
_JUDGED_HERE = (400, 403, 404, 410)
_CODE = re.compile(r"[a-z][a-z_]{2,60}")


class SlackOptions(HttpOptions):
    """A `webhook_url` posts to its own channel; a `token` (of a bot, scope chat:write) to the channel that is named."""

    base_url: str = Field("https://slack.com/api", description="Of the Web API; for tests and proxies")
    webhook_url: SecretStr | None = Field(None, description="Incoming webhook; whoever has it can post")
    token: SecretStr | None = Field(None, description="Bot token, xoxb-…")
    channel: str | None = Field(None, min_length=1, description="Id (C0123ABC) or #name, for a token")

    @field_validator("webhook_url")
    @classmethod
    def _webhook(cls, url: SecretStr | None) -> SecretStr | None:
        return None if url is None else SecretStr(checked_url(url.get_secret_value()))

    @model_validator(mode="after")
    def _one_of_two(self) -> Self:
        if (self.webhook_url is None) == (self.token is None):
            raise ValueError("give either webhook_url or token")
        return self


class SlackSyncOptions(BaseModel):
    """What the message says. Sample rows hold personal data, and who reads the channel reads them."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    channel: str | None = Field(None, min_length=1, description="Instead of the destination's, for a token")
    title: str | None = Field(None, min_length=1, max_length=140, description="Instead of the sync's name")
    link: str | None = Field(None, description="Where more can be seen, https://…")
    sample_fields: tuple[str, ...] = Field((), max_length=10, description="Mapped fields that are shown")
    sample_rows: int = Field(5, ge=1, le=20, description="How many rows are shown, new ones first")

    @field_validator("link")
    @classmethod
    def _address(cls, link: str | None) -> str | None:
        return None if link is None else checked_url(link)


class SlackDestination:
    """One message for each run of a sync that changed something.

    It is posted at the end, and what was sent counts as delivered when Slack has taken it; when it has not, the next
    run reports again. Slack has no key against repetition, so a post whose answer was lost may stand there twice.
    """

    Options: ClassVar[type[BaseModel]] = SlackOptions
    SyncOptions: ClassVar[type[BaseModel]] = SlackSyncOptions
    whole = True
    batch_rows = 50_000
    modes = ("mirror", "upsert", "insert")

    def __init__(self, options: SlackOptions, root: Path) -> None:
        self.options = options
        self.where = "slack"
        self._delivery: Delivery | None = None
        self._size = 0
        self._new: list[dict[str, Any]] = []
        self._known: list[dict[str, Any]] = []

    def present(self, delivery: Delivery) -> bool:
        """What was said stays said."""
        return True

    def prepare(self, delivery: Delivery) -> None:
        options: SlackSyncOptions = delivery.options
        where = f"syncs.{delivery.sync}.options"
        for name in options.sample_fields:
            if name not in delivery.fields:
                raise SpecError.unknown("field", name, delivery.fields, where=f"{where}.sample_fields")
        if self.options.token is not None and not (options.channel or self.options.channel):
            raise SpecError("a token posts to a channel that is named", where=f"{where}.channel", hint="give channel")
        self._delivery, self._size, self._new, self._known = delivery, 0, [], []

    def send(self, batch: Batch) -> SendResult:
        """Counts rows, and keeps a few for the sample; nothing leaves before `finish`."""
        options = self._prepared().options
        self._size += batch.rows.height
        if options.sample_fields:
            rows = batch.rows.select(options.sample_fields)
            known = None if batch.before is None else batch.before.is_not_null()
            for kept, part in ((self._new, rows if known is None else rows.filter(~known)),
                               (self._known, rows.clear() if known is None else rows.filter(known))):  # fmt: skip
                kept += part.head(options.sample_rows - len(kept)).to_dicts()
        return SendResult()

    def finish(self, complete: bool) -> None:
        """Posts, when all rows have come. May be called again after it was `Unavailable`."""
        delivery = self._delivery
        if complete and delivery is not None:
            self._post(delivery)
        self._delivery, self._new, self._known = None, [], []

    def test(self) -> str:
        """Nothing is posted: the token is asked whose it is, and a webhook refuses a message without text."""
        http = self._http()
        try:
            if self.options.webhook_url is not None:
                code = _code(http.call("POST", "", json={}, accept=_JUDGED_HERE))
                if code in _HINTS:
                    raise self._refused(code)
                return "slack answers: the webhook is there"
            answer = http.call("POST", "/auth.test", accept=_JUDGED_HERE)
            told = self._taken(answer)
            scopes = answer.headers.get("x-oauth-scopes")
            if scopes is not None and "chat:write" not in scopes.replace(" ", "").split(","):
                raise self._refused("missing_scope")
            team = told.get("team") if isinstance(told.get("team"), str) else "the workspace"
            return f"slack answers for {team}; whether the app may post in the channel, the first report shows"
        finally:
            http.close()

    def _post(self, delivery: Delivery) -> None:
        from cdp_core.destinations.services.slack_message import message

        options: SlackSyncOptions = delivery.options
        said = message(
            options.title or delivery.sync,
            size=self._size,
            counts=delivery.counts,
            link=options.link,
            sample=[*self._new, *self._known][: options.sample_rows],
        )
        http = self._http()
        try:
            if self.options.webhook_url is not None:
                self._taken(http.call("POST", "", json=said, accept=_JUDGED_HERE))
            else:
                channel = options.channel or self.options.channel
                self._taken(http.call("POST", "/chat.postMessage", json={"channel": channel, **said}))
        finally:
            http.close()

    def _taken(self, answer: Answer) -> dict[str, Any]:
        """The answer, when it says that all went well: `ok` of a webhook, `"ok": true` of the Web API."""
        told = answer.json()
        if answer.status == 200 and answer.body.strip() == b"ok":
            return {}
        if isinstance(told, dict) and told.get("ok") is True:
            return told
        raise self._refused(_code(answer))

    def _refused(self, code: str) -> DestinationError:
        if not code or code in _LATER:
            return Unavailable(f"answered {code or 'what cannot be read'}", where=self.where)
        return DestinationError(f"answered {code}", where=self.where, hint=_HINTS.get(code))

    def _prepared(self) -> Delivery:
        if self._delivery is None:
            raise DestinationError("prepare() has not been called", where=self.where)
        return self._delivery

    def _http(self) -> Http:
        from cdp_core.destinations.http import Http

        webhook, token = self.options.webhook_url, self.options.token
        return Http(
            self.options.base_url if webhook is None else webhook.get_secret_value(),
            where=self.where,
            headers={} if token is None else {"Authorization": f"Bearer {token.get_secret_value()}"},
            timeout=self.options.timeout,
            private=self.options.private_network,
        )


def _code(answer: Answer) -> str:
    """The error's short name, in JSON or as the whole text; empty when there is none."""
    told = answer.json()
    text = told.get("error") if isinstance(told, dict) else answer.body.decode(errors="replace").strip()
    return text if isinstance(text, str) and _CODE.fullmatch(text) else ""
