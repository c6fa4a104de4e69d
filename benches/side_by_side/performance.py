"""Puts what `make bench` measured into docs/performance.md, and the plots beside it: performance.py RESULTS PAGE.

Between `<!-- bench -->` and `<!-- /bench -->` stands the table, between `<!-- layers -->` and its like the
layers'. What was not measured stays as it is.
"""

import json
import re
import sys
from pathlib import Path

import draw
import report

IMAGES = Path("images")


def main(results, page):
    results = json.loads(Path(results).read_text())
    page = Path(page)
    text = replaced(page.read_text(), "bench", report.markdown(results))
    if "layers" in results:
        text = replaced(text, "layers", report.layers_markdown(results["layers"]))
    page.write_text(text)
    write_plots(results, page.parent / IMAGES)


def write_plots(results, directory):
    directory.mkdir(parents=True, exist_ok=True)
    for plot in (row["plot"] for rows in results["rows"].values() for row in rows if "plot" in row):
        (directory / f"cost_by_{plot['name']}.svg").write_text(draw.svg(plot))


def replaced(text, mark, content):
    begin, end = f"<!-- {mark} -->\n", f"<!-- /{mark} -->"
    if begin not in text:
        sys.exit(f"there is no {begin.strip()}")
    return re.sub(f"{begin}.*?{end}", lambda _: begin + content + end, text, flags=re.DOTALL)


if __name__ == "__main__":
    main(*sys.argv[1:])
