"""Every error that a user can meet, as one tree.

* CDPError
  x SpecError           cdp.yaml, a suite or a definition is wrong            exit 2
  x UsageError          a command or call names something that is not there   exit 2
  x SourceError         a source cannot be read                               exit 2
  x EngineError         the lake, the disk or the engine refused              exit 2
    · WorkspaceBusy     another run holds the workspace                       exit 1
  x ContractError       a stage broke its promise (rows lost, wrong columns)  exit 1
  x ResolutionError     identity could not be resolved                        exit 1
  x AudienceError       an audience could not be computed                     exit 2
  x DestinationError    a destination refused or cannot be reached            exit 1
  x QualityStop         an expectation of severity "stop" failed              exit 3
  x PrivacyError        a privacy rule forbids it                             exit 3
  x Forbidden           your role does not permit it                          exit 2

`Retryable` and `Terminal` are mixins on a second axis: may the same call succeed later?
A message says what is wrong, where, what would be valid and what to do next. It never holds a customer's value,
and no secret of the configuration, whoever has worded it (`redaction.py`).
"""

from __future__ import annotations

import difflib
import traceback
from collections.abc import Iterable

from cdp_core.redaction import redacted


class CDPError(Exception):
    """Base of all errors of this package.

    Attributes: `what`, `where` (file:line or table), `choices` (valid values), `hint` (next step), `exit_code`.

    >>> str(SpecError("unknown key 'sorces'", where="cdp.yaml:3", hint="did you mean 'sources'?"))
    "cdp.yaml:3: unknown key 'sorces'; did you mean 'sources'?"
    """

    exit_code = 1

    def __init__(
        self, what: str, *, where: str | None = None, choices: Iterable[str] = (), hint: str | None = None
    ) -> None:
        self.what = " ".join(redacted(what).split())
        self.where = redacted(where) if where else where
        self.choices = tuple(map(redacted, choices))
        self.hint = redacted(hint) if hint else hint
        super().__init__(self._message())

    def _message(self) -> str:
        text = f"{self.where}: {self.what}" if self.where else self.what
        if self.choices:
            shown = ", ".join(self.choices[:12]) + (", …" if len(self.choices) > 12 else "")
            text += f" (valid: {shown})"
        return f"{text}; {self.hint}" if self.hint else text

    @classmethod
    def unknown(cls, kind: str, name: str, valid: Iterable[str], *, where: str | None = None) -> CDPError:
        """The uniform wording for a name that does not exist, with the nearest valid one as the hint.

        >>> str(UsageError.unknown("audience", "vips", ["vip", "lapsed"]))
        "unknown audience 'vips' (valid: lapsed, vip); did you mean 'vip'?"
        """
        valid = sorted(valid)
        near = difflib.get_close_matches(name, valid, n=1, cutoff=0.5)
        hint = f"did you mean {near[0]!r}?" if near else None
        return cls(f"unknown {kind} {name!r}", where=where, choices=valid, hint=hint)


class Retryable:
    """Mixin: the same call may succeed later. `retry_after` is in seconds, if the other side said so."""

    retry_after: float | None = None


class Terminal:
    """Mixin: trying again without a change is pointless."""


class SpecError(CDPError, Terminal):
    exit_code = 2


class UsageError(CDPError, Terminal):
    exit_code = 2


class SourceError(CDPError):
    exit_code = 2


class EngineError(CDPError):
    exit_code = 2


class WorkspaceBusy(EngineError, Retryable):
    exit_code = 1


class ContractError(CDPError, Terminal):
    exit_code = 1


class ResolutionError(CDPError, Terminal):
    exit_code = 1


class AudienceError(CDPError, Terminal):
    exit_code = 2


class DestinationError(CDPError):
    exit_code = 1


class QualityStop(CDPError, Terminal):
    exit_code = 3


class PrivacyError(CDPError, Terminal):
    exit_code = 3


class Forbidden(CDPError, Terminal):
    exit_code = 2


def trace(error: BaseException) -> str:
    """The whole traceback, without secrets of the configuration, for whoever looks for a bug."""
    return redacted("".join(traceback.format_exception(error)))
