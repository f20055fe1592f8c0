# SPDX-License-Identifier: BSD-3-Clause
#
# picture.py - The table as a picture: a bar for each ratio, a mark for each target

import math
from html import escape

WIDTH, LEFT, RIGHT, ROW, TOP = 980, 350, 150, 20, 66
LEAST = 0.125  # ratios below are drawn as this
GOOD, SHORT, PLAIN = "#2f7d4f", "#c26a1b", "#6b7785"


def text(x, y, words, **more):
    attributes = "".join(f' {k.replace("_", "-")}="{v}"' for k, v in more.items())
    return f'<text x="{x:.1f}" y="{y:.1f}"{attributes}>{escape(words)}</text>'


def draw(head, lines):
    """@head: lines of text.  @lines: rows of the JSON, each with why it is empty, or None"""
    ratios = [line["ratio"] or 1 for line, _ in lines]
    most = 2 ** math.ceil(math.log2(max([2, *ratios, *(line["target"] or 1 for line, _ in lines)])))
    height = TOP + ROW * len(lines) + 30

    def x(ratio):
        span = math.log2(most / LEAST)
        part = math.log2(max(ratio, LEAST) / LEAST) / span
        return LEFT + part * (WIDTH - LEFT - RIGHT)

    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
           f'width="{WIDTH}" height="{height}" font-family="sans-serif" font-size="12">',
           f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>']
    out += [text(12, 16 + 13 * i, line, font_size=11, fill="#444444")
            for i, line in enumerate(head)]
    tick = LEAST
    while tick <= most:
        at = x(tick)
        out.append(f'<line x1="{at:.1f}" y1="{TOP - 6}" x2="{at:.1f}" y2="{height - 24}" '
                   f'stroke="{"#888888" if tick == 1 else "#e4e4e4"}"/>')
        label = f"{tick:g}" if tick >= 1 else f"1/{1 / tick:g}"
        out.append(text(at, height - 8, label, text_anchor="middle", fill="#666666", font_size=11))
        tick *= 2
    for i, (line, why) in enumerate(lines):
        y = TOP + ROW * i
        out.append(text(LEFT - 8, y + 13, line["name"], text_anchor="end", fill="#222222"))
        if why or line["ratio"] is None:
            out.append(text(x(1) + 6, y + 13, (why or "no figures")[:60], fill="#a03030"))
            continue
        ratio, target = line["ratio"], line["target"]
        colour = PLAIN if target is None else GOOD if ratio >= target else SHORT
        low, high = sorted((x(1), x(ratio)))
        out.append(f'<rect x="{low:.1f}" y="{y + 3}" width="{max(high - low, 1):.1f}" '
                   f'height="{ROW - 7}" fill="{colour}"/>')
        if target is not None:
            at = x(target)
            out.append(f'<line x1="{at:.1f}" y1="{y + 1}" x2="{at:.1f}" y2="{y + ROW - 2}" '
                       'stroke="#000000" stroke-width="2"/>')
        out.append(text(WIDTH - RIGHT + 10, y + 13,
                        f"{ratio:.2f}" + (f"  (target {target:.2f})" if target else ""),
                        fill=colour))
    out.append("</svg>\n")
    return "\n".join(out)
