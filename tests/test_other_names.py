"""Names that other libraries have: each exists here too, or the error says what does."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import pytest

import fourfold
from fourfold.other_names import OF_MODULE, OF_PACKAGE, OF_PREDICTOR, OF_REPOSITORY
from fourfold.repository import Repository
from tests.support import make_package, make_predictor

#: What is typed before the name, the object, and what is known to be typed at it.
OWNERS: dict[str, tuple[Any, Mapping[str, str]]] = {
    "fourfold": (fourfold, OF_MODULE),
    "package": (make_package(), OF_PACKAGE),
    "predictor": (make_predictor(), OF_PREDICTOR),
    "repository": (Repository.open("models"), OF_REPOSITORY),
}
#: What an advice may name beside the four.
KNOWN = MappingProxyType({"fourfold": fourfold, **{name: owner for name, (owner, _) in OWNERS.items()}})


@pytest.mark.parametrize("owner", OWNERS)
def test_a_name_of_others_names_what_exists(owner: str) -> None:
    """No name that is known to be typed exists after all, and its error has the advice."""
    thing, instead = OWNERS[owner]
    for name, advice in instead.items():
        assert not hasattr(thing, name), name
        with pytest.raises(AttributeError, match=re.escape(f"has no {name!r}: {advice}")):
            getattr(thing, name)


@pytest.mark.parametrize("owner", OWNERS)
def test_advice_names_nothing_that_does_not_exist(owner: str) -> None:
    """Every `fourfold.name`, `package.name` and so on in an advice is there."""
    for name, advice in OWNERS[owner][1].items():
        dotted = re.findall(r"\b(fourfold|package|predictor|repository)((?:\.[a-z_]+)+)", advice)
        for first, rest in dotted:
            if f"'{first}{rest}" in advice or rest in (".fourfold", ".md"):
                continue  # the name of a file
            value = KNOWN[first]
            for part in rest[1:].split("."):
                assert hasattr(type(value), part) or hasattr(value, part), f"{name}: {first}{rest}"
                value = getattr(value, part, None)


@pytest.mark.parametrize("owner", OWNERS)
def test_any_other_name_fails_as_in_python(owner: str) -> None:
    """A misspelt name is an `AttributeError` that has the name and the object, from which Python suggests another."""
    with pytest.raises(AttributeError, match="no attribute 'no_such_name'") as caught:
        _ = OWNERS[owner][0].no_such_name
    assert (caught.value.name, caught.value.obj) == ("no_such_name", OWNERS[owner][0])


def test_an_error_class_is_found_in_its_room() -> None:
    """`fourfold.InputError` says where it is, and `fourfold.errors` needs no import of its own."""
    with pytest.raises(AttributeError, match=re.escape("it is fourfold.errors.InputError")):
        _ = fourfold.InputError  # type: ignore[attr-defined]


def test_a_property_that_fails_says_its_own_error() -> None:
    """An `AttributeError` of what a property computes is not taken for a name that is missing."""

    class Broken(fourfold.Package):
        @property
        def label(self) -> str:
            return None.missing_inside  # type: ignore[attr-defined]

    broken = Broken(make_package().manifest_bytes, lambda _: b"")
    with pytest.raises(AttributeError, match="missing_inside"):
        _ = broken.label


def test_rooms_need_no_import_of_their_own() -> None:
    """In a new process, `import fourfold` is enough for the architectures and the errors; it imports none of them."""
    program = (
        "import sys, fourfold\n"
        "assert not any(name.startswith(('numpy', 'pyarrow', 'fourfold.')) for name in sys.modules), sys.modules\n"
        "assert fourfold.embed.mount and fourfold.errors.InputError\n"
        "assert fourfold.batch and fourfold.stream and fourfold.service\n"
        "from fourfold import service, embed\n"
        "assert not hasattr(fourfold, 'nothing')\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_a_base_install_says_which_library_is_missing() -> None:
    """Without NumPy and Arrow, `pack` and `certify` are there, and a call names the library and the extra."""
    program = (
        "import sys\n"
        "sys.modules['numpy'] = sys.modules['pyarrow'] = None\n"
        "import fourfold\n"
        "for name, extra in (('pack', 'python'), ('certify', 'arrow,service')):\n"
        "    try:\n"
        "        getattr(fourfold, name)(object(), [])\n"
        "    except fourfold.errors.MissingLibrary as error:\n"
        "        assert error.extra == extra and f'fourfold.{name} needs ' in str(error), error\n"
        "    else:\n"
        "        raise SystemExit(name)\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
