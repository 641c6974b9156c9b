"""One style sheet for all pages, without the rules that no page uses.

The theme and its extensions bring a dozen sheets, 450 KB, most of it for parts that this book does not have.
A rule stays if each class and id in one of its selectors occurs in some page or some script: a class that a
script sets, such as `show`, stands in that script by name. What is only the browser's own state, such as
`:hover`, and what is written for an element or an attribute, always stays.
"""

import os
import re

import tinycss2

CLASS_OR_ID = re.compile(r'\b(?:class|id)="([^"]*)"')
WORD = re.compile(r"[\w-]+")
ICON_FONT = re.compile(r"var\(--(fa-font|pst-icon)")
NESTING = {"media", "supports", "layer", "container"}


def used_names(pages, scripts):
    """Every class and id of the pages, and every word of the scripts, which may be one."""
    in_pages = {
        name for html in pages for names in CLASS_OR_ID.findall(html) for name in names.split()
    }
    return in_pages | {word for script in scripts for word in WORD.findall(script)}


def merged(static, sheets, used):
    """The used rules of the sheets, which are paths below `static`, in their order."""
    return "".join(rule for sheet in sheets for rule in used_rules(static, sheet, used))


def used_rules(static, sheet, used):
    css = (static / sheet).read_text(encoding="utf-8")
    for rule in tinycss2.parse_stylesheet(css, skip_comments=True, skip_whitespace=True):
        if rule.type == "at-rule" and rule.lower_at_keyword == "import":
            address = next(t.value for t in rule.prelude if t.type in ("string", "url"))
            inner = os.path.normpath(os.path.join(os.path.dirname(sheet), address))
            yield from used_rules(static, inner, used)
        else:
            yield with_addresses(written(rule, used), os.path.dirname(sheet))


def written(rule, used):
    """One rule as text, and nothing where no page uses it."""
    head = text(rule.prelude).strip()
    if rule.type == "qualified-rule":
        body = without_icon_font(text(rule.content))
        return f"{head}{{{body}}}" if body and is_used(rule.prelude, used) else ""
    if rule.lower_at_keyword == "charset":
        return ""  # it would have to stand first
    if rule.lower_at_keyword in NESTING and rule.content:
        inner = tinycss2.parse_rule_list(rule.content, skip_comments=True, skip_whitespace=True)
        body = "".join(written(each, used) for each in inner)
        return f"@{rule.at_keyword} {head}{{{body}}}" if body else ""
    end = f"{{{text(rule.content)}}}" if rule.content else ";"
    return f"@{rule.at_keyword} {head}{end}"


def is_used(prelude, used):
    selectors, names, previous = [], set(), None
    for token in prelude:  # what stands inside :not() or :is() does not count
        if token.type == "literal" and token.value == ",":
            selectors.append(names)
            names = set()
        elif token.type == "hash" or (token.type == "ident" and previous == "."):
            names.add(token.value)
        previous = token.value if token.type == "literal" else None
    return any(each <= used for each in [*selectors, names])


def without_icon_font(body):
    """Without declarations that draw a letter of the icon font, which is gone (see slim.py)."""
    if not ICON_FONT.search(body):
        return body.strip()
    return ";".join(each for each in body.split(";") if not ICON_FONT.search(each)).strip()


def text(tokens):
    """The tokens as CSS, without comments and with one space for each gap."""
    return re.sub(
        r"\s+", " ", tinycss2.serialize([token for token in tokens if token.type != "comment"])
    )


def with_addresses(css, folder):
    """Relative addresses, as seen from the folder of the merged sheet."""
    moved = rf"url(\1{folder}/" if folder else r"url(\1"
    return re.sub(r"url\(([\"']?)(?![\"']|[a-z]+:|/|#)", moved, css)
