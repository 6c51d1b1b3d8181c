"""The command `wuxing`: stdout is data, stderr is talk; exit 0 done, 1 the answer is no, 2 wrong use, 3 could not."""

import os
import sys
from difflib import get_close_matches
from functools import partial
from importlib.metadata import version
from itertools import pairwise
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
from services.process import plain
from services.process.ending import Exit
from services.process.settings import language

#: Where each command lives, and what it does; imported only when it is called.
COMMANDS = {
    "demo": ("services.site.stack:demo", "Run a whole synthetic year through a real broker. 演示：完整的合成年度"),
    "open": (
        "services.site.opening:open_year",
        "Open a year: keys, rights, streams, opening. 开启考核年度",
    ),
    "list": ("services.site.years:list_years", "List the assessments of this site. 考核列表"),
    "archive": ("services.site.archiving:archive", "Seal a final year, write all of it to a file. 存档"),
    "backup": ("services.site.backup:backup", "Write folder and streams to one file. 备份"),
    "restore": ("services.site.backup:restore", "Make a site again from a backup. 恢复"),
    "repair": ("services.site.repairing:repair", "Mend a damaged ledger from a proved copy. 修复账本"),
    "up": ("services.site.stack:up", "Run an embedded broker and all services. 启动全部服务"),
    "ingest": ("services.site.stack:ingest", "Check what parties publish, append it to the ledger. 收件"),
    "scorer": ("services.site.stack:scorer", "Fold the ledger into DuckDB. 计分"),
    "ranker": ("services.site.stack:ranker", "Rank all units, publish snapshots. 排名"),
    "configure": (
        "services.site.provision:configure_broker",
        "Make the keys and nats.conf of a broker. 密钥与配置",
    ),
    "provision": ("services.site.provision:provision", "Make the streams of an assessment. 建立流"),
    "gateway": ("services.gateway.app:gateway", "Take events over HTTP. HTTP网关"),
    "gateway-key": ("services.gateway.keys:gateway_key", "Make an office's bearer key. 网关密钥"),
    "console": ("services.console.app:console", "Serve the page. 网页"),
    "emit": ("services.office.emit:emit", "Publish the rows of a file. 报送"),
    "appeal": ("services.office.appeal:appeal", "File a unit's appeal. 提出申诉"),
    "erase": ("services.site.erasing:erase", "Erase the texts of an event by an order. 删除文本"),
    "template": ("services.office.template:template", "Write an office's workbook. 报送模板"),
    "publish-tables": ("services.reports.publication:publish_tables", "Write the publication tables. 公示表"),
    "export": ("services.audit.export:export", "Write the ledger to a file. 导出账本"),
    "explain": ("services.reports.explain:explain", "Print the statement of one unit. 对账单"),
    "statements": ("services.reports.statements:statements", "Write the statements of all units. 全部对账单"),
    "appeals": ("services.reports.appeals:appeals", "Show appeals, and what each outcome would move. 申诉"),
    "readiness": ("services.reports.readiness:readiness", "Show what stands in the way of final. 定稿条件"),
    "diff": ("services.reports.diff:diff", "Show what moved between two points. 差异"),
    "what-if": ("services.reports.what_if:what_if", "Change events or readings, see what moves. 假设"),
    "readings": ("services.reports.what_if:readings", "Show who depends on which open question. 读法"),
    "replay": ("services.audit.replay:replay", "Rebuild from the ledger and compare. 重放"),
    "verify": ("services.audit.verify:verify", "Prove a snapshot or a bundle offline. 核验"),
    "bundle": ("services.audit.bundle:bundle", "Pack one unit's evidence with a verifier. 证据包"),
    "witness": ("services.audit.witness:witness", "Cosign a checkpoint. 见证"),
    "sql": ("services.console.sql:sql", "Query a snapshot. 查询"),
    "status": ("services.site.stack:status", "Show streams, lag, refusals, snapshot. 状态"),
}


#: The commands of `wuxing rulebook`.
RULEBOOK = {
    "check": ("services.rulebook.commands:check", "Check a rulebook, print its rules as sentences. 检查细则"),
    "new": ("services.rulebook.commands:new", "Write a small rulebook to begin from. 起步样本"),
    "show": ("services.rulebook.commands:show", "Show a rulebook beside the regulation's text. 对照原文"),
    "test": ("services.rulebook.commands:run_cases", "Compute the cases beside a rulebook. 核对案例"),
    "diff": ("services.rulebook.commands:diff", "Say how two rulebooks differ. 比较两部细则"),
}

#: The commands of `wuxing keys`.
KEYS = {
    "init": ("services.site.keys:init", "Make one's own key, print the public half. 自制密钥"),
    "add": ("services.site.keys:add", "Let a party in by a key; let units in that joined. 登记公钥、新单位"),
    "revoke": ("services.site.keys:revoke", "End a key at once. 吊销"),
    "rotate": ("services.site.keys:rotate", "Put a new key in the old one's place. 更换"),
    "list": ("services.site.keys:list_keys", "List the keys of all parties. 公钥列表"),
}
GROUPS = {
    "rulebook": (RULEBOOK, "Turn a regulation into a rulebook: check, new, show, test, diff. 考核细则"),
    "keys": (KEYS, "By which keys parties come in: init, add, revoke, rotate, list. 密钥"),
}


def application(*, overview: bool) -> App:
    """The command line. The overview lists each command by its words here, so that nothing is imported for it."""
    app = App(
        name="wuxing",
        help="Event-sourced assessment of public bodies. 机关考核：事件溯源、规则即数据、排名可复算。\n\n"
        "stdout is data, stderr is talk. Exit 0 done, 1 the answer is no, 2 wrong use, 3 could not.\n\n"
        "Start with: wuxing demo",
        version=partial(version, "wuxing"),
        result_action="return_value",
        exit_on_error=False,
        suppress_keyboard_interrupt=False,
        print_error=False,
    )
    for name, (place, words) in COMMANDS.items():
        app.command(place, name=name, help=words if overview else None)
    app.command(score)
    for group, (commands, help_) in GROUPS.items():
        made = App(name=group, help=help_)
        for name, (place, words) in commands.items():
            made.command(place, name=name, help=words if overview else None)
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
    words = [word for one in arguments for word in (one.split("=", 1) if one.startswith("--lang=") else [one])]
    lang: Literal["zh", "en"] = "en"
    try:
        lang = language(next((value for name, value in pairwise(words) if name == "--lang"), None))
        result: Any = application(overview=_overview(arguments))(arguments)
    except Told as end:
        print(end.say(lang), file=sys.stderr)
        return end.code
    except CycloptsError as error:
        usage = f"{misused(error)}\n用法：wuxing --help" if lang == "zh" else f"{error}\nUsage: wuxing --help"
        print(usage, file=sys.stderr)
        return Exit.USE
    except KeyboardInterrupt:
        print("已中断。" if lang == "zh" else "Interrupted; nothing half-written is left.", file=sys.stderr)
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


def _overview(arguments: list[str]) -> bool:
    """Whether nothing but a list of commands is asked for."""
    asked = [one for one in arguments if one not in {"--help", "-h"}]
    return not asked or (len(asked) == 1 and asked[0] in GROUPS)


def misused(error: CycloptsError) -> str:  # noqa: PLR0911 - one return a kind
    """What is wrong with the words of a command, in Chinese; of a kind that is rare the library's own words."""
    match error:
        case UnknownCommandError(unused_tokens=[word, *_]):
            near = get_close_matches(word, [*COMMANDS, "score", "rulebook"], n=1)
            return f"没有“{word}”这个命令" + (f"；是否应为“{near[0]}”？" if near else "。")
        case UnknownOptionError(token=token, argument_collection=known):
            word = str(token.keyword or token.value)
            near = get_close_matches(word, [name for one in known for name in one.names], n=1)
            return f"没有{word}这个选项" + (f"；是否应为{near[0]}？" if near else "。")
        case CoercionError(token=Token() as token, target_type=kind, argument=argument):
            name = token.keyword or (argument.name.lstrip("-").upper() if argument else "")
            choices = "、".join(map(str, get_args(kind))) if get_origin(kind) is Literal else ""
            return f"{name}的值“{token.value}”无效" + (f"；可用：{choices}。" if choices else "。")
        case RepeatArgumentError(token=token):
            return f"{token.keyword}只能写一次。"
        case MissingArgumentError(argument=Argument() as argument, keyword=keyword):
            return f"{keyword}缺少值。" if keyword else f"缺少{argument.name.lstrip('-').upper()}。"
        case UnusedCliTokensError(unused_tokens=list() as words):
            return f"多余的参数：{'、'.join(words)}。"
    return f"用法有误：{error}"


def told(error: Exception, lang: Literal["zh", "en"]) -> str | None:
    """What an error of the disk, or of the broker, comes to in words; null where it is a fault of ours."""
    if type(error).__module__.partition(".")[0] != "nats":
        return str(error) if isinstance(error, OSError) else None
    said = str(error) or type(error).__name__
    if lang == "zh":
        return f"消息服务器未能完成请求：{said}。请确认其已运行，并已建立流（wuxing provision）。"
    return f"The broker did not do what was asked: {said}. Is it up, and are the streams made (wuxing provision)?"
