"""How pages say codes and numbers: names of dispositions, types and states in two languages, points as exact text."""

from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from schemas.refusals import Language

#: English and Chinese of every code that a page shows and the rulebook does not name.
WORDS: dict[str, tuple[str, str]] = {
    "counted": ("counted", "计入"),
    "counted_in_part": ("in part", "部分计入"),
    "no_effect": ("no effect", "不计"),
    "replaced": ("replaced", "已被取代"),
    "revoked": ("revoked", "已撤销"),
    "revised": ("revised", "已改定"),
    "duplicate": ("duplicate", "重复"),
    "void": ("void", "无效"),
    "conflict": ("conflict", "冲突"),
    "deduction.recorded.v1": ("deduction", "扣分"),
    "bonus.recorded.v1": ("bonus", "加分"),
    "rating.recorded.v1": ("rating", "评分"),
    "fact.recorded.v1": ("fact", "属性"),
    "veto.recorded.v1": ("veto", "一票否决"),
    "approval.recorded.v1": ("approval", "审批"),
    "unit.changed.v1": ("change of unit", "单位变动"),
    "item.transferred.v1": ("transfer", "项目移交"),
    "key.changed.v1": ("change of key", "密钥更换"),
    "submission.recorded.v1": ("submission", "材料报送"),
    "item.exempted.v1": ("exemption", "不适用"),
    "item.closed.v1": ("closing", "项目关闭"),
    "event.revoked.v1": ("revocation", "撤销"),
    "appeal.filed.v1": ("appeal", "申诉"),
    "appeal.decided.v1": ("decision", "申诉决定"),
    "tie.resolved.v1": ("tie resolved", "并列议定"),
    "reading.adopted.v1": ("reading adopted", "采用读法"),
    "stage.reached.v1": ("stage", "阶段"),
    "text.erased.v1": ("erasure", "文本删除"),
    "assessment.opened.v1": ("opening", "开启考核"),
    "scored": ("scored", "已评定"),
    "pending": ("pending", "待定"),
    "exempt": ("not applicable", "不适用"),
    "provisional": ("provisional", "暂定"),
    "final": ("final", "确定"),
    "running": ("under way", "考核进行中"),
    "finalised": ("final", "已定稿"),
    "amended": ("amended after final", "定稿后已变更"),
    "left": ("left", "已退出"),
    "awaiting": ("awaits approval", "待审批"),
    "rejected": ("rejected", "未获批准"),
    "approved": ("approved", "同意"),
    "joined": ("joined", "加入"),
    "renamed": ("renamed", "更名"),
    "moved": ("moved", "调整"),
    "incomplete": ("values missing", "缺少数据"),
    "vetoed": ("veto", "一票否决"),
    "stage": ("stage not reached", "阶段未到"),
    "upheld": ("upheld", "维持"),
    "cancelled": ("cancelled", "取消"),
    "one_group": ("one group only", "仅一组评价"),
    "undecided": ("tied at the cut", "并列待定"),
    "appeal": ("open appeal", "申诉未决"),
    "tie": ("undecided tie", "并列待定"),
    "assumption": ("reading not adopted", "读法未采用"),
    "late": ("late", "预警"),
    "open": ("open", "未关闭"),
}
#: English and Chinese of the values of readings that the language itself knows; others speak for themselves.
VALUES: dict[str, tuple[str, str]] = {
    "each": ("each by itself", "各自计"),
    "chain": ("largest chain", "最大链"),
    "sum": ("sum", "累加"),
    "shared": ("one shared pool", "共用"),
    "separate": ("a part each", "各自"),
    "cumulative_half_up": ("cumulative, half-up", "累计四舍五入"),
    "cumulative_floor": ("cumulative, down", "累计舍尾"),
    "largest_remainder": ("largest remainder", "最大余额"),
    "all": ("all units", "全部单位"),
    "category": ("each category", "各类别"),
    "group": ("each group", "各组"),
    "plain": ("plain mean", "平均"),
    "trimmed": ("without extremes", "去最高最低"),
    "latest": ("the latest", "最近一次"),
    "better": ("the better place", "取较好名次"),
    "average": ("the mean", "取平均"),
    "listed": ("listed units", "列入单位"),
    "eligible": ("eligible units", "参评单位"),
    "floor": ("down", "舍去"),
    "half_up": ("half-up", "四舍五入"),
    "ceil": ("up", "进一"),
    "disjoint": ("one after the other", "依次相接"),
    "cumulative": ("top shares", "前列比例"),
    "undecided": ("until resolved", "待议定"),
    "include": ("all of them", "全取"),
    "exclude": ("none of them", "全不取"),
}
FOUR, HUNDREDTH = Decimal("0.0001"), Decimal("0.01")


def word(code: Any, lang: Language) -> str:
    """A code in words, itself where it has none."""
    return WORDS[code][lang == "zh"] if code in WORDS else str(code or "")


def choice(value: str, lang: Language) -> str:
    """A reading's value with what it means, itself where it speaks for itself."""
    return f"{value} · {VALUES[value][lang == 'zh']}" if value in VALUES else value


def four(points: Decimal | None) -> str:
    """Points with 4 decimals, half-up, as the printed tables have them."""
    return "—" if points is None else f"{points.quantize(FOUR, ROUND_HALF_UP)}".replace("-", "−")


def exact(points: Decimal | None) -> str:
    """Points with all the decimals they have, two at least, so that they can be added again."""
    if points is None:
        return "—"
    short = points.normalize()
    return f"{short.quantize(HUNDREDTH) if short == short.quantize(HUNDREDTH) else short:f}".replace("-", "−")


def signed(points: Decimal | None) -> str:
    """A margin with its sign, 4 decimals."""
    return "—" if points is None else ("+" if points > 0 else "") + four(points)


def points(text: str | None) -> str:
    """Points given as text with all the decimals they have, two at least; nothing where there are none."""
    return "" if text is None else exact(Decimal(text))


def points4(text: str) -> str:
    """Points given as text with 4 decimals, half-up."""
    return four(Decimal(text))
