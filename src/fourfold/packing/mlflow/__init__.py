"""Read MLflow models from their directories, without MLflow, and pack them with their own signature."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fourfold.errors import EngineError, PackError
from fourfold.package import Package
from fourfold.package.levels import Level
from fourfold.packing.mlflow.casting import cast_rows
from fourfold.packing.mlflow.directory import ModelDirectory, open_directory
from fourfold.packing.mlflow.flavors import open_flavor
from fourfold.packing.mlflow.input_example import read_example
from fourfold.packing.mlflow.library_versions import differing_versions
from fourfold.packing.mlflow.signature import MlflowSignature, read_signature
from fourfold.packing.packer import pack
from fourfold.packing.samples.training_file import restore_none
from fourfold.runtimes.open_model import trained_columns

__all__ = ["MlflowModel", "open_mlflow"]

#: A note tells the user to give rows where the model's own example has fewer.
_MIN_EXAMPLE_ROWS = 100


@dataclass(frozen=True)
class MlflowModel:
    """Hold an open MLflow model.

    Attributes:
        directory: the model's directory.
        flavor: the flavour that is packed.
        model: the loaded model.
        columns: the columns that the model takes, where it knows their names.
        signature: the model's signature, or `None`.
        options: further options for `pack`.
        differing: the libraries that are installed in another version than the model's: that version and the
            installed one.
        notes: remarks for the user.
    """

    directory: ModelDirectory
    flavor: str
    model: Any
    columns: tuple[str, ...]
    signature: MlflowSignature | None
    options: dict[str, Any]
    differing: dict[str, tuple[str, str]]
    notes: tuple[str, ...]

    def pack(
        self, *, name: str, rows: Any = None, provenance: Mapping[str, str] | None = None, **options: Any
    ) -> tuple[Package, tuple[str, ...]]:
        """Pack the model, with its own signature.

        Args:
            name: the package's name.
            rows: rows as the model was trained with them; its own input example otherwise.
            provenance: added to the model's own: run, id, flavour, versions.
            **options: options of `fourfold.pack`; they override the model's own.

        Returns:
            The package, and remarks for the user; its provenance holds them, too.

        Raises:
            PackError: the model cannot be packed, has no example where `rows` is left out, or its signature does not
                fit.
            SignatureError: no field can be inferred from a column.
        """
        notes = list(self.notes)
        is_example = rows is None
        if is_example:
            rows = read_example(self.directory, self.signature)
            if rows is None:
                raise PackError(
                    f"the model {self.directory.path} was logged without an input example: give rows as it was trained "
                    "with them (--rows FILE)"
                )
            rows = restore_none(rows, self.model)
            if len(rows) < _MIN_EXAMPLE_ROWS:
                notes.append(
                    f"packed with the model's own example of {len(rows)} rows; more of them (--rows) prove more"
                )
        inputs: dict[str, Any] = {}
        if self.signature is not None:
            cast = cast_rows(self.signature, rows, self.columns)
            rows = cast.rows
            # What is optional only: the rest is inferred from the model and the rows.
            inputs = {field.name: {"nullable": True} for field in cast.inputs or () if field.nullable}
            notes += cast.notes
            notes += self._order_notes(self.signature)
        pack_options = {**self.options, **({"inputs": inputs} if inputs else {}), **options}
        own_provenance = {**self.directory.provenance, "mlflow.flavor": self.flavor}
        if self.differing:
            own_provenance["mlflow.versions"] = "; ".join(
                _describe(library, versions) for library, versions in self.differing.items()
            )
        if notes:
            own_provenance["mlflow.notes"] = "; ".join(notes)
        provenance = {**own_provenance, **(provenance or {})}
        try:
            package = pack(self.model, name=name, rows=rows, provenance=provenance, **pack_options)
        except (PackError, EngineError) as error:
            raise PackError(f"{error}{self._advice(is_example=is_example)}") from error
        if self.signature is not None:
            self.signature.check_outputs(package.signature.outputs)
        return package, tuple(notes)

    def _order_notes(self, signature: MlflowSignature) -> list[str]:
        """Return a note where LightGBM, which ignores names, has its columns in another order than the signature."""
        named = [column.name for column in signature.inputs if column.name in self.columns]
        if self.flavor != "lightgbm" or named == [name for name in self.columns if name in named]:
            return []
        difference = "the signature has its columns in another order than the booster"
        return [
            f"{difference}: MLflow's answers go by their places, as LightGBM does, and the package's by their names"
        ]

    def _advice(self, *, is_example: bool) -> str:
        """Return further reasons why the model may not answer, to add to an error."""
        texts = []
        if is_example:
            texts.append("The rows are the model's own input example: rows as it was trained with them (--rows) may do")
        if self.differing:
            texts.append(f"A library of another version than the model's is here: {_describe_all(self.differing)}")
        return "".join(f". {text}" for text in texts)


def open_mlflow(path: str | Path, *, trust: Level | None = "foreign") -> MlflowModel:
    """Open the directory of an MLflow model.

    Args:
        path: the directory, which has a file `MLmodel`.
        trust: what it may do here. `foreign` opens a model of LightGBM, XGBoost, CatBoost or ONNX in its own format,
            and an estimator in skops format whose classes are known; `code` opens pickles and Python code, and skops
            files of any classes, too. `None`, for a directory that the user named as the model: pickles and Python
            code run, and a skops file may hold known classes only.

    Raises:
        PackError: the path is no such directory, lacks a file, or holds a model that cannot be packed; the error says
            what to do.
        TrustError: the model needs more than `trust`.
        MissingLibrary: a library that reads it is not installed.
    """
    directory = open_directory(Path(path))
    signature = read_signature(directory)
    differing = differing_versions(directory)
    try:
        flavor, opened, options = open_flavor(directory, signature, trust=trust)
    except PackError as error:
        if not differing or "another version" in str(error):
            raise
        raise PackError(
            f"{error}. A library of another version than the model's is here: {_describe_all(differing)}"
        ) from error
    notes = [*opened.notes]
    if differing:
        notes.append(f"made with {_describe_all(differing)}")
    columns = trained_columns(opened.model)
    return MlflowModel(directory, flavor, opened.model, columns, signature, options, differing, tuple(notes))


def _describe_all(differing: dict[str, tuple[str, str]]) -> str:
    return ", ".join(_describe(library, versions) for library, versions in differing.items())


def _describe(library: str, versions: tuple[str, str]) -> str:
    """Return a library with the model's version and the installed one, for notes and errors."""
    return f"{library} {versions[0]} ({versions[1]} is here)"
