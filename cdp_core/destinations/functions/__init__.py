"""Functions of a mapping: written in cdp.yaml, compiled to expressions that give the same on every engine."""

from cdp_core.destinations.functions.catalogue import Argument, Described, catalogue

__all__ = ["Argument", "Described", "catalogue"]
