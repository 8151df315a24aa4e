"""Do splits share items, whatever their ids? By exact content, and by likeness for images that were changed.

Both look at every item as far as `SECONDS` and `BYTES` allow, at an even sample of each split beyond that, and the
finding says which. Real data hold a few copies, so a few are a warning, and a notable share is a failure.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.nn import functional as F

from ..contracts import DatasetInfo, Spec, Split
from .findings import Broken, Doubtful, NotChecked
from .running import SEED

SECONDS, BYTES = 20.0, 2**29
"""All splits together; what a small split does not need is left to the larger ones."""
CHUNK = 2**23
"""Bytes of items that are read at once."""
SMALLEST = 64
"""Bytes; shorter items may be equal by chance."""
COPIES = 0.02
"""Share of exact copies that fails. A few are found in well-known data, and move a score by less than their share."""
SIDE, BINS = 16, (4, 8, 8)
"""Pixels a side of the picture that images are compared by; times, height and width of that of clips."""
ASKED = 1000
"""Items of a split whose nearest neighbour is looked for, among all that were read of the others."""
LIKE, ALIKE = 0.95, 0.999
"""Correlations between which the limit lies; where, the training items say among themselves."""
SUSPECT, TOO_ALIKE, FEWEST = 0.1, 0.25, 4
"""Shares of items beyond the limit that are a warning and a failure, and the least number of either."""
NOT_LOOKED_FOR = "crops, shifts, turns, other scales and heavy noise are not looked for"


@dataclass(slots=True)
class Seen:
    """What was read of a split of `size` items: ids, digests, and for images and clips small pictures [(T,) H, W].

    `blank`: how many of the items show nothing, and are left out: they are no copies of each other.
    """

    size: int
    blank: int = 0
    ids: list[str] = field(default_factory=list)
    digests: list[bytes] = field(default_factory=list)
    looks: list[Tensor] = field(default_factory=list)

    def told(self, name: str) -> str:
        read = len(self.ids) + self.blank
        told = f"all {self.size:,} of {name}" if read == self.size else f"{read:,} of {self.size:,} of {name}"
        return f"{told} ({self.blank:,} of them blank)" if self.blank else told


def look(splits: Mapping[str, Split], info: DatasetInfo) -> dict[str, Seen]:
    """Read the items, small splits first. Raises NotChecked for items that are too short to tell apart."""
    found: dict[str, Seen] = {}
    end, room = time.monotonic() + SECONDS, BYTES
    order = sorted(splits, key=lambda name: len(splits[name]))
    for left, name in zip(range(len(order), 0, -1), order, strict=True):
        now = time.monotonic()
        found[name], used = _read(splits[name], info, room // left, now + max(end - now, 1.0) / left)
        room -= used
    return {name: found[name] for name in splits}


def _read(split: Split, info: DatasetInfo, room: int, until: float) -> tuple[Seen, int]:
    """At most so many bytes, until then; in an order drawn once, so that what has been read is an even sample."""
    seen, used = Seen(len(split)), 0
    order = torch.randperm(len(split), generator=torch.Generator().manual_seed(SEED)).tolist()
    size = 1
    while order and used < room and (not used or time.monotonic() < until):
        rows, order = order[:size], order[size:]
        bytes_of_one = 0
        for i, content, look in _items(split.batch(rows, 0), info, len(rows)):
            bytes_of_one = len(content)
            if bytes_of_one < SMALLEST:
                raise NotChecked(f"an item has {bytes_of_one} bytes, and may be equal to another by chance")
            if look is not None and not bool(look.any()):
                seen.blank += 1
                continue
            seen.ids.append(split.ids[rows[i]])
            seen.digests.append(hashlib.blake2b(content, digest_size=16).digest())
            if look is not None:
                seen.looks.append(look)
        used += bytes_of_one * len(rows)
        size = 1 if split.lengths is not None else max(1, CHUNK // max(bytes_of_one, 1))
    return seen, used


def _items(batch: Mapping[str, Tensor], info: DatasetInfo, count: int) -> Iterator[tuple[int, bytes, Tensor | None]]:
    """(row, content, small picture) of each item; of anything but images, the target is part of the content."""
    keys = [key for key in sorted(batch) if key in ("inputs", "features")]
    keys = keys or [key for key in sorted(batch) if key not in ("index", "target", "mask")]
    looks = next((made for key in keys if (made := pictures(batch[key], info.specs.get(key))) is not None), None)
    hashed = [*keys, *(["target"] if looks is None and "target" in batch else [])]
    for i in range(count):
        content = b"".join(batch[key][i].contiguous().numpy().tobytes() for key in hashed)
        yield i, content, None if looks is None else looks[i]


def pictures(x: Tensor, spec: Spec | None) -> Tensor | None:
    """Grey, small, without mean, of norm 1: [B, (T,) H, W], zeros for a blank one; None for what is no image or clip.

    The product of two is their correlation, which brightness and contrast do not change.
    """
    if spec is None or spec.axes not in ("CHW", "TCHW"):
        return None
    grey = x.float().mean(dim=-3)  # [B, H, W] or [B, T, H, W]
    bins = (SIDE, SIDE) if spec.axes == "CHW" else BINS
    size = [min(n, m) for n, m in zip(bins, grey.shape[1:], strict=True)]
    small = F.interpolate(grey[:, None], size, mode="area").flatten(1)
    small = small - small.mean(1, keepdim=True)
    norm = small.norm(dim=1, keepdim=True)
    blank = norm < 1e-3 * grey.flatten(1).abs().amax(1, keepdim=True).clamp(min=1e-6)
    return torch.where(blank, 0.0, small / norm.clamp(min=1e-12)).reshape(len(x), *size)


def copies(seen: Mapping[str, Seen], folds: Sequence[Mapping[str, Sequence[str]]]) -> str:
    """Exact copies under other ids. `folds`: the ids of each split, fold by fold."""
    digests = {item: digest for one in seen.values() for item, digest in zip(one.ids, one.digests, strict=True)}
    few: list[str] = []
    for number, fold in enumerate(folds):
        where = f" (fold {number})" if number else ""
        held = {name: [digests[item] for item in ids if item in digests] for name, ids in fold.items()}
        for name, other in (("val", "train"), ("test", "train"), ("test", "val")):
            mine, theirs = held.get(name, []), held.get(other, [])
            count = sum(map(set(theirs).__contains__, mine))
            if not count:
                continue
            # Of a sample of the others, only so many copies can be found.
            share = count / len(mine) * len(fold[other]) / len(theirs)
            said = f"{count:,} of {len(mine):,} items of {name} are exact copies of items of {other}{where}"
            if count > 1 and share > COPIES:
                raise Broken(f"{said}, more than {COPIES:.0%}; read were {_told(seen)}")
            few.append(said)
    if few:
        raise Doubtful(f"{'; '.join(few)}; more than {COPIES:.0%} would be a failure; read were {_told(seen)}")
    return f"no item has an exact copy in another split; read were {_told(seen)}"


def altered(seen: Mapping[str, Seen]) -> str:
    """Are items of val and test nearer to those of another split than those are to each other?

    The limit is the correlation with the nearest neighbour that 1 % of the other split's items have among themselves,
    at least LIKE: digits are all alike, photographs are not. Each split by itself, since more of them are nearer by
    chance. As they are and mirrored, brighter, with more contrast or inverted. Where the training items are near copies
    of each other, nothing can be told.
    """
    train = _unique(seen.get("train"))
    if train is None:
        raise NotChecked("only images and clips are compared by likeness, and blank ones are left out")
    if len(train) < 2 * FEWEST:
        raise NotChecked(f"{len(train)} different images to train on are too few to say how alike they usually are")
    known = set(seen["train"].digests)
    val = _unique(seen.get("val"), known)
    test = _unique(seen.get("test"), known | set(seen["val"].digests if "val" in seen else ()))
    told, doubts = [], []
    for name, asked, other, held in (
        ("val", val, "train", train),
        ("test", test, "train", train),
        ("test", test, "val", val),
    ):
        if asked is None or held is None or len(asked) < FEWEST or len(held) < 2 * FEWEST:
            continue
        own = _nearest(held, held, same=True)
        limit = min(max(float(own.quantile(0.99)), LIKE), ALIKE)
        usual, near = float((own > limit).double().mean()), _nearest(asked, held)
        count = int((near > limit).sum())
        said = (
            f"{count:,} of {len(near):,} items of {name} correlate by more than {limit:.3f} with one of {other}, and "
            f"{usual:.1%} of the items of {other} do among themselves"
        )
        told.append(said)
        excess = count / len(near) - usual
        if count >= FEWEST and excess > SUSPECT:
            doubts.append((excess, said))
    if doubts:
        worst = max(doubts)
        raise (Broken if worst[0] > TOO_ALIKE else Doubtful)(f"{'; '.join(d for _, d in doubts)}; {NOT_LOOKED_FOR}")
    if not told:
        raise NotChecked(f"val and test have fewer than {FEWEST} different images that are in no other split")
    return f"{'; '.join(told)}; {NOT_LOOKED_FOR}"


def _unique(seen: Seen | None, known: set[bytes] | None = None) -> Tensor | None:
    """The pictures [N, (T,) H, W] of items that differ; exact copies of what is known are told of elsewhere."""
    if seen is None or not seen.looks:
        return None
    kept: dict[bytes, Tensor] = {}
    for digest, picture in zip(seen.digests, seen.looks, strict=True):
        if known is None or digest not in known:
            kept.setdefault(digest, picture)
    return torch.stack(list(kept.values())) if kept else None


def _nearest(asked: Tensor, references: Tensor, same: bool = False) -> Tensor:
    """The largest correlation by amount of each of the first ASKED; `same`: not counting itself."""
    columns = references.flatten(1).T
    best = []
    for first in range(0, min(len(asked), ASKED), 250):
        rows = asked[first : min(first + 250, ASKED)]
        found = (rows.flatten(1) @ columns).abs()
        found = torch.maximum(found, (rows.flip(-1).flatten(1) @ columns).abs())
        if same:
            at = torch.arange(len(rows))
            found[at, at + first] = 0
        best.append(found.amax(1))
    return torch.cat(best)


def _told(seen: Mapping[str, Seen]) -> str:
    return ", ".join(one.told(name) for name, one in seen.items())
