"""Pages: each module has `page(ws)`, which draws what a view function of `views/` computed."""
