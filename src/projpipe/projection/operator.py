"""The projection operator: the weights of small students, one for each task, from those of one large source.

Idea: Zhmoginov, Lee, Sandler, 'Projectable Models: One-Shot Generation of Small Specialized Transformers from Large
Ones' (arXiv 2506.05641). The parametrisation is projpipe's own; docs/design.md explains it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Self

import torch
from torch import Tensor, nn

from projpipe.projection.factors import Conditioning, Factor
from projpipe.projection.initialisation import initial_factors
from projpipe.projection.source import Source, block_groups, merge_blocks
from projpipe.projection.task_encoder import TaskEncoder, reset_linears
from projpipe.transformer.canonical import Weights, module_key
from projpipe.transformer.class_weights import class_weights, own_rows
from projpipe.transformer.spec import TransformerSpec

READING = {"q": "attn_read", "k": "attn_read", "v": "attn_read", "fc1": "mlp_read"}  # linear maps and the factors that
WRITING = {"out": "attn_write", "fc2": "mlp_write"}  # tie them to the residual stream
_WHOLE = ("patch.weight", "patch.bias", "prefix", "pos", "head.weight", "head.bias")


class ProjectionOperator(nn.Module):
    """Map a source's weights to those of its students.

    Args:
        source: the large Transformer.
        student: the shape of the students.
        conditioning: how the factors depend on the task.
        seed: fixes the random part of the start.
        start: where the factors start, see `initial_factors`.
        tuned: the source's weights are parameters too, and learn with the rest; else they are frozen.
        free_weights: learn something to add to every weight of the students, the same for all tasks and zero at the
            start, and to the row or embedding of every class; else to biases alone, and not to the classifier's.
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
    ) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        self.groups = block_groups(source.spec.depth, student.depth)
        self.spec, self.source, self.conditioning = student, source, conditioning
        self.tuned, self.free_weights = tuned, free_weights
        self.classes = class_weights(student)
        self.own_shapes = self.classes.own_shapes(source.num_classes, student.embed_dim)
        self.products: Weights = {}  # see `precompute`; what is trained, or loaded, makes them void
        self.register_load_state_dict_post_hook(lambda *_: self.products.clear())
        self.tuned_weights = nn.ParameterDict()
        if tuned:
            self.tuned_weights.update({module_key(name): nn.Parameter(t.clone()) for name, t in source.weights.items()})
        else:
            for name, tensor in self._merged(source.weights).items():
                self.register_buffer(module_key(name), tensor, persistent=False)

        factors, biases = initial_factors(source, student, self.groups, generator, start)
        self.factors = nn.ModuleDict(
            {module_key(name): Factor(base, conditioning.of(name), generator) for name, base in factors.items()}
        )
        free = {
            name: torch.zeros(shape)
            for name, shape in (student.weight_shapes(source.num_classes) | self.own_shapes).items()
            if free_weights or (name.endswith("bias") and name != "head.bias")
        } | biases
        del free["k.bias"]  # softmax takes no notice of it, so that it would follow rounding
        self.free = nn.ParameterDict({module_key(name): nn.Parameter(tensor) for name, tensor in free.items()})
        self.encoder: TaskEncoder | None = None
        if not conditioning.is_static:
            self.encoder = TaskEncoder(source.class_table, conditioning.task_embed_dim)
            reset_linears(self.encoder, generator)
            self.coefficients = nn.Linear(
                conditioning.task_embed_dim, sum(factor.num_coefficients for factor in self._factors())
            )
            nn.init.zeros_(self.coefficients.weight)
            nn.init.zeros_(self.coefficients.bias)

    def train(self, mode: bool = True) -> Self:
        if mode:
            self.products.clear()
        return super().train(mode)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        self.products = {name: fn(tensor) for name, tensor in self.products.items()}
        return super()._apply(fn, recurse)

    def _factors(self) -> list[Factor]:
        return list(self.factors.values())  # type: ignore[arg-type]

    def _merged_source(self) -> Weights:
        if self.tuned:
            return self._merged(self.source_weights())
        return {name: self.get_buffer(module_key(name)) for name in self.source.weights}

    def _merged(self, weights: Weights) -> Weights:
        """The source's weights with the blocks of each group merged."""
        whole = {name: weights[name] for name in (*_WHOLE, self.classes.table)}
        if self.source.spec.pre_norm:
            whole |= {name: weights[name] for name in ("pre.weight", "pre.bias")}
            whole |= _before_the_norm(weights)
        return {**whole, **merge_blocks(weights, self.groups)}

    def source_weights(self) -> Weights:
        """The source's canonical weights as they are now: as given, or tuned."""
        if not self.tuned:
            return self.source.weights
        return {name: self.tuned_weights[module_key(name)] for name in self.source.weights}

    def embed(self, classes: Tensor, mask: Tensor) -> Tensor:
        """Task embeddings `[T, D]` of class ids `[T, K]` with their mask `[T, K]`; static projections have none."""
        assert self.encoder is not None
        return self.encoder(classes, mask)

    def forward(
        self,
        classes: Tensor,
        mask: Tensor,
        familiar: Tensor | None = None,
        embedding: Tensor | None = None,
    ) -> Weights:
        """Project for `T` tasks.

        Args:
            classes: class ids of each task `[T, K]`, filled up with any id where `mask` `[T, K]` is False.
            familiar: `[T, K]`, False where a class is to be taken for one that no training task had; None for none.
            embedding: `[T, D]`, to be taken for the embedding of the tasks; their own if None.

        Returns:
            Canonical student weights with a leading axis `T`; all but the classifier have 1 there where nothing
            depends on the task.
        """
        if self.encoder is None:
            return self.compose(dict.fromkeys(self.factors), classes, mask, familiar)
        coefficients = self.coefficients(self.embed(classes, mask) if embedding is None else embedding)
        sizes = [factor.num_coefficients for factor in self._factors()]
        split = zip(self.factors, coefficients.split(sizes, dim=1), strict=True)
        return self.compose({name: part if part.shape[1] else None for name, part in split}, classes, mask, familiar)

    def compose(
        self, coefficients: dict[str, Tensor | None], classes: Tensor, mask: Tensor, familiar: Tensor | None = None
    ) -> Weights:
        """Student weights from the coefficients of every factor (None where it is static)."""
        source = self._merged_source()

        @cache
        def factor(name: str) -> Tensor:
            return self._factor(name)(coefficients[name])

        products = self.products or self._inner(source)
        embed_write = factor("embed_write")[:, 0]
        weights = {
            "patch.weight": embed_write @ source["patch.weight"],
            "patch.bias": embed_write @ source["patch.bias"],
            "prefix": source["prefix"] @ embed_write.mT,
            "pos": source["pos"] @ embed_write.mT,
        }
        if self.spec.pre_norm:
            # The student's own normalisation makes the root mean square one; about this is what it was.
            scale = (embed_write * source["pre.weight"]).square().sum((1, 2), keepdim=True) / self.spec.embed_dim
            weights["pre.weight"] = scale.sqrt().squeeze(-1).expand(-1, self.spec.embed_dim)
            weights["pre.bias"] = embed_write @ source["pre.bias"]
        for name, stream in (READING | WRITING).items():
            if f"{name}.weight" in products:
                for key, mixed in (f"{name}.weight", stream), (f"{name}.bias", _bias_factor(name)):
                    weights[key] = self._factor(mixed).mix(coefficients[mixed], products[key])
                continue
            residual = factor(stream)
            if name in products:
                weight = products[name] @ residual.mT if name in READING else residual @ products[name]
            else:
                units, own = factor(f"{name}_units"), source[f"{name}.weight"]
                weight = units @ (own @ residual.mT) if name in READING else (residual @ own) @ units.mT
            weights[f"{name}.weight"] = weight
            weights[f"{name}.bias"] = _project_bias(factor(_bias_factor(name)), source[f"{name}.bias"])
        self._place_classes(weights, factor, source, classes, mask, familiar)
        for key, tensor in self.free.items():
            if (name := key.replace("_", ".")) not in self.own_shapes:
                weights[name] = weights[name] + tensor
        return weights

    def _place_classes(
        self,
        weights: Weights,
        factor: Callable[[str], Tensor],
        source: Weights,
        classes: Tensor,
        mask: Tensor,
        familiar: Tensor | None,
    ) -> None:
        """Add the head, and what belongs to the tasks' classes."""
        bias = source["head.bias"]
        if self.spec.symbols:
            weights["head.weight"] = source["head.weight"] @ factor("head_read")[:, 0].mT
            weights["head.bias"] = bias[None]
        else:
            bias = bias[classes]
        rows = source[self.classes.table][classes] @ factor(self.classes.factor)[:, 0].mT
        learned = {name: self.free[module_key(name)] for name in self.own_shapes if module_key(name) in self.free}
        own = {name: own_rows(table, classes, familiar) for name, table in learned.items()}
        self.classes.place(weights, rows, own, bias, mask)

    @torch.no_grad()
    def precompute(self) -> None:
        """Multiply what no task changes, once for all students that a trained operator will make.

        `products` has, by a linear map's name, the source's weights between the chosen heads or hidden units and the
        whole residual stream; gates and low-rank terms stand between these and the students. Where the task only mixes
        templates, it has in their place, by a canonical weight's name, the product of every template, so that what is
        left of making a student's linear map is a weighted sum.
        """
        source = self._merged_source()
        self.products = {}
        for name, inner in self._inner(source).items():
            stream = self._factor((READING | WRITING)[name])
            if not stream.is_mixture:
                self.products[name] = inner
                continue
            parts, each = stream.parts(), inner[0][:, None]
            bias = self._factor(_bias_factor(name)).parts() @ source[f"{name}.bias"][:, None, :, None]
            self.products[f"{name}.weight"] = each @ parts.mT if name in READING else parts @ each
            self.products[f"{name}.bias"] = bias.squeeze(-1)

    def _inner(self, source: Weights) -> Weights:
        """The source's weights between chosen units and the whole residual stream, where no task changes the choice."""
        inner = {}
        for name in READING | WRITING:
            units = self._factor(f"{name}_units")
            if not units.num_coefficients:
                weight = source[f"{name}.weight"]
                inner[name] = units(None) @ weight if name in READING else weight @ units(None).mT
        return inner

    def _factor(self, name: str) -> Factor:
        return self.factors[name]  # type: ignore[return-value]


def _bias_factor(name: str) -> str:
    """The factor that a linear map's bias goes through: that of what it writes."""
    return WRITING.get(name, f"{name}_units")


def _before_the_norm(weights: Weights) -> Weights:
    """What makes the tokens, as the normalisation before the blocks centres it and scales its coordinates."""
    gain = weights["pre.weight"]

    def centred(tokens: Tensor) -> Tensor:
        return (tokens - tokens.mean(-1, keepdim=True)) * gain

    return {
        "patch.weight": centred(weights["patch.weight"].mT).mT,
        **{name: centred(weights[name]) for name in ("patch.bias", "prefix", "pos")},
    }


def _project_bias(factor: Tensor, bias: Tensor) -> Tensor:
    return (factor @ bias[..., None]).squeeze(-1)
