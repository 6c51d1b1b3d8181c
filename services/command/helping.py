"""`--help` in Chinese: what the library draws, with every text of it out of the catalogue."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from attrs import evolve
from cyclopts.help import DefaultFormatter, HelpEntry, HelpPanel, InlineText
from cyclopts.help.help import docstring_parse
from cyclopts.help.specs import DescriptionColumn, get_default_command_columns, get_default_parameter_columns
from rich.text import Text as Shown

from schemas.words import Text, _, _p, several

if TYPE_CHECKING:
    from cyclopts import App
    from rich.console import Console, ConsoleOptions

#: What the library itself says, and the words that stand in a usage line for what is to be given.
TITLES = (_("Commands"), _("Parameters"), _("Arguments"))
FLAGS = (_("Display this message and exit."), _("Display application version."))
GIVEN = {
    one.english: one
    for one in (
        _p("help", "COMMAND"), _p("help", "[OPTIONS]"), _p("help", "[ARGS]"), _p("help", "[ARGS...]"),
        _p("help", "STR"), _p("help", "PATH"), _p("help", "CHOICE"), _p("help", "INT"), _p("help", "FLOAT"),
        _p("help", "True"), _p("help", "False"),
    )
}  # fmt: skip
EXAMPLE = "Example: "


def paragraphs(text: str) -> Iterator[Text]:
    """The paragraphs of a docstring as they stand in the catalogue, each on one line."""
    for one in text.split("\n\n"):
        line = " ".join(one.split())
        if line.startswith(EXAMPLE):
            yield _("Example: {command}", command=line.removeprefix(EXAMPLE))
        elif line:
            yield Text(line)


def words(app: "App") -> Iterator[tuple[str, Text]]:
    """Everything that the help of an application says about its commands and their parameters, by the command."""
    for name in app:
        if name.startswith("-"):
            continue
        inner = app[name]
        if inner.default_command is None:
            yield from ((f"{name} {below}", text) for below, text in words(inner))
            continue
        parsed = docstring_parse(inner.help, "markdown")
        for part in (parsed.short_description, parsed.long_description):
            yield from ((name, text) for text in paragraphs(part or ""))
        for one in inner.assemble_argument_collection(parse_docstring=True).filter_by(show=True):
            yield from ((f"{name} {one.name}", text) for text in paragraphs(one.parameter.help or ""))


class Chinese(DefaultFormatter):
    """Draws help as the library does, in Chinese."""

    def __call__(self, console: "Console", options: "ConsoleOptions", panel: HelpPanel) -> None:
        """Draw a panel of commands or parameters."""
        entries = [evolve(one, metavar=one.metavar and _given(one.metavar)) for one in panel.entries]
        default = get_default_command_columns if panel.format == "command" else get_default_parameter_columns
        columns = default(console, options, entries)
        self.column_specs = tuple(evolve(one, renderer=_said) if one is DescriptionColumn else one for one in columns)
        super().__call__(console, options, panel.copy(title=Text(str(panel.title)).say("zh"), entries=entries))

    def render_usage(self, console: "Console", options: "ConsoleOptions", usage: Any) -> None:  # noqa: ARG002 - its form
        """Draw the usage line."""
        said = " ".join(map(_given, str(usage).rstrip().split(" ")))
        console.print(Shown(_("Usage: {usage}", usage=said).say("zh") + "\n", style="bold"))

    def render_description(self, console: "Console", options: "ConsoleOptions", description: Any) -> None:
        """Draw what a command is about."""
        super().render_description(console, options, _inline(description))


def _given(word: str) -> str:
    """A word of the usage line, or a placeholder, for what is to be given there."""
    if word in GIVEN:
        return GIVEN[word].say("zh")
    bare = word.removesuffix("...")
    return f"{GIVEN[bare].say('zh')}…" if bare != word and bare in GIVEN else word


def _inline(said: Any) -> Any:
    """What the library has made of a text, made of its Chinese."""
    written = getattr(getattr(said, "primary_renderable", None), "markup", None)
    if written is None:
        return said
    chinese = "\n\n".join(one.say("zh") for one in paragraphs(written))
    return InlineText.from_format(chinese, "markdown", force_empty_end=said.force_empty_end)


def _said(entry: HelpEntry) -> Any:
    """What a command or parameter is for, and after it what the library puts into brackets."""
    said = _inline(entry.description)
    default = _given(entry.default or "")
    if entry.choices:
        said.append(Shown(_("[choices: {choices}]", choices=several(entry.choices)).say("zh"), "cyclopts.choices"))
    if default not in ("", "[]"):
        said.append(Shown(_("[default: {default}]", default=default).say("zh"), "cyclopts.default"))
    if entry.required:
        said.append(Shown(_("[required]").say("zh"), "cyclopts.required"))
    return said
