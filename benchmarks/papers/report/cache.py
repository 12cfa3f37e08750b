"""The parts of a reproduction: numbers that are worked out once, and kept.

Each part is a file OUT/parts/NAME.json with the settings that it was made with and the results of
its items. A file is written anew after every item, whole or not at all: whenever the work is
stopped, what was finished stays, and the same command goes on from there.
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
    """The words as a part's or a picture's name: letters, digits and hyphens."""
    return re.sub(r"[^A-Za-z0-9]+", "-", words).strip("-")


class Parts:
    """The folder OUT with its parts and pictures."""

    def __init__(self, out: Path, *, quiet: bool = False, force: bool = False) -> None:
        """Raises OSError where `out` holds files, but no parts: not ours to write among, unless by
        force."""
        if not force and out.is_dir() and any(out.iterdir()) and not (out / "parts").is_dir():
            raise FileExistsError(
                f"{out}: holds other files; name another --out, or give --force to write there"
            )
        self.out, self.quiet = out, quiet
        self._took: dict[tuple[str, str], float] = {}  # seconds, of each result asked for
        self.pictures.mkdir(parents=True, exist_ok=True)
        self.path("").parent.mkdir(parents=True, exist_ok=True)

    @property
    def seconds(self) -> float:
        """That the results which were asked for took to make, whenever that was."""
        return sum(self._took.values())

    @property
    def pictures(self) -> Path:
        """The folder of the pictures that the pages show."""
        return self.out / "pictures"

    def path(self, name: str) -> Path:
        return self.out / "parts" / f"{name}.json"

    def each(
        self,
        name: str,
        settings: Mapping[str, Any],
        items: Mapping[str, Item],
        work: Callable[[Item], Any],
    ) -> dict[str, Any]:
        """{key: work(item)} of all items, those from earlier being reused if made with `settings`.

        settings and results are fit for JSON. A result {"pictures": [names of files], ...} is made
        again if one of these is missing.
        """
        wanted = json.loads(json.dumps(dict(settings)))
        kept = self._read(name, wanted)
        missing = [key for key in items if not self._whole(kept.get(key))]
        for key in tqdm(missing, desc=name, leave=False, disable=self.quiet or None):
            began = time.perf_counter()
            result = work(items[key])
            kept[key] = {"result": result, "seconds": round(time.perf_counter() - began, 2)}
            with replacing(self.path(name)) as temporary:
                temporary.write_text(json.dumps({"settings": wanted, "items": kept}, indent=1))
        self._took |= {(name, key): kept[key]["seconds"] for key in items}
        return {key: kept[key]["result"] for key in items}

    def one(self, name: str, settings: Mapping[str, Any], work: Callable[[], Any]) -> Any:
        """The same for a part that is a single item."""
        return self.each(name, settings, {"all": None}, lambda _: work())["all"]

    def _read(self, name: str, settings: Any) -> dict[str, Any]:
        """The items of a part, none if there is no such file, or another's settings made it."""
        try:
            stored = schema.parse(read_text(self.path(name)))
            return dict(stored["items"]) if stored["settings"] == settings else {}
        except (FileNotFoundError, ValueError, KeyError, TypeError):  # damaged: as if not there
            return {}

    def _whole(self, item: Any) -> bool:
        if not isinstance(item, dict) or not {"result", "seconds"} <= item.keys():
            return False
        result = item["result"]
        names = result.get("pictures", []) if isinstance(result, dict) else []
        return all((self.pictures / picture).is_file() for picture in names)
