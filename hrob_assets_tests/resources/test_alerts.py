import json
import logging
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace

import pytest
from aiosmtpd.controller import Controller

from hrob_assets.resources.alerts import (
    Alert,
    Alerts,
    AlertSettings,
    EmailSettings,
    WebhookSettings,
    slack_message,
)
from hrob_assets.risk.errors import ConfigurationError, DeliveryError

LOG = logging.getLogger("alerts")
DRIFT = Alert(
    key="drift-1",
    kind="calibration_drift",
    title="Calibration drift: oncology_ed_visit\nsecond line",
    facts={"week": "2025-06-02", "evidence": "311 of 260"},
    action="An update was requested; look at the decision.",
    path="/assets/oncology_ed_visit/weekly_calibration",
)


class Mailbox:
    """A mail server that refuses with the codes it is given, then takes everything."""

    def __init__(self, *codes) -> None:
        self.codes, self.letters, self.attempts = list(codes), [], 0

    async def handle_DATA(self, server, session, envelope):  # noqa: ARG002, N802 - its name there
        """Take a letter, or answer with the next code."""
        self.attempts += 1
        if self.codes:
            return f"{self.codes.pop(0)} not now"
        self.letters.append(envelope)
        return "250 OK"


@contextmanager
def mail_server(box):
    # aiosmtpd asks its own port whether it is there, so it must be told which one
    controller = Controller(box, hostname="127.0.0.1", port=free_port())
    controller.start()
    try:
        yield controller.port
    finally:
        controller.stop()


def free_port():
    with ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as server:
        return server.server_port


@contextmanager
def web_server(*codes):
    """A web server that answers with these codes, then with 200; what it got is in `bodies`."""
    left, bodies = list(codes), []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            bodies.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(left.pop(0) if left else 200)
            self.end_headers()

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield SimpleNamespace(url=f"http://127.0.0.1:{server.server_port}/s3cret", got=bodies)
        finally:
            server.shutdown()
            thread.join()


def email(port, **changes: str):
    return EmailSettings(
        host="127.0.0.1",
        port=port,
        security="none",
        sender="hrob@example.org",
        recipients=("nurse@example.org", "engineer@example.org"),
        **changes,
    )


def alerts(**settings: object):
    return Alerts.of(AlertSettings(first_wait_seconds=0, attempts=3, **settings))


def test_a_letter_goes_to_everybody_and_says_what_to_do():
    box = Mailbox()

    with mail_server(box) as port:
        taken = alerts(email=email(port), ui_address="https://dagster.example.org/").send(
            DRIFT, log=LOG
        )

    assert taken == ("email",)
    (letter,) = box.letters
    text = letter.content.decode()
    assert letter.rcpt_tos == ["nurse@example.org", "engineer@example.org"]
    assert "Subject: [hrob] Calibration drift: oncology_ed_visit second line" in text
    assert "evidence: 311 of 260" in text
    assert "https://dagster.example.org/assets/oncology_ed_visit/weekly_calibration" in text


def test_a_mail_server_that_is_busy_is_tried_again():
    box = Mailbox(451, 421)

    with mail_server(box) as port:
        alerts(email=email(port)).send(DRIFT, log=LOG)

    assert box.attempts == 3
    assert len(box.letters) == 1


def test_a_mail_server_that_refuses_for_good_is_not_asked_again():
    box = Mailbox(550)

    with mail_server(box) as port, pytest.raises(DeliveryError, match="email: SMTP 550"):
        alerts(email=email(port)).send(DRIFT, log=LOG)

    assert box.attempts == 1


def test_an_absent_mail_server_is_told_after_all_attempts():
    with pytest.raises(DeliveryError, match=r"ConnectionRefusedError \(3 attempts\)"):
        alerts(email=email(free_port())).send(DRIFT, log=LOG)


def test_a_webhook_gets_what_slack_reads(monkeypatch):
    with web_server() as server:
        monkeypatch.setenv("HOOK", server.url)

        taken = alerts(webhook=WebhookSettings("HOOK")).send(DRIFT, log=LOG)

    assert taken == ("webhook",)
    (body,) = server.got
    assert body["text"].startswith("Calibration drift: oncology_ed_visit")
    assert [block["type"] for block in body["blocks"]] == ["header", "section", "section"]


def test_what_slack_reads_cannot_be_broken_by_a_fact():
    alert = Alert("a", "late_list", "t", {"<!channel>": "a & b"}, "do")

    (_, facts, _) = slack_message(alert, None)["blocks"]

    assert facts["text"]["text"] == "*&lt;!channel&gt;:* a &amp; b"


def test_a_webhook_that_is_overloaded_is_tried_again(monkeypatch):
    with web_server(503, 429) as server:
        monkeypatch.setenv("HOOK", server.url)

        alerts(webhook=WebhookSettings("HOOK")).send(DRIFT, log=LOG)

    assert len(server.got) == 3


def test_a_webhook_that_refuses_is_told_without_its_address(monkeypatch):
    with web_server(404) as server:
        monkeypatch.setenv("HOOK", server.url)

        with pytest.raises(DeliveryError, match="webhook: HTTP 404") as told:
            alerts(webhook=WebhookSettings("HOOK")).send(DRIFT, log=LOG)

    assert len(server.got) == 1
    assert "s3cret" not in str(told.value)


def test_an_absent_webhook_is_told_without_its_address(monkeypatch):
    monkeypatch.setenv("HOOK", f"http://127.0.0.1:{free_port()}/s3cret")

    with pytest.raises(DeliveryError, match=r"ConnectionError \(3 attempts\)") as told:
        alerts(webhook=WebhookSettings("HOOK")).send(DRIFT, log=LOG)

    assert "s3cret" not in str(told.value)


def test_one_channel_that_fails_does_not_keep_the_alert_from_the_other(monkeypatch):
    with web_server() as server:
        monkeypatch.setenv("HOOK", server.url)

        with pytest.raises(DeliveryError, match="failed: email"):
            alerts(email=email(free_port()), webhook=WebhookSettings("HOOK")).send(DRIFT, log=LOG)

    assert len(server.got) == 1


def test_the_log_has_it_when_there_is_no_channel(caplog):
    with caplog.at_level(logging.WARNING, logger="alerts"):
        assert alerts().send(DRIFT, log=LOG) == ()

    assert "ALERT Calibration drift" in caplog.text


def test_an_address_that_is_missing_names_its_variable(monkeypatch):
    monkeypatch.delenv("HOOK", raising=False)

    with pytest.raises(ConfigurationError, match="the variable HOOK must be set"):
        alerts(webhook=WebhookSettings("HOOK")).send(DRIFT, log=LOG)


def test_a_login_needs_both_variables():
    with pytest.raises(ConfigurationError, match="both username_variable and password_variable"):
        alerts(email=email(2525, username_variable="HROB_USER")).send(DRIFT, log=LOG)


def test_starttls_does_not_send_where_the_server_cannot():
    box = Mailbox()

    with mail_server(box) as port:
        settings = EmailSettings(
            host="127.0.0.1", port=port, sender="a@example.org", recipients=("b@example.org",)
        )
        with pytest.raises(DeliveryError, match="STARTTLS"):
            alerts(email=settings).send(DRIFT, log=LOG)

    assert box.letters == []
