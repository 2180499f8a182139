"""Send a message: JSON to a webhook, a text to Slack, a mail."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from cdp_core.alerts.spec import EmailSpec, ToSpec
from cdp_core.errors import DestinationError

PATIENCE = 10.0
"""Seconds: a run does not wait longer for whoever is to be told of it."""


@dataclass(frozen=True, kw_only=True)
class Message:
    """`items` are dicts with condition, about and text. `link` leads to the dashboard."""

    workspace: str
    items: list[dict[str, Any]] = field(default_factory=list)
    link: str | None = None
    test: bool = False

    @property
    def subject(self) -> str:
        if self.test:
            return f"[{self.workspace}] test of an alert"
        more = f" (and {len(self.items) - 1} more)" if len(self.items) > 1 else ""
        first = " ".join(self.items[0]["text"].split())
        return f"[{self.workspace}] {first[:120]}{more}"

    @property
    def text(self) -> str:
        lines = [" ".join(item["text"].split()) for item in self.items]
        if self.test:
            lines = [f"This is a test from the workspace {self.workspace}. Nothing is wrong."]
        return "\n".join([*lines, *([self.link] if self.link else [])])


def send(to: ToSpec, message: Message) -> None:
    """Raises DestinationError, without the address's path or any secret, when it does not arrive."""
    if to.email is not None:
        _mail(to.email, message)
    elif to.slack is not None:
        text = f"*{message.subject}*\n{message.text}"
        _post(to, {"text": text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")})
    else:
        at = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
        items = {"alerts": message.items, "text": message.text, "dashboard_url": message.link}
        _post(to, {"workspace": message.workspace, "at": at, "test": message.test, "subject": message.subject, **items})


def _post(to: ToSpec, body: dict[str, Any]) -> None:
    import httpx

    from cdp_core.network import PRIVATE, Transport, deadline

    try:
        transport = Transport(private=to.private_network)
        with deadline(PATIENCE), httpx.Client(transport=transport, timeout=PATIENCE, trust_env=False) as client:
            answer = client.post(str(to.url), json=body)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        if str(error) == PRIVATE:
            what, hint = "the address is on a private network or this machine", "private_network: true allows it"
            raise DestinationError(what, where=to.in_words, hint=hint) from None
        raise DestinationError(f"it cannot be reached ({type(error).__name__})", where=to.in_words) from None
    if not answer.is_success:
        raise DestinationError(f"it answered {answer.status_code}", where=to.in_words)


def _mail(to: EmailSpec, message: Message) -> None:
    import smtplib
    import ssl
    from email.message import EmailMessage
    from email.utils import formatdate, make_msgid

    try:
        mail = EmailMessage()
        mail["Subject"], mail["From"], mail["To"] = message.subject, to.sender, ", ".join(to.to)
        mail["Date"], mail["Message-ID"] = formatdate(), make_msgid(domain="cdp.invalid")
        mail.set_content(message.text + "\n")
        with smtplib.SMTP(to.host, to.port, timeout=PATIENCE) as server:
            if to.starttls:
                server.starttls(context=ssl.create_default_context())
            if to.user is not None and to.password is not None:
                server.login(to.user, to.password)
            server.send_message(mail)
    except smtplib.SMTPResponseException as error:
        raise DestinationError(f"it answered {error.smtp_code}", where=f"email {to.host}") from None
    except (smtplib.SMTPException, OSError, ValueError) as error:
        raise DestinationError(f"it does not take mail ({type(error).__name__})", where=f"email {to.host}") from None
