"""Compute the hash by which CatBoost knows a category: the lower 32 bits of CityHash64, version 1.

After Pike and Alakuijala, *CityHash* (2011); the constants and the steps for each length are those of their `city.cc`.
The evaluator has a twin in C; tests compare the two with each other and with CatBoost.
"""

from __future__ import annotations

__all__ = ["category_hash"]

_K0, _K1, _K2, _K3 = 0xC3A5C85C97CB3127, 0xB492B66FBE98F273, 0x9AE16A3B2F90404F, 0xC949D7C7509E6557
_MIX = 0x9DDFEA08EB382D69
_UINT64_MASK = (1 << 64) - 1


def category_hash(text: bytes) -> float:
    """Return the hash of a category, as the signed 32-bit integer that CatBoost takes it for."""
    low = _city_hash_64(text) & 0xFFFFFFFF
    return float(low - (1 << 32) if low >> 31 else low)


def _city_hash_64(text: bytes) -> int:
    """Return `CityHash64` of bytes, an unsigned 64-bit integer."""
    size = len(text)
    if size <= 16:
        return _hash_0_to_16(text)
    if size <= 32:
        a, b = _read_uint(text, 0) * _K1 & _UINT64_MASK, _read_uint(text, 8)
        c, d = _read_uint(text, size - 8) * _K2 & _UINT64_MASK, _read_uint(text, size - 16) * _K0 & _UINT64_MASK
        return _hash_128_to_64(
            _rotate_right(a - b, 43) + _rotate_right(c, 30) + d, a + _rotate_right(b ^ _K3, 20) - c + size
        )
    return _hash_33_to_64(text) if size <= 64 else _hash_longer(text)


def _read_uint(text: bytes, offset: int, size: int = 8) -> int:
    """Return an unsigned little-endian integer of `size` bytes."""
    return int.from_bytes(text[offset : offset + size], "little")


def _rotate_right(value: int, bits: int) -> int:
    """Return a 64-bit integer rotated to the right."""
    value &= _UINT64_MASK
    return (value >> bits | value << (64 - bits)) & _UINT64_MASK


def _shift_mix(value: int) -> int:
    """Return `value ^ (value >> 47)`."""
    value &= _UINT64_MASK
    return value ^ value >> 47


def _hash_128_to_64(low: int, high: int) -> int:
    """Return one 64-bit hash of two (`Hash128to64`)."""
    low, high = low & _UINT64_MASK, high & _UINT64_MASK
    a = _shift_mix((low ^ high) * _MIX)
    return _shift_mix((high ^ a) * _MIX) * _MIX & _UINT64_MASK


def _hash_0_to_16(text: bytes) -> int:
    """Return the hash of at most 16 bytes (`HashLen0to16`)."""
    size = len(text)
    if size > 8:
        a, b = _read_uint(text, 0), _read_uint(text, size - 8)
        return _hash_128_to_64(a, _rotate_right(b + size, size)) ^ b
    if size >= 4:
        return _hash_128_to_64(size + (_read_uint(text, 0, 4) << 3), _read_uint(text, size - 4, 4))
    if size:
        y, z = text[0] + (text[size >> 1] << 8), size + (text[-1] << 2)
        return _shift_mix(y * _K2 & _UINT64_MASK ^ z * _K3 & _UINT64_MASK) * _K2 & _UINT64_MASK
    return _K2


def _hash_33_to_64(text: bytes) -> int:
    """Return the hash of 33 to 64 bytes (`HashLen33to64`)."""
    size = len(text)
    z = _read_uint(text, 24)
    a = _read_uint(text, 0) + (size + _read_uint(text, size - 16)) * _K0
    first, second = _mix_32(a, z, text, 8)
    z = _read_uint(text, size - 8)
    third, fourth = _mix_32(_read_uint(text, 16) + _read_uint(text, size - 32), z, text, size - 24)
    r = _shift_mix((first + fourth) * _K2 + (third + second) * _K0)
    return _shift_mix(r * _K0 + second) * _K2 & _UINT64_MASK


def _mix_32(a: int, z: int, text: bytes, offset: int) -> tuple[int, int]:
    """Return the two sums of `HashLen33to64` over one half of the text."""
    b, c = _rotate_right(a + z, 52), _rotate_right(a, 37)
    a += _read_uint(text, offset)
    c += _rotate_right(a, 7)
    a += _read_uint(text, offset + 8)
    return a + z, b + _rotate_right(a, 31) + c


def _weak_hash_32_with_seeds(text: bytes, offset: int, a: int, b: int) -> tuple[int, int]:
    """Return the two words of 32 bytes and two seeds (`WeakHashLen32WithSeeds`)."""
    w, x, y, z = (_read_uint(text, offset + 8 * index) for index in range(4))
    a += w
    b = _rotate_right(b + a + z, 21)
    c = a
    a += x + y
    b += _rotate_right(a, 44)
    return (a + z) & _UINT64_MASK, (b + c) & _UINT64_MASK


def _hash_longer(text: bytes) -> int:
    """Return the hash of more than 64 bytes, read in blocks of 64."""
    size = len(text)
    x, y, z = _read_uint(text, 0), _read_uint(text, size - 16) ^ _K1, _read_uint(text, size - 56) ^ _K0
    v = _weak_hash_32_with_seeds(text, size - 64, size, y)
    w = _weak_hash_32_with_seeds(text, size - 32, size * _K1, _K0)
    z += _shift_mix(v[1]) * _K1
    x, y = _rotate_right(z + x, 39) * _K1, _rotate_right(y, 33) * _K1
    for offset in range(0, (size - 1) // 64 * 64, 64):
        x = _rotate_right(x + y + v[0] + _read_uint(text, offset + 16), 37) * _K1 & _UINT64_MASK
        y = _rotate_right(y + v[1] + _read_uint(text, offset + 48), 42) * _K1 & _UINT64_MASK
        x ^= w[1]
        y ^= v[0]
        z = _rotate_right(z & _UINT64_MASK ^ w[0], 33)
        v = _weak_hash_32_with_seeds(text, offset, v[1] * _K1, x + w[0])
        w = _weak_hash_32_with_seeds(text, offset + 32, z + w[1], y)
        z, x = x, z
    return _hash_128_to_64(_hash_128_to_64(v[0], w[0]) + _shift_mix(y) * _K1 + z, _hash_128_to_64(v[1], w[1]) + x)
