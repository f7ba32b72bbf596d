"""Settings: everything wrong is told at once, and what is right wins in a known order."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from conftest import Command

from exportd.config import load, setting_names
from exportd.errors import ConfigurationError
from exportd.secret_files import variable
from exportd.settings import Settings

EXAMPLE = Path(__file__).parent.parent / "config.example.toml"

EX_CONFIG = 78


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No ./exportd.toml of somebody else."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def check(tmp_path: Path) -> Command:
    """The real command, without a database: check-config needs none."""
    return Command(tmp_path / "MEMORY-CONTEXT", None)


def written(text: str, path: Path = Path("settings.toml")) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def defaults() -> dict[str, object]:
    """Every setting and its default, sections with a dot."""
    plain = Settings.model_construct().model_dump()
    values: dict[str, object] = {}
    for name in setting_names():
        value: object = plain
        for part in name.split("."):
            assert isinstance(value, dict)
            value = value[part]
        values[name] = value
    return values


def test_without_file_and_environment_the_defaults_hold() -> None:
    assert load().model_dump() == Settings.model_construct().model_dump()


def test_the_file_wins_over_the_default() -> None:
    assert load(written("max_attempts = 7\n")).max_attempts == 7


def test_the_environment_wins_over_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    file = written('max_attempts = 7\n[database]\nurl = "postgresql:///file"\n')
    monkeypatch.setenv("EXPORTD_MAX_ATTEMPTS", "9")
    monkeypatch.setenv("EXPORTD_DATABASE_URL", "postgresql:///environment")
    settings = load(file)
    assert settings.max_attempts == 9
    assert settings.database.url is not None
    assert settings.database.url.get_secret_value() == "postgresql:///environment"


def test_one_variable_of_a_section_leaves_the_others_as_the_file_has_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("EXPORTD_DATABASE_URL", "postgresql:///environment")
    assert not load(written("[database]\nauto_migrate = false\n")).database.auto_migrate


def test_an_empty_variable_is_no_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EXPORTD_MAX_ATTEMPTS", "")
    assert load(written("max_attempts = 7\n")).max_attempts == 7


def test_the_file_is_found_by_variable_and_by_its_usual_name(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    written("max_attempts = 4\n", Path("exportd.toml"))
    assert load().max_attempts == 4
    monkeypatch.setenv("EXPORTD_CONFIG", str(written("max_attempts = 5\n")))
    assert load().max_attempts == 5


def test_every_problem_of_file_and_environment_is_told_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    file = written(
        'max_attempts = 0\nsetle_time = 1\nlog_level = "loud"\n[database]\nurll = "x"\n'
    )
    monkeypatch.setenv("EXPORTD_RESCAN_INTERVAL", "soon")
    monkeypatch.setenv("EXPORTD_EMTPY_TIMEOUT", "3")
    with pytest.raises(ConfigurationError) as caught:
        load(file)
    told = str(caught.value).splitlines()
    expected = [
        ("settings.toml: max_attempts: ", "greater than or equal to 1"),
        ("settings.toml: setle_time: unknown setting", "did you mean settle_time?"),
        ("settings.toml: log_level: ", "'debug', 'info', 'warning' or 'error'"),
        ("settings.toml: database.urll: unknown setting", "did you mean database.url?"),
        ("environment: EXPORTD_RESCAN_INTERVAL: ", "valid number"),
        ("environment: EXPORTD_EMTPY_TIMEOUT: unknown setting", "EXPORTD_EMPTY_TIMEOUT?"),
    ]
    for start, end in expected:
        assert [line for line in told if line.startswith(start) and end in line], (start, told)
    assert len(told) == len(expected)


@pytest.mark.parametrize("value", ["nan", "inf", "-1", "0", "1e9"])
def test_a_time_that_makes_no_sense_is_refused(
    value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EXPORTD_SETTLE_TIME", value)
    with pytest.raises(ConfigurationError, match="EXPORTD_SETTLE_TIME"):
        load()


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"max_attempts = \n", "not valid TOML"),
        (b'log_level = "\xff"\n', "not UTF-8"),
        (b"database = 3\n", "settings.toml: database"),
    ],
)
def test_a_file_that_is_no_settings_file_is_named(content: bytes, what: str) -> None:
    Path("settings.toml").write_bytes(content)
    with pytest.raises(ConfigurationError, match=re.escape("settings.toml")) as caught:
        load(Path("settings.toml"))
    assert what in str(caught.value)


def test_a_named_file_that_is_missing_is_an_error() -> None:
    with pytest.raises(ConfigurationError, match=r"nowhere\.toml"):
        load(Path("nowhere.toml"))


def test_wrong_settings_end_the_command_with_exit_code_78(check: Command) -> None:
    done = check("check-config", EXPORTD_MAX_ATTEMPTS="none", EXPORTD_UNHEARD_OF="1")
    assert done.returncode == EX_CONFIG
    assert "EXPORTD_MAX_ATTEMPTS" in done.stderr
    assert "EXPORTD_UNHEARD_OF: unknown setting" in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize("command", [(), ("run",), ("alerts", "list"), ("check-config",)])
def test_help_is_to_be_had_while_the_settings_are_wrong(
    check: Command, command: tuple[str, ...]
) -> None:
    Path("exportd.toml").write_text("max_attempts = [")
    helped = check(*command, "--help", EXPORTD_UNHEARD_OF="1")
    assert helped.returncode == 0, helped.stderr
    assert "Usage: " in helped.stdout


@pytest.mark.parametrize("command", [("run",), ("alerts", "list"), ("stats",), ("doctor",)])
def test_without_help_wrong_settings_end_every_command(
    check: Command, command: tuple[str, ...]
) -> None:
    done = check(*command, EXPORTD_UNHEARD_OF="1")
    assert done.returncode == EX_CONFIG
    assert done.stderr.startswith("exportd: settings: ")


def test_only_who_sends_mail_needs_the_password(exportd: Command) -> None:
    """It may be a credential of the service, which nobody else can read."""
    exportd.environment |= {
        "EXPORTD_MAIL_HOST": "127.0.0.1",
        "EXPORTD_MAIL_USER": "exportd",
        "EXPORTD_MAIL_SENDER": "exportd@example.org",
        "EXPORTD_MAIL_RECIPIENTS": "anna@example.org",
    }
    for command in (("alerts", "list"), ("stats",), ("check-config",)):
        assert exportd(*command).returncode == 0
    for command in (("alerts", "test"), ("run", "--once"), ("run",)):
        done = exportd(*command)
        assert done.returncode == EX_CONFIG, command
        assert "[mail] has a user and no password" in done.stderr


def test_the_bare_name_of_a_section_is_an_unknown_variable(check: Command) -> None:
    done = check("check-config", EXPORTD_DATABASE="postgresql://exportd:S3CRET@db/exportd")
    assert "S3CRET" not in done.stderr
    assert done.returncode == EX_CONFIG, done.stderr
    assert "EXPORTD_DATABASE: unknown setting" in done.stderr


def test_check_config_shows_every_setting_and_its_source_but_no_secret(
    check: Command,
) -> None:
    done = check("check-config", EXPORTD_DATABASE_URL="postgresql://exportd:S3CRET@db/x")
    assert done.returncode == 0
    assert variable("database.url") in done.stdout
    for name in setting_names():
        assert f"{name} = " in done.stdout
    assert "S3CRET" not in done.stdout + done.stderr


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://exportd:S3CRET@127.0.0.1:1/exportd",  # refused
        "postgresql://exportd:S3CRET@db.invalid:port/exportd",
        "postgresql//exportd:S3CRET@localhost/exportd",
        "host=localhost password=S3CRET' dbname=exportd",
        "postgresql://exportd:S3CRET@localhost/exportd?no_such_option=1",
    ],
)
def test_a_database_url_that_leads_nowhere_never_shows_its_password(
    check: Command, url: str
) -> None:
    done = check("run", "--once", EXPORTD_DATABASE_URL=url)
    assert "S3CRET" not in done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    assert done.returncode in (75, EX_CONFIG)


@pytest.mark.skipif(not EXAMPLE.exists(), reason="config.example.toml is not written yet")
def test_the_example_lists_every_setting_with_its_default() -> None:
    """Settings stand there commented out, or with their default as they are."""
    text = EXAMPLE.read_text(encoding="utf-8")
    bare = re.sub(r"^# ?(?=[a-z_]+ *=|\[)", "", text, flags=re.MULTILINE)
    found = tomllib.loads(bare)
    flat: dict[str, object] = {}
    for name, value in found.items():
        inner = value.items() if isinstance(value, dict) else ()
        flat |= {f"{name}.{key}": item for key, item in inner} or {name: value}
    for name, default in defaults().items():
        assert name in flat, name
        if default is not None:
            given = flat[name]
            assert given == (str(default) if isinstance(default, Path) else default), name
    assert flat.keys() <= defaults().keys()


URL = "postgresql://exportd:s3cret@db.example/exportd"


def url_of(settings: Settings) -> str | None:
    return settings.database.url.get_secret_value() if settings.database.url else None


def test_the_url_may_stand_in_a_file_named_by_environment_or_settings(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    written(f"  {URL}\n", Path("secret"))
    assert url_of(load(written('[database]\nurl_file = "secret"\n'))) == URL
    monkeypatch.setenv("EXPORTD_DATABASE_URL_FILE", "secret")
    assert url_of(load(written('[database]\nurl = "postgresql:///file"\n'))) == URL


def test_the_url_comes_from_the_first_place_that_has_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = written('[database]\nurl = "postgresql:///settings"\n')
    assert url_of(load(file)) == "postgresql:///settings"
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path / "credentials"))
    assert url_of(load(file)) == "postgresql:///settings"
    (tmp_path / "credentials").mkdir()
    written("postgresql:///credential\n", tmp_path / "credentials" / "database_url")
    assert url_of(load(file)) == "postgresql:///credential"
    written("postgresql:///named\n", Path("secret"))
    monkeypatch.setenv("EXPORTD_DATABASE_URL_FILE", "secret")
    assert url_of(load(file)) == "postgresql:///named"
    monkeypatch.setenv("EXPORTD_DATABASE_URL", "postgresql:///environment")
    assert url_of(load(file)) == "postgresql:///environment"


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (None, "secret: cannot be read (No such file or directory)"),
        (b" \n", "secret: is empty"),
        (b"\xff\xfe", "secret: cannot be read (no UTF-8 text)"),
        (b"mysql://me:hunter2@db/x", "secret: should be postgresql://"),
    ],
)
def test_a_file_without_a_url_is_a_wrong_setting_and_not_quoted(
    check: Command, tmp_path: Path, content: bytes | None, expected: str
) -> None:
    if content is not None:
        (tmp_path / "secret").write_bytes(content)
    done = check("check-config", EXPORTD_DATABASE_URL_FILE=str(tmp_path / "secret"))
    assert done.returncode == EX_CONFIG
    assert expected in done.stderr
    assert "hunter2" not in done.stdout + done.stderr


def test_a_url_in_the_place_of_its_file_is_not_quoted(check: Command) -> None:
    done = check("check-config", EXPORTD_DATABASE_URL_FILE=URL)
    assert done.returncode == EX_CONFIG
    assert "found a URL" in done.stderr
    assert "s3cret" not in done.stdout + done.stderr


def test_url_and_url_file_together_are_one_too_many() -> None:
    file = written('[database]\nurl = "postgresql:///a"\nurl_file = "secret"\n')
    with pytest.raises(ConfigurationError, match="expected one of them"):
        load(file)


def test_check_config_tells_the_file_that_the_url_came_from(
    check: Command, tmp_path: Path
) -> None:
    secret = written(URL, tmp_path / "secret")
    done = check("check-config", EXPORTD_DATABASE_URL_FILE=str(secret))
    assert (
        f'database.url = "postgresql://exportd@db.example/exportd"  # {secret}' in done.stdout
    )
    assert "s3cret" not in done.stdout


def test_a_secret_that_is_not_shown_cannot_be_pasted_back_as_one(
    check: Command, tmp_path: Path
) -> None:
    token = written("xoxb-s3cret", tmp_path / "token")
    shown = check(
        "check-config",
        EXPORTD_SLACK_TOKEN_FILE=str(token),
        EXPORTD_SLACK_CHANNEL="#exports",
        EXPORTD_DATABASE_URL=URL,
    ).stdout
    assert f"\n# slack.token = (set, from {token}; not shown)\n" in shown
    secrets = [line for line in shown.splitlines() if "slack.token =" in line]
    assert all(line.startswith("#") for line in secrets)
    assert "\n# database.url = " in shown
    assert "\\u2026" not in shown
    assert "s3cret" not in shown


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('[alerts]\nquiet_hours = "22-7"', 'alerts.quiet_hours: should be two times as "22:00'),
        ('[alerts]\nquiet_hours = "22:00-07:00\\n"', "alerts.quiet_hours: should be two times"),
        ('[alerts]\ndigest_time = "9"', 'alerts.digest_time: should be a time as "09:00"'),
        ('[slack]\napi_url = "http://s/api"', "slack.api_url: should be as"),
        ('[mail]\nsender = "a@b.c"\nrecipients = "x@y.z"', "and no host; expected all three"),
    ],
)
def test_a_wrong_setting_of_the_alerts_is_told_in_plain_words(text: str, told: str) -> None:
    with pytest.raises(ConfigurationError) as error:
        load(written(text))
    assert told in str(error.value)
    assert "pattern" not in str(error.value)


def test_who_set_no_secret_is_told_what_is_missing(check: Command, tmp_path: Path) -> None:
    written('[slack]\nchannel = "#exports"\n', Path("exportd.toml"))
    tested = check("alerts", "test")
    assert "expected token or webhook_url in [slack]" in tested.stderr


@pytest.mark.parametrize("number", ["0", str(2**63)])
def test_what_can_be_no_number_of_an_alert_is_wrong_usage(check: Command, number: str) -> None:
    for command in (("show",), ("ack",), ("silence", "--end"), ("list", "--limit")):
        assert check("alerts", *command, number).returncode == 64
