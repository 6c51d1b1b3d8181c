"""The command `wuxing`: stdout is data, stderr is talk; exit 0 done, 1 the answer is no, 2 wrong use, 3 could not."""

import os
import sys
from difflib import get_close_matches
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin

from cyclopts import (
    App,
    Argument,
    CoercionError,
    CycloptsError,
    MissingArgumentError,
    Parameter,
    RepeatArgumentError,
    Token,
    UnknownCommandError,
    UnknownOptionError,
    UnusedCliTokensError,
)

from schemas.told import Told
from schemas.words import Language, Text, _, several
from services.process import plain
from services.process.ending import Exit
from services.process.settings import language

#: Where each command lives, and what it does; imported only when it is called.
COMMANDS = {
    "demo": ("services.site.stack:demo", _("Run a whole synthetic year through a real broker.")),
    "open": (
        "services.site.opening:open_year",
        _("Open a year: keys, rights, streams, opening."),
    ),
    "list": ("services.site.years:list_years", _("List the assessments of this site.")),
    "archive": ("services.site.archiving:archive", _("Seal a final year, write all of it to a file.")),
    "backup": ("services.site.backup:backup", _("Write folder and streams to one file.")),
    "restore": ("services.site.backup:restore", _("Make a site again from a backup.")),
    "repair": ("services.site.repairing:repair", _("Mend a damaged ledger from a proved copy.")),
    "up": ("services.site.stack:up", _("Run an embedded broker and all services.")),
    "ingest": ("services.site.stack:ingest", _("Check what parties publish, append it to the ledger.")),
    "scorer": ("services.site.stack:scorer", _("Fold the ledger into DuckDB.")),
    "ranker": ("services.site.stack:ranker", _("Rank all units, publish snapshots.")),
    "configure": (
        "services.site.provision:configure_broker",
        _("Make the keys and nats.conf of a broker."),
    ),
    "provision": ("services.site.provision:provision", _("Make the streams of an assessment.")),
    "gateway": ("services.gateway.app:gateway", _("Take events over HTTP.")),
    "gateway-key": ("services.gateway.keys:gateway_key", _("Make an office's bearer key.")),
    "console": ("services.console.app:console", _("Serve the page.")),
    "emit": ("services.office.emit:emit", _("Publish the rows of a file.")),
    "appeal": ("services.office.appeal:appeal", _("File a unit's appeal.")),
    "erase": ("services.site.erasing:erase", _("Erase the texts of an event by an order.")),
    "template": ("services.office.template:template", _("Write an office's workbook.")),
    "publish-tables": ("services.reports.publication:publish_tables", _("Write the publication tables.")),
    "export": ("services.audit.export:export", _("Write the ledger to a file.")),
    "explain": ("services.reports.explain:explain", _("Print the statement of one unit.")),
    "statements": ("services.reports.statements:statements", _("Write the statements of all units.")),
    "appeals": ("services.reports.appeals:appeals", _("Show appeals, and what each outcome would move.")),
    "readiness": ("services.reports.readiness:readiness", _("Show what stands in the way of final.")),
    "diff": ("services.reports.diff:diff", _("Show what moved between two points.")),
    "what-if": ("services.reports.what_if:what_if", _("Change events or readings, see what moves.")),
    "readings": ("services.reports.what_if:readings", _("Show who depends on which open question.")),
    "replay": ("services.audit.replay:replay", _("Rebuild from the ledger and compare.")),
    "verify": ("services.audit.verify:verify", _("Prove a snapshot or a bundle offline.")),
    "bundle": ("services.audit.bundle:bundle", _("Pack one unit's evidence with a verifier.")),
    "witness": ("services.audit.witness:witness", _("Cosign a checkpoint.")),
    "sql": ("services.console.sql:sql", _("Query a snapshot.")),
    "status": ("services.site.stack:status", _("Show streams, lag, refusals, snapshot.")),
}


#: The commands of `wuxing rulebook`.
RULEBOOK = {
    "check": ("services.rulebook.commands:check", _("Check a rulebook, print its rules as sentences.")),
    "new": ("services.rulebook.commands:new", _("Write a small rulebook to begin from.")),
    "show": ("services.rulebook.commands:show", _("Show a rulebook beside the regulation's text.")),
    "test": ("services.rulebook.commands:run_cases", _("Compute the cases beside a rulebook.")),
    "diff": ("services.rulebook.commands:diff", _("Say how two rulebooks differ.")),
}

#: The commands of `wuxing keys`.
KEYS = {
    "init": ("services.site.keys:init", _("Make one's own key, print the public half.")),
    "add": ("services.site.keys:add", _("Let a party in by a key; let units in that joined.")),
    "revoke": ("services.site.keys:revoke", _("End a key at once.")),
    "rotate": ("services.site.keys:rotate", _("Put a new key in the old one's place.")),
    "list": ("services.site.keys:list_keys", _("List the keys of all parties.")),
}
GROUPS = {
    "rulebook": (RULEBOOK, _("Turn a regulation into a rulebook: check, new, show, test, diff.")),
    "keys": (KEYS, _("By which keys parties come in: init, add, revoke, rotate, list.")),
}


ABOUT = (
    _("Event-sourced assessment of public bodies."),
    _("stdout is data, stderr is talk. Exit 0 done, 1 the answer is no, 2 wrong use, 3 could not."),
    _("Start with: wuxing demo"),
)


def application(*, overview: bool, lang: Language = "en", helps: bool = False) -> App:
    """The command line. The overview lists each command by its words here, so that nothing is imported for it.

    `helps` is whether help is asked for, which is in Chinese where `lang` is.
    """
    formatter = None
    if helps and lang == "zh":
        from services.command.helping import Chinese

        formatter = Chinese()
    app = App(
        name="wuxing",
        help="\n\n".join(one.say(lang) for one in ABOUT),
        help_formatter=formatter,
        version=partial(version, "wuxing"),
        result_action="return_value",
        exit_on_error=False,
        suppress_keyboard_interrupt=False,
        print_error=False,
    )
    for name, (place, words) in COMMANDS.items():
        app.command(place, name=name, help=words.say(lang) if overview else None)
    app.command(score)
    for group, (commands, help_) in GROUPS.items():
        made = App(name=group, help=help_.say(lang))
        for name, (place, words) in commands.items():
            made.command(place, name=name, help=words.say(lang) if overview else None)
        app.command(made)
    return app


def score(  # noqa: PLR0913 - each is an option of the contract
    file: Path,
    *,
    rulebook: Path | None = None,
    roster: Path | None = None,
    assessment: str | None = None,
    reading: Annotated[list[str], Parameter(negative=())] = [],  # noqa: B006 - read only
    as_of: str | None = None,
    facts_until: str | None = None,
    format: Literal["json", "table"] = "json",  # noqa: A002 - the contract's word
    snapshot: Path | None = None,
    texts: Path | None = None,
    digest: bool = False,
    strict: bool = False,
    lang: Literal["zh", "en"] | None = None,
) -> int:
    """Fold a file of events and rank: no server, the services' own code path. The line number is the sequence.

    Example: wuxing score year.jsonl --reading step=geometric --format json

    Parameters
    ----------
    file
        Events, one CloudEvents JSON object a line.
    rulebook
        A rulebook.toml instead of the one the file opens with.
    roster
        A UTF-8 CSV with header unit,name,category,group instead of the one the file opens with.
    assessment
        The assessment's code instead of the one the file opens with; of a file without an opening, of its rulebook.
    reading
        name=value, put over what was adopted; may be given more than once.
    as_of
        A line number, or a time: the state before the first event that occurred later.
    facts_until
        Only what had occurred by this time, wherever it stands in the file.
    format
        The whole object of the contract, or tables to read.
    snapshot
        Also write the DuckDB file, with events, rules, views and results.
    texts
        Texts out of line that go into that file, as `export --texts` writes them; each is held against its token.
    digest
        Show the digest under the tables.
    strict
        Exit 1 when a line was refused.
    lang
        Language of texts: zh or en; the locale's without it.
    """
    from services.reports import score as command

    return command.run(
        file,
        rulebook=rulebook,
        roster=roster,
        assessment=assessment,
        readings=reading,
        as_of=as_of,
        facts_until=facts_until,
        form=format,
        snapshot=snapshot,
        texts=texts,
        show_digest=digest,
        strict=strict,
        lang=language(lang),
    )


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit with the contract's code."""
    sys.exit(run(sys.argv[1:] if arguments is None else arguments))


def run(arguments: list[str]) -> int:
    """Run one command; every way it can end is an exit code, none a traceback, and no text is obeyed by a terminal."""
    with plain.streams():
        return _run(arguments)


def _run(arguments: list[str]) -> int:
    lang: Language = "en"
    try:
        line, chosen = _apart(arguments)
        lang = language(chosen)
        helps = not line or not {"--help", "-h"}.isdisjoint(line)
        made = application(overview=_overview(line), lang=lang, helps=helps)
        result: Any = made(line if helps else _behind(arguments, line, chosen))
    except Told as end:
        print(end.say(lang), file=sys.stderr)
        return end.code
    except CycloptsError as error:
        wrong = misused(error) if lang == "zh" else error
        print(_("{error}\nUsage: wuxing --help", error=wrong).say(lang), file=sys.stderr)
        return Exit.USE
    except KeyboardInterrupt:
        print(_("Interrupted; nothing half-written is left.").say(lang), file=sys.stderr)
        return Exit.FAILED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return Exit.DONE
    except Exception as error:
        if not (said := told(error, lang)):
            raise
        print(said, file=sys.stderr)
        return Exit.FAILED
    return result if isinstance(result, int) else Exit.DONE


def _apart(arguments: list[str]) -> tuple[list[str], str | None]:
    """The line without `--lang`, which may stand anywhere on it, and the language that it names."""
    line, chosen = list(arguments), None
    for n in reversed(range(len(line))):
        if line[n].startswith("--lang="):
            chosen = line.pop(n).partition("=")[2]
        elif line[n] == "--lang" and n + 1 < len(line):
            chosen = line[n + 1]
            del line[n : n + 2]
    return line, chosen


def _behind(arguments: list[str], line: list[str], chosen: str | None) -> list[str]:
    """The line with its language behind the command, where the library looks for it; as it is where it has several."""
    many = sum(one == "--lang" or one.startswith("--lang=") for one in arguments)
    if chosen is None or many > 1:
        return arguments
    end = line.index("--") if "--" in line else len(line)
    return [*line[:end], f"--lang={chosen}", *line[end:]]


def _overview(arguments: list[str]) -> bool:
    """Whether nothing but a list of commands is asked for."""
    asked = [one for one in arguments if one not in {"--help", "-h"}]
    return not asked or (len(asked) == 1 and asked[0] in GROUPS)


def misused(error: CycloptsError) -> Text:  # noqa: C901, PLR0911 - one return a kind
    """What is wrong with the words of a command; of a kind that is rare the library's own words."""
    match error:
        case UnknownCommandError(unused_tokens=[word, *_]):
            near = get_close_matches(word, [*COMMANDS, "score", "rulebook"], n=1)
            if not near:
                return _("There is no command {word}.", word=word)
            return _("There is no command {word}; did you mean {near}?", word=word, near=near[0])
        case UnknownOptionError(token=token, argument_collection=known):
            word = str(token.keyword or token.value)
            near = get_close_matches(word, [name for one in known for name in one.names], n=1)
            if not near:
                return _("There is no option {word}.", word=word)
            return _("There is no option {word}; did you mean {near}?", word=word, near=near[0])
        case CoercionError(token=Token() as token, target_type=kind, argument=argument):
            name = token.keyword or (argument.name.lstrip("-").upper() if argument else "")
            if get_origin(kind) is not Literal:
                return _("The value {value} of {name} is wrong.", value=token.value, name=name)
            choices = several(get_args(kind))
            said = _("The value {value} of {name} is wrong; there are: {choices}.")
            return said.of(value=token.value, name=name, choices=choices)
        case RepeatArgumentError(token=token):
            return _("{name} may be written once.", name=token.keyword)
        case MissingArgumentError(argument=Argument() as argument, keyword=keyword):
            if keyword:
                return _("{name} has no value.", name=keyword)
            return _("{name} is missing.", name=argument.name.lstrip("-").upper())
        case UnusedCliTokensError(unused_tokens=list() as words):
            return _("Too many arguments: {words}.", words=several(words))
    return _("Wrong use: {error}", error=error)


def told(error: Exception, lang: Language) -> str | None:
    """What an error of the disk, or of the broker, comes to in words; null where it is a fault of ours."""
    if type(error).__module__.partition(".")[0] != "nats":
        return str(error) if isinstance(error, OSError) else None
    said = str(error) or type(error).__name__
    return _(
        "The broker did not do what was asked: {said}. Is it up, and are the streams made (wuxing provision)?",
        said=said,
    ).say(lang)
