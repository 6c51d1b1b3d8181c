"""By which keys parties come in: handed in, beside each other, ended; on a real broker that is told of them."""

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from infra.client import BrokerUnreachable, connected, embedded_site, end, jetstream
from infra.folders import Parties, parties
from infra.rights import PROVISIONER, configure, key_file
from infra.server import EmbeddedServer
from infra.streams import provision, stream
from services import cli
from services.process.settings import read
from services.site.provision import let_in
from services.site.stack import keep_server
from tests.broker import ASSESSMENT, OFFICES, UNITS
from tests.faults.works import until

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedServer]:
    data = tmp_path_factory.mktemp("keys")
    configure(data, ASSESSMENT, OFFICES, UNITS)
    with EmbeddedServer(data) as server:
        yield server


@pytest.fixture
def wuxing(server: EmbeddedServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """Run a command on the site, or in another folder: exit code, stdout, stderr."""
    monkeypatch.setenv("NATS_URL", server.url)
    monkeypatch.setenv("WUXING_ASSESSMENT", ASSESSMENT)

    def run(*arguments: str, data: Path = server.data) -> tuple[int, str, str]:
        monkeypatch.setenv("WUXING_DATA", str(data))
        code = cli.run(["keys", *arguments, "--lang=en"])
        server.reload()
        return (code, *capsys.readouterr())

    return run


def comes_in(server: EmbeddedServer, role: str, data: Path) -> bool:
    async def look() -> bool:
        try:
            async with connected(server.url, role, data):
                return True
        except BrokerUnreachable:
            return False

    return asyncio.run(look())


def test_an_office_hands_in_a_key_of_its_own_and_the_old_one_ends(
    server: EmbeddedServer, wuxing: Command, tmp_path: Path
) -> None:
    site, own = server.data, tmp_path / "own"
    code, out, _ = wuxing("init", "ducha", data=own)
    public = out.strip()
    assert code == 0
    assert key_file(own, "ducha").stat().st_mode & 0o077 == 0
    assert not comes_in(server, "ducha", own)
    before = parties(site)
    assert wuxing("add", "ducha", public)[0] == 0
    until("the new key", lambda: comes_in(server, "ducha", own), bool)
    assert comes_in(server, "ducha", site)
    held = parties(site)
    assert before
    assert held
    old, new = held.keys["ducha"]
    assert (new, held.offices) == (public, before.offices)
    assert wuxing("revoke", "ducha", old)[0] == 0
    until("the old key's end", lambda: not key_file(site, "ducha").exists(), bool)
    key_file(site, "ducha").with_suffix(".ended").rename(key_file(site, "ducha"))
    until("the old key's end", lambda: not comes_in(server, "ducha", site), bool)
    assert comes_in(server, "ducha", own)
    assert comes_in(server, "kaoji", site)


def test_a_key_is_put_in_the_place_of_all_and_all_of_a_party_end(
    server: EmbeddedServer, wuxing: Command, tmp_path: Path
) -> None:
    site, own = server.data, tmp_path / "own"
    public = wuxing("init", "U001", data=own)[1].strip()
    assert wuxing("rotate", "U001", public)[0] == 0
    until("the new key", lambda: comes_in(server, "U001", own), bool)
    assert wuxing("revoke", "U001")[0] == 0
    until("the end of all", lambda: not comes_in(server, "U001", own), bool)
    assert public not in wuxing("list")[1]
    assert configure(site, ASSESSMENT, OFFICES, UNITS)
    held = parties(site)
    assert held
    assert held.keys["U001"] == ()


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("add", "nobody", "UA"), 2, "nobody is no office or unit"),
        (("add", "kaoji", "SUAM"), 2, "no public nkey"),
        (("rotate", "kaoji", ""), 2, "no public nkey"),
        (("revoke", "kaoji", "UA"), 2, "has no key UA"),
        (("revoke", "nobody"), 2, "nobody is no office or unit"),
        (("init", "kaoji"), 3, "is there already"),
        (("add",), 0, "Nothing to change"),
    ],
)
def test_what_cannot_be_is_said(wuxing: Command, arguments: tuple[str, ...], code: int, said: str) -> None:
    found, _, err = wuxing(*arguments)
    assert (found, said in err) == (code, True), err


def test_another_assessment_is_let_in_while_the_first_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    offices, second = ("ducha", "chuangjian"), tmp_path / "assessments" / "b"

    async def play() -> tuple[int, int]:
        async with embedded_site({tmp_path: Parties("a", offices, ("U1",))}) as server:
            monkeypatch.setenv("WUXING_DATA", str(tmp_path))
            monkeypatch.setenv("NATS_URL", server.url)
            monkeypatch.setenv("WUXING_ASSESSMENT", "b")
            keeper = asyncio.create_task(keep_server(server))
            async with connected(server.url, "audit", tmp_path, forever=True) as before:
                second.mkdir(parents=True)
                configure(second, "b", offices, ("U1", "U2"), running=True)
                await let_in(read())
                async with connected(server.url, PROVISIONER, second) as client:
                    await provision(client, "b", offices, ("U1", "U2"))
                async with connected(server.url, "ingest", second) as client:
                    new = await jetstream(client).stream_info(stream("LEDGER", "b"))
                while not before.is_connected:  # noqa: ASYNC110 - the client tells nobody that it is back
                    await asyncio.sleep(0.1)
                old = await jetstream(before).stream_info(stream("LEDGER", "a"))
            await end(keeper)
            return old.state.last_seq, new.state.last_seq

    assert asyncio.run(play()) == (0, 0)
