"""Show what needs the repository's public address only once there is one.

The address is `repository: url:` in `_config.yml`, and nowhere else: the buttons for the repository, for an
edit, for Binder and Colab come alive with it, and so do the absolute addresses of finds.py. Jupyter Book and
its theme stop with an error where a launch button is configured and the address is empty, so this decides
before they look.
"""

import re

# A book with a domain of its own says so in `html: baseurl:`; this is where GitHub publishes it otherwise.
ON_GITHUB = re.compile(r"https://github\.com/([^/]+)/([^/]+)")


def set_buttons(app, config):
    options = config.html_theme_options
    address = (options.get("repository_url") or "").rstrip("/").removesuffix(".git")
    options["repository_url"] = address
    options["use_repository_button"] = options["use_edit_page_button"] = bool(address)
    if not address:
        options["launch_buttons"] = {}
    site = config.html_baseurl or ""
    if not site and (found := ON_GITHUB.fullmatch(address)):
        owner, name = found.groups()
        site = f"https://{owner.lower()}.github.io/{name}"
    config.html_baseurl = site and site.rstrip("/") + "/"


def setup(app):
    app.connect("config-inited", set_buttons, priority=100)  # before the theme reads its options
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
