"""JupyterLab as `make lab` opens it: JUPYTER_CONFIG_PATH names this folder, for that run only.

In labconfig/: no question about news and no request for them; no MyST, which the copies do not
need, and which would read their links and formulas otherwise. Here: the course's colours.
"""

from pathlib import Path

c = get_config()  # noqa: F821  (Jupyter defines it)
c.LabApp.custom_css = True
c.ServerApp.tornado_settings = {"static_custom_path": [str(Path(__file__).parent / "custom")]}
