"""The demo workspace's cdp.yaml and expectations, shipped so that every demo world is a ready workspace."""

from __future__ import annotations

import shutil
import sys
from importlib.resources import as_file, files
from pathlib import Path

PARTS = ("cdp.yaml", "expectations")


def copy_template(out: Path) -> list[Path]:
    """Copy cdp.yaml and expectations/ into `out`, leaving what is already there untouched; returns what was written."""
    written = []
    with as_file(files("cdp_core.demo_world") / "template") as template:
        for source in template_files(template):
            target = out / source.relative_to(template)
            if not target.exists():
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(source, target)
                written.append(target)
    return written


def template_files(root: Path) -> list[Path]:
    """The files under `root` that belong to the template, sorted."""
    suites = sorted(path for path in (root / "expectations").rglob("*") if path.is_file() and path.name[0] != ".")
    return [path for path in (root / "cdp.yaml", *suites) if path.is_file()]


def sync_template(root: Path, template: Path) -> list[Path]:
    """Make `template` equal to cdp.yaml and expectations/ of the workspace `root`; returns the files written."""
    shutil.rmtree(template, ignore_errors=True)
    template.mkdir(parents=True)
    written = []
    for source in template_files(root):
        target = template / source.relative_to(root)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
        written.append(target)
    return written


def main() -> None:
    """python -m cdp_core.demo_world.template: take the root's cdp.yaml and expectations/ over into the package."""
    here = Path(__file__).resolve()
    for path in sync_template(here.parents[2], here.with_name("template")):
        sys.stdout.write(f"{path.relative_to(here.parents[2])}\n")


if __name__ == "__main__":
    main()
