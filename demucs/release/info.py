"""The description of a release, stored beside its weights."""

import json
from dataclasses import dataclass
from typing import Any

from demucs.errors import ReleaseError
from demucs.nn import ModelSpec

DEFAULT_LICENCE = "not stated by the exporter (the code is MIT; weights follow their data)"


@dataclass(frozen=True, kw_only=True)
class ReleaseInfo:
    """The description of a release; every value is plain JSON.

    Attributes:
        signature: of the training run (Dora's), or any name for a model made otherwise.
        spec: the model's name and arguments, enough to build it.
        config: the whole training configuration, resolved.
        provenance: data, epochs, best metric, source checkpoint, versions, date; see
            `demucs.release.provenance_of`.
        licence: of the weights.
    """

    signature: str
    spec: ModelSpec
    config: dict[str, Any]
    provenance: dict[str, Any]
    licence: str = DEFAULT_LICENCE

    def to_json(self) -> str:
        """One canonical line: the same content always gives the same text.

        Raises:
            ReleaseError: a value that JSON does not have (NaN, a tensor, a path).
        """
        content = {
            "signature": self.signature,
            "spec": self.spec.to_dict(),
            "config": self.config,
            "provenance": self.provenance,
            "licence": self.licence,
        }
        try:
            return json.dumps(content, sort_keys=True, ensure_ascii=True, allow_nan=False)
        except (TypeError, ValueError) as error:
            raise ReleaseError(
                f"The description of release {self.signature!r} cannot be written: {error}. "
                "Give plain JSON values only: text, finite numbers, lists, dicts."
            ) from None

    @classmethod
    def from_json(cls, text: str) -> "ReleaseInfo":
        """The inverse of `to_json`.

        Raises:
            ValueError, KeyError, TypeError: the text is not such a description.
        """
        content = json.loads(text)
        return cls(
            signature=str(content["signature"]),
            spec=ModelSpec.from_dict(content["spec"]),
            config=dict(content["config"]),
            provenance=dict(content["provenance"]),
            licence=str(content["licence"]),
        )
