"""Alerts to people: e-mail and webhook, and always the Dagster log."""

import json
import os
import smtplib
import ssl
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from email.message import EmailMessage
from functools import partial
from typing import Annotated, Any, Literal

import dagster as dg
from pydantic import ConfigDict, Field, TypeAdapter
from pydantic.dataclasses import dataclass

from hrob_assets.risk.errors import ConfigurationError, DeliveryError

_STRICT = ConfigDict(extra="forbid")
_TIMEOUT_SECONDS = 30
_TOO_MANY_REQUESTS = 429
_SERVER_ERRORS = range(500, 600)
_FINAL_SMTP = range(500, 600)
_LONGEST_HEADER = 150  # Slack's limit for a header block

AlertKind = Literal[
    "calibration_drift",
    "failed_run",
    "late_list",
    "data_contract",
    "list_overflow",
    "refused_promotion",
    "moved_alias",
]


@dataclass(frozen=True, config=_STRICT)
class EmailSettings:
    """A mail server, and who is written to.

    Parameters
    ----------
    host : str
    sender : str
    recipients : tuple of str
    port : int
    security : str
        ``starttls``, ``tls`` (from the first byte) or ``none`` (a relay on the same machine).
    username_variable, password_variable : str, optional
        Names of the variables that hold the login; both or none.
    """

    host: str
    sender: str
    recipients: Annotated[tuple[str, ...], Field(min_length=1)]
    port: Annotated[int, Field(ge=1, le=65535)] = 587
    security: Literal["starttls", "tls", "none"] = "starttls"
    username_variable: str | None = None
    password_variable: str | None = None


@dataclass(frozen=True, config=_STRICT)
class WebhookSettings:
    """A webhook that takes Slack's JSON; its address is a secret, so a variable holds it."""

    url_variable: str


@dataclass(frozen=True, config=_STRICT)
class AlertSettings:
    """Where alerts go, and how often a channel is tried.

    Parameters
    ----------
    email : EmailSettings, optional
    webhook : WebhookSettings, optional
    ui_address : str, optional
        Address of the Dagster UI as its readers reach it, for links.
    attempts : int
        Times that a channel is tried before the alert run fails.
    first_wait_seconds : float
        Wait after the first failure; it doubles each time.
    """

    email: EmailSettings | None = None
    webhook: WebhookSettings | None = None
    ui_address: str | None = None
    attempts: Annotated[int, Field(ge=1, le=10)] = 4
    first_wait_seconds: Annotated[float, Field(ge=0, le=60)] = 2.0


@dataclass(frozen=True, config=_STRICT)
class Alert:
    """What people are told: never anything about one person.

    Parameters
    ----------
    key : str
        Identity: the same key is the same alert.
    kind : str
    title : str
        One line.
    facts : mapping of str to str
        What was found, in order.
    action : str
        What to do now.
    path : str, optional
        Path in the Dagster UI.
    """

    key: str
    kind: AlertKind
    title: str
    facts: dict[str, str]
    action: str
    path: str | None = None


class Alerts(dg.ConfigurableResource):
    """Sends an alert through every channel of the environment."""

    settings: str = "{}"

    @classmethod
    def of(cls, settings: AlertSettings) -> "Alerts":
        """Wrap the settings of an environment."""
        return cls(settings=json.dumps(asdict(settings)))

    @property
    def channels(self) -> tuple[str, ...]:
        """Names of the channels beside the log."""
        return tuple(self._senders(TypeAdapter(AlertSettings).validate_json(self.settings)))

    def send(self, alert: Alert, *, log: Any) -> tuple[str, ...]:
        """Write an alert to the log and send it through every channel.

        Each channel is tried, whatever became of the others.

        Parameters
        ----------
        alert : Alert
        log : logger
            Of the Dagster run.

        Returns
        -------
        tuple of str
            Names of the channels that took it.

        Raises
        ------
        ConfigurationError
            If a variable that holds an address or a login is empty.
        DeliveryError
            If a channel did not take it after all attempts, naming the channels and reasons.
        """
        settings = TypeAdapter(AlertSettings).validate_json(self.settings)
        link = _link(alert, settings)
        log.warning("ALERT %s", plain_text(alert, link))
        failures: dict[str, str] = {}
        senders = self._senders(settings)
        for name, send in senders.items():
            reason = _try_again(partial(send, alert, link), settings)
            if reason is not None:
                failures[name] = reason
        if failures:
            told = "; ".join(f"{name}: {reason}" for name, reason in failures.items())
            msg = (
                f"every channel must take the alert {alert.key!r} (failed: {told}); "
                "mend the channel and start this run again"
            )
            raise DeliveryError(msg)
        return tuple(senders)

    @staticmethod
    def _senders(settings: AlertSettings) -> dict[str, Callable[[Alert, str | None], None]]:
        senders: dict[str, Callable[[Alert, str | None], None]] = {}
        if settings.email is not None:
            senders["email"] = partial(_send_email, settings.email)
        if settings.webhook is not None:
            senders["webhook"] = partial(_post_to_webhook, settings.webhook)
        return senders


def plain_text(alert: Alert, link: str | None) -> str:
    """The alert as text.

    Examples
    --------
    >>> alert = Alert("a", "late_list", "No list", {"week": "2024-03-04"}, "Run it.")
    >>> print(plain_text(alert, None))
    No list
    week: 2024-03-04
    Run it.
    """
    facts = [f"{name}: {value}" for name, value in alert.facts.items()]
    return "\n".join([alert.title, *facts, alert.action, *([link] if link else [])])


def slack_message(alert: Alert, link: str | None) -> dict[str, Any]:
    """The alert as Slack's JSON; others that take it show at least ``text``."""
    lines = [f"*{_escaped(name)}:* {_escaped(value)}" for name, value in alert.facts.items()]
    closing = _escaped(alert.action) + (f"\n<{link}|Open in Dagster>" if link else "")
    header = {"type": "plain_text", "text": alert.title[:_LONGEST_HEADER]}
    sections = ["\n".join(lines), closing] if lines else [closing]
    return {
        "text": plain_text(alert, link),
        "blocks": [
            {"type": "header", "text": header},
            *({"type": "section", "text": {"type": "mrkdwn", "text": t}} for t in sections),
        ],
    }


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _link(alert: Alert, settings: AlertSettings) -> str | None:
    if settings.ui_address is None or alert.path is None:
        return None
    return f"{settings.ui_address.rstrip('/')}/{alert.path.lstrip('/')}"


class _TryAgainError(Exception):
    """A failure that may pass."""


def _try_again(send: Callable[[], None], settings: AlertSettings) -> str | None:
    """Send, waiting longer after each failure that may pass; the last reason, or None."""
    reason = None
    for attempt in range(settings.attempts):
        if attempt:
            time.sleep(settings.first_wait_seconds * 2 ** (attempt - 1))
        try:
            send()
        except _TryAgainError as error:
            reason = f"{error} ({attempt + 1} attempts)"
        except DeliveryError as error:
            return str(error)
        else:
            return None
    return reason


def _post_to_webhook(settings: WebhookSettings, alert: Alert, link: str | None) -> None:
    import requests  # noqa: PLC0415 - only where something is sent

    address = _secret(settings.url_variable)
    try:
        answer = requests.post(
            address,
            json=slack_message(alert, link),
            headers={"Idempotency-Key": alert.key},
            timeout=_TIMEOUT_SECONDS,
        )
    except (requests.ConnectionError, requests.Timeout) as error:
        raise _TryAgainError(type(error).__name__) from None  # its text has the address
    except requests.RequestException as error:
        raise DeliveryError(type(error).__name__) from None
    if not answer.ok:
        code = answer.status_code
        passing = code == _TOO_MANY_REQUESTS or code in _SERVER_ERRORS
        msg = f"HTTP {code}"
        raise _TryAgainError(msg) if passing else DeliveryError(msg)


def _send_email(settings: EmailSettings, alert: Alert, link: str | None) -> None:
    login = _login(settings)
    try:
        with _server(settings) as server:
            if settings.security == "starttls":
                server.starttls(context=ssl.create_default_context())
            if login is not None:
                server.login(*login)
            refused = server.send_message(_email(settings, alert, link))
    except smtplib.SMTPRecipientsRefused as error:
        refused = error.recipients
    except smtplib.SMTPResponseException as error:
        raise _smtp_failure(error.smtp_code) from None
    except smtplib.SMTPNotSupportedError as error:
        raise DeliveryError(str(error)) from None
    except OSError as error:  # smtplib's other errors are of this kind too
        raise _TryAgainError(type(error).__name__) from None
    if refused:
        codes = [code for code, _ in refused.values()]
        raise _smtp_failure(max(codes), f" for {len(codes)} of {len(settings.recipients)}")


def _smtp_failure(code: int, of_whom: str = "") -> Exception:
    kind = DeliveryError if code in _FINAL_SMTP else _TryAgainError
    return kind(f"SMTP {code}{of_whom}")


def _server(settings: EmailSettings) -> smtplib.SMTP:
    where = (settings.host, settings.port)
    if settings.security == "tls":
        context = ssl.create_default_context()
        return smtplib.SMTP_SSL(*where, timeout=_TIMEOUT_SECONDS, context=context)
    return smtplib.SMTP(*where, timeout=_TIMEOUT_SECONDS)


def _email(settings: EmailSettings, alert: Alert, link: str | None) -> EmailMessage:
    message = EmailMessage()
    message["Subject"] = f"[hrob] {' '.join(alert.title.split())}"
    message["From"] = settings.sender
    message["To"] = ", ".join(settings.recipients)
    message["X-Hrob-Alert"] = alert.key
    message.set_content(plain_text(alert, link))
    return message


def _login(settings: EmailSettings) -> tuple[str, str] | None:
    user, password = settings.username_variable, settings.password_variable
    if user is None and password is None:
        return None
    if user is None or password is None:
        msg = (
            "alerts.email must name both username_variable and password_variable, or none of "
            "them (found one); add the other"
        )
        raise ConfigurationError(msg)
    return _secret(user), _secret(password)


def _secret(variable: str, variables: Mapping[str, str] = os.environ) -> str:
    found = variables.get(variable)
    if not found:
        msg = f"the variable {variable} must be set for alerts (found nothing); set it"
        raise ConfigurationError(msg)
    return found
