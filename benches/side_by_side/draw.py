"""The plots, as SVG: logarithmic axes, each line with its name at its end, in the reader's light or dark."""

import math

WIDTH, HEIGHT = 760, 440
LEFT, RIGHT, TOP, BOTTOM = 76, 196, 52, 56
# Between the names at the lines' ends.
SPACING = 18
# Told apart in either light by those who see no red or no green, too.
COLORS = {
    "pg_neural": ("#0b62c4", "#58a6ff"),
    "pg_neural, batches off": ("#7a4fc0", "#bf9bff"),
    "sum(x0+…+x19)": ("#6e7781", "#8b949e"),
    "PL/Python + PyTorch": ("#0f766e", "#3fc8b4"),
    "ADBC + PyTorch": ("#c2530a", "#ff9a52"),
    "psycopg + PyTorch": ("#a8327d", "#f58ac9"),
}
TITLES = {
    "rows": ("Seconds to score a table", "rows", "20 float8 columns, network 20-64-64-1, mean of the scores"),
    "width": ("Microseconds to score a row", "width W of the network 20-W-W-1", "20 float8 columns, one process"),
}


def svg(plot):
    """A plot `{"name": …, "lines": {name: [[x, y], …]}}` as the text of an SVG file."""
    title, x_label, subtitle = TITLES[plot["name"]]
    lines = plot["lines"]
    xs = sorted({x for points in lines.values() for x, _ in points})
    ys = [y for points in lines.values() for _, y in points]
    low, high = decade(min(ys), math.floor), decade(max(ys), math.ceil)

    def across(x):
        return LEFT + (WIDTH - LEFT - RIGHT) * math.log(x / xs[0]) / math.log(xs[-1] / xs[0])

    def down(y):
        return TOP + (HEIGHT - TOP - BOTTOM) * math.log(high / y) / math.log(high / low)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'font-family="system-ui, -apple-system, \'Segoe UI\', Helvetica, Arial, sans-serif" font-size="13">',
        f"<title>{escaped(title)}</title>",
        style(lines),
        f'<rect class="paper" width="{WIDTH}" height="{HEIGHT}" rx="8"/>',
        f'<text class="ink" x="{LEFT}" y="24" font-size="15" font-weight="600">{escaped(title)}</text>',
        f'<text class="faint" x="{LEFT}" y="42" font-size="12">{escaped(subtitle)}</text>',
    ]
    y = low
    while y <= high * 1.001:
        parts.append(f'<path class="grid" d="M{LEFT} {down(y):.1f}H{WIDTH - RIGHT}"/>')
        parts.append(f'<text class="faint" x="{LEFT - 8}" y="{down(y) + 4:.1f}" text-anchor="end">{figure(y)}</text>')
        y *= 10
    for x in xs:
        parts.append(f'<path class="grid" d="M{across(x):.1f} {TOP}V{HEIGHT - BOTTOM}"/>')
        parts.append(
            f'<text class="faint" x="{across(x):.1f}" y="{HEIGHT - BOTTOM + 20}" text-anchor="middle">{figure(x)}</text>'
        )
    middle = (LEFT + WIDTH - RIGHT) / 2
    parts.append(f'<text class="ink" x="{middle:.0f}" y="{HEIGHT - 12}" text-anchor="middle">{escaped(x_label)}</text>')

    ends = {}
    for number, (name, points) in enumerate(lines.items()):
        path = "L".join(f"{across(x):.1f} {down(y):.1f}" for x, y in points)
        parts.append(f'<path class="line c{number}" d="M{path}"/>')
        parts += [f'<circle class="dot c{number}" cx="{across(x):.1f}" cy="{down(y):.1f}" r="3.2"/>' for x, y in points]
        x, y = points[-1]
        ends.setdefault(across(x), []).append((down(y), number, name))
    for x, names in ends.items():
        names.sort()
        for height, (_, number, name) in zip(spread([y for y, _, _ in names]), names, strict=True):
            parts.append(f'<text class="name c{number}" x="{x + 10:.1f}" y="{height + 4:.1f}">{escaped(name)}</text>')
    return "\n".join([*parts, "</svg>"]) + "\n"


def style(lines):
    """Both sets of colours; the reader's browser chooses."""

    def colors(shade, paper, ink, faint, grid):
        rules = [f".paper{{fill:{paper}}}.ink{{fill:{ink}}}.faint{{fill:{faint}}}.grid{{stroke:{grid}}}.name{{stroke:{paper}}}"]
        for number, name in enumerate(lines):
            color = COLORS[name][shade]
            rules.append(f".line.c{number}{{stroke:{color}}}.dot.c{number},.name.c{number}{{fill:{color}}}")
        return "".join(rules)

    light = colors(0, "#ffffff", "#1f2328", "#59636e", "#d8dee4")
    dark = colors(1, "#0d1117", "#f0f6fc", "#9198a1", "#2a313c")
    return (
        "<style>.line{fill:none;stroke-width:2;stroke-linejoin:round}.name{paint-order:stroke;stroke-width:4}"
        f".grid{{stroke-width:1}}{light}@media(prefers-color-scheme:dark){{{dark}}}</style>"
    )


def spread(heights):
    """Ascending heights moved apart until names fit between them."""
    heights = list(heights)
    for _ in range(200):
        for upper in range(len(heights) - 1):
            lack = SPACING - (heights[upper + 1] - heights[upper])
            if lack > 0:
                heights[upper] -= lack / 2
                heights[upper + 1] += lack / 2
        # Not into the title.
        heights[0] = max(heights[0], TOP + 4)
    return heights


def decade(value, rounded):
    return 10.0 ** rounded(math.log10(value))


def figure(value):
    """A number of an axis: 0.001, 100, 10,000, 10⁶."""
    if value < 1:
        return f"{value:.6f}".rstrip("0")
    return f"{value:,.0f}"


def escaped(text):
    return text.replace("&", "&amp;").replace("<", "&lt;")
