"""The commands `keys`: which keys a party may come in by; the site needs the public halves alone.

A party makes its own key and hands in the public half (`init`, `add`), and a new one beside it before the old one ends
(`add`, then `revoke`). Units that joined in the year have rights once they are added. Nothing of it is in the ledger:
for signatures of events the collecting office records `key.changed`.
"""

import asyncio
import json
import sys
from dataclasses import replace

from nats.errors import Error as NatsError
from rich import box
from rich.table import Table

from infra.client import BrokerUnreachable, connected
from infra.folders import Parties, parties
from infra.rights import PROVISIONER, enrol, key_file, public_keys, users
from infra.server import EmbeddedServer
from infra.streams import provision
from schemas.words import Language, _, _p, several
from services.command.options import Lang
from services.command.tables import console
from services.ingest import signatures
from services.process.ending import Exit, Stop
from services.process.settings import Settings, language, read
from services.scorer import store
from services.site.provision import connections
from services.snapshot import point
from services.snapshot.make import latest

JOINED = "unit.changed.v1"


def init(party: str, *, lang: Lang = None) -> int:
    """Make a party's own key where this is run, and print the public half, which is handed in; the seed stays here.

    Example: WUXING_DATA=. wuxing keys init ducha

    Parameters
    ----------
    party
        The code of the office or unit.
    """
    known, path = read(), key_file(read().data, party)
    if path.exists():
        raise Stop(
            Exit.FAILED, _("{path} is there already: move it away first; what was signed with it stays.", path=path)
        )
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    print(public_keys(known.data, [party])[party])
    said = _("The seed is {path}, for nobody else; hand in the line above.", path=path)
    print(said.say(language(lang)), file=sys.stderr)
    return Exit.DONE


def add(party: str | None = None, key: str | None = None, *, lang: Lang = None) -> int:
    """Let a party in by another key, beside those it has; without a party, all units that joined in the year.

    Example: wuxing keys add ducha UDXU4RCSJNZOIQHZNWXHXORDPRTGNJAHAHFRGZNEEJCPQTT2M7NLCNF4

    Parameters
    ----------
    party
        The code of an office or unit of the year, or of a unit that joined in it.
    key
        The public half of its own key (`wuxing keys init`); without it a unit that joined gets a key made here.
    """
    known, mine = _site()
    joined = tuple(unit for unit in _joined(known) if unit not in mine.units)
    if party is None:
        new = replace(mine, units=(*mine.units, *joined))
    elif party not in (*mine.offices, *mine.units, *joined):
        listed = ", ".join(joined) or "-"
        raise Stop(
            Exit.USE,
            _(
                "{party} is no office or unit of {assessment}, and none that joined by the snapshot ({listed}).",
                party=party,
                assessment=mine.assessment,
                listed=listed,
            ),
        )
    else:
        units = mine.units if party in (*mine.offices, *mine.units) else (*mine.units, party)
        before = users(known.data, mine, party) if party in (*mine.offices, *mine.units) else ()
        keys = {**mine.keys, party: (*before, _public(key))} if key and key not in before else mine.keys
        new = replace(mine, units=units, keys=keys)
    return _put(known, mine, new, language(lang))


def revoke(party: str, key: str | None = None, *, lang: Lang = None) -> int:
    """End a key of a party at once, or all it has; its connections by that key are cut.

    Example: wuxing keys revoke ducha UDXU4RCSJNZOIQHZNWXHXORDPRTGNJAHAHFRGZNEEJCPQTT2M7NLCNF4

    Parameters
    ----------
    party
        The code of the office or unit.
    key
        The public half of the key that ends; all of the party's without it.
    """
    known, mine = _site()
    held = tuple(users(known.data, mine, _party(mine, party)))
    if key is not None and key not in held:
        listed = ", ".join(held) or "-"
        raise Stop(Exit.USE, _("{party} has no key {key}; it has {listed}.", party=party, key=key, listed=listed))
    left = tuple(one for one in held if key is not None and one != key)
    return _put(known, mine, replace(mine, keys={**mine.keys, party: left}), language(lang))


def rotate(party: str, key: str, *, lang: Lang = None) -> int:
    """Put a party's new key in the place of all it had, at once.

    Example: wuxing keys rotate ducha UDXU4RCSJNZOIQHZNWXHXORDPRTGNJAHAHFRGZNEEJCPQTT2M7NLCNF4

    Parameters
    ----------
    party
        The code of the office or unit.
    key
        The public half of its new key.
    """
    known, mine = _site()
    keys = {**mine.keys, _party(mine, party): (_public(key),)}
    return _put(known, mine, replace(mine, keys=keys), language(lang))


def list_keys(*, json_: bool = False, lang: Lang = None) -> int:
    """List the public keys by which each party may come in, and whether this site holds the seed.

    Example: wuxing keys list

    Parameters
    ----------
    json_
        One JSON object, party to its keys, instead of a table.
    """
    known, mine = _site()
    found = {party: list(users(known.data, mine, party)) for party in (*mine.offices, *mine.units)}
    if json_:
        print(json.dumps(found))
        return Exit.DONE
    chosen = language(lang)
    table = Table(box=box.SIMPLE)
    for head in (_p("keys", "Party"), _p("keys", "Public keys"), _p("keys", "Seed on this site")):
        table.add_column(head.say(chosen))
    yes, no = _("yes").say(chosen), _("no").say(chosen)
    for party, keys in found.items():
        table.add_row(party, "\n".join(keys) or "-", yes if key_file(known.data, party).exists() else no)
    console().print(table)
    return Exit.DONE


def _site() -> tuple[Settings, Parties]:
    known = read()
    if (mine := parties(known.data)) is None:
        raise Stop(Exit.FAILED, _("{data} has no rights yet: open a year first (wuxing open).", data=known.data))
    return known, mine


def _party(mine: Parties, party: str) -> str:
    if party not in (*mine.offices, *mine.units):
        raise Stop(
            Exit.USE,
            _("{party} is no office or unit of {assessment} that has rights.", party=party, assessment=mine.assessment),
        )
    return party


def _public(key: str) -> str:
    if signatures.public_key(key) is None:
        raise Stop(
            Exit.USE, _("{key} is no public nkey (it begins with U): wuxing keys init prints one.", key=repr(key[:80]))
        )
    return key


def _joined(known: Settings) -> list[str]:
    """The units that joined in the year, and were admitted, by the newest snapshot."""
    newest = latest(known.snapshots)
    if newest is None:
        return []
    with point.snapshot(newest) as con:
        return [one.subject for one in store.changes(con) if one.type == JOINED and one.change == "joined"]


def _put(known: Settings, mine: Parties, new: Parties, lang: Language) -> int:
    """Write the rights, make what durables are missing, and say what is left to do."""
    if new == mine:
        print(_("Nothing to change.").say(lang), file=sys.stderr)
        return Exit.DONE
    running = EmbeddedServer(known.root).taken
    config = enrol(known.data, new, connections(known), running=running)
    for party, keys in new.keys.items():
        seed = key_file(known.data, party)
        if seed.exists() and users(known.data, Parties("", (), ()), party)[0] not in keys:
            seed.rename(seed.with_suffix(".ended"))  # powerless, and no longer taken for the party's
    made = asyncio.run(_durables(known, new))
    how = "reload" if new.units == mine.units else "restart"
    units = [unit for unit in new.units if unit not in mine.units]
    said = [
        (bool(units), _("added: {units}", units=several(units))),
        (True, _("{config} is written; `wuxing up` takes it on by itself, else: systemctl {how} "
"wuxing-nats.", config=config, how=how)),
        (not made, _("The broker does not answer: run wuxing provision when it is up.")),
        (
            new.keys != mine.keys,
            _("For signatures by a new key to be checked, the collecting office records key.changed."),
        ),
    ]  # fmt: skip
    for true, one in said:
        if true:
            print(one.say(lang), file=sys.stderr)
    return Exit.DONE


async def _durables(known: Settings, new: Parties) -> bool:
    """Whether the broker was there to make the durables of who was added."""
    try:
        async with connected(known.nats_url, PROVISIONER, known.data) as client:
            await provision(client, new.assessment, new.offices, new.units, texts=new.texts)
    except (BrokerUnreachable, NatsError, OSError, TimeoutError):
        return False
    return True
