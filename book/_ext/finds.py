"""What finds a page, and what a reader finds on it.

For search engines and shared links: a description, taken from the incident that opens a chapter, Open Graph,
a site map, robots.txt. For readers: the date of the last change, terms that explain themselves on hover and
on focus, a page for addresses that lead nowhere.

What must be an absolute address is left out while `_config.yml` has none (repository.py).
"""

import html
import re
import subprocess
import textwrap
from pathlib import Path

from docutils import nodes

PICTURE = "_static/desk_at_six.png"
PICTURE_SHOWS = (
    "Share of late flights among the afternoon's flights that have landed, by clock time"
)
TERM = re.compile(
    r'<a class="reference internal" (href="[^"]*#(term-[^"]+)"><span class="xref std std-term">.*?</span></a>)'
)
LOST = """<section><h1>This page is not here</h1>
<p>The address may be mistyped, or the page has another name now.</p>
<p>Try the <a href="{start}">landing page</a> with the map of all chapters, or the search.</p></section>"""


def describe(doctree):
    """The first 150 characters or so of the incident, or of the first paragraph where there is none."""
    boxes = (box for box in doctree.findall(nodes.admonition) if "incident" in box["classes"])
    where = next(boxes, doctree)
    paragraph = next(where.findall(nodes.paragraph), None)
    return textwrap.shorten(paragraph.astext(), 155, placeholder=" …") if paragraph else ""


def add_context(app, name, template, context, doctree):
    """Fill in what the page says about itself, before the theme writes it."""
    changed = last_changed(app)
    context["last_updated"] = max(
        (changed.get(file, "") for file in sources(app, name)), default=""
    )
    if doctree is None:
        return
    context["body"] = explain(context["body"], definitions(app))
    title, site = app.env.titles[name].astext(), app.config.html_baseurl
    properties = {
        "og:title": title,
        "og:site_name": app.config.html_title,
        "og:type": "website" if name == app.config.root_doc else "article",
    }
    description = describe(doctree)
    if description:
        properties["description"] = properties["og:description"] = description
    if site:
        properties["og:url"] = context["pageurl"]
        properties["og:image"], properties["og:image:alt"] = site + PICTURE, PICTURE_SHOWS
        properties["twitter:card"] = "summary_large_image"
    context["metatags"] += "".join(meta(*item) for item in properties.items())


def meta(key, value):
    attribute = "property" if key.startswith("og:") else "name"
    return f'<meta {attribute}="{key}" content="{html.escape(value)}" />\n'


def sources(app, name):
    """The files that a page is made of, relative to the project."""
    if name not in app.env.found_docs:
        return []
    return [app.env.doc2path(name, base=False), *app.env.dependencies[name]]


def last_changed(app):
    """The day of the last commit of each file; nothing where git does not know the whole history."""
    if not hasattr(app, "last_changed"):
        shallow = git(app.srcdir, "rev-parse", "--is-shallow-repository").strip() != "false"
        log = (
            ""
            if shallow
            else git(app.srcdir, "log", "--format=%x09%cs", "--name-only", "--relative")
        )
        app.last_changed = {}
        for line in filter(None, log.split("\n")):  # the newest commit stands first
            if line.startswith("\t"):
                day = line.strip()
            else:
                app.last_changed.setdefault(line, day)
    return app.last_changed


def git(folder, *command):
    try:
        return subprocess.run(
            ["git", *command], cwd=folder, capture_output=True, text=True, check=True
        ).stdout
    except (OSError, subprocess.CalledProcessError):
        return ""


def definitions(app):
    """What each term of the glossary means, by the place it has on its page."""
    if not hasattr(app, "definitions"):
        terms = app.env.get_domain("std").objects
        pages = {page for (kind, _), (page, _) in terms.items() if kind == "term"}
        app.definitions = {
            place: item.next_node(nodes.definition).next_node(nodes.paragraph).astext()
            for page in pages
            for item in app.env.get_doctree(page).findall(nodes.definition_list_item)
            for term in item.findall(nodes.term)
            for place in term["ids"]
        }
    return app.definitions


def explain(body, terms):
    """Beside each link to a term, what it means: shown on hover and focus, and read out as its description."""
    count = 0

    def explained(link):
        nonlocal count
        count += 1
        rest, place = link.groups()
        return (
            f'<a class="reference internal" aria-describedby="tip-{count}" {rest}'
            f'<span class="term-tip" role="tooltip" id="tip-{count}">{html.escape(terms[place])}</span>'
        )

    return TERM.sub(explained, body)


def lost_page(app):
    """GitHub Pages, and most servers if told, show 404.html for whatever address is not there."""
    start = app.builder.get_target_uri(app.config.root_doc)
    yield "404", {"title": "Not found", "body": LOST.format(start=start)}, "page.html"


def write_files(app, error):
    if error or app.builder.name != "html":
        return
    out, site = Path(app.outdir), app.config.html_baseurl
    robots = "User-agent: *\nAllow: /\n"
    if site:
        robots += f"Sitemap: {site}sitemap.xml\n"
        changed = last_changed(app)
        entries = (
            entry(
                site + app.builder.get_target_uri(name),
                max(changed.get(file, "") for file in sources(app, name)),
            )
            for name in sorted(app.env.found_docs)
        )
        (out / "sitemap.xml").write_text(
            '<?xml version="1.0" encoding="utf-8"?>\n'
            '<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">\n'
            f"{''.join(entries)}</urlset>\n",
            encoding="utf-8",
        )
        lost = out / "404.html"
        lost.write_text(anywhere(lost.read_text(encoding="utf-8"), site), encoding="utf-8")
    (out / "robots.txt").write_text(robots, encoding="utf-8")


def entry(address, day):
    changed = f"<lastmod>{day}</lastmod>" if day else ""
    return f"<url><loc>{html.escape(address)}</loc>{changed}</url>\n"


def anywhere(page, site):
    """The page with absolute addresses: the server shows it at an address of any depth."""
    page = page.replace('data-content_root="./"', f'data-content_root="{site}"')
    return re.sub(r'(\b(?:href|src|action)=")(?!#|[a-z]+:|/)', rf"\1{site}", page)


def setup(app):
    app.connect("html-page-context", add_context)
    app.connect("html-collect-pages", lost_page)
    app.connect("build-finished", write_files, priority=950)  # after slim.py
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
