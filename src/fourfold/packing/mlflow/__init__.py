"""MLflow models: read from their directories without MLflow, and packed with their own signature."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fourfold.errors import EngineError, PackError
from fourfold.package import Package
from fourfold.packing.mlflow.agreement import agree
from fourfold.packing.mlflow.directory import Directory, open_directory
from fourfold.packing.mlflow.example import example_of
from fourfold.packing.mlflow.flavors import open_flavor
from fourfold.packing.mlflow.requirements import differing
from fourfold.packing.mlflow.schema import Schema, schema_of
from fourfold.packing.packer import pack
from fourfold.packing.samples.training_file import restore_none
from fourfold.runtimes.open_model import trained_columns

__all__ = ["MlflowModel", "open_mlflow"]

#: Fewer rows than these show little of a model.
_FEW = 100


@dataclass(frozen=True)
class MlflowModel:
    """An MLflow model, opened.

    Attributes:
        directory: its files.
        flavor: the flavour that is packed.
        model: the model itself.
        columns: the columns that it takes, where it knows their names.
        schema: its signature, or `None`.
        options: what it is packed with besides.
        differing: the libraries of which another version than the model's is here, with both versions.
        notes: what a person should know.
    """

    directory: Directory
    flavor: str
    model: Any
    columns: tuple[str, ...]
    schema: Schema | None
    options: dict[str, Any]
    differing: dict[str, tuple[str, str]]
    notes: tuple[str, ...]

    def pack(
        self, *, name: str, rows: Any = None, provenance: Mapping[str, str] | None = None, **options: Any
    ) -> tuple[Package, tuple[str, ...]]:
        """Pack the model, with its signature as far as the rows bear it out.

        Args:
            name: the package's name.
            rows: rows as the model was trained with them; its own input example otherwise.
            provenance: added to what the model says of itself: run, id, flavour, versions.
            **options: as `fourfold.pack` takes them; they go before the model's own.

        Returns:
            The package, and what a person should know about it; the same is in its provenance.

        Raises:
            PackError: it cannot be packed, has no example where `rows` is left out, or its signature does not fit.
            SignatureError: no field can be inferred from a column.
        """
        notes = list(self.notes)
        own = rows is None
        if own:
            rows = example_of(self.directory, self.schema)
            if rows is None:
                raise PackError(
                    f"the model {self.directory.path} was logged without an input example: give rows as it was trained "
                    "with them (--rows FILE)"
                )
            rows = restore_none(rows, self.model)
            if len(rows) < _FEW:
                notes.append(
                    f"packed with the model's own example of {len(rows)} rows; more of them (--rows) prove more"
                )
        inputs = None
        if self.schema is not None:
            agreed = agree(self.schema, rows, self.columns)
            rows, inputs = agreed.rows, agreed.inputs
            notes += agreed.notes
            notes += self._order(self.schema)
        where = f"{self._advice(own=own)}"
        given = {**self.options, **({} if inputs is None else {"inputs": inputs}), **options}
        mine = {**self.directory.provenance, "mlflow.flavor": self.flavor}
        if self.differing:
            mine["mlflow.versions"] = "; ".join(_both(*each) for each in self.differing.items())
        if notes:
            mine["mlflow.notes"] = "; ".join(notes)
        try:
            package = pack(self.model, name=name, rows=rows, provenance={**mine, **(provenance or {})}, **given)
        except (PackError, EngineError) as error:
            raise PackError(f"{error}{where}") from error
        if self.schema is not None:
            self.schema.check_outputs(package.signature.outputs)
        return package, tuple(notes)

    def _order(self, schema: Schema) -> list[str]:
        """What is to be said of columns in another order than the model's, where their names mean nothing to it."""
        named = [column.name for column in schema.inputs if column.name in self.columns]
        if self.flavor != "lightgbm" or named == [name for name in self.columns if name in named]:
            return []
        said = "the signature has its columns in another order than the booster"
        return [f"{said}: MLflow's answers go by their places, as LightGBM does, and the package's by their names"]

    def _advice(self, *, own: bool) -> str:
        """What else may be the reason where the model does not answer."""
        texts = []
        if own:
            texts.append("The rows are the model's own input example: rows as it was trained with them (--rows) may do")
        if self.differing:
            texts.append(f"A library of another version than the model's is here: {_list(self.differing)}")
        return "".join(f". {text}" for text in texts)


def open_mlflow(path: str | Path, *, trust: bool = False) -> MlflowModel:
    """Open the directory of an MLflow model.

    Args:
        path: the directory, which has a file `MLmodel`.
        trust: whether pickles and code in it may run here. A model of LightGBM, XGBoost, CatBoost or ONNX in its own
            format needs none, and an estimator in skops format none where it is of known classes.

    Raises:
        PackError: it is no such directory, is not whole, or is of a kind that cannot be packed; it says what to do.
        TrustError: it needs trust that it is not given.
        MissingLibrary: a library that reads it is not installed.
    """
    directory = open_directory(Path(path))
    schema = schema_of(directory)
    apart = differing(directory)
    flavor, opened, options = _explained(lambda: open_flavor(directory, schema, trust=trust), apart)
    notes = [*opened.notes]
    if apart:
        notes.append(f"made with {_list(apart)}")
    return MlflowModel(
        directory, flavor, opened.model, trained_columns(opened.model), schema, options, apart, tuple(notes)
    )


def _explained(open_it: Callable[[], Any], apart: dict[str, tuple[str, str]]) -> Any:
    """What is opened; where it cannot be, the error names the versions that differ."""
    try:
        return open_it()
    except PackError as error:
        if not apart or "another version" in str(error):
            raise
        raise PackError(f"{error}. A library of another version than the model's is here: {_list(apart)}") from error


def _list(apart: dict[str, tuple[str, str]]) -> str:
    return ", ".join(_both(*each) for each in apart.items())


def _both(name: str, versions: tuple[str, str]) -> str:
    return f"{name} {versions[0]} ({versions[1]} is here)"
