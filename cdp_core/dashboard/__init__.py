"""The dashboard: Streamlit pages over one workspace.

A page is `page(ws)`, which draws; what it draws is computed by plain functions in `views/`. Pages use the public API
of `cdp_core` only. `main(folder)` is the whole application; `app.py` calls it.
"""

from cdp_core.dashboard.main import main

__all__ = ["main"]
