"""The files of deploy/ agree with the program: with its settings, its grace period, its dependencies."""

import re
import tomllib
from collections.abc import Iterator
from datetime import timedelta
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from pydantic import TypeAdapter

from worker.cli import exit_codes
from worker.settings.load import load
from worker.settings.sections import HttpSettings, Settings
from worker.settings.types import Duration, Section

ROOT: Final = Path(__file__).parents[2]
DEPLOY: Final = ROOT / "deploy"
DOCKERFILE: Final = DEPLOY / "Dockerfile"
COMPOSE: Final = DEPLOY / "compose.yaml"
UNIT: Final = DEPLOY / "systemd" / "sms-worker@.service"
REQUIREMENTS: Final = tuple(sorted((DEPLOY / "requirements").glob("*.txt")))
PROJECT: Final = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
#: The services that run our image.
OURS: Final = ("sandbox", "worker")


def keys_of(section: Section, prefix: str = "SMS_WORKER__") -> Iterator[str]:
    """The variable of every key."""
    for name in type(section).model_fields:
        value = getattr(section, name)
        if isinstance(value, Section):
            yield from keys_of(value, f"{prefix}{name.upper()}__")
        else:
            yield f"{prefix}{name.upper()}"


def instructions(stage: int) -> list[tuple[str, str]]:
    """The instructions of one stage of the Dockerfile, each on one line."""
    lines = [line for line in DOCKERFILE.read_text().splitlines() if not line.lstrip().startswith("#")]
    joined = "\n".join(lines).replace("\\\n", " ")
    pairs = [(line.split(maxsplit=1)[0], line.split(maxsplit=1)[1]) for line in joined.splitlines() if line.strip()]
    starts = [index for index, (word, _) in enumerate(pairs) if word == "FROM"]
    return pairs[starts[stage] : [*starts, len(pairs)][starts.index(starts[stage]) + 1]]


def final(word: str) -> list[str]:
    """What the final stage says with *word*."""
    return [rest for found, rest in instructions(-1) if found == word]


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(COMPOSE.read_text())["services"]
    return found


@pytest.fixture(scope="module")
def unit() -> dict[str, list[str]]:
    """Every value of each key; systemd lets a key occur more than once."""
    found: dict[str, list[str]] = {}
    for line in UNIT.read_text().splitlines():
        if line and not line.startswith(("#", "[")):
            key, _, value = line.partition("=")
            found.setdefault(key, []).append(value)
    return found


# -- settings -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", [DOCKERFILE, COMPOSE, UNIT], ids=lambda path: path.name)
def test_every_variable_names_a_key_of_the_settings(path: Path) -> None:
    said = "\n".join(line for line in path.read_text().splitlines() if not line.startswith("#"))
    used = set(re.findall(r"SMS_WORKER__[A-Z0-9_]+", said))

    assert used or path == DOCKERFILE
    assert {name.removesuffix("_FILE") for name in used} - set(keys_of(Settings())) == set()


def test_the_composed_worker_has_a_configuration_without_faults(services: dict[str, Any]) -> None:
    given = services["worker"]["environment"]
    environ = {name: re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", value) for name, value in given.items()}

    settings = load([], environ)

    assert settings.broker.url.get_secret_value() == "amqp://sms-worker:sms-worker@rabbitmq:5672/"
    assert settings.provider.endpoint == "http://sandbox:8080"


def test_every_secret_of_the_unit_is_read_from_a_credential_that_it_loads(unit: dict[str, list[str]]) -> None:
    loaded = {credential.partition(":")[0] for credential in unit["LoadCredential"]}
    read = {value.partition("=%d/")[2] for value in unit["Environment"] if "=%d/" in value}

    assert loaded
    assert loaded == read


# -- leaving ------------------------------------------------------------------------------------------------------


def test_the_supervisors_wait_longer_than_the_grace_period(
    services: dict[str, Any], unit: dict[str, list[str]]
) -> None:
    grace = Settings().worker.grace
    composed: timedelta = TypeAdapter(Duration).validate_python(services["worker"]["stop_grace_period"])

    assert composed > grace
    assert timedelta(seconds=int(unit["TimeoutStopSec"][0])) > grace


def test_each_supervisor_asks_with_the_signal_that_drains(unit: dict[str, list[str]]) -> None:
    assert final("STOPSIGNAL") == ["SIGTERM"]
    assert unit["KillSignal"] == ["SIGTERM"]


def test_the_unit_comes_back_after_everything_but_a_faulty_configuration(unit: dict[str, list[str]]) -> None:
    assert unit["Restart"] == ["always"]
    assert unit["StartLimitIntervalSec"] == ["0"]
    assert unit["RestartPreventExitStatus"] == [str(exit_codes.USAGE)]


# -- the image ----------------------------------------------------------------------------------------------------


def test_the_image_does_not_run_as_root() -> None:
    (user,) = final("USER")

    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", user)


def test_the_image_tells_its_health_where_the_configuration_says() -> None:
    (check,) = final("HEALTHCHECK")

    assert check.endswith('CMD ["python", "-m", "worker.cli.probe"]')
    assert find_spec("worker.cli.probe")
    assert final("EXPOSE") == [str(Settings().http.port)]


def test_no_setting_of_the_image_wins_against_a_file_of_whoever_runs_it() -> None:
    (environment,) = final("ENV")

    assert "SMS_WORKER__" not in DOCKERFILE.read_text().partition("FROM")[2]
    assert "SMS_WORKER_CONFIG=/etc/sms-worker/image.toml" in environment.split()
    assert "deploy/image.toml /etc/sms-worker/image.toml" in final("COPY")
    image = ("image.toml", (DEPLOY / "image.toml").read_text())
    assert load([image], {}) == load([], {}, {"http.host": "0.0.0.0"})
    assert load([image, ("mine", "[http]\nhost = '::1'\nport = 1234")], {}).http == HttpSettings(host="::1", port=1234)


def test_the_image_runs_the_worker() -> None:
    assert final("ENTRYPOINT") == ['["sms-worker"]']
    assert final("CMD") == ['["run"]']
    assert "sms-worker" in PROJECT["scripts"]


def test_the_final_stage_installs_nothing() -> None:
    ran = " ".join(final("RUN"))

    assert not re.search(r"\b(apt|apt-get|pip|gcc|curl|wget)\b", ran)


def test_the_base_image_is_of_a_python_that_the_package_supports() -> None:
    (base,) = re.findall(r"^ARG PYTHON=(\S+)$", DOCKERFILE.read_text(), re.MULTILINE)
    version = re.match(r"3\.\d+", base)

    assert version
    assert version[0] in Requirement(f"python{PROJECT['requires-python']}").specifier


def test_the_image_carries_the_version_of_the_package() -> None:
    version = PROJECT["version"]

    assert f"VERSION={version}" in final("ARG")
    assert f"image: sms-worker:{version}\n" in COMPOSE.read_text()


def test_only_what_the_image_copies_is_in_its_context() -> None:
    copies = [rest for stage in (0, 1) for word, rest in instructions(stage) if word == "COPY" and "--from" not in rest]
    copied = {source.rstrip("/") for rest in copies for source in rest.split()[:-1]}
    ignored = (ROOT / ".dockerignore").read_text().splitlines()

    assert "*" in ignored
    assert {line.removeprefix("!") for line in ignored if line.startswith("!")} == copied


# -- compose ------------------------------------------------------------------------------------------------------


def test_every_published_port_is_on_loopback(services: dict[str, Any]) -> None:
    ports = [port for service in services.values() for port in service.get("ports", ())]

    assert ports
    for port in ports:
        assert (port["host_ip"] if isinstance(port, dict) else port.partition(":")[0]) == "127.0.0.1"


def test_every_container_is_without_privileges(services: dict[str, Any]) -> None:
    for name, service in services.items():
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert service["restart"] == "unless-stopped", name
    for name in OURS:
        assert services[name]["read_only"] is True
        assert services[name]["init"] is True


def test_the_worker_waits_for_neighbours_that_can_tell_their_health(services: dict[str, Any]) -> None:
    needed = services["worker"]["depends_on"]

    assert set(needed) == {"rabbitmq", "redis", "sandbox"}
    for name, terms in needed.items():
        assert terms == {"condition": "service_healthy"}
        assert services[name]["healthcheck"]["test"][0] == "CMD"


def test_redis_neither_forgets_limits_for_want_of_memory_nor_by_a_restart(services: dict[str, Any]) -> None:
    command = services["redis"]["command"]
    options = dict(zip(command[1::2], command[2::2], strict=True))

    assert options["--maxmemory-policy"] == "noeviction"
    assert (options["--appendonly"], options["--appendfsync"]) == ("yes", "everysec")
    assert services["redis"]["volumes"] == ["redis:/data"]


def test_the_files_that_are_mounted_exist(services: dict[str, Any]) -> None:
    sources = [volume.partition(":")[0] for service in services.values() for volume in service.get("volumes", ())]
    files = [source for source in sources if source.startswith(".")]

    assert files
    assert [source for source in files if not (DEPLOY / source).is_file()] == []


# -- pins ---------------------------------------------------------------------------------------------------------


def pins(path: Path) -> dict[str, tuple[Requirement, int]]:
    """Every requirement of *path* by its name, with the number of its hashes."""
    logical = path.read_text().replace("\\\n", " ").splitlines()
    found: dict[str, tuple[Requirement, int]] = {}
    for line in filter(None, (line.partition("#")[0].strip() for line in logical)):
        text, *hashes = re.split(r"\s+--hash=sha256:", line)
        requirement = Requirement(text)
        found[canonicalize_name(requirement.name)] = (requirement, len(hashes))
    return found


@pytest.mark.parametrize("path", REQUIREMENTS, ids=lambda path: path.name)
def test_every_requirement_is_one_version_with_hashes(path: Path) -> None:
    for name, (requirement, hashes) in pins(path).items():
        assert re.fullmatch(r"==[0-9][^,*]*", str(requirement.specifier)), name
        assert hashes, name


def test_the_runtime_pins_hold_every_dependency_of_the_package() -> None:
    pinned = pins(DEPLOY / "requirements" / "runtime.txt")

    for dependency in map(Requirement, PROJECT["dependencies"]):
        requirement, _ = pinned[canonicalize_name(dependency.name)]
        (specifier,) = requirement.specifier
        assert specifier.version in dependency.specifier, dependency.name


def test_no_file_says_where_packages_come_from() -> None:
    """Whoever installs chooses the index or mirror; an address here would overrule that."""
    told = re.compile(
        r"(?i)(--(extra-)?index-url|--find-links|--trusted-host|(PIP|UV)_\w*INDEX|\[\[?tool\.uv|/simple\b)"
    )
    paths = [*REQUIREMENTS, DOCKERFILE, COMPOSE, ROOT / "pyproject.toml", *ROOT.glob("Makefile"), *ROOT.glob("*.toml")]

    assert [path.name for path in paths if told.search(path.read_text())] == []
    assert [path.name for path in REQUIREMENTS if "://" in path.read_text()] == []
