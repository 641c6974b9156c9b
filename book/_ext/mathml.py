"""Write math as MathML while the book is built.

Browsers draw MathML themselves, so a page with formulas needs no script, works offline, follows the
theme's colours and is read aloud by screen readers. Sphinx's own default, MathJax, comes from another host.
"""

import re

from docutils import nodes
from latex2mathml.converter import convert
from sphinx.util.math import get_node_equation_number


def to_mathml(latex, display="inline"):
    # The converter knows aligned lines by one of their names only.
    return convert(re.sub(r"\{(aligned|split|align)\}", "{align*}", latex), display=display)


def visit_math(self, node):
    self.body.append(to_mathml(node.astext()))
    raise nodes.SkipNode


def visit_displaymath(self, node):
    self.body.append(self.starttag(node, "div", CLASS="math notranslate nohighlight"))
    self.body.append(to_mathml(node.astext(), display="block"))
    if node["number"]:
        self.body.append(f'<span class="eqno">({get_node_equation_number(self, node)})')
        self.add_permalink_ref(node, "Link to this equation")
        self.body.append("</span>")
    self.body.append("</div>\n")
    raise nodes.SkipNode


def setup(app):
    app.add_html_math_renderer("mathml", (visit_math, None), (visit_displaymath, None))
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
