"""The hash that CatBoost knows a category by: the lower 32 bits of CityHash64, version 1.

After Pike and Alakuijala, *CityHash* (2011). The evaluator has its twin; tests hold the two to each other and to
CatBoost.
"""

from __future__ import annotations

__all__ = ["category_hash"]

_K0, _K1, _K2, _K3 = 0xC3A5C85C97CB3127, 0xB492B66FBE98F273, 0x9AE16A3B2F90404F, 0xC949D7C7509E6557
_MIX = 0x9DDFEA08EB382D69
_ALL = (1 << 64) - 1


def category_hash(text: bytes) -> float:
    """The hash of a category, as the signed integer of 32 bits that it is to CatBoost."""
    low = _city(text) & 0xFFFFFFFF
    return float(low - (1 << 32) if low >> 31 else low)


def _city(text: bytes) -> int:
    size = len(text)
    if size <= 16:
        return _short(text)
    if size <= 32:
        a, b = _load(text, 0) * _K1 & _ALL, _load(text, 8)
        c, d = _load(text, size - 8) * _K2 & _ALL, _load(text, size - 16) * _K0 & _ALL
        return _pair(_turn(a - b, 43) + _turn(c, 30) + d, a + _turn(b ^ _K3, 20) - c + size)
    return _medium(text) if size <= 64 else _long(text)


def _load(text: bytes, at: int, size: int = 8) -> int:
    return int.from_bytes(text[at : at + size], "little")


def _turn(value: int, bits: int) -> int:
    value &= _ALL
    return (value >> bits | value << (64 - bits)) & _ALL


def _fold(value: int) -> int:
    value &= _ALL
    return value ^ value >> 47


def _pair(low: int, high: int) -> int:
    low, high = low & _ALL, high & _ALL
    a = _fold((low ^ high) * _MIX)
    return _fold((high ^ a) * _MIX) * _MIX & _ALL


def _short(text: bytes) -> int:
    size = len(text)
    if size > 8:
        a, b = _load(text, 0), _load(text, size - 8)
        return _pair(a, _turn(b + size, size)) ^ b
    if size >= 4:
        return _pair(size + (_load(text, 0, 4) << 3), _load(text, size - 4, 4))
    if size:
        y, z = text[0] + (text[size >> 1] << 8), size + (text[-1] << 2)
        return _fold(y * _K2 & _ALL ^ z * _K3 & _ALL) * _K2 & _ALL
    return _K2


def _medium(text: bytes) -> int:
    size = len(text)
    z = _load(text, 24)
    a = _load(text, 0) + (size + _load(text, size - 16)) * _K0
    first, second = _half(a, z, text, 8)
    z = _load(text, size - 8)
    other, last = _half(_load(text, 16) + _load(text, size - 32), z, text, size - 24)
    r = _fold((first + last) * _K2 + (other + second) * _K0)
    return _fold(r * _K0 + second) * _K2 & _ALL


def _half(a: int, z: int, text: bytes, at: int) -> tuple[int, int]:
    b, c = _turn(a + z, 52), _turn(a, 37)
    a += _load(text, at)
    c += _turn(a, 7)
    a += _load(text, at + 8)
    return a + z, b + _turn(a, 31) + c


def _weak(text: bytes, at: int, a: int, b: int) -> tuple[int, int]:
    w, x, y, z = (_load(text, at + 8 * each) for each in range(4))
    a += w
    b = _turn(b + a + z, 21)
    c = a
    a += x + y
    b += _turn(a, 44)
    return (a + z) & _ALL, (b + c) & _ALL


def _long(text: bytes) -> int:
    size = len(text)
    x, y, z = _load(text, 0), _load(text, size - 16) ^ _K1, _load(text, size - 56) ^ _K0
    v = _weak(text, size - 64, size, y)
    w = _weak(text, size - 32, size * _K1, _K0)
    z += _fold(v[1]) * _K1
    x, y = _turn(z + x, 39) * _K1, _turn(y, 33) * _K1
    for at in range(0, (size - 1) // 64 * 64, 64):
        x = _turn(x + y + v[0] + _load(text, at + 16), 37) * _K1 & _ALL
        y = _turn(y + v[1] + _load(text, at + 48), 42) * _K1 & _ALL
        x ^= w[1]
        y ^= v[0]
        z = _turn(z & _ALL ^ w[0], 33)
        v = _weak(text, at, v[1] * _K1, x + w[0])
        w = _weak(text, at + 32, z + w[1], y)
        z, x = x, z
    return _pair(_pair(v[0], w[0]) + _fold(y) * _K1 + z, _pair(v[1], w[1]) + x)
