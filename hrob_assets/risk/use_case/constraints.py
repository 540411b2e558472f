"""Types with their bounds, for the values of a use case."""

from typing import Annotated

from pydantic import ConfigDict, Field

STRICT = ConfigDict(extra="forbid")
Share = Annotated[float, Field(gt=0, lt=1)]
Days = Annotated[int, Field(ge=0)]
PositiveDays = Annotated[int, Field(gt=0)]
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
