"""Items and figures as HDF5 files: plain arrays and UTF-8 text, nothing that runs when it is read."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import h5py
import numpy as np

from .contracts import Figure, FigureKind, Items
from .errors import StoreError

Array = np.ndarray[Any, Any]


def write_items(path: Path, items: Items) -> None:
    with h5py.File(path, "w") as file:
        _put(file, "ids", np.array(items.ids, dtype=object))
        for key, array in items.values.items():
            _put(file, f"values/{_file_key(key)}", array)
        for key, (flat, offsets) in items.ragged.items():
            _put(file, f"ragged/{_file_key(key)}/flat", flat)
            _put(file, f"ragged/{_file_key(key)}/offsets", offsets)


def read_items(path: Path) -> Items:
    """Raises StoreError if the file is not what `write_items` wrote."""
    try:
        with h5py.File(path, "r") as file:
            values = {_own_key(k): _get(d) for k, d in file["values"].items()} if "values" in file else {}
            ragged = file["ragged"].items() if "ragged" in file else ()
            rows = {_own_key(k): (_get(g["flat"]), _get(g["offsets"])) for k, g in ragged}
            return Items(tuple(_get(file["ids"]).tolist()), values, rows)
    except (OSError, KeyError, ValueError, AttributeError) as error:
        raise StoreError(f"{path} is damaged: {error}", hint="remove the trial's folder to train it again") from error


def write_figures(path: Path, figures: Sequence[Figure]) -> None:
    with h5py.File(path, "w") as file:
        for order, figure in enumerate(figures):
            group = file.create_group(f"{order:03d}")
            for name in ("key", "kind", "title", "alt", "compare"):
                group.attrs[name] = getattr(figure, name)
            for key, array in figure.data.items():
                _put(group, f"data/{_file_key(key)}", array)


def read_figures(path: Path) -> tuple[Figure, ...]:
    """Raises StoreError if the file is not what `write_figures` wrote."""
    try:
        with h5py.File(path, "r") as file:
            return tuple(_figure(file[name]) for name in sorted(file))
    except (OSError, KeyError, ValueError, AttributeError) as error:
        raise StoreError(f"{path} is damaged: {error}", hint="remove the trial's folder to train it again") from error


def _figure(group: h5py.Group) -> Figure:
    data = {_own_key(k): _get(d) for k, d in group["data"].items()}
    text = {k: str(group.attrs[k]) for k in ("key", "kind", "title", "alt")}
    kind = cast(FigureKind, text["kind"])
    return Figure(text["key"], kind, text["title"], text["alt"], data, bool(group.attrs["compare"]))


def _file_key(key: str) -> str:
    """HDF5 reads a slash as a folder."""
    return key.replace("%", "%25").replace("/", "%2F")


def _own_key(key: str) -> str:
    return key.replace("%2F", "/").replace("%25", "%")


def _put(where: h5py.Group, name: str, array: Array) -> None:
    if array.dtype.kind in "OU":
        # A file name may hold bytes that are no UTF-8; they are shown by their numbers.
        text = [str(t).encode("utf-8", "backslashreplace").decode() for t in array.ravel()]
        data = np.array(text, dtype=object).reshape(array.shape)
        where.create_dataset(name, data=data, dtype=h5py.string_dtype("utf-8"))
    else:
        where.create_dataset(name, data=array, compression="gzip" if array.size > 4096 else None)


def _get(dataset: h5py.Dataset) -> Array:
    if h5py.check_string_dtype(dataset.dtype) is not None:
        return cast(Array, dataset.asstr()[...])
    return cast(Array, dataset[...])
