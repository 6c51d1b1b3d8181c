"""Decides who may say and read what: accounts and keys for every party and service, as the server's configuration.

Nobody but the provisioner lives in CORE, the account that owns the streams. A user inside CORE could aim the server's
*reply*, a stored payload, at `$JS.API.STREAM.DELETE…` or at another's subject, and reply subjects are not checked
against permissions. So all others have accounts without JetStream and import from CORE, one by one, the subjects they
need; the API under the prefix `JSC.API`.
"""

import json
import os
import re
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from importlib import resources
from pathlib import Path
from typing import Any, NamedTuple

import nkeys

from infra.folders import COLLECTOR, Parties, PartyRefused, folders, parties, site
from infra.server import ServerUnusable, find_binary
from infra.streams import LEASE, TEXTS, lease_subject, set_aside, stream
from schemas.told import Told
from schemas.words import _

API = "JSC.API"
"""What `$JS.API` is called in every account but CORE."""
STOCK_INBOX = "_INBOX"
"""The prefix of the inboxes of a client that was told of no other."""
SERVICES = ("ingest", "scorer", "ranker", "gateway", "audit")
PROVISIONER = "provisioner"
UNIT_TYPES = ("appeal-filed-v1", "event-revoked-v1")
"""All that a unit may publish: its appeal, and taking it back."""
OFFICE_PAYLOAD = 128 * 1024
COLLECTOR_PAYLOAD = 1536 * 1024
SERVER_PAYLOAD = 2 * 1024 * 1024
SUBSCRIPTIONS = 1000
"""Subjects that a party or service may listen to at once."""
STORE_LIMIT = 16 * 1024**3
"""Bytes of the file store, where the disk has them; or twice what all streams set aside, for the ledgers, if more."""

_CODE = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)
_STORE_LEAST = 2 * 1024**3
_ANSWER_TIME = "5m"


class ClusterOpen(Told):
    """A server that others can reach would talk to whoever comes: nothing is configured beside it."""


class KeyUnsafe(Told):
    """A key file can be read by others than its owner, or does not hold a user's seed."""


class Connections(NamedTuple):
    """Connections at once: of each office, each unit, each service. The server takes no fewer than all together."""

    office_connections: int = 16
    unit_connections: int = 4
    service_connections: int = 16

    def together(self, offices: int, units: int) -> int:
        """All that the limits allow, with those of the services and the provisioner."""
        services = (len(SERVICES) + 1) * self.service_connections
        return offices * self.office_connections + units * self.unit_connections + services


class Service(NamedTuple):
    """A subject that an account may publish to because another account exports it."""

    subject: str
    local: str
    many: bool = False  # more than one answer to a request
    owner: str = "CORE"


@dataclass(frozen=True)
class Rights:
    """What one account imports, and likewise what one user of it may do."""

    says: tuple[Service, ...]
    hears: tuple[str, ...] = ()
    answers: tuple[str, ...] = ()
    listens: tuple[str, ...] = ()
    payload: int = SERVER_PAYLOAD


def _put(subject: str) -> Service:
    return Service(subject, subject)


def _api(call: str, *, many: bool = False) -> Service:
    return Service(f"$JS.API.{call}", f"{API}.{call}", many)


def _pull(name: str, durable: str) -> tuple[Service, ...]:
    """Reading on with a durable that exists: ask for the next, acknowledge, look where it stands."""
    place = f"{name}.{durable}"
    return _api(f"CONSUMER.MSG.NEXT.{place}", many=True), _api(f"CONSUMER.INFO.{place}"), _put(f"$JS.ACK.{place}.>")


def _look(name: str) -> tuple[Service, ...]:
    """Reading stored messages by sequence, and the stream's settings and state."""
    return _api(f"DIRECT.GET.{name}", many=True), _api(f"STREAM.INFO.{name}")


def party_rights(assessment: str, party: str, types: Sequence[str] = (), payload: int = OFFICE_PAYLOAD) -> Rights:
    """An office, or with `types` a unit: its own intake, receipts, refusals, notices; all checkpoints. `*`: all units'.

    A party may set its own durables back (RESET), so receipts of 90 days can be read again and not just once.
    Units hear nothing live: their durables wait just as well, on inboxes nobody can guess. A program of a party's own
    may leave its client's inbox as it is: the account holds nobody else, so nobody else can listen there.
    """
    own = f"intake.{assessment}.{party}"
    says = [_put(f"{own}.{kind}.{party}") for kind in types] or [_put(f"{own}.*.*")]
    for kind in ("RECEIPT", "REFUSED", *(("NOTICE",) if types else ())):
        name = stream(kind, assessment)
        says += [*_pull(name, party), _api(f"CONSUMER.RESET.{name}.{party}")]
    says.append(_checkpoints(assessment))
    hears = () if types else (f"receipt.{assessment}.{party}", f"refused.{assessment}.{party}")
    return Rights(tuple(says), hears, listens=(f"{STOCK_INBOX}.>",), payload=payload)


def _checkpoints(assessment: str) -> Service:
    """Reading the signed checkpoints: who holds one can prove afterwards that the log was changed."""
    return _api(f"DIRECT.GET.{stream('CHECKPOINT', assessment)}", many=True)


def _turn(assessment: str, service: str) -> tuple[Service, ...]:
    """Saying that it is one's turn at a service, and looking whose it is."""
    return _put(lease_subject(assessment, service)), _api(f"DIRECT.GET.{stream(LEASE, assessment)}", many=True)


def service_rights(assessment: str, *, texts: bool = False) -> dict[str, Rights]:
    """What each service needs and no more. Nobody running may change, purge or delete a stream or make a consumer.

    Of texts out of line ingest alone writes, and deletes single ones; the ranker reads them, and no party does.
    """
    arrived, intake, ledger, receipt, refused, notice, ranking = (
        stream(k, assessment) for k in ("ARRIVED", "INTAKE", "LEDGER", "RECEIPT", "REFUSED", "NOTICE", "RANKING")
    )
    receipts, refusals, cut = f"receipt.{assessment}.*", f"refused.{assessment}.*", f"cut.{assessment}"
    changes, apart = f"changes.{assessment}", stream(TEXTS, assessment)
    ingest = (
        *_pull(intake, "ingest"),
        *_look(intake),
        *_look(arrived),
        *_look(ledger),
        *_turn(assessment, "ingest"),
        Service(changes, changes, owner=account(assessment, "scorer")),
        _put(f"ledger.{assessment}.>"),
        _put(receipts),
        _put(refusals),
        *((*_look(apart), _put(f"texts.{assessment}.*.*"), _api(f"STREAM.MSG.DELETE.{apart}")) if texts else ()),
    )
    scorer = (*_pull(ledger, "scorer"), *_look(ledger), *_turn(assessment, "scorer"), _put(receipts))
    ranker = (
        Service(cut, cut, owner=account(assessment, "scorer")),
        _put(f"ranking.{assessment}"),
        _put(f"notice.{assessment}.*"),
        _put(f"checkpoint.{assessment}"),
        *_look(ranking),
        *_look(notice),
        *_turn(assessment, "ranker"),
        *_look(refused),
        *(_look(apart) if texts else ()),
    )
    gateway = (_put(f"intake.{assessment}.*.*.*"), *_pull(receipt, "gateway"), *_pull(refused, "gateway"))
    infos = (_api(f"STREAM.INFO.{name}") for name in (intake, receipt, refused, *((apart,) if texts else ())))
    durables = (_api(f"CONSUMER.INFO.{name}") for name in (f"{intake}.ingest", f"{ledger}.scorer"))
    return {
        "ingest": Rights(ingest),
        "scorer": Rights(scorer, answers=(cut, changes)),
        "ranker": Rights(ranker),
        "gateway": Rights(gateway, (receipts, refusals)),
        "audit": Rights((*_look(ledger), *_look(ranking), _checkpoints(assessment), *infos, *durables)),
    }


def check_codes(assessment: str, offices: Sequence[str], units: Sequence[str]) -> None:
    """Raise PartyRefused unless all codes fit in a subject and no two parties, or a party and a service, share a name.

    Case counts for nothing here: key files of `A` and `a` are one file on some disks.
    """
    seen = {name.casefold(): _("the service {name}", name=name) for name in (*SERVICES, PROVISIONER)}
    if not _CODE.fullmatch(assessment):
        raise PartyRefused(_("Not a code ([A-Za-z0-9_-]{1,64}): assessment {assessment}", assessment=repr(assessment)))
    for codes, no_code, taken, known in (
        (
            offices,
            _("Not a code ([A-Za-z0-9_-]{1,64}): office {code}"),
            _("The office {code} has the name of {other}: rename one of them"),
            _("the office {code}"),
        ),
        (
            units,
            _("Not a code ([A-Za-z0-9_-]{1,64}): unit {code}"),
            _("The unit {code} has the name of {other}: rename one of them"),
            _("the unit {code}"),
        ),
    ):
        for code in codes:
            if not _CODE.fullmatch(code):
                raise PartyRefused(no_code.of(code=repr(code)))
            if code.casefold() in seen:
                raise PartyRefused(taken.of(code=repr(code), other=seen[code.casefold()]))
            seen[code.casefold()] = known.of(code=code)


def key_file(data: Path, name: str) -> Path:
    """Where the seed of a party or service lies; those of the broker itself are the site's."""
    return (site(data) if name in {PROVISIONER, "routes"} else data) / "keys" / f"{name}.nk"


def account(assessment: str, name: str, kind: str = "") -> str:
    """The account of a service, or with its kind of an office or unit; no code has a slash."""
    return f"{assessment}/{kind}-{name}" if kind else f"{assessment}/{name.upper()}"


def configure(  # noqa: PLR0913 - the plain values of the rulebook
    data: Path,
    assessment: str,
    offices: Sequence[str],
    units: Sequence[str],
    *,
    collector: str = COLLECTOR,
    limits: Connections = Connections(),  # noqa: B008 - frozen
    running: bool = False,
    texts: bool = False,
) -> Path:
    """Make the missing keys, write the site's nats.conf for these parties, let the server check it, return its path.

    The rights of the site's other assessments stay, and so do units and keys that came later (`enrol`).
    The collecting office opens the assessment, with a rulebook and a roster in one event, and so may send more at once.
    """
    return configure_all(
        {data: Parties(assessment, tuple(offices), tuple(units), collector, texts=texts)}, limits, running=running
    )


def configure_all(
    some: Mapping[Path, Parties],
    limits: Connections = Connections(),  # noqa: B008 - frozen
    *,
    running: bool = False,
) -> Path:
    """The same for several assessments of one site, by their folders: written and checked once for all of them."""
    return _enrolled({data: _with_later(data, one) for data, one in some.items()}, limits, running=running)


def _with_later(data: Path, one: Parties) -> Parties:
    """The parties of a rulebook and roster, with the units and keys that came since."""
    held = parties(data)
    if not held or held.assessment != one.assessment:
        return one
    later = (unit for unit in held.units if unit not in one.units)
    return replace(one, units=(*one.units, *later), keys=held.keys, texts=one.texts or held.texts)


def enrol(
    data: Path,
    mine: Parties,
    limits: Connections = Connections(),  # noqa: B008 - frozen
    *,
    running: bool = False,
) -> Path:
    """Give the parties of an assessment their rights beside those of the site's others; returns its nats.conf.

    A server that is `running` takes it on when told so (SIGHUP), as long as the size of its store stays.
    """
    return _enrolled({data: mine}, limits, running=running)


def _enrolled(some: Mapping[Path, Parties], limits: Connections, *, running: bool) -> Path:
    root = site(next(iter(some)))
    for data, mine in some.items():
        check_codes(mine.assessment, mine.offices, mine.units)
        for folder in {root, data}:
            _private_folder(folder / "keys")
    refuse_open(root)
    everybody = {folder: found for folder in folders(root) if (found := parties(folder))} | dict(some)
    _refuse_twice(everybody)
    config = root / "nats.conf"
    known = config.read_text("utf-8") if config.exists() else ""
    for folder, one in everybody.items():
        _refuse_lost(folder, one, known)
    of_all = {
        (one.assessment, name): users(folder, one, name) for folder, one in everybody.items() for name in _all(one)
    }
    own = _public_key(root, PROVISIONER)
    store = root.absolute() / "jetstream"
    needs = 2 * sum(set_aside(len(one.offices) + len(one.units)) for one in everybody.values())
    room = _held_limit(root) if running else _store_limit(root, store, needs)
    head = {"WUXING_STORE": str(store), "WUXING_MAX_FILE_STORE": room, "system_account": "SYS"}
    head["max_connections"] = sum(limits.together(len(one.offices), len(one.units)) for one in everybody.values())
    tables = {"accounts": accounts(list(everybody.values()), of_all, own, limits)}
    lines = [f"{name}: {json.dumps(value, ensure_ascii=False)}" for name, value in (*head.items(), *tables.items())]
    settings = resources.files("infra").joinpath("nats/server.conf").read_text("utf-8")
    _write_checked(config, "\n".join([*lines[:2], settings, *lines[2:], ""]))
    for data, mine in some.items():
        _write_private(data / "parties.json", json.dumps(asdict(mine), ensure_ascii=False).encode())
    return config


def named(config: Path) -> frozenset[str]:
    """The accounts of a configuration that `enrol` wrote."""
    return frozenset(re.findall(r'"([^"/]+/[^"]+)": \{"users"', config.read_text("utf-8")))


def _all(one: Parties) -> tuple[str, ...]:
    return (*one.offices, *one.units, *SERVICES)


def _refuse_twice(everybody: Mapping[Path, Parties]) -> None:
    """Raise PartyRefused where two folders are of one assessment, whose streams would be the same."""
    seen: dict[str, Path] = {}
    for folder, one in everybody.items():
        if (other := seen.setdefault(one.assessment.casefold(), folder)) != folder:
            raise PartyRefused(
                _(
                    "{other} and {folder} are both of the assessment {assessment}: move one of them away.",
                    other=other,
                    folder=folder,
                    assessment=one.assessment,
                )
            )


def configure_nodes(data: Path, nodes: Sequence[str]) -> list[Path]:
    """Write a configuration for each node of a cluster beside nats.conf, let the server check it, return the paths.

    Raises ClusterOpen without the certificates, of which everything that listens beyond loopback has need.
    """
    data = site(data)
    tls = tls_folder(data)
    if missing := [name for name in ("ca.crt", "tls.crt", "tls.key") if not (tls / name).is_file()]:
        listed = ", ".join(missing)
        raise ClusterOpen(
            _(
                "A cluster has TLS, or whoever reaches it is a member: {listed} missing in {tls}. "
                "infra/nats/certificates.sh makes them.",
                listed=listed,
                tls=tls,
            )
        )
    secret = key_file(data, "routes")
    if not secret.exists():
        _write_private(secret, secrets.token_hex(32).encode())
    key = secret.read_text("ascii").strip()
    (data / "jetstream").mkdir(mode=0o700, exist_ok=True)  # where a container puts the node's own volume
    shared = resources.files("infra").joinpath("nats/node.conf").read_text("utf-8")
    known = {
        "WUXING_CERTIFICATE": str(tls / "tls.crt"),
        "WUXING_CERTIFICATE_KEY": str(tls / "tls.key"),
        "WUXING_CA": str(tls / "ca.crt"),
        "WUXING_ROUTE_KEY": key,
        "WUXING_ROUTES": [f"nats://wuxing:{key}@{node}:6222" for node in nodes],
        "server_name": "",
        "listen": "0.0.0.0:4222",
    }
    made = []
    for node in nodes:
        lines = (f"{name}: {json.dumps(value or node, ensure_ascii=False)}" for name, value in known.items())
        made.append(_write_checked(data / f"{node}.conf", "\n".join(["include nats.conf", *lines, shared])))
    return made


def refuse_open(data: Path) -> None:
    """Raise ClusterOpen where a configuration beside nats.conf is open to whoever reaches it.

    Beyond loopback there is TLS, and routes show a certificate and a password.
    """
    for path in sorted(data.glob("*.conf")):
        text = re.sub(r"(?m)(^|\s)(#|//).*$", r"\1", path.read_text("utf-8", errors="replace"))
        faults = [fault for fault, open_ in _openings(text) if open_]
        if faults and path.name != "nats.conf":
            listed = "; ".join(faults)
            raise ClusterOpen(
                _(
                    "{path} is open: {listed}. `wuxing configure --node NAME …` writes one that is not; or "
                    "move the file away.",
                    path=path,
                    listed=listed,
                )
            )


def _openings(text: str) -> Iterable[tuple[str, bool]]:
    """What stands open in a server's configuration, in words, each with whether it does."""
    outer, blocks = _blocks(text)
    listens = re.findall(r"(?m)\b(listen|http|monitor_port|http_port|host)\s*[:= ]\s*(\S+)", outer)
    beyond = {name for name, place in listens if not _loopback(place.strip("\"',"))}
    yield "no tls where it listens beyond loopback", "listen" in beyond and "tls" not in blocks
    yield "monitoring beyond loopback, which knows no rights", bool(beyond & {"http", "monitor_port", "http_port"})
    for kind in ("cluster", "gateway", "leafnodes"):
        if kind in blocks:
            __, inner = _blocks(blocks[kind])
            tls = inner.get("tls", "")
            yield f"{kind} without authorization", not re.search(r"\bpassword\b", inner.get("authorization", ""))
            yield (
                f"{kind} without tls that verifies",
                not ("ca_file" in tls and re.search(r"verify\s*[:=]\s*(true|yes|on)", tls)),
            )


def _blocks(text: str) -> tuple[str, dict[str, str]]:
    """What stands outside of all blocks, and the blocks by name."""
    outer, found, depth, name, start = [], {}, 0, "", 0
    for one in re.finditer(r"(\w+)?\s*[:=]?\s*\{|\}", text):
        if one[0] != "}":
            if depth == 0:
                outer.append(text[start : one.start()])
                name, start = one[1] or "", one.end()
            depth += 1
        else:
            depth -= 1
            if depth == 0:
                found[name], start = text[start : one.start()], one.end()
    return "".join([*outer, text[start:]]), found


def _loopback(place: str) -> bool:
    return place.startswith(("127.", "localhost", "[::1]"))


def tls_folder(data: Path) -> Path:
    """Where certificates lie: ca.crt for everybody, tls.crt and tls.key for who listens beyond loopback."""
    return site(data).absolute() / "tls"


def accounts(
    everybody: Sequence[Parties],
    of_all: Mapping[tuple[str, str], Sequence[str]],
    provisioner_key: str,
    limits: Connections,
) -> dict[str, Any]:
    """The accounts of the configuration, one a party of an assessment; CORE exports what the others import.

    `of_all` are the public keys by assessment and name, `provisioner_key` is the provisioner's.
    """
    held: dict[str, tuple[str, Rights, int]] = {}
    made: dict[str, Any] = {}
    granted: list[tuple[list[str], Rights]] = []
    for one in everybody:
        held |= (holders := _holders(one, limits))
        of_units = [account(one.assessment, unit, "UNIT") for unit in one.units]
        # Of what is exported to all units each imports its own: so the server need not search thousands.
        own_says = len(UNIT_TYPES)
        for name, (party, rights, most) in holders.items():
            granted.append(([name], Rights(rights.says[:own_says]) if party in one.units else rights))
            made[name] = {
                "users": [_user(party, rights, key) for key in of_all[one.assessment, party]],
                "limits": {"max_payload": rights.payload, "max_connections": most, "max_subscriptions": SUBSCRIPTIONS},
                "imports": _imports(rights),
            }
        if of_units:
            granted.append((of_units, Rights(party_rights(one.assessment, "*", UNIT_TYPES).says[own_says:])))
    for name, (_party, rights, _most) in held.items():
        made[name]["exports"] = _exports(name, granted) if rights.answers else []
    provisioner = {
        "nkey": provisioner_key,
        "permissions": {"publish": ["$JS.API.>", "$JS.SNAPSHOT.>"], "subscribe": [f"{inbox(PROVISIONER)}.>"]},
    }
    few = {"max_connections": limits.service_connections}
    core = {"jetstream": "enabled", "users": [provisioner], "limits": few, "exports": _exports("CORE", granted)}
    return {"SYS": {}, "CORE": core, **made}  # nobody is in the server's own account


def _holders(one: Parties, limits: Connections) -> dict[str, tuple[str, Rights, int]]:
    """The accounts of an assessment: whose each is, what it may, and how many connections it has."""
    found = {
        account(one.assessment, name): (name, rights, limits.service_connections)
        for name, rights in service_rights(one.assessment, texts=one.texts).items()
    }
    for office in one.offices:
        payload = COLLECTOR_PAYLOAD if office == one.collector else OFFICE_PAYLOAD
        rights = party_rights(one.assessment, office, payload=payload)
        found[account(one.assessment, office, "OFFICE")] = office, rights, limits.office_connections
    for unit in one.units:
        rights = party_rights(one.assessment, unit, UNIT_TYPES)
        found[account(one.assessment, unit, "UNIT")] = unit, rights, limits.unit_connections
    return found


def inbox(name: str) -> str:
    """The prefix of the inboxes of a party or service; a service may listen on no other."""
    return f"_INBOX_{name}"


def _imports(rights: Rights) -> list[dict[str, Any]]:
    says = [{"service": {"account": s.owner, "subject": s.subject}, "to": s.local} for s in rights.says]
    hears = [{"stream": {"account": "CORE", "subject": f"live.{subject}"}, "to": subject} for subject in rights.hears]
    return [*says, *hears]


def _exports(owner: str, granted: Sequence[tuple[list[str], Rights]]) -> list[dict[str, Any]]:
    services: dict[tuple[str, bool], list[str]] = {}
    streams: dict[str, list[str]] = {}
    for accounts_, rights in granted:
        for service in rights.says:
            if service.owner == owner:
                services.setdefault((service.subject, service.many), []).extend(accounts_)
        for subject in rights.hears if owner == "CORE" else ():
            streams.setdefault(f"live.{subject}", []).extend(accounts_)
    return [
        *(
            {"service": s, "accounts": who, **({"response_type": "stream"} if many else {})}
            for (s, many), who in services.items()
        ),
        *({"stream": subject, "accounts": who} for subject, who in streams.items()),
    ]


def _user(name: str, rights: Rights, key: str) -> dict[str, Any]:
    permissions: dict[str, Any] = {
        "publish": [service.local for service in rights.says],
        "subscribe": [f"{inbox(name)}.>", *rights.listens, *rights.hears, *rights.answers],
    }
    if rights.answers:
        permissions["allow_responses"] = {"max": 1, "expires": _ANSWER_TIME}
    return {"nkey": key, "permissions": permissions}


def _refuse_lost(data: Path, one: Parties, text: str) -> None:
    """Raise KeyUnsafe where a key that the configuration's text knows is gone: in silence nobody gets another."""
    config = site(data) / "nats.conf"
    known = {name: account(one.assessment, name, "OFFICE") for name in one.offices}
    known |= {name: account(one.assessment, name, "UNIT") for name in one.units}
    known |= {name: account(one.assessment, name) for name in SERVICES}
    known = {name: f'"{in_}": {{' for name, in_ in known.items() if name not in one.keys}
    known |= {name: f'"{inbox(name)}.>"' for name in (PROVISIONER,)}
    if lost := [name for name, said in known.items() if said in text and not key_file(data, name).exists()]:
        listed = ", ".join(lost[:20]) + (f" … ({len(lost)})" if len(lost) > 20 else "")
        raise KeyUnsafe(
            _(
                "Keys are missing: {listed}. Restore them from the backup to {data}. To give these "
                "parties new keys on purpose, move {config} away and configure again.",
                listed=listed,
                data=data / "keys",
                config=config,
            )
        )


def _private_folder(folder: Path) -> None:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.chmod(0o700)


def public_keys(data: Path, names: Sequence[str]) -> dict[str, str]:
    """The public keys of parties: the newest handed in, else of the seeds, which are made where there are none."""
    held = parties(data)
    return {name: held.keys[name][-1] if held and held.keys.get(name) else _public_key(data, name) for name in names}


def users(data: Path, one: Parties, name: str) -> Sequence[str]:
    """All public keys by which a party or service may come in."""
    return one.keys[name] if name in one.keys else [_public_key(data, name)]


def _public_key(data: Path, name: str) -> str:
    """The public key of the seed in the name's key file, which is made when there is none."""
    path = key_file(data, name)
    if not path.exists():
        _write_private(path, nkeys.encode_seed(os.urandom(32), nkeys.PREFIX_BYTE_USER))
    if path.stat().st_mode & 0o077:
        raise KeyUnsafe(_("Others can read the key {path}: make it anew, or chmod 600 it.", path=path))
    try:
        return str(nkeys.from_seed(bytearray(path.read_bytes().strip())).public_key.decode())
    except (nkeys.ErrInvalidSeed, ValueError):  # the message must not show what the file holds
        raise KeyUnsafe(_("{path} holds no key: remove it, and a new one is made.", path=path)) from None


def _write_private(path: Path, content: bytes) -> None:
    """Whole or not at all, readable by its owner alone from the first byte, never over a key that is there."""
    handle, name = tempfile.mkstemp(dir=path.parent)  # mkstemp makes it 0600
    try:
        with os.fdopen(handle, "wb") as out:
            out.write(content + b"\n")
            out.flush()
            os.fsync(out.fileno())
        Path(name).rename(path)
    finally:
        Path(name).unlink(missing_ok=True)


def _store_limit(data: Path, store: Path, needs: int = 0) -> int:
    """Bytes for the store: less than the disk has, so that the store is full, a clean refusal, before the disk is."""
    used = sum(part.stat().st_size for part in _files(store))
    room = used + shutil.disk_usage(data).free * 8 // 10
    if room < _STORE_LEAST:
        raise ServerUnusable(
            _(
                "Too little disk for {data}: {room} bytes usable, {store_least} needed. Make room.",
                data=data,
                room=room,
                store_least=_STORE_LEAST,
            )
        )
    return min(max(STORE_LIMIT, needs), room)


def _held_limit(root: Path) -> int:
    """The size of the store that a running server was started with."""
    found = re.search(r"^WUXING_MAX_FILE_STORE: (\d+)$", (root / "nats.conf").read_text("utf-8"), re.MULTILINE)
    return int(found[1]) if found else _store_limit(root, root / "jetstream")


def _files(folder: Path) -> Iterable[Path]:
    return (path for path in folder.rglob("*") if path.is_file())


def _write_checked(path: Path, text: str) -> Path:
    draft = path.with_suffix(".conf.new")
    draft.touch(mode=0o600)  # a node's has the password of the routes
    draft.write_text(text, encoding="utf-8")
    checked = subprocess.run([find_binary(), "-t", "-c", draft], capture_output=True, text=True, check=False)
    if checked.returncode:
        raise ServerUnusable(_("nats-server refuses {draft}: {stderr}", draft=draft, stderr=checked.stderr.strip()))
    draft.replace(path)
    return path
