"""Show the buttons that need the repository's public address only once there is one.

The address is `repository: url:` in `_config.yml`, and nowhere else. Jupyter Book and its theme stop with
an error where a launch button is configured and the address is empty, so this decides before they look.
"""


def set_buttons(app, config):
    options = config.html_theme_options
    address = (options.get("repository_url") or "").rstrip("/")
    options["repository_url"] = address
    options["use_repository_button"] = bool(address)
    if not address:
        options["launch_buttons"] = {}


def setup(app):
    app.connect("config-inited", set_buttons, priority=100)  # before the theme reads its options
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
