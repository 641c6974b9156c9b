"""Collect every Decide card of the chapters on one page.

A Decide card is an admonition with the class `decide`. The directive `{decisions}` stands for all of
them, in the order of the table of contents, each followed by a link to the place where it was measured.
"""

from docutils import nodes
from sphinx.util.docutils import SphinxDirective
from sphinx.util.nodes import make_refnode


class decisions(nodes.General, nodes.Element):
    """Where the cards will stand, once all pages have been read."""


class Decisions(SphinxDirective):
    def run(self):
        return [decisions()]


def gather(app, doctree):
    """Remember the cards of a page, and give each a name to link to."""
    found = []
    for number, card in enumerate(doctree.findall(nodes.admonition), 1):
        if "decide" in card["classes"]:
            card["ids"].append(f"decide-{number}")
            found.append(card)
    cards(app.env)[app.env.docname] = found


def cards(env):
    if not hasattr(env, "decide_cards"):
        env.decide_cards = {}
    return env.decide_cards


def forget(app, env, docname):
    cards(env).pop(docname, None)


def merge(app, env, docnames, other):
    cards(env).update({name: cards(other)[name] for name in docnames if name in cards(other)})


def insert(app, doctree, page):
    for place in list(doctree.findall(decisions)):
        shown = []
        for name in app.env.toctree_includes.get(app.config.root_doc, []):
            for card in cards(app.env).get(name, []):
                shown.append(copied(app, page, name, card))
        place.replace_self(shown)


def copied(app, page, name, card):
    copy = card.deepcopy()
    anchor = copy["ids"][-1]
    copy["ids"] = []
    text = nodes.inline(text=f"Measured in {app.env.titles[name].astext()}")
    link = make_refnode(app.builder, page, name, anchor, text)
    copy += nodes.paragraph("", "", link)
    app.env.resolve_references(copy, page, app.builder)
    return copy


def outdated(app, env, added, changed, removed):
    """The page of cards is written anew with every build."""
    return [name for name in env.found_docs if name.endswith("decisions")]


def setup(app):
    app.add_node(decisions)
    app.add_directive("decisions", Decisions)
    app.connect("doctree-read", gather)
    app.connect("env-purge-doc", forget)
    app.connect("env-merge-info", merge)
    app.connect("env-get-outdated", outdated)
    app.connect("doctree-resolved", insert)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
