"""The projection operator: the module around `project`, with the parameters that it learns."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Self

import torch
from torch import Tensor, nn

from projpipe.projection.conditioning import Conditioning
from projpipe.projection.experts import TaskMixture
from projpipe.projection.film import Film
from projpipe.projection.initialisation import initial_factors
from projpipe.projection.parameter_groups import ParameterGroup, matrices_decay, nothing_decays
from projpipe.projection.project import project
from projpipe.projection.source import Source, merged_weights
from projpipe.projection.task_encoder import ClassMap, TaskEncoder, reset_linears
from projpipe.transformer.canonical import Weights, canonical_name, module_key
from projpipe.transformer.class_weights import class_weights, own_rows
from projpipe.transformer.elastic import block_groups
from projpipe.transformer.spec import TransformerSpec

TUNED_RATE = 0.1  # of a tuned source, as a share of the method's rate


class ProjectionOperator(nn.Module):
    """Map a source's weights to those of its students.

    Args:
        source: the large Transformer.
        student: the shape of the students.
        conditioning: what depends on the task, and how.
        seed: fixes the random part of the initial weights.
        start: the init of the factors, see `initial_factors`.
        tuned: the source's weights are parameters too, and learn with the rest; else they are frozen.
        free_weights: learned offsets to every weight of the students, the same for all tasks and zero at first, and to
            the row or embedding of every class; else to biases alone, and not to the classifier's.
        class_map: a learned map of the class features, zero at first, is added to the rows or embeddings of classes.
        ranked: heads and units have the order of importance, so that smaller students can be cut out of the weights.
        factors_rate, offsets_rate: how fast factors and learned offsets learn, as shares of the method's rate. With 0
            the factors stay as they start.
    """

    def __init__(
        self,
        source: Source,
        student: TransformerSpec,
        conditioning: Conditioning,
        seed: int,
        start: str = "principal",
        tuned: bool = False,
        free_weights: bool = True,
        class_map: bool = False,
        ranked: bool = False,
        factors_rate: float = 0.0,
        offsets_rate: float = 1.0,
    ) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        self.groups = block_groups(source.spec.depth, student.depth)
        self.spec, self.source, self.conditioning = student, source, conditioning
        self.tuned, self.free_weights = tuned, free_weights
        self.factors_rate, self.offsets_rate = factors_rate, offsets_rate
        self.classes = class_weights(student)
        self.own_shapes = self.classes.own_shapes(source.num_classes, student.embed_dim)
        self.projected: Weights | None = None  # see `precompute`; what is trained, or loaded, makes them void
        self.compact = False  # see `drop_factors`
        self.register_load_state_dict_post_hook(lambda module, _: module._forget_projected())
        self.tuned_weights = nn.ParameterDict()
        if tuned:
            self.tuned_weights.update({module_key(name): nn.Parameter(t.clone()) for name, t in source.weights.items()})
        else:
            for name, tensor in merged_weights(source.weights, self.groups).items():
                self.register_buffer(module_key(name), tensor, persistent=False)

        factors, biases = initial_factors(source, student, self.groups, generator, start, ranked)
        self.factors = nn.ParameterDict(
            {name: nn.Parameter(factor.clone(), bool(factors_rate)) for name, factor in factors.items()}
        )
        shapes = student.weight_shapes(source.num_classes) | self.own_shapes
        wanted = [name for name in shapes if free_weights or (name.endswith("bias") and name != "head.bias")]
        offsets = {name: torch.zeros(shapes[name]) for name in wanted} | biases
        del offsets["k.bias"]  # softmax takes no notice of it, so that it would follow rounding
        # In state dicts, learned offsets are called `free`.
        self.free = nn.ParameterDict({module_key(name): nn.Parameter(tensor) for name, tensor in offsets.items()})
        self.class_map = ClassMap(source.class_table, student.embed_dim) if class_map else None
        self.encoder: nn.Module | None = None
        if conditioning.film:
            self.encoder = TaskEncoder(source.class_table, conditioning.task_embed_dim)
            reset_linears(self.encoder, generator)
        self.film = Film(conditioning.task_embed_dim, student) if conditioning.film else None
        self.mixture: nn.Module | None = None
        self.experts = nn.ParameterDict()
        if conditioning.experts:
            self.mixture = TaskMixture(source.class_table, conditioning.experts, seed if start == "principal" else None)
            self.experts.update(self._no_experts(student.weight_shapes(source.num_classes), conditioning.experts))

    def _no_experts(self, shapes: Mapping[str, tuple[int, ...]], count: int) -> dict[str, nn.Parameter]:
        """Experts of every weight, zero; of a classifier's rows, which are classes', that of a map of them."""
        width = self.spec.embed_dim
        of_weights = {name: shape for name, shape in shapes.items() if name not in self.own_shapes and name != "k.bias"}
        if not self.spec.symbols:
            of_weights["head.weight"] = (width, width)
        return {module_key(name): nn.Parameter(torch.zeros(count, *shape)) for name, shape in of_weights.items()}

    def parameter_groups(self) -> list[ParameterGroup]:
        """What learns at which share of the learning rate, and what decays: not the factors, whose init is good."""
        groups = nothing_decays(self.factors.parameters(), self.factors_rate) if self.factors_rate else []
        if self.encoder is not None and self.film is not None:
            groups += nothing_decays(self.encoder.parameters())
            groups += matrices_decay(self.film.named_parameters())
        if self.mixture is not None:
            groups += nothing_decays(self.mixture.parameters())
            groups += matrices_decay(self.experts.named_parameters(), self.offsets_rate)
        groups += matrices_decay(self.free.named_parameters(), self.offsets_rate)
        if self.class_map is not None:
            groups += matrices_decay(self.class_map.named_parameters(), self.offsets_rate)
        return groups + matrices_decay(self.tuned_weights.named_parameters(), TUNED_RATE)

    def source_weights(self) -> Weights:
        """The source's canonical weights as they are now: as given, or tuned."""
        if not self.tuned:
            return self.source.weights
        return {name: self.tuned_weights[module_key(name)] for name in self.source.weights}

    def embed(self, classes: Tensor, mask: Tensor) -> Tensor:
        """Task embeddings `[T, D]` of class ids `[T, K]` with their mask `[T, K]`; static projections have none.

        What FiLM is made of comes first, then the mixture of experts.
        """
        return torch.cat([part(classes, mask) for part in (self.encoder, self.mixture) if part is not None], dim=1)

    def forward(
        self, classes: Tensor, mask: Tensor, keep_rows: Tensor | None = None, embedding: Tensor | None = None
    ) -> Weights:
        """Project for `T` tasks.

        Args:
            classes: class ids of each task `[T, K]`, filled up with any id where `mask` `[T, K]` is False.
            keep_rows: class-row dropout `[T, K]`: False where what was learned for a class is left out; None keeps all.
            embedding: `[T, D]`, to be taken for the embedding of the tasks; their own if None.

        Returns:
            Canonical student weights with a leading axis `T`; all but the classifier have 1 there where nothing
            depends on the task.
        """
        if embedding is None and not self.conditioning.is_static:
            embedding = self.embed(classes, mask)
        projected = self._project()
        weights = {name: tensor[None] for name, tensor in projected.items() if name != "condition.weight"}
        self._insert_classes(weights, projected, classes, mask, keep_rows)
        for key, offset in self.free.items():
            if (name := canonical_name(key)) not in self.own_shapes:
                weights[name] = weights[name] + offset
        if embedding is not None and self.mixture is not None:
            self._add_experts(weights, embedding[:, -self.conditioning.experts :])
        if embedding is not None and self.film is not None:
            self.film.fold(weights, embedding[:, : self.conditioning.task_embed_dim])
        return weights

    def _add_experts(self, weights: Weights, mixture: Tensor) -> None:
        """Add the experts, mixed for each task by `mixture` `[T, experts]`."""
        for key, experts in self.experts.items():
            name = canonical_name(key)
            mixed = (mixture @ experts.flatten(1)).unflatten(1, experts.shape[1:])
            if name in self.own_shapes:
                mixed = weights[name] @ mixed
            weights[name] = weights[name] + mixed

    def _insert_classes(
        self, weights: Weights, projected: Weights, classes: Tensor, mask: Tensor, keep_rows: Tensor | None
    ) -> None:
        """Add what belongs to the tasks' classes: their projected rows, and what was learned for them."""
        bias = projected["head.bias"] if self.spec.symbols else projected["head.bias"][classes]
        rows = projected[self.classes.table][classes]
        if self.class_map is not None:
            rows = rows + self.class_map(classes)
        learned = {name: self.free[module_key(name)] for name in self.own_shapes if module_key(name) in self.free}
        own = {name: own_rows(table, classes, keep_rows) for name, table in learned.items()}
        self.classes.insert(weights, rows, own, bias, mask)

    @property
    def _fixed(self) -> bool:
        """Whether what is projected stays as it is all through a training."""
        return self.compact or not (self.factors_rate or self.tuned)

    def _project(self) -> Weights:
        """The projected weights, multiplied once where they are fixed."""
        if self._fixed:
            return self.precompute()
        return self._multiply() if self.projected is None else self.projected

    def _multiply(self) -> Weights:
        return project(self._merged_source(), dict(self.factors.items()))

    @torch.no_grad()
    def precompute(self) -> Weights:
        """Project once for all students that a trained operator will make: no task changes these weights."""
        if self.projected is None or not self._fixed:
            device = next(self.parameters()).device.type
            # They may be needed in training, and are float32 whatever a step computes in.
            with torch.inference_mode(False), torch.autocast(device, enabled=False):
                self.projected = self._multiply()
        return self.projected

    def drop_factors(self) -> None:
        """Forget the factors; with the projected weights it goes on making students, and learns no more."""
        self.compact = True
        self.factors.clear()

    def train(self, mode: bool = True) -> Self:
        if mode and not self._fixed:
            self.projected = None
        return super().train(mode)

    def _forget_projected(self) -> None:
        if not self.compact:
            self.projected = None

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        if self.projected is not None:
            self.projected = {name: fn(tensor) for name, tensor in self.projected.items()}
        return super()._apply(fn, recurse)

    def _merged_source(self) -> Weights:
        if self.tuned:
            return merged_weights(self.source_weights(), self.groups)
        return {canonical_name(key): tensor for key, tensor in self.named_buffers(recurse=False)}
