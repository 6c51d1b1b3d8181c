"""How pages say codes and numbers: names of dispositions, types and states in two languages, points as exact text."""

from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from schemas.refusals import Language

#: English and Chinese of every code that a page shows and the rulebook does not name.
WORDS: dict[str, tuple[str, str]] = {
    "counted": ("counted", "计入"), "counted_in_part": ("in part", "部分计入"), "no_effect": ("no effect", "不计"),
    "replaced": ("replaced", "已被取代"), "revoked": ("revoked", "已撤销"), "revised": ("revised", "已改定"),
    "duplicate": ("duplicate", "重复"), "void": ("void", "无效"), "conflict": ("conflict", "冲突"),
    "deduction.recorded.v1": ("deduction", "扣分"), "rating.recorded.v1": ("rating", "评分"),
    "submission.recorded.v1": ("submission", "材料报送"), "item.exempted.v1": ("exemption", "不适用"),
    "item.closed.v1": ("closing", "项目关闭"), "event.revoked.v1": ("revocation", "撤销"),
    "appeal.filed.v1": ("appeal", "申诉"), "appeal.decided.v1": ("decision", "申诉决定"),
    "tie.resolved.v1": ("tie resolved", "并列议定"), "reading.adopted.v1": ("reading adopted", "采用读法"),
    "stage.reached.v1": ("stage", "阶段"), "assessment.opened.v1": ("opening", "开启考核"),
    "scored": ("scored", "已评定"), "pending": ("pending", "待定"), "exempt": ("not applicable", "不适用"),
    "provisional": ("provisional", "暂定"), "final": ("final", "确定"),
    "running": ("under way", "考核进行中"), "closed": ("year-end closed", "年末考核已结束"),
    "publicised": ("in publicity", "公示中"), "finalised": ("final", "已定稿"),
    "daily_closed": ("daily closed", "日常考核结束"), "year_end_closed": ("year-end closed", "年末考核结束"),
    "upheld": ("upheld", "维持"), "cancelled": ("cancelled", "取消"),
    "one_group": ("one group only", "仅一组评价"), "undecided": ("tied at the cut", "并列待定"),
    "deduct": ("deduction", "扣分制"), "mean": ("mean", "平均"), "weighted_mean": ("weighted mean", "加权平均"),
    "scaled": ("scaled", "折算"), "checklist": ("checklist", "逐项"), "bands": ("bands", "分档"),
    "rank_step": ("rank step", "名次递减"),
    "appeal": ("open appeal", "申诉未决"), "tie": ("undecided tie", "并列待定"),
    "assumption": ("reading not adopted", "读法未采用"), "late": ("late", "预警"), "open": ("open", "未关闭"),
}
FOUR, HUNDREDTH = Decimal("0.0001"), Decimal("0.01")


def word(code: Any, lang: Language) -> str:
    """A code in words, itself where it has none."""
    return WORDS[code][lang == "zh"] if code in WORDS else str(code or "")


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
