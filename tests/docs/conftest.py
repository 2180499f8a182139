"""A real PostgreSQL for the page that sends rows to one."""

from postgres import postgres_server, postgres_url

__all__ = ["postgres_server", "postgres_url"]
