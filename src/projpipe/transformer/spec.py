"""The shape of a plain Vision Transformer, for source and student alike."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from math import inf, nextafter, prod
from typing import TYPE_CHECKING, Annotated, Any, Literal

from projpipe.errors import InputError
from projpipe.record import Bounds, from_json

if TYPE_CHECKING:
    from timm.models.vision_transformer import VisionTransformer


STUDENT_NORM_EPS = 1e-6  # timm's own for plain Vision Transformers
SIZE = ("embed_dim", "depth", "num_heads", "mlp_dim")  # what students differ in
# The largest that is read from files: what there is stays well below, and nothing overflows.
Size = Annotated[int, Bounds(1, 2**16)]
Depth = Annotated[int, Bounds(1, 256)]
Activation = Literal["gelu", "gelu_tanh", "quick_gelu"]
ACTIVATIONS: dict[str, Activation] = {  # timm's classes and names
    "GELU": "gelu",
    "GELUTanh": "gelu_tanh",
    "QuickGELU": "quick_gelu",
}


@dataclass(frozen=True)
class TransformerSpec:
    """Sizes and token layout of a Vision Transformer.

    `head_dim` is the width of one attention head and `mlp_dim` the number of hidden units of an MLP. Prefix tokens
    (class token first, then registers) carry their position inside themselves, so `pos_embed` is for patches alone.
    `norm_after_pool` says whether the final LayerNorm reads the pooled token (timm's `fc_norm`) or every token,
    `pre_norm` whether tokens are normalised before the first block, as in CLIP. `activation` is that of the MLPs by
    timm's name: `gelu`, `gelu_tanh` or `quick_gelu`.

    With `symbols` it is a decoder of so many symbols: images are symbols on a grid, attention is causal, and the head
    reads every token; `in_chans` is `symbols + 1`, the last for the start.
    """

    image_size: tuple[Size, Size]
    patch_size: Size
    in_chans: Size
    embed_dim: Size
    depth: Depth
    num_heads: Size
    head_dim: Size
    mlp_dim: Annotated[int, Bounds(1, 2**20)]
    class_token: bool
    reg_tokens: Annotated[int, Bounds(0, 2**10)]
    pool: Literal["token", "avg", ""]
    norm_after_pool: bool
    pre_norm: bool = False
    activation: Activation = "gelu"
    norm_eps: Annotated[float, Bounds(1e-12, 1e-2)] = STUDENT_NORM_EPS
    symbols: Annotated[int, Bounds(0, 2**16 - 1)] = 0

    @property
    def num_patches(self) -> int:
        return (self.image_size[0] // self.patch_size) * (self.image_size[1] // self.patch_size)

    @property
    def num_prefix_tokens(self) -> int:
        return int(self.class_token) + self.reg_tokens

    @property
    def attn_dim(self) -> int:
        """Width of all heads of one block side by side."""
        return self.num_heads * self.head_dim

    @property
    def mlp_ratio(self) -> float:
        """Hidden units over width: what, times the width and cut to a whole number, are as many."""
        ratio = self.mlp_dim / self.embed_dim
        return ratio if int(ratio * self.embed_dim) == self.mlp_dim else nextafter(ratio, inf)

    def describe_size(self) -> str:
        """The size for people to read."""
        counts = {"block": self.depth, "head": self.num_heads, "hidden unit": self.mlp_dim}
        blocks, heads, hidden = (f"{count} {name}{'s' * (count > 1)}" for name, count in counts.items())
        return f"{blocks} x {self.embed_dim}, {heads}, {hidden}"

    def describe_images(self) -> str:
        """The images it reads, for people."""
        height, width = self.image_size
        if self.symbols:
            return f"{height} x {width} tokens of {self.symbols} symbols"
        return f"{height} x {width}, {'grey' if self.in_chans == 1 else f'{self.in_chans} channels'}"

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "image_size": list(self.image_size)}

    @classmethod
    def from_json(cls, described: object, place: str = "") -> TransformerSpec:
        """Read back what `to_json` gave; an InputError names the key that is not as it should be, and its `place`."""
        spec = from_json(cls, described, place, exact=True)
        if any(side % spec.patch_size for side in spec.image_size):
            raise InputError(f"{place}.patch_size: {spec.patch_size} does not divide {list(spec.image_size)}")
        return spec

    @classmethod
    def of(cls, model: VisionTransformer) -> TransformerSpec:
        """Read the shape off a timm VisionTransformer that `check_supported` accepts."""
        attention, mlp = model.blocks[0].attn, model.blocks[0].mlp
        activation = activation_of(mlp.act)
        assert activation is not None  # `check_supported` accepts no other
        symbols = model.num_classes if model.global_pool == "" else 0
        return cls(
            image_size=tuple(model.patch_embed.img_size),
            patch_size=model.patch_embed.patch_size[0],
            in_chans=symbols + 1 if symbols else model.in_chans,
            embed_dim=model.embed_dim,
            depth=len(model.blocks),
            num_heads=attention.num_heads,
            head_dim=attention.head_dim,
            mlp_dim=mlp.fc1.out_features,
            class_token=model.has_class_token,
            reg_tokens=model.num_reg_tokens,
            pool=model.global_pool,
            norm_after_pool=not isinstance(model.norm, type(model.blocks[0].norm1)),
            pre_norm=isinstance(model.norm_pre, type(model.blocks[0].norm1)),
            activation=activation,
            norm_eps=model.blocks[0].norm1.eps,
            symbols=symbols,
        )

    def student(
        self, embed_dim: int, depth: int, num_heads: int, mlp_ratio: float, place: str = "student"
    ) -> TransformerSpec:
        """The shape of a student that reads the same images through the same token layout.

        `place` says in errors where the sizes come from.

        Raises:
            InputError: the student is not smaller than the source, or its width does not divide into its heads.
        """
        asked = f"{place}: {embed_dim} wide x {depth} deep, mlp_ratio {mlp_ratio:g}"
        if embed_dim % num_heads:
            raise InputError(f"{asked}: embed_dim {embed_dim} is not divisible by num_heads {num_heads}; change one")
        if embed_dim > self.embed_dim or depth > self.depth:
            raise InputError(
                f"{asked}: wider or deeper than its teacher ({self.embed_dim} x {self.depth}); make it smaller"
            )
        student = replace(
            self.resized(embed_dim, depth, num_heads, int(embed_dim * mlp_ratio)), norm_eps=STUDENT_NORM_EPS
        )
        if student.mlp_dim < 1:
            raise InputError(f"{asked}: leaves no hidden unit in the MLP; raise mlp_ratio")
        if student.block_params() >= self.block_params():
            raise InputError(
                f"{asked}: {student.block_params():,} block parameters, its teacher has {self.block_params():,}; "
                "make the student smaller"
            )
        return student

    def resized(self, embed_dim: int, depth: int, num_heads: int, mlp_dim: int) -> TransformerSpec:
        """The same with other sizes."""
        return replace(
            self,
            embed_dim=embed_dim,
            depth=depth,
            num_heads=num_heads,
            head_dim=embed_dim // num_heads,
            mlp_dim=mlp_dim,
        )

    def block_params(self) -> int:
        """Weights of all blocks, biases left out."""
        return self.depth * self.embed_dim * (4 * self.attn_dim + 2 * self.mlp_dim)

    def weight_shapes(self, num_classes: int) -> dict[str, tuple[int, ...]]:
        """Shapes of the canonical weights of a model of this shape, by name; of a decoder whatever the classes are."""
        width, depth = self.embed_dim, self.depth
        matrices = {
            "patch": (width, self.in_chans * self.patch_size**2),
            **dict.fromkeys("qkv", (depth, self.attn_dim, width)),
            "out": (depth, width, self.attn_dim),
            "fc1": (depth, self.mlp_dim, width),
            "fc2": (depth, width, self.mlp_dim),
            "head": (self.symbols or num_classes, width),
        }
        return {
            **{f"{name}.weight": shape for name, shape in matrices.items()},
            **{f"{name}.bias": shape[:-1] for name, shape in matrices.items()},
            "prefix": (self.num_prefix_tokens, width),
            "pos": (self.num_patches, width),
            **({"pre.weight": (width,), "pre.bias": (width,)} if self.pre_norm else {}),
        }

    def deployed_params(self, num_classes: int) -> int:
        """Parameters of the timm model of this shape, as it is exported for a task of `num_classes` classes."""
        norms = 2 * (2 * self.depth + 1) * self.embed_dim
        norms -= self.embed_dim * self.pre_norm  # timm embeds patches without a bias there
        return norms + sum(map(prod, self.weight_shapes(num_classes).values()))

    def deployed_macs(self, num_classes: int) -> int:
        """Multiply-accumulates of one image in matrix products, as of `deployed_params`."""
        tokens, width = self.num_patches + self.num_prefix_tokens, self.embed_dim
        linear = tokens * self.block_params()
        attention = 2 * self.depth * tokens**2 * self.attn_dim
        head = tokens * self.symbols * width if self.symbols else num_classes * width
        return self.num_patches * width * self.in_chans * self.patch_size**2 + linear + attention + head


def size_of(sized: object) -> tuple[int, ...]:
    """The values of `SIZE` of anything that has them."""
    return tuple(getattr(sized, name) for name in SIZE)


def written(sized: object) -> str:
    """A size as people write it: width x depth x heads x hidden units, `24x2x4x96`."""
    return "x".join(map(str, size_of(sized)))


def activation_of(module: object) -> Activation | None:
    """timm's name for an activation that students can have too; None for any other."""
    if getattr(module, "approximate", "none") == "tanh":
        return "gelu_tanh"
    return ACTIVATIONS.get(type(module).__name__)
