"""The shape of a plain Vision Transformer, for source and student alike."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from math import prod
from typing import TYPE_CHECKING, Any

from projpipe.errors import InputError

if TYPE_CHECKING:
    from timm.models.vision_transformer import VisionTransformer


STUDENT_NORM_EPS = 1e-6  # timm's own for plain Vision Transformers
ACTIVATIONS = {"GELU": "gelu", "GELUTanh": "gelu_tanh", "QuickGELU": "quick_gelu"}  # timm's classes and names


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

    image_size: tuple[int, int]
    patch_size: int
    in_chans: int
    embed_dim: int
    depth: int
    num_heads: int
    head_dim: int
    mlp_dim: int
    class_token: bool
    reg_tokens: int
    pool: str
    norm_after_pool: bool
    pre_norm: bool = False
    activation: str = "gelu"
    norm_eps: float = STUDENT_NORM_EPS
    symbols: int = 0

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

    def describe_size(self) -> str:
        """The size for people to read."""
        return f"{self.depth} blocks x {self.embed_dim}, {self.num_heads} heads, {self.mlp_dim} hidden units"

    def describe_images(self) -> str:
        """The images it reads, for people."""
        height, width = self.image_size
        if self.symbols:
            return f"{height} x {width} tokens of {self.symbols} symbols"
        return f"{height} x {width}, {'grey' if self.in_chans == 1 else f'{self.in_chans} channels'}"

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "image_size": list(self.image_size)}

    @classmethod
    def from_json(cls, fields: dict[str, Any]) -> TransformerSpec:
        return cls(**{**fields, "image_size": tuple(fields["image_size"])})

    @classmethod
    def of(cls, model: VisionTransformer) -> TransformerSpec:
        """Read the shape off a timm VisionTransformer that `check_supported` accepts."""
        attention, mlp = model.blocks[0].attn, model.blocks[0].mlp
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
            activation=activation_of(mlp.act) or "",
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
            self,
            embed_dim=embed_dim,
            depth=depth,
            num_heads=num_heads,
            head_dim=embed_dim // num_heads,
            mlp_dim=int(embed_dim * mlp_ratio),
            norm_eps=STUDENT_NORM_EPS,
        )
        if student.mlp_dim < 1:
            raise InputError(f"{asked}: leaves no hidden unit in the MLP; raise mlp_ratio")
        if student.block_params() >= self.block_params():
            raise InputError(
                f"{asked}: {student.block_params():,} block parameters, its teacher has {self.block_params():,}; "
                "make the student smaller"
            )
        return student

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


def activation_of(module: object) -> str | None:
    """timm's name for an activation that students can have too; None for any other."""
    if getattr(module, "approximate", "none") == "tanh":
        return "gelu_tanh"
    return ACTIVATIONS.get(type(module).__name__)
