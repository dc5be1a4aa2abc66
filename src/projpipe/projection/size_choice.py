"""The sizes of a projector's students, and which of them is made: without torch, for which no refusal is to wait."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from projpipe.errors import InputError
from projpipe.manifest import SIZES
from projpipe.students.limits import Limits, within_counts
from projpipe.students.size_table import REMAKE, SizeTable, read_size_table
from projpipe.transformer.sizes import Sizes
from projpipe.transformer.spec import TransformerSpec, written


@dataclass(frozen=True)
class SizeChoice:
    """What there is to choose from.

    Args:
        largest: what the projector makes as it is.
        sizes: all that there are; None where the largest is the only one.
        table: what was measured of some; None where nothing was.
    """

    largest: TransformerSpec
    sizes: Sizes | None = None
    table: SizeTable | None = None

    @property
    def recommended(self) -> TransformerSpec:
        """The size that is made where none is asked for: that of the size table, else the largest."""
        return self.largest if self.table is None else self.table.sizes[self.table.recommended].of(self.largest)

    def within(self, limits: Limits, num_classes: int) -> Sequence[TransformerSpec]:
        """Sizes for so many classes that are within all limits but that of latency, the best first.

        The best is that with the best score in the size table. Where there is no table, or none of its sizes is within
        the limits of parameters and multiply-accumulates, it is the largest. The smallest of all comes last, where
        there is a limit of latency that no size in the table may meet.

        Raises:
            InputError: there is none; names the nearest.
        """
        if not limits.any:
            return [self.recommended]
        if limits.size is not None:
            return [self._sized(*limits.size)]
        every = [self.largest] if self.sizes is None else [*reversed(self.sizes.every)]
        if self.table is not None:
            with suppress(InputError):  # a size that was not measured is better than none
                known = within_counts(self.table.best_first(self.largest), num_classes, limits)
                return known if every[-1] in known or limits.max_latency_ms is None else [*known, every[-1]]
        return within_counts(every, num_classes, limits)

    def checked(self, size: TransformerSpec) -> TransformerSpec:
        """A size that is among them.

        Raises:
            InputError: it is none; says what there is.
        """
        if self.sizes is None:
            if size == self.largest:
                return size
            raise InputError(
                f"size: this projector makes one size, {written(self.largest)}; train one of many sizes with "
                "`train_projector.smallest`"
            )
        problem = self.sizes.problem(size)
        if size.embed_dim % size.num_heads:
            problem = f"width {size.embed_dim} is not divisible by {size.num_heads} heads"
        if problem:
            nearest = written(self.sizes.nearest(size))
            raise InputError(f"size: {problem}; the nearest of those from {self.sizes} is {nearest}")
        return size

    def _sized(
        self, embed_dim: int, depth: int, num_heads: int | None = None, mlp_dim: int | None = None
    ) -> TransformerSpec:
        """A size by its width and depth; heads and hidden units are as many as the largest size allows."""
        largest = self.largest
        smallest = largest if self.sizes is None else self.sizes.smallest
        counts = range(largest.num_heads, smallest.num_heads - 1, -1)
        fitting = [n for n in counts if embed_dim % n == 0 and embed_dim // n <= largest.head_dim]
        heads = num_heads or next(iter(fitting), largest.num_heads)
        hidden = mlp_dim or max(smallest.mlp_dim, int(embed_dim * largest.mlp_ratio))
        return self.checked(largest.resized(embed_dim, depth, heads, hidden))


def read_size_choice(
    folder: Path, largest: TransformerSpec, sizes: Sizes | None, num_classes: int, weights_sha256: str
) -> SizeChoice:
    """These sizes, with the table in the projector's folder if there is one.

    Args:
        num_classes: that the projector knows.
        weights_sha256: of its file.

    Raises:
        InputError: the table cannot be read, or is of another projector.
    """
    table, found = read_size_table(folder, weights_sha256), None
    if table is None:
        return SizeChoice(largest, sizes)
    for size in table.sizes:
        there = size.of(largest) == largest if sizes is None else size.of(largest) in sizes
        if size.embed_dim % size.num_heads or not there:
            found = f"sizes: {written(size)} is none of this projector's"
        elif size.params != (params := size.of(largest).deployed_params(table.num_classes)):
            found = f"sizes: {written(size)} has {params:,} parameters, not {size.params:,}"
        elif size.macs != (macs := size.of(largest).deployed_macs(table.num_classes)):
            found = f"sizes: {written(size)} takes {macs:,} multiply-accumulates, not {size.macs:,}"
    if table.num_classes > num_classes:
        found = f"num_classes: {table.num_classes} are more than this projector's {num_classes}"
    if found:
        raise InputError(f"{folder / SIZES}: {found}; {REMAKE}")
    return SizeChoice(largest, sizes, table)
