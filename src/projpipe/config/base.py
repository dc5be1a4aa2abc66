"""What all parameters share."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Fraction = Annotated[float, Field(ge=0.0, lt=1.0)]
Precision = Literal["float32", "bfloat16"]
Seed = Annotated[int, Field(ge=0, lt=2**31)]


class Config(BaseModel):
    """A frozen model that refuses keys it does not know."""

    model_config = ConfigDict(extra="forbid", frozen=True)
