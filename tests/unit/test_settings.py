"""The configuration: what wins, what is refused and how that is told, what is never shown."""

import re
import tomllib
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from worker.core.outcome.outcome import ErrorClass, Period
from worker.errors import SettingsError
from worker.settings.load import load
from worker.settings.sections import Settings, WindowSettings
from worker.settings.shown import shown
from worker.settings.types import Section, written
from worker.settings.weaknesses import weaknesses

CONFIG = Path(__file__).parents[2] / "config"
SECRET = "tops3cret"


def text_of(name: str) -> tuple[str, str]:
    return name, (CONFIG / name).read_text("utf-8")


def faults_of(*args: Any, **kwargs: Any) -> list[str]:
    with pytest.raises(SettingsError) as raised:
        load(*args, **kwargs)
    return [line.strip() for line in str(raised.value).splitlines()[1:]]


# -- the files under config/


def test_loading_worker_toml_changes_nothing() -> None:
    assert Settings() == load([text_of("worker.toml")], {})


def test_worker_toml_names_every_field_of_every_section() -> None:
    section, found = "", set()
    for line in text_of("worker.toml")[1].splitlines():
        if head := re.fullmatch(r"\[{1,2}([a-z.]+)\]{1,2}", line):
            section = head[1]
            found.add(section)
        elif key := re.match(r"(?:# )?([a-z_]+) = ", line):
            found.add(f"{section}.{key[1]}")

    assert set(_fields(Settings())) | {"limits.recipient.lanes"} <= found


@pytest.mark.parametrize("overlay", ["worker.dev.toml", "worker.prod.toml"])
def test_an_overlay_loads_over_the_defaults(overlay: str) -> None:
    assert Settings() != load([text_of("worker.toml"), text_of(overlay)], {})


def test_the_production_overlay_holds_no_secret() -> None:
    prod = tomllib.loads(text_of("worker.prod.toml")[1])

    assert {"broker", "redis", "provider"}.isdisjoint(prod)
    assert "dsn" not in prod["sentry"]


# -- what wins


def test_a_later_source_wins() -> None:
    texts = [("a", "[http]\nport = 1\nhost = 'a'"), ("b", "[http]\nport = 2")]
    variable = {"SMS_WORKER__HTTP__PORT": "3"}

    assert load([], {}).http.port == 9464
    assert load(texts[:1], {}).http.port == 1
    assert load(texts, {}).http.port == 2
    assert load(texts, variable).http.port == 3
    assert load(texts, variable, {"http.port": 4}).http.port == 4
    assert load(texts, variable, {"http.port": None}).http.host == "a"


def test_a_section_may_give_some_of_its_keys_only() -> None:
    otp = load([("a", "[lanes.otp]\nprefetch = 7")], {}).lanes.otp

    assert (7, 1, timedelta(minutes=5)) == (otp.prefetch, otp.resends, otp.lifetime)


def test_classes_of_codes_gather_from_all_sources() -> None:
    texts = [("a", '[catalog.classes]\n"A.B" = "transient"\nC = "content"')]
    variable = {"SMS_WORKER__CATALOG__CLASSES": '{ C = "invalid" }'}

    assert load(texts, variable).catalog.classes == {"A.B": ErrorClass.TRANSIENT, "C": ErrorClass.INVALID}


@pytest.mark.parametrize(
    ("name", "value", "key", "expected"),
    [
        ("SMS_WORKER__BROKER__DECLARE", "false", "broker.declare", False),
        ("sms_worker__http__host", "::1", "http.host", "::1"),
        ("SMS_WORKER__LANES__OTP__FLOOR", "0.5", "lanes.otp.floor", 0.5),
        ("SMS_WORKER__WORKER__LANES", '["otp"]', "worker.lanes", ("otp",)),
        ("SMS_WORKER__PROVIDER__CHANNEL_ID", "3790", "provider.channel_id", "3790"),
        ("SMS_WORKER__RETRY__FIRST", "1.5s", "retry.first", timedelta(seconds=1.5)),
        ("SMS_WORKER__SENTRY__ENVIRONMENT", "1\ndsn = 2", "sentry.environment", "1\ndsn = 2"),
        ("SMS_WORKER__HTTP__PORT", "", "http.port", 9464),
    ],
)
def test_a_variable_is_read_as_the_key_means_it(name: str, value: str, key: str, expected: Any) -> None:
    found: Any = load([], {name: value})
    for part in key.split("."):
        found = getattr(found, part)

    assert expected == found


def test_a_variable_of_a_file_gives_its_content_stripped() -> None:
    environ = {"SMS_WORKER__BROKER__URL_FILE": "/run/secrets/url"}
    files = {"/run/secrets/url": "amqp://u:p@h/\n"}

    assert load([], environ, read_file=files.__getitem__).broker.url == SecretStr("amqp://u:p@h/")


def test_variables_of_others_are_none_of_ours() -> None:
    assert Settings() == load([], {"SMS_WORKER_SERVICE_HOST": "10.0.0.1", "PATH": "/bin"})


def test_windows_may_be_rolling_or_of_the_calendar() -> None:
    limits = load([("a", "[limits]\nrecipient = [{limit=1, period='90s'}, {limit=2, period='month'}]")], {}).limits

    assert limits.recipient == (
        WindowSettings(limit=1, period=timedelta(seconds=90)),
        WindowSettings(limit=2, period=Period.MONTH),
    )


# -- what is refused


def test_all_faults_of_all_sources_are_told_at_once() -> None:
    texts = [("a.toml", "[quota]\ngard = '1s'\n[lanes.otp]\nprefetch = 0"), ("b.toml", "x =")]

    def unreadable(path: str) -> str:
        raise FileNotFoundError(2, "No such file or directory", path)

    environ = {"SMS_WORKER__REDIS__URL_FILE": "/nope", "SMS_WORKER__HTTP__PRT": "1"}
    faults = faults_of(texts, environ, {"log.level": "loud"}, unreadable)

    assert faults == [
        "a.toml: quota.gard is no key; did you mean quota.guard?",
        "b.toml: is not TOML: Invalid value (at end of document)",
        "SMS_WORKER__HTTP__PRT: is no key; did you mean SMS_WORKER__HTTP__PORT?",
        "SMS_WORKER__REDIS__URL_FILE: cannot read /nope: No such file or directory",
        "a.toml: lanes.otp.prefetch = 0: Input should be greater than or equal to 1",
        "flag: log.level = 'loud': Input should be 'debug', 'info', 'warning' or 'error'",
    ]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[redix]\nurl = 'x'", "a: redix is no key; did you mean redis?"),
        (f"x = {'[' * 9000}", "a: is not TOML: it is nested too deeply"),
        (f"x = {'1' * 5000}", "a: is not TOML: Exceeds the limit"),
        ("quota = 3", "a: quota is a section, not a value: write [quota] and its keys below"),
        ("[http]\nport = true", "a: http.port = True: Input should be a valid integer"),
        (
            "[retry]\nfirst = 5",
            "a: retry.first = 5: must be a number and a unit, one of ms, s, m, h, d",
        ),
        ("[retry]\nfirst = '1h'", "a: retry: first must not be longer than ceiling"),
        ("[hold]\nfirst_probe = '1h'", "a: hold: first_probe must not be longer than slowest_probe"),
        ("[lanes.otp]\nfloor = 0.9", "a: lanes: the floors of all lanes together must be at most 1, the whole quota"),
        ("[limits]\nrecipient = [{limit=1}]", "a: limits.recipient.0.period is missing"),
        ("[limits]\nrecipient = [{limit=1, period='day', lane='otp'}]", "a: limits.recipient.0.lane is no key"),
        (
            "[provider]\naccess_key_id = 'a'",
            "a: provider: give access_key_id and access_key_secret together",
        ),
        ("[provider]\nsecurity_token = 'a'", "a: provider: security_token belongs to an access key"),
        ("[broker]\nnamespace = 'A'", "a: broker.namespace = 'A': must be up to 32 of a-z, 0-9 and -"),
        ("[provider]\nread_timeout = '3m'", "a: provider.read_timeout = '3m': Input should be less than or equal to"),
        ("[provider]\nread_timeout = '99ms'", "a: provider.read_timeout = '99ms': Input should be greater than or"),
        ("[provider]\nconnect_timeout = '31s'", "a: provider.connect_timeout = '31s': Input should be less than or"),
        ("[provider]\nconnect_timeout = '1ms'", "a: provider.connect_timeout = '1ms': Input should be greater than"),
        ("[outcomes]\nage = '366d'", "a: outcomes.age = '366d': Input should be less than or equal to"),
        ("[outcomes]\nage = '0.5ms'", "a: outcomes.age = '0.5ms': Input should be greater than or equal to"),
        ("[outcomes]\nlength = 1000000001", "a: outcomes.length = 1000000001: Input should be less than or equal to"),
        ("[brake]\nsample = 19", "a: brake.sample = 19: Input should be greater than or equal to 20"),
        ("[brake]\ndead = 1.1", "a: brake.dead = 1.1: Input should be less than or equal to 1"),
        ("[http]\nhost = ''", "a: http.host = '': must be an address or a name: 127.0.0.1, ::1, localhost"),
        ("[http]\nhost = 'http://a'", "a: http.host = 'http://a': must be an address or a name"),
        ("[http]\nhost = '1.2.3.256'", "a: http.host = '1.2.3.256': must be an address or a name"),
        ("[http]\nhost = 'a:9464'", "a: http.host = 'a:9464': must be an address or a name"),
        (
            "[catalog.classes]\n'local.timeout' = 'transient'",
            "a: catalog.classes = {'local.timeout': 'transient'}: local.timeout is this program's own code",
        ),
    ],
)
def test_a_fault_tells_source_key_value_and_what_is_allowed(text: str, told: str) -> None:
    faults = faults_of([("a", text)], {})

    assert len(faults) == 1
    assert faults[0].startswith(told)


@pytest.mark.parametrize("host", ["0.0.0.0", "::1", "fe80::1%eth0", "localhost", "worker-1.sms.internal"])
def test_a_place_to_listen_is_an_address_or_a_name(host: str) -> None:
    assert load([], {}, {"http.host": host}).http.host == host


@pytest.mark.parametrize("error_class", list(ErrorClass))
def test_a_code_may_be_given_the_classes_that_an_answer_can_have(error_class: ErrorClass) -> None:
    text = ("a", f"[catalog.classes]\nSOME_CODE = '{error_class.value}'")
    if error_class not in {"accepted", "cancelled", "malformed", "poison", "unroutable", "internal"}:
        assert load([text], {}).catalog.classes == {"SOME_CODE": error_class}
        return

    (fault,) = faults_of([text], {})
    assert f"SOME_CODE cannot be {error_class.value}; it may be throttled, limited, transient, account, " in fault


@pytest.mark.parametrize(("period", "is_allowed"), [("90d", True), ("91d", False), ("10000h", False)])
def test_a_window_is_no_longer_than_marks_can_be_told_apart(period: str, is_allowed: bool) -> None:
    text = f"[limits]\nrecipient = [{{limit=1, period='{period}'}}]"
    if is_allowed:
        load([("a", text)], {})
    else:
        assert faults_of([("a", text)], {}) == [f"a: limits.recipient.0.period = '{period}': must be at most 90d"]


@pytest.mark.parametrize("period", ["year", "0s", "-1h", 5, True])
def test_a_period_that_is_none_is_one_fault(period: Any) -> None:
    value = f"'{period}'" if isinstance(period, str) else str(period).lower()
    faults = faults_of([("a", f"[limits]\nrecipient = [{{limit=1, period={value}}}]")], {})

    assert faults[0].startswith(f"a: limits.recipient.0.period = {period!r}: must be day, month, or a number")
    assert len(faults) == 1


def test_a_key_given_twice_in_the_environment_is_a_fault() -> None:
    environ = {"SMS_WORKER__LOG__LEVEL": "info", "SMS_WORKER__LOG__LEVEL_FILE": "/level"}

    assert faults_of([], environ, read_file=lambda _: "debug") == [
        "SMS_WORKER__LOG__LEVEL_FILE: log.level is given by SMS_WORKER__LOG__LEVEL too; give one of them"
    ]


def test_an_empty_file_of_a_secret_is_a_fault() -> None:
    environ = {"SMS_WORKER__SENTRY__DSN_FILE": "/dsn"}

    assert faults_of([], environ, read_file=lambda _: "\n") == [
        "SMS_WORKER__SENTRY__DSN_FILE: cannot read /dsn: it is empty"
    ]


def test_a_length_of_time_beyond_reckoning_is_a_fault_and_no_crash() -> None:
    assert "is longer than any length of time" in faults_of([], {"SMS_WORKER__RETRY__CEILING": "9" * 30 + "d"})[0]


# -- what is never shown


@pytest.mark.parametrize(
    "environ",
    [
        {"SMS_WORKER__BROKER__URL": f"http://u:{SECRET}@h"},
        {"SMS_WORKER__PROVIDER__ENDPOINT": f"https://u:{SECRET}@h"},
        {"SMS_WORKER__PROVIDER__ACESS_KEY_SECRET": SECRET},
        {"SMS_WORKER__PROVIDER__ACCESS_KEY_SECRET": SECRET},
        {"SMS_WORKER__PROVIDER__SECURITY_TOKEN": SECRET},
        {"SMS_WORKER__SENTRY__DSN": SECRET},
        {"SMS_WORKER__SENTRY": f"{{ dsn = '{SECRET}' }}"},
    ],
)
def test_no_fault_quotes_a_secret(environ: dict[str, str]) -> None:
    assert SECRET not in "".join(faults_of([], environ))


@pytest.mark.parametrize(
    ("url", "seen"),
    [
        ("rediss://h:6379/?db=5&ssl_cert_reqs=none", "rediss://h:6379/?db=5&ssl_cert_reqs=none"),
        (f"redis://:{SECRET}@h/0", "redis://:***@h/0"),
        (f"redis://{SECRET}@h/0", "redis://***@h/0"),
        (f"rediss://user:{SECRET}%2F%40x@h/0", "rediss://user:***@h/0"),
        ("unix:///run/redis.sock", "unix:///run/redis.sock"),
    ],
)
def test_a_shown_url_keeps_all_but_its_password(url: str, seen: str) -> None:
    assert seen == shown(load([], {"SMS_WORKER__REDIS__URL": url}))["redis"]["url"]


@pytest.mark.parametrize("url", [f"redis://user:{SECRET}/@x@h/0", f"redis://h:{SECRET}/0", "redis://h:99999/0"])
def test_a_url_whose_port_cannot_be_read_is_a_fault_that_does_not_quote_it(url: str) -> None:
    (fault,) = faults_of([], {"SMS_WORKER__REDIS__URL": url})

    assert "redis.url" in fault
    assert SECRET not in fault


def test_shown_settings_hold_no_secret_and_load_again() -> None:
    secrets = {
        "SMS_WORKER__PROVIDER__ACCESS_KEY_ID": "id",
        "SMS_WORKER__PROVIDER__ACCESS_KEY_SECRET": SECRET,
        "SMS_WORKER__PROVIDER__SECURITY_TOKEN": SECRET,
        "SMS_WORKER__SENTRY__DSN": f"https://{SECRET}@sentry.test/1",
    }
    effective = shown(load([text_of("worker.toml")], secrets))

    assert SECRET not in repr(effective)
    assert effective["provider"]["access_key_secret"] == "***"
    assert effective["quota"]["guard"] == "10ms"
    del effective["provider"], effective["sentry"], effective["broker"]["url"]
    assert Settings() == Settings.model_validate(
        effective | {"broker": effective["broker"] | {"url": Settings().broker.url}}
    )


@given(st.timedeltas(min_value=timedelta(milliseconds=1), max_value=timedelta(days=400)))
def test_a_written_length_of_time_reads_as_itself(length: timedelta) -> None:
    assert length == Settings.model_validate({"provider": {"keepalive": written(length)}}).provider.keepalive


def _fields(section: Section, prefix: str = "") -> Iterator[str]:
    for name in type(section).model_fields:
        value = getattr(section, name)
        if isinstance(value, Section):
            yield from _fields(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}"


# -- addresses


@pytest.mark.parametrize("key", ["broker.url", "redis.url", "sentry.dsn"])
@pytest.mark.parametrize("character", "@?#/ %[é")
def test_a_password_with_a_character_of_urls_is_a_fault_that_shows_no_part_of_it(key: str, character: str) -> None:
    scheme, end = {"broker.url": ("amqp", "/"), "redis.url": ("redis", "/0"), "sentry.dsn": ("https", "/1")}[key]
    for password in (f"12{character}{SECRET}", f"{SECRET}{character}{SECRET}", f"12{character}{SECRET}={SECRET}"):
        (fault,) = faults_of([], {}, {key: f"{scheme}://user:{password}@host{end}"})

        assert fault.startswith(f"flag: {key} = ***: ")
        assert SECRET not in fault


@pytest.mark.parametrize(
    ("key", "url", "told"),
    [
        ("redis.url", "redis://h/abc", "must look like redis://user:password@host:6379/0"),
        ("redis.url", "redis://h1,redis://h2", "must look like redis://"),
        ("redis.url", "redis://h1:1,h2:2/0", "must look like redis://"),
        ("redis.url", "redis:///0", "must look like redis://"),
        ("redis.url", "redis://h:0/0", "must look like redis://"),
        ("redis.url", "redis://h/0?timeout=abc", "has the option timeout; use redis.timeout instead"),
        ("redis.url", "redis://h/0?decode_responses=true", "has the option decode_responses, which is none of db, ssl"),
        ("redis.url", "rediss://h/0?ssl_ca_cert=/x", "has the option ssl_ca_cert, which is none of db, ssl_ca_certs"),
        ("redis.url", "rediss://h/0?ssl_check_hostname=no", "has the option ssl_check_hostname, which must be true or"),
        ("redis.url", "rediss://h/0?ssl_cert_reqs=never", "has the option ssl_cert_reqs, which must be required, opt"),
        ("redis.url", "redis://h/0?ssl_cert_reqs=none", "has the option ssl_cert_reqs, which is for rediss:// only"),
        ("redis.url", "redis://h/0?db=1", "names the database twice"),
        ("redis.url", "redis://h?db=1&db=2", "has the option db twice"),
        ("redis.url", "rediss://h?ssl_keyfile=/x", "has the option ssl_keyfile without ssl_certfile"),
        ("broker.url", "amqp://h1,h2/", "must look like amqp://user:password@host:5672/vhost, with one host"),
        ("broker.url", "amqp://h/?heartbeat=abc", "has the option heartbeat; use broker.heartbeat instead"),
        ("broker.url", "amqps://h/?cacertfile=/x", "has the option cacertfile, which is none of cafile, capath"),
        ("broker.url", "amqps://h/?no_verify_ssl=yes", "has the option no_verify_ssl, which must be 0 or 1"),
        ("broker.url", "amqp://h/?cafile=/x", "has the option cafile, which is for amqps:// only"),
        ("broker.url", "amqps://h/?A%20b=c", "has an option, which is none of"),
        ("provider.endpoint", "https://host:abc", "must look like https://host, with one host, and neither user nor"),
        ("provider.endpoint", "https://host:99999", "must look like https://host"),
        ("provider.endpoint", "https://host?x=1", "must have no options"),
        ("provider.endpoint", "https://a,b", "must look like https://host"),
        ("sentry.dsn", "https://host/1", "must look like https://key@host/4711"),
        ("sentry.dsn", "https://key@host/project", "must look like https://key@host/4711"),
    ],
)
def test_an_address_that_would_not_be_used_as_it_is_written_is_refused(key: str, url: str, told: str) -> None:
    (fault,) = faults_of([], {}, {key: url})

    assert told in fault


def test_plain_http_leaves_this_machine_only_when_that_is_allowed() -> None:
    elsewhere = {"provider.endpoint": "http://sandbox:8080"}
    (fault,) = faults_of([], {}, elsewhere)

    assert "provider: endpoint is http:// on another machine" in fault
    assert "allow_plain_http = true" in fault
    assert load([], {}, elsewhere | {"provider.allow_plain_http": True}).provider.endpoint == "http://sandbox:8080"
    for here in ("http://127.0.0.1:1", "http://localhost", "http://[::1]:1", "http://127.9.9.9"):
        assert load([], {}, {"provider.endpoint": here}).provider.endpoint == here


@pytest.mark.parametrize("key", ["access_key_id", "access_key_secret", "security_token"])
@pytest.mark.parametrize("character", ["\n", "\r", "\0", " ", "\x7f", "é", "键"])
def test_a_key_that_no_header_may_hold_is_refused(key: str, character: str) -> None:
    whole = {"access_key_id": "id", "access_key_secret": "secret", key: f"a{character}{SECRET}"}
    (fault,) = faults_of([], {}, {f"provider.{name}": value for name, value in whole.items()})

    assert f"provider.{key} = " in fault
    assert "must be ASCII letters, digits and punctuation only" in fault


@pytest.mark.parametrize(
    ("key", "options", "told"),
    [
        ("broker.url", "cafile={missing}", "broker.url: cafile {missing}: No such file or directory"),
        ("broker.url", "capath={missing}", "broker.url: capath {missing}: is no directory"),
        ("broker.url", "cafile={text}", "broker.url: cafile {text}: holds no certificate of an authority, as PEM"),
        ("broker.url", "certfile={text}", "broker.url: certfile {text}: is no certificate with its key"),
        ("broker.url", "certfile={missing}&keyfile={text}", "broker.url: certfile {missing}: No such file"),
        ("redis.url", "ssl_ca_certs={missing}", "redis.url: ssl_ca_certs {missing}: No such file or directory"),
        (
            "redis.url",
            "ssl_certfile={text}&ssl_keyfile={text}",
            "ssl_certfile {text} with ssl_keyfile {text}: is no",
        ),
    ],
)
def test_a_file_of_an_address_that_cannot_be_used_is_named_with_all_other_faults(
    tmp_path: Path, key: str, options: str, told: str
) -> None:
    files = {"missing": tmp_path / "missing.pem", "text": tmp_path / "text.pem"}
    files["text"].write_text("no certificate")
    scheme = "amqps" if key == "broker.url" else "rediss"
    flags = {key: f"{scheme}://h/?{options.format(**files)}", "log.level": "loud"}

    level, file = faults_of([], {}, flags)

    assert "log.level" in level
    assert told.format(**files) in file


def test_what_others_could_read_or_answer_is_told() -> None:
    flags = {
        "broker.url": "amqps://h/?no_verify_ssl=1",
        "redis.url": "rediss://h/0?ssl_cert_reqs=none&ssl_check_hostname=false",
        "provider.endpoint": "http://sandbox",
        "provider.allow_plain_http": True,
    }

    assert weaknesses(load([], {}, flags)) == [
        ("broker.url", "no_verify_ssl=1"),
        ("redis.url", "ssl_cert_reqs=none"),
        ("redis.url", "ssl_check_hostname=false"),
        ("provider.endpoint", "http://"),
    ]
    assert weaknesses(Settings()) == []
    assert weaknesses(load([], {}, {"broker.url": "amqps://h/?no_verify_ssl=0"})) == []
