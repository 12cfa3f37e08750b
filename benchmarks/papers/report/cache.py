"""A cache of results: numbers that are computed once and kept.

Each file OUT/parts/NAME.json holds settings, and the results of items that were computed with them.
It is replaced after every item. So when the work is stopped, finished results stay, and the same
command continues from there.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from tqdm import tqdm

from minidl import schema
from minidl.files import read_text, replacing

Item = TypeVar("Item")


def short(words: str) -> str:
    """Return the words as a name of a file: letters, digits and hyphens."""
    return re.sub(r"[^A-Za-z0-9]+", "-", words).strip("-")


class ResultCache:
    """The folder OUT with its results and pictures."""

    def __init__(self, out: Path, *, quiet: bool = False, force: bool = False) -> None:
        """Raise OSError if `out` holds files but no results, unless `force` is given."""
        if not force and out.is_dir() and any(out.iterdir()) and not (out / "parts").is_dir():
            raise FileExistsError(
                f"{out}: holds other files; name another --out, or give --force to write there"
            )
        self.out, self.quiet = out, quiet
        self._took: dict[tuple[str, str], float] = {}  # seconds of each result in use
        self.pictures.mkdir(parents=True, exist_ok=True)
        self.path("").parent.mkdir(parents=True, exist_ok=True)

    @property
    def seconds(self) -> float:
        """The total seconds of the results used here, computed in this run or an earlier one."""
        return sum(self._took.values())

    @property
    def pictures(self) -> Path:
        """The folder of the page's pictures."""
        return self.out / "pictures"

    def path(self, name: str) -> Path:
        return self.out / "parts" / f"{name}.json"

    def get_each(
        self,
        name: str,
        settings: Mapping[str, Any],
        items: Mapping[str, Item],
        work: Callable[[Item], Any],
    ) -> dict[str, Any]:
        """Return {key: work(item)} of all items; earlier results with equal `settings` are reused.

        settings and results are JSON types. A result {"pictures": [names of files], ...} is
        computed again if one of these files is missing.
        """
        wanted = json.loads(json.dumps(dict(settings)))
        kept = self._read(name, wanted)
        missing = [key for key in items if not self._is_complete(kept.get(key))]
        for key in tqdm(missing, desc=name, leave=False, disable=self.quiet or None):
            began = time.perf_counter()
            result = work(items[key])
            kept[key] = {"result": result, "seconds": round(time.perf_counter() - began, 2)}
            with replacing(self.path(name)) as temporary:
                temporary.write_text(json.dumps({"settings": wanted, "items": kept}, indent=1))
        self._took |= {(name, key): kept[key]["seconds"] for key in items}
        return {key: kept[key]["result"] for key in items}

    def get_one(self, name: str, settings: Mapping[str, Any], work: Callable[[], Any]) -> Any:
        """Return the result of a single item, as `get_each`."""
        return self.get_each(name, settings, {"all": None}, lambda _: work())["all"]

    def _read(self, name: str, settings: Any) -> dict[str, Any]:
        """Return the items of a file; none without a file or with other settings."""
        try:
            stored = schema.parse(read_text(self.path(name)))
            return dict(stored["items"]) if stored["settings"] == settings else {}
        except (FileNotFoundError, ValueError, KeyError, TypeError):  # damaged counts as missing
            return {}

    def _is_complete(self, item: Any) -> bool:
        if not isinstance(item, dict) or not {"result", "seconds"} <= item.keys():
            return False
        result = item["result"]
        names = result.get("pictures", []) if isinstance(result, dict) else []
        return all((self.pictures / picture).is_file() for picture in names)
