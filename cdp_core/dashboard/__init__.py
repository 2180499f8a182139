"""The dashboard: Streamlit pages over one workspace.

A page is `page(ws)`, which draws; what it draws is computed by plain functions in `views/`, which know nothing of
Streamlit. Pages use the public API of `cdp_core` only. `main.main(folder)` is the whole application.
"""
