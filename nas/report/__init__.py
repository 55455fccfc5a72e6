"""Fronts as tables and charts, and the choice of one network; reads run folders only."""

from nas.report.charts import draw_front
from nas.report.pick import pick
from nas.report.table import front_table, summary
from nas.report.write import FORMATS, PAGES, check_formats, write_comparison, write_report

__all__ = [
    "FORMATS",
    "PAGES",
    "check_formats",
    "draw_front",
    "front_table",
    "pick",
    "summary",
    "write_comparison",
    "write_report",
]
