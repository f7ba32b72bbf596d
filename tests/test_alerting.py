"""Alerts end to end: the real daemon, Slack's API and a mail server on the loopback.

An outage of ten minutes: ``TEST_SLOW=1 TEST_OUTAGE_S=600 pytest tests/test_alerting.py``.
Kills at every step of the relay, 20 each: ``TEST_SEEDS=20 pytest tests/test_alerting.py``.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psutil  # type: ignore[import-untyped]
import pytest
from conftest import Command, rows, wait_until
from http_server import Answer, HttpServer, as_json
from mail_server import MailServer
from schemas import conforming
from test_daemon import slow
from test_pipeline import indexed

from exportd.crash import POINTS
from exportd.spool import Spool, Spooled

TOKEN, PASSWORD = "xoxb-SENTINEL-token", "SENTINEL-password"
SEEDS = int(os.environ.get("TEST_SEEDS", "1"))
OUTAGE_S = float(os.environ.get("TEST_OUTAGE_S", "75"))


@pytest.fixture
def slack() -> Iterator[HttpServer]:
    with HttpServer(
        as_json({"ok": True, "channel": "C1", "ts": "1700000000.000100"})
    ) as server:
        yield server


@pytest.fixture
def mail() -> Iterator[MailServer]:
    with MailServer(login=("exportd", PASSWORD)) as server:
        yield server


@pytest.fixture
def exports(exportd: Command, slack: HttpServer, mail: MailServer) -> Path:
    """The drop folder of a command with both channels."""
    exportd.environment |= {
        "EXPORTD_SLACK_TOKEN": TOKEN,
        "EXPORTD_SLACK_CHANNEL": "#exports",
        "EXPORTD_SLACK_API_URL": f"{slack.url}/api/",
        "EXPORTD_MAIL_HOST": "127.0.0.1",
        "EXPORTD_MAIL_PORT": str(mail.port),
        "EXPORTD_MAIL_SECURITY": "none",
        "EXPORTD_MAIL_USER": "exportd",
        "EXPORTD_MAIL_PASSWORD": PASSWORD,
        "EXPORTD_MAIL_SENDER": "exportd@example.org",
        "EXPORTD_MAIL_RECIPIENTS": "anna@example.org, ben@example.org",
        "EXPORTD_ALERTS_GROUP_WAIT": "0.5",
        "EXPORTD_ALERTS_DIGEST_TIME": "off",
    }
    return exportd.memory_dir / "exports"


def page(*missing: int) -> str:
    whole = json.loads(indexed(0, 10))
    whole["messages"] = [m for m in whole["messages"] if m["index"] not in missing]
    return json.dumps(whole)


def texts(slack: HttpServer) -> list[str]:
    return [request.json["text"] for request in slack.requests]


def bodies(mail: MailServer) -> list[str]:
    return [str(mailed.message.get_body(("plain",))) for mailed in mail.mails]


def subjects(mail: MailServer) -> list[str]:
    return [str(mailed.message["Subject"]) for mailed in mail.mails]


def test_a_gap_reaches_slack_and_mail_in_seconds_once_and_its_end_as_well(
    exportd: Command, exports: Path, slack: HttpServer, mail: MailServer
) -> None:
    with exportd.running():
        started = time.monotonic()
        (exports / "page.json").write_text(page(4, 5))
        wait_until(lambda: slack.requests and mail.mails, 30)
        assert time.monotonic() - started < 30
        time.sleep(1.5)  # time enough for a second one
        (exports / "again.json").write_text(page())
        wait_until(lambda: len(slack.requests) == 2 and len(mail.mails) == 2, 30)
    fired, over = texts(slack)
    assert "Messages are missing" in fired
    assert "messages 4 to 5" in fired
    assert f"exportd · {os.uname().nodename}, {exportd.memory_dir}" in fired  # as in the docs
    assert "again.json has the missing messages" in over
    assert slack.requests[1].json["thread_ts"] == "1700000000.000100"
    first, second = (mailed.message for mailed in mail.mails)
    assert second["In-Reply-To"] == first["Message-ID"]
    assert mail.mails[0].recipients == ["anna@example.org", "ben@example.org"]
    assert "missing" not in exportd("alerts", "list").stdout


def test_a_wrong_token_parks_slack_and_mail_says_so_and_no_log_has_a_secret(
    exportd: Command, exports: Path, slack: HttpServer, mail: MailServer
) -> None:
    slack.default = as_json({"ok": False, "error": "invalid_auth"})
    with exportd.running():
        (exports / "page.json").write_text(page(4, 5))
        wait_until(lambda: len(mail.mails) == 2, 30)
        time.sleep(1)
    assert len(slack.requests) == 1
    told = " ".join(subjects(mail))
    assert "Messages are missing" in told
    assert "A channel takes no alerts" in told
    listed = exportd("alerts", "list").stdout
    assert "slack takes no messages: " in listed
    assert "invalid_auth" in listed
    doctor = exportd("doctor")
    assert doctor.returncode == os.EX_TEMPFAIL
    assert "✗ slack: takes no messages: Slack said invalid_auth" in doctor.stdout
    assert "✓ mail: " in doctor.stdout
    status = exportd("status").stdout
    assert "✗ Channels      slack takes no messages: Slack said invalid_auth" in status
    assert "mend what slack refuses, then: exportd alerts test" in status
    tested = exportd("alerts", "test")
    assert tested.returncode == os.EX_TEMPFAIL
    assert "✗ slack: " in tested.stdout
    assert "✓ mail: 250" in tested.stdout
    everything = listed + tested.stdout + tested.stderr + exportd("check-config").stdout
    for path in exportd.memory_dir.parent.rglob("*"):
        if path.is_file() and path.suffix in {".log", ".txt", ".md", ".json"}:
            everything += path.read_text(errors="replace")
    assert "SENTINEL" not in everything


def test_test_sends_a_real_message_through_every_channel(
    exportd: Command, exports: Path, slack: HttpServer, mail: MailServer
) -> None:
    exports.parent.joinpath(".exportd").mkdir(exist_ok=True)
    done = exportd("alerts", "test", "--json")
    assert done.returncode == 0, done.stderr
    assert {
        n: one["accepted"] for n, one in conforming("alerts-test", done.stdout).items()
    } == {
        "slack": True,
        "mail": True,
    }
    assert "A test of this channel" in texts(slack)[0]
    assert "A test of this channel" in subjects(mail)[0]


def test_what_fired_before_there_was_a_channel_is_told_when_there_is_one(
    exportd: Command, exports: Path, slack: HttpServer, database_url: str
) -> None:
    """In the order of the README: first files are dropped, then a channel is set."""
    unset = Command(exportd.memory_dir, database_url)
    (exports / "page.json").write_text(page(4, 5))
    with unset.running():
        wait_until(lambda: "Messages are missing" in unset("alerts", "list").stdout, 30)
        time.sleep(1)  # it is routed, to nobody
        status = exportd("status")
        assert "slack: the daemon was started without it" in status.stdout
        assert "restart the daemon" in status.stdout
    assert slack.requests == []
    with exportd.running():
        wait_until(lambda: slack.requests, 30)
        assert "without it" not in exportd("status").stdout
    assert ["Messages are missing" in text for text in texts(slack)] == [True]


def test_a_run_without_a_daemon_tells_people_too(
    exportd: Command, exports: Path, slack: HttpServer, mail: MailServer
) -> None:
    (exports / "page.json").write_text(page(4, 5))
    assert exportd("run", "--once").returncode == 0
    assert (len(slack.requests), len(mail.mails)) == (1, 1)


STEPS = [
    point for point in POINTS if point.startswith("relay.") and "spool" not in point
]  # fmt: skip


@pytest.mark.parametrize("seed", range(SEEDS))
@pytest.mark.parametrize("point", STEPS)
def test_a_kill_at_any_step_of_the_relay_loses_no_alert(
    exportd: Command,
    exports: Path,
    slack: HttpServer,
    mail: MailServer,
    database_url: str,
    point: str,
    seed: int,
) -> None:
    """None is lost, and nothing is told twice that is not marked as a possible repeat."""
    if point == "relay.parked":
        slack.next(as_json({"ok": False, "error": "invalid_auth"}))
    at = f"{point}:{1 + seed % 2}" if point in ("relay.sent", "relay.sending") else point
    for n in range(3):
        (exports / f"junk-{seed}-{n}.log").write_text(f"make: *** {n}\n")
    killed = exportd("run", "--once", EXPORTD_CRASH_AT=at)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert exportd("run", "--once").returncode == 0
    names = {f"junk-{seed}-{n}.log" for n in range(3)}
    for told in (texts(slack), [str(m.message.get_body(("plain",))) for m in mail.mails]):
        sure = [text for text in told if "repeat" not in text]
        counted = Counter(name for text in sure for name in names if name in text)
        assert max(counted.values(), default=0) <= 1
    heard = " ".join(texts(slack)) + " ".join(str(m.message.get_body()) for m in mail.mails)
    assert all(name in heard for name in names)
    assert rows(
        database_url,
        "SELECT count(*) FROM alert_deliveries WHERE state <> 'sent' "
        "AND state <> 'told_elsewhere'",
    ) == [(0,)]


@pytest.mark.parametrize("seed", range(SEEDS))
@pytest.mark.parametrize("point", ["relay.spool_sending", "relay.spooled"])
def test_a_kill_at_any_step_of_the_spool_loses_no_alert(
    exportd: Command,
    exports: Path,
    slack: HttpServer,
    mail: MailServer,
    database_url: str,
    point: str,
    seed: int,
) -> None:
    """What an earlier process spooled is told, by one that dies at it, and by the next."""
    assert exportd("run", "--once").returncode == 0
    since = (datetime.now(UTC) - timedelta(minutes=2)).isoformat()
    spool = Spool(exports.parent / ".exportd" / "spool")
    spool.add(Spooled("database_unreachable", f"outage {seed}", since))
    away = {"EXPORTD_DATABASE_URL": "postgresql://nobody@127.0.0.1:1/nothing"}
    if seed % 2 and point == "relay.spooled":  # told by the spool before it is taken in
        with exportd.running(**away):
            wait_until(lambda: slack.requests and mail.mails, 30)
            time.sleep(0.2)
    at = f"{point}:{1 + seed % 2}" if point == "relay.spool_sending" else point
    where = away if point == "relay.spool_sending" else {}
    killed = exportd("run", EXPORTD_CRASH_AT=at, **where)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    with exportd.running():
        for heard in (lambda: texts(slack), lambda: bodies(mail)):
            wait_until(
                lambda heard=heard: (  # type: ignore[misc]
                    any(f"outage {seed}" in text for text in heard())
                    and any("over" in text for text in heard())
                ),
                30,
            )
    for told in (texts(slack), bodies(mail)):
        begun = [text for text in told if f"outage {seed}" in text and "it is over" not in text]
        assert len([text for text in begun if "repeat" not in text]) <= 1
    assert not list((exports.parent / ".exportd" / "spool").iterdir())
    assert rows(
        database_url,
        "SELECT count(*) FROM alerts WHERE kind = 'database_unreachable' "
        "AND state = 'resolved'",
    ) == [(1,)]


@slow
def test_an_outage_of_the_database_is_told_through_the_spool_and_its_end_too(
    exports: Path, exportd: Command, slack: HttpServer, mail: MailServer
) -> None:
    """The embedded server is held by SIGSTOP: it is there, and does not answer."""
    del exportd.environment["EXPORTD_DATABASE_URL"]
    exportd.environment["EXPORTD_DATABASE_TIMEOUT"] = "5"
    with exportd.running():
        (exports / "a.txt").write_text("> one\n\n⏺ two\n")
        wait_until((exportd.memory_dir / "export-dedup-status.txt").exists)
        pid_file = exportd.memory_dir / ".exportd" / "postgres" / "postmaster.pid"
        server = psutil.Process(int(pid_file.read_text().splitlines()[0]))
        family = [server, *server.children(recursive=True)]
        for process in family:
            process.suspend()
        try:
            wait_until(lambda: slack.requests and mail.mails, 200)
            time.sleep(max(OUTAGE_S - 60, 0))
        finally:
            for process in family:
                process.resume()
        wait_until(lambda: len(slack.requests) == 2 and len(mail.mails) == 2, 120)
    assert "The database does not answer" in texts(slack)[0]
    assert slack.requests[1].json["thread_ts"] == "1700000000.000100"
    assert all("The database does not answer" in subject for subject in subjects(mail))
    assert not list((exportd.memory_dir / ".exportd" / "spool").iterdir())


@slow
def test_ten_thousand_anomalies_in_a_minute_are_few_messages_and_all_are_listed(
    exportd: Command, exports: Path, slack: HttpServer, mail: MailServer, database_url: str
) -> None:
    """200 files with a gap each, the rest as alerts of exportd's own by four processes."""
    exportd.environment["EXPORTD_ALERTS_GROUP_WAIT"] = "10"
    began = time.monotonic()
    with exportd.running():
        crying = [
            subprocess.Popen(
                [sys.executable, "-c", CRY, database_url, str(exports.parent), str(n)],
            )
            for n in range(4)
        ]
        for n in range(200):
            page_of_its_own = json.loads(page(4, 5))
            page_of_its_own["title"] = f"page {n}"
            page_of_its_own["messages"][0]["message"] = f"this is page {n}, and no other one"
            (exports / f"page-{n}.json").write_text(json.dumps(page_of_its_own))
            time.sleep(0.25)
        assert [process.wait(60) for process in crying] == [0, 0, 0, 0]
        lasted_s = time.monotonic() - began
        wait_until(lambda: not list(exports.iterdir()), 60)
        time.sleep(30)
    listed = json.loads(exportd("alerts", "list", "--all", "--limit", "20000", "--json").stdout)
    kinds = Counter(alert["kind"] for alert in listed["alerts"])
    told = (len(slack.requests), len(mail.mails))
    sys.stderr.write(f"{lasted_s:.0f} s, {kinds}, Slack and mail: {told}\n")
    assert lasted_s < 90
    assert kinds["dead_letter"] == 9_800
    assert kinds["index_gap"] == 200
    assert 1 <= len(slack.requests) <= 3
    assert 1 <= len(mail.mails) <= 3


# Writes 2,450 alerts over 50 seconds, as an ingest does: each in a transaction.
CRY = """
import sys, time
from exportd.models import Severity
from exportd.store import NewAlert, Store
url, folder, number = sys.argv[1:]
store, began = Store(url), time.monotonic()
for n in range(2450):
    alert = NewAlert("dead_letter", Severity.WARNING, f"file {number}/{n} is odd",
                     f"{number}/{n}", folder)
    store.run(lambda tx: tx.alert(alert))
    time.sleep(max(0, began + n * 50 / 2450 - time.monotonic()))
store.close()
"""


@slow
def test_it_stops_in_time_while_database_and_channel_hang(
    exports: Path, exportd: Command, slack: HttpServer
) -> None:
    """SIGTERM to a daemon whose embedded server is held and whose channel never answers."""
    del exportd.environment["EXPORTD_DATABASE_URL"]
    slack.default = Answer(delay_s=120)
    with exportd.running() as daemon:
        (exports / "page.json").write_text(page(4, 5))
        wait_until(lambda: slack.requests, 30)
        pid_file = exportd.memory_dir / ".exportd" / "postgres" / "postmaster.pid"
        server = psutil.Process(int(pid_file.read_text().splitlines()[0]))
        family = [server, *server.children(recursive=True)]
        for process in family:
            process.suspend()
        (exports / "more.json").write_text(page(6))
        time.sleep(3)
        began = time.monotonic()
        daemon.terminate()
        try:
            code = daemon.wait(60)
            lasted_s = time.monotonic() - began
        finally:
            for process in family:
                with suppress(psutil.NoSuchProcess):
                    process.resume()
    sys.stderr.write(f"ended after {lasted_s:.1f} s\n")
    assert code == 0
    assert lasted_s < 20  # TimeoutStopSec of the unit


def test_what_slack_may_have_taken_is_sent_again_and_marked(
    exportd: Command, exports: Path, slack: HttpServer
) -> None:
    slack.next(Answer(is_dropped=True))
    with exportd.running():
        (exports / "page.json").write_text(page(4, 5))
        wait_until(lambda: len(slack.requests) == 2, 40)
    first, second = texts(slack)
    assert "repeat" not in first
    assert "repeat" in second
