/* Fourfold's evaluator: one C99 file. See evaluator.h for its use and docs/spec/plan.md for the format of a plan.
 *
 * Contents
 *     1  the processor that this needs, and small things
 *     2  elementary functions
 *     3  the format: sections, steps, nodes
 *     4  opening a plan: everything is checked, once
 *     5  dictionaries: text to code
 *     6  forests: tables of masks, and the walk
 *     7  the other steps
 *     8  bags: texts as rows of a sparse matrix
 *     9  predicting
 *
 * Why the bits are the same everywhere: a row is computed in one fixed order of operations, each of them an addition,
 * subtraction, multiplication, division, square root, comparison or conversion that IEEE 754 defines to the last bit.
 * Nothing here calls a mathematical library. Rows lie side by side ("lanes"), so that a compiler may compute several at
 * once; no operation ever mixes two lanes, so neither their number nor their place can show in an answer.
 *
 * Compile with -std=c99 -ffp-contract=off and without -ffast-math; on 32-bit x86 also with -msse2 -mfpmath=sse.
 */
#include "evaluator.h"

/* ------------------------------------------------------------------------------------------------------------------
 * 1  The processor that this needs, and small things
 * ------------------------------------------------------------------------------------------------------------------ */

#if defined(__FAST_MATH__)
#error "the evaluator must not be compiled with -ffast-math: the bits of its answers would depend on the compiler"
#endif
#if defined(__FLT_EVAL_METHOD__) && __FLT_EVAL_METHOD__ != 0
#error "the evaluator needs sums that are rounded to double at once: on 32-bit x86, -msse2 -mfpmath=sse"
#endif
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "the evaluator reads plans where they lie, and they are little-endian"
#endif
#if defined(__GNUC__)
#pragma GCC diagnostic ignored "-Wunknown-pragmas"
#endif
#pragma STDC FP_CONTRACT OFF

typedef char ff_double_has_64_bits[sizeof(double) == 8 ? 1 : -1];
typedef char ff_float_has_32_bits[sizeof(float) == 4 ? 1 : -1];

static double ff_from_bits(uint64_t bits) {
    union { uint64_t bits; double value; } both;
    both.bits = bits;
    return both.value;
}

static uint64_t ff_to_bits(double value) {
    union { uint64_t bits; double value; } both;
    both.value = value;
    return both.bits;
}

#define FF_NAN ff_from_bits(UINT64_C(0x7ff8000000000000))
#define FF_INFINITY ff_from_bits(UINT64_C(0x7ff0000000000000))

static int ff_is_nan(double x) { return x != x; }
static int ff_is_finite(double x) { return (ff_to_bits(x) >> 52 & 0x7ff) != 0x7ff; }
static double ff_round32(double x) { return (double)(float)x; }

/* Own copies of memcpy and memset, since a device or a browser may have no library. */
static void ff_copy(void *to, const void *from, size_t bytes) {
    unsigned char *out = (unsigned char *)to;
    const unsigned char *in = (const unsigned char *)from;
    while (bytes--) *out++ = *in++;
}

static void ff_fill(void *to, int value, size_t bytes) {
    unsigned char *out = (unsigned char *)to;
    while (bytes--) *out++ = (unsigned char)value;
}

/* The place of the lowest bit that is set; there must be one. */
static uint32_t ff_lowest(uint64_t bits) {
#if defined(__GNUC__)
    return (uint32_t)__builtin_ctzll(bits);
#else
    uint32_t place = 0;
    if (!(bits & 0xffffffffu)) { place += 32; bits >>= 32; }
    if (!(bits & 0xffffu)) { place += 16; bits >>= 16; }
    if (!(bits & 0xffu)) { place += 8; bits >>= 8; }
    if (!(bits & 0xfu)) { place += 4; bits >>= 4; }
    if (!(bits & 0x3u)) { place += 2; bits >>= 2; }
    return place + !(bits & 1u);
#endif
}

static uint32_t ff_lowest32(uint32_t bits) {
#if defined(__GNUC__)
    return (uint32_t)__builtin_ctz(bits);
#else
    return ff_lowest(bits);
#endif
}

/* ------------------------------------------------------------------------------------------------------------------
 * 2  Elementary functions
 * ------------------------------------------------------------------------------------------------------------------
 *
 * Each is a fixed order of operations that IEEE 754 defines. An argument that is NaN, or has no value, gives one NaN
 * (FF_NAN), since processors make theirs with different signs. Errors, measured against MPFR, stand in docs/spec/plan.md.
 *
 * Most values are kept as an unevaluated sum of two doubles until the last addition, which is why nearly all answers are
 * the nearest double. The exact sums and products are those of T. J. Dekker, "A floating-point technique for extending
 * the available precision" (1971), with the upper 26 bits of a double kept by a mask instead of a multiplication.
 * The polynomials are minimax, with coefficients that are doubles, found for this file with Sollya's fpminimax
 * (N. Brisebarre, S. Chevillard, "Efficient polynomial L-infinity approximations", 2007); their errors, measured with
 * 400 bits or more, stand beside them. FF_INLINE functions have neither branches nor comparisons of doubles, which would
 * keep a compiler from computing several at once: what is special is selected by masks. */

#if defined(__GNUC__)
#define FF_INLINE static inline __attribute__((always_inline))
#else
#define FF_INLINE static inline
#endif

#define FF_ROUNDER 0x1.8p52 /* a number of at most 51 bits is rounded to a whole one by adding this and taking it away */
#define FF_LN2 0x1.62e42fefa3800p-1 /* 42 bits, so that its product with an exponent is exact; and the rest */
#define FF_LN2_LOW 0x1.ef35793c76730p-45
#define FF_MINUS UINT64_C(0x8000000000000000)

FF_INLINE double ff_head(double x) { return ff_from_bits(ff_to_bits(x) & UINT64_C(0xfffffffff8000000)); }

static double ff_size(double x) { return ff_from_bits(ff_to_bits(x) & ~FF_MINUS); }

/* Masks of 64 ones or zeros: whether the sign bit is set; whether bits are 0; whether x < y, both below 2^63. */
FF_INLINE uint64_t ff_negative(uint64_t bits) { return 0 - (bits >> 63); }
FF_INLINE uint64_t ff_none(uint64_t bits) { return 0 - ((~bits & (bits - 1)) >> 63); }
FF_INLINE uint64_t ff_less(uint64_t x, uint64_t y) { return 0 - ((x - y) >> 63); }

FF_INLINE double ff_choose(uint64_t mask, double yes, double no) {
    return ff_from_bits((ff_to_bits(yes) & mask) | (ff_to_bits(no) & ~mask));
}

/* y, or NaN where x is NaN. */
FF_INLINE double ff_unless_nan(double x, double y) {
    return ff_choose(ff_less(UINT64_C(0x7ff0000000000000), ff_to_bits(x) & ~FF_MINUS), FF_NAN, y);
}

/* |x|, or `most` where that is less; NaN is more. */
FF_INLINE double ff_at_most(double x, double most) {
    double size = ff_from_bits(ff_to_bits(x) & ~FF_MINUS);
    return ff_choose(ff_less(ff_to_bits(most), ff_to_bits(size)), most, size);
}

/* The larger of two numbers comes first. */
FF_INLINE double ff_sum(double x, double y, double *rest) {
    double sum = x + y;
    *rest = y - (sum - x);
    return sum;
}

FF_INLINE double ff_product(double x, double y, double *rest) {
    double product = x * y, xh = ff_head(x), yh = ff_head(y), xl = x - xh, yl = y - yh;
    *rest = ((xh * yh - product) + xh * yl + xl * yh) + xl * yl;
    return product;
}

/* m from sqrt(1/2) to sqrt(2) and k, so that x = m 2^k; for a finite x above zero. */
FF_INLINE double ff_mantissa(double x, double *k) {
    uint64_t subnormal = ff_less(ff_to_bits(x), UINT64_C(0x0010000000000000));
    uint64_t bits = ff_to_bits(x * ff_choose(subnormal, 0x1p54, 1.0)) + UINT64_C(0x00095f619980c433);
    *k = ff_from_bits(bits >> 52 | UINT64_C(0x4330000000000000)) - ff_choose(subnormal, 0x1p52 + 1077.0, 0x1p52 + 1023.0);
    return ff_from_bits((bits & UINT64_C(0x000fffffffffffff)) + UINT64_C(0x3fe6a09e667f3bcd));
}

/* (x + x_low) / (y + y_low) as the sum of an upper half and a rest. */
FF_INLINE double ff_quotient(double x, double x_low, double y, double y_low, double *rest) {
    double inverse = 1.0 / y, upper = ff_head(x * inverse), yh = ff_head(y);
    *rest = (((x - upper * yh) - upper * (y - yh)) + (x_low - upper * y_low)) * inverse;
    return upper;
}

/* --- Roots --- */

#if !defined(FF_SOFTWARE_SQRT) && defined(__GNUC__) && defined(__SSE2__)
#define FF_SQRT_INSTRUCTION(root, x) __asm__("sqrtsd %1, %0" : "=x"(root) : "x"(x))
#elif !defined(FF_SOFTWARE_SQRT) && defined(__GNUC__) && defined(__aarch64__)
#define FF_SQRT_INSTRUCTION(root, x) __asm__("fsqrt %d0, %d1" : "=w"(root) : "w"(x))
#elif !defined(FF_SOFTWARE_SQRT) && defined(__GNUC__) && defined(__arm__) && !defined(__SOFTFP__) && defined(__ARM_FP) && (__ARM_FP & 8)
#define FF_SQRT_INSTRUCTION(root, x) __asm__("vsqrt.f64 %P0, %P1" : "=w"(root) : "w"(x))
#elif !defined(FF_SOFTWARE_SQRT) && defined(__GNUC__) && defined(__riscv_flen) && __riscv_flen >= 64
#define FF_SQRT_INSTRUCTION(root, x) __asm__("fsqrt.d %0, %1" : "=f"(root) : "f"(x))
#elif !defined(FF_SOFTWARE_SQRT) && defined(__wasm__)
#define FF_SQRT_INSTRUCTION(root, x) __asm__("local.get %1\n\tf64.sqrt\n\tlocal.set %0" : "=r"(root) : "r"(x))
#endif

/* Correctly rounded: the processor's instruction, since a compiler's own sqrt may call a library; or digit by digit. */
static double ff_sqrt(double x) {
#if defined(FF_SQRT_INSTRUCTION)
    double root;
    FF_SQRT_INSTRUCTION(root, x);
    return x >= 0 ? root : FF_NAN;
#else
    uint64_t bits = ff_to_bits(x), rest, root = 0, bit;
    uint32_t exponent = (uint32_t)(bits >> 52), up = 0;
    if (!(x > 0) || exponent == 0x7ff) return x >= 0 ? x : FF_NAN;
    if (!exponent) { bits = ff_to_bits(x * 0x1p54); exponent = (uint32_t)(bits >> 52); up = 27; }
    rest = (bits & UINT64_C(0x000fffffffffffff)) | UINT64_C(0x0010000000000000);
    if (!(exponent & 1)) rest <<= 1;
    /* The root of m, from 1 to 4, to 53 bits and one to round by; a root is never half-way between two doubles. */
    rest <<= 1;
    for (bit = UINT64_C(1) << 53; bit; bit >>= 1) {
        if (rest >= 2 * root + bit) { rest -= 2 * root + bit; root += bit; }
        rest <<= 1;
    }
    root = (root + 1) >> 1;
    return ff_from_bits(((uint64_t)((exponent + 1023) / 2 - up - 1) << 52) + root);
#endif
}

/* A root of 17 bits has an exact cube; the rest is a series in what that cube leaves of x. */
static double ff_cbrt(double x) {
    static const double power[3] = {1.0, 0x1.428a2f98d728bp+0, 0x1.965fea53d6e3dp+0}; /* 2^(j/3) */
    double size = ff_size(x), m, t, t3, cube, rest;
    uint64_t bits;
    uint32_t exponent, third, left;
    if (!(size > 0) || !ff_is_finite(x)) return x == x ? x : FF_NAN;
    bits = ff_to_bits(size < 0x1p-1022 ? size * 0x1p54 : size);
    exponent = (uint32_t)(bits >> 52) + 3 + (size < 0x1p-1022 ? 0 : 54); /* 3 * 360 at x = 1 */
    third = exponent / 3;
    left = exponent % 3;
    m = ff_from_bits((bits & UINT64_C(0x000fffffffffffff)) | UINT64_C(0x3ff0000000000000));
    /* error 2^-10.6; after a step of Halley's 2^-32 */
    t = (0x1.3e37071127369p-1 + m * (0x1.c1fd0c9504996p-2 + m * -0x1.ee22f68366386p-5)) * power[left];
    m = ff_from_bits(ff_to_bits(m) + ((uint64_t)left << 52));
    t3 = t * t * t;
    t = ff_from_bits(ff_to_bits(t * ((t3 + 2 * m) / (2 * t3 + m))) & UINT64_C(0xfffffff000000000));
    cube = t * t * t;
    rest = (m - cube) / cube;
    t += t * (rest * (1.0 / 3 + rest * (-1.0 / 9 + rest * (5.0 / 81 - rest * (10.0 / 243)))));
    t *= ff_from_bits((uint64_t)(third + 1023 - 360) << 52);
    return ff_from_bits(ff_to_bits(t) | (ff_to_bits(x) & FF_MINUS));
}

/* --- Powers of e --- */

/* expm1(r) as a sum of two, where x + x_low = k ln 2 + r (W. J. Cody, W. Waite, "Software Manual for the Elementary
 * Functions", 1980), and 2^k as a product of two, so that it neither overflows nor underflows; |x| < 2^10. The polynomial:
 * (exp(r) - 1 - r - r^2 / 2) / r^3, error 2^-63.9 r^3. */
FF_INLINE double ff_exp_parts(double x, double x_low, double *rest, double *scale, double *scale_too) {
    double shifted = x * 0x1.71547652b82fep+0 + FF_ROUNDER, whole = shifted - FF_ROUNDER, r, r_low, rh, r2, q, half, sum, left;
    uint64_t k = ff_to_bits(shifted); /* its low bits are those of the whole number */
    r = ff_sum(x - whole * FF_LN2, x_low - whole * FF_LN2_LOW, &r_low);
    rh = ff_head(r);
    half = 0.5 * rh * rh;
    r2 = r * r;
    q = ((0x1.555555555555bp-3 + r * 0x1.555555555555ap-5) + r2 * (0x1.111111110ed96p-7 + r * 0x1.6c16c16c141fdp-10)) +
        r2 * r2 * (((0x1.a01a01b323cffp-13 + r * 0x1.a01a01b1ca83ap-16) + r2 * (0x1.71ddf0d13071ep-19 + r * 0x1.27e4c32aa126ap-22)) +
                   r2 * r2 * (0x1.af6af032bfd38p-26 + r * 0x1.1f9922a8013dfp-29));
    sum = ff_sum(r, half, &left);
    *rest = left + ((0.5 * (r - rh) * (r + rh) + (r_low + r_low * r)) + r * r2 * q);
    *scale = ff_from_bits(((k >> 1) + 1023) << 52);
    *scale_too = ff_from_bits((k - (k >> 1) + 1023) << 52);
    return sum;
}

/* exp(x + x_low) for |x| < 2^10, also where it overflows or underflows. */
FF_INLINE double ff_exp_sum(double x, double x_low) {
    double low, left, scale, scale_too, high = ff_exp_parts(x, x_low, &low, &scale, &scale_too);
    high = ff_sum(1.0, high, &left);
    return (high + (left + low)) * scale * scale_too;
}

FF_INLINE double ff_exp(double x) {
    double size = ff_at_most(x, 800.0);
    return ff_unless_nan(x, ff_exp_sum(ff_from_bits(ff_to_bits(size) | (ff_to_bits(x) & FF_MINUS)), 0.0));
}

static double ff_expm1(double x) {
    double low, left, high, scale, scale_too;
    if (x == 0) return x;
    if (!(x < 60.0)) return ff_exp(x); /* what is taken away is below 2^-86 of it */
    if (x < -40.0) return -1.0;
    high = ff_exp_parts(x, 0.0, &low, &scale, &scale_too);
    scale *= scale_too;
    if (scale == 1.0) return high + low;
    high = ff_sum(1.0, high, &left);
    high *= scale;
    low = (left + low) * scale;
    high = scale > 1.0 ? ff_sum(high, -1.0, &left) : ff_sum(-1.0, high, &left);
    return high + (left + low);
}

/* 1 / (1 + e) or e / (1 + e) with e = exp(-|x|); the scale of a small numerator is put in last. */
FF_INLINE double ff_sigmoid(double x) {
    double low, left, scale, scale_too, high = ff_exp_parts(-ff_at_most(x, 800.0), 0.0, &low, &scale, &scale_too), y, y_low;
    uint64_t minus = ff_negative(ff_to_bits(x));
    high = ff_sum(1.0, high, &left);
    high = ff_sum(high, left + low, &low); /* what is left is small now, as ff_quotient needs it */
    y = ff_sum(1.0, high * scale * scale_too, &y_low);
    y_low += low * scale * scale_too;
    high = ff_quotient(ff_choose(minus, high, 1.0), ff_choose(minus, low, 0.0), y, y_low, &left);
    return ff_unless_nan(x, (high + left) * ff_choose(minus, scale, 1.0) * ff_choose(minus, scale_too, 1.0));
}

/* (1 - e) / (1 + e) with e = exp(-2|x|) = 2^k (1 + high + low). */
FF_INLINE double ff_tanh(double x) {
    double low, left, scale, scale_too, high = ff_exp_parts(-2.0 * ff_at_most(x, 25.0), 0.0, &low, &scale, &scale_too);
    double less, less_low, more, more_low, above, above_low, below, below_low;
    scale *= scale_too;
    less = ff_sum(1.0, -scale, &less_low);
    more = ff_sum(1.0, scale, &more_low);
    high = ff_sum(high * scale, low * scale, &low);
    above = ff_sum(less, -high, &above_low);
    below = ff_sum(more, high, &below_low);
    high = ff_quotient(above, above_low + (less_low - low), below, below_low + (more_low + low), &left);
    return ff_unless_nan(x, ff_from_bits(ff_to_bits(high + left) | (ff_to_bits(x) & FF_MINUS)));
}

/* --- Logarithms --- */

/* log(1 + f + f_low) as the sum of 2s, of 26 bits, and a rest, with s + t = f / (2 + f): 2 atanh(s + t). From sqrt(1/2)
 * to sqrt(2). The polynomial: (2 atanh(s) - 2s) / s^3 in s^2, error 2^-54 of it, 2^-60 of the logarithm. */
FF_INLINE double ff_log_parts(double f, double f_low, double *rest) {
    double y_low, t, y = ff_sum(2.0, f, &y_low), s = ff_quotient(f, f_low, y, y_low + f_low, &t), q = s + t, z = q * q, z2 = z * z;
    double r = ((0x1.5555555555555p-1 + z * 0x1.9999999999d59p-2) + z2 * (0x1.249249242ee21p-2 + z * 0x1.c71c725c5dcbp-3)) +
               z2 * z2 * ((0x1.745cdb75b7c48p-3 + z * 0x1.3b21590f0e8b7p-3) + z2 * (0x1.0f4a197e129e5p-3 + z * 0x1.1023891fe29eep-3));
    *rest = 2.0 * t + q * z * r;
    return 2.0 * s;
}

/* y, a logarithm of x, or what that is where x is not a finite number above zero. */
FF_INLINE double ff_log_special(double x, double y) {
    uint64_t bits = ff_to_bits(x), size = bits & ~FF_MINUS, infinite = UINT64_C(0x7ff0000000000000);
    y = ff_choose(ff_negative(bits) | ff_less(infinite, size), FF_NAN, y);
    y = ff_choose(ff_none(size), -FF_INFINITY, y);
    return ff_choose(ff_none(bits ^ infinite), FF_INFINITY, y);
}

FF_INLINE double ff_log(double x) {
    double k, low, left, m = ff_mantissa(x, &k), high = ff_log_parts(m - 1.0, 0.0, &low);
    high = ff_sum(k * FF_LN2, high, &left);
    return ff_log_special(x, high + (left + (low + k * FF_LN2_LOW)));
}

static double ff_log1p(double x) {
    double k, low, left, m, high, y = 1.0 + x, y_low;
    if (ff_size(x) < 0x1p-54) return x;
    if (!(x > -1.0 && x < FF_INFINITY)) return x == -1.0 ? -FF_INFINITY : x > 0 ? x : FF_NAN;
    y_low = x < 1.0 ? x - (y - 1.0) : 1.0 - (y - x);
    m = ff_mantissa(y, &k);
    y_low = k < 60.0 ? y_low * ff_from_bits((uint64_t)(1023 - (int32_t)k) << 52) : 0.0;
    m = ff_sum(m - 1.0, y_low, &left);
    high = ff_log_parts(m, left, &low);
    high = ff_sum(k * FF_LN2, high, &left);
    return high + (left + (low + k * FF_LN2_LOW));
}

/* With log2(e) and log10(e) as sums of 26 bits and the rest, the first product is exact. */
static double ff_log2(double x) {
    double k, low, left, m = ff_mantissa(x, &k), high = ff_log_parts(m - 1.0, 0.0, &low);
    low = low * 0x1.71547652b82fep+0 + high * 0x1.4ae0bf85ddf44p-26;
    high = ff_sum(k, high * 0x1.71547600000p+0, &left);
    return ff_log_special(x, high + (left + low));
}

static double ff_log10(double x) {
    double k, low, left, m = ff_mantissa(x, &k), high = ff_log_parts(m - 1.0, 0.0, &low);
    low = (low * 0x1.bcb7b1526e50ep-2 + high * 0x1.49b9438ca9aaep-28) + k * 0x1.fef311f12b358p-46;
    high = ff_sum(k * 0x1.34413509f7800p-2, high * 0x1.bcb7b10000000p-2, &left);
    return ff_log_special(x, high + (left + low));
}

/* --- Powers --- */

/* log(i / 32) for i from 23: a multiple of 2^-42, so that its sum with a multiple of FF_LN2 is exact, and the rest. */
static const double ff_log_of[23][2] = {
    {-0x1.522ae0738ap-2, -0x1.ebe708164c759p-45}, {-0x1.269621134ep-2, 0x1.1b61f10522625p-44},
    {-0x1.f991c6cb3cp-3, 0x1.90d04cd7cc834p-44}, {-0x1.a93ed3c8aep-3, 0x1.8724350562169p-45},
    {-0x1.5bf406b544p-3, 0x1.27023eb68981cp-46}, {-0x1.1178e8227ep-3, -0x1.1ef78ce2d07f2p-45},
    {-0x1.9335e5d594p-4, -0x1.3115c3abd47dap-45}, {-0x1.08598b59e4p-4, 0x1.7e5dd7009902cp-46},
    {-0x1.0415d89e78p-5, 0x1.dddc7f461c516p-44}, {0.0, 0.0},
    {0x1.f829b0e78p-6, 0x1.980267c7e09e4p-45}, {0x1.f0a30c0118p-5, -0x1.d599e83368e91p-45},
    {0x1.6f0d28ae58p-4, -0x1.4b4641b664613p-44}, {0x1.e27076e2bp-4, -0x1.a342c2af0003cp-45},
    {0x1.29552f82p-3, -0x1.5b967f4471dfcp-44}, {0x1.5ff3070a7ap-3, -0x1.8586f183bebf2p-44},
    {0x1.9525a9cf46p-3, -0x1.297137d9f158fp-44}, {0x1.c8ff7c79aap-3, -0x1.7794f689f8434p-45},
    {0x1.fb9186d5e4p-3, -0x1.d572aab993c87p-47}, {0x1.1675cababap-2, 0x1.8380e731f55c4p-44},
    {0x1.2e8e2bae12p-2, -0x1.67b1e99b72bd8p-45}, {0x1.4618bc21c6p-2, -0x1.3d82f484c84ccp-46},
    {0x1.5d1bdbf581p-2, -0x1.8d6bdc9c7c238p-44},
};

/* log(x) as a sum of two, error 2^-67 of it; x finite and above zero. The polynomial: as in ff_log_parts for s below
 * 2^-6.4, error 2^-53 of it, 2^-68.6 of the logarithm. */
static double ff_log_sum(double x, double *rest) {
    double k, m = ff_mantissa(x, &k), near, f, y, y_low, s, t, q, z, high, left;
    uint32_t i = (uint32_t)(m * 32.0 + 0.5);
    near = (double)i * 0.03125;
    f = m - near;
    y = ff_sum(2.0 * near, f, &y_low);
    s = ff_quotient(f, 0.0, y, y_low, &t);
    q = s + t;
    z = q * q;
    z = q * z * (0x1.5555555555555p-1 + z * (0x1.99999999a4351p-2 + z * (0x1.2492466f55ab4p-2 + z * 0x1.c78b9af5f3778p-3)));
    high = ff_sum(k * FF_LN2 + ff_log_of[i - 23][0], 2.0 * s, &left);
    return ff_sum(high, left + ((2.0 * t + z) + (k * FF_LN2_LOW + ff_log_of[i - 23][1])), rest);
}

/* 2 for an even number, 1 for an odd one, 0 for one that is not whole. */
static uint32_t ff_parity(double y) {
    double size = ff_size(y);
    uint64_t whole;
    if (!(size < 0x1p53)) return 2;
    whole = (uint64_t)size;
    return (double)whole != size ? 0 : whole & 1 ? 1 : 2;
}

/* All special cases are those of C99, annex F.9.4.4. */
static double ff_pow(double x, double y) {
    double size = ff_size(x), high, low, left;
    uint32_t parity = ff_parity(y);
    uint64_t sign = parity == 1 ? ff_to_bits(x) & FF_MINUS : 0;
    if (y == 0 || x == 1.0) return 1.0;
    if (x != x || y != y) return FF_NAN;
    if (size == 0 || size == FF_INFINITY) return ff_from_bits(ff_to_bits((size == 0) == (y < 0) ? FF_INFINITY : 0.0) | sign);
    if (size == 1.0 && parity) return sign ? -1.0 : 1.0;
    if (!ff_is_finite(y)) return (size < 1.0) == (y < 0) ? FF_INFINITY : 0.0;
    if (x < 0 && !parity) return FF_NAN;
    y = y > 0x1p64 ? 0x1p64 : y < -0x1p64 ? -0x1p64 : y; /* enough to overflow: |log(x)| is not below 2^-54 */
    high = ff_log_sum(size, &low);
    low *= y;
    high = ff_product(high, y, &left);
    if (!(ff_size(high) < 800.0)) return ff_from_bits(ff_to_bits(high > 0 ? FF_INFINITY : 0.0) | sign);
    return ff_from_bits(ff_to_bits(ff_exp_sum(high, left + low)) | sign);
}

/* --- Sine and cosine --- */

/* 2 / pi, after 64 zeros. */
static const uint32_t ff_two_over_pi[39] = {
    0x00000000, 0x00000000, 0xa2f9836e, 0x4e441529, 0xfc2757d1, 0xf534ddc0, 0xdb629599, 0x3c439041, 0xfe5163ab, 0xdebbc561,
    0xb7246e3a, 0x424dd2e0, 0x06492eea, 0x09d1921c, 0xfe1deb1c, 0xb129a73e, 0xe88235f5, 0x2ebb4484, 0xe99c7026, 0xb45f7e41,
    0x3991d639, 0x835339f4, 0x9c845f8b, 0xbdf9283b, 0x1ff897ff, 0xde05980f, 0xef2f118b, 0x5a0a6d1f, 0x6d367ecf, 0x27cb09b7,
    0x4f463f66, 0x9e5fea2d, 0x7527bac7, 0xebe5f17b, 0x3d0739f7, 0x8a5292ea, 0x6bfb5fb1, 0x1f8d5d08, 0x56033046,
};

/* The quarter turn nearest to x, modulo 4, and what is left of x, as a sum of two. By M. Payne, R. Hanek, "Radian
 * reduction for trigonometric functions" (1983): of the product of x = m 2^e with 2 / pi, the bits above 2 and below
 * 2^-190 are never formed. No double comes so near to a multiple of pi / 2 that fewer than 70 bits are left. */
static uint32_t ff_quarters(double x, double *rest, double *rest_low) {
    uint64_t bits = ff_to_bits(x), carry = 0, m = (bits & UINT64_C(0x000fffffffffffff)) | UINT64_C(0x0010000000000000);
    uint32_t from = (uint32_t)(bits >> 52 & 0x7ff) - 1013, word[6], product[6], quarter, i;
    double high, low, left, scale = 0x1p-30;
    const uint32_t *at = ff_two_over_pi + from / 32;
    for (i = 0; i < 6; i++) word[i] = (uint32_t)((((uint64_t)at[i] << 32 | at[i + 1]) << from % 32) >> 32);
    for (i = 6; i--; carry >>= 32) {
        carry += (m & 0xffffffffu) * word[i];
        product[i] = (uint32_t)carry;
    }
    for (i = 5, carry = 0; i--; carry >>= 32) {
        carry += (m >> 32) * word[i + 1] + product[i];
        product[i] = (uint32_t)carry;
    }
    quarter = (product[0] + 0x20000000u) >> 30;
    product[0] -= quarter << 30;
    if (product[0] >> 31) {
        for (i = 0; i < 6; i++) product[i] = ~product[i];
        scale = -scale;
    }
    for (i = 0; i < 2 && !product[i]; i++) scale *= 0x1p-32;
    low = (double)product[i + 2] * 0x1p-64 + (double)product[i + 3] * 0x1p-96;
    high = ff_sum((double)product[i], (double)product[i + 1] * 0x1p-32, &left);
    low = (low + left) * 0x1.921fb54442d18p+0 + high * 0x1.1a62633145c07p-54;
    high = ff_product(high, 0x1.921fb54442d18p+0, &left);
    high = ff_sum(high, left + low, &left);
    *rest = high * scale;
    *rest_low = left * scale;
    return quarter;
}

/* r - r^3 / 6 + r^5 Q(r^2) up to pi / 4; the first 11 bits of r have a cube whose product with those of 1/6 is exact.
 * Error of r^5 Q: 2^-64.7. */
static double ff_sin_kernel(double r, double r_low) {
    double rh = ff_from_bits(ff_to_bits(r) & UINT64_C(0xfffffc0000000000)), z = r * r, z2 = z * z, cube = rh * rh * rh, high, left, q;
    q = (0x1.1111111111111p-7 + z * -0x1.a01a01a019ea5p-13) +
        z2 * ((0x1.71de3a5505aa8p-19 + z * -0x1.ae645526f4d4fp-26) + z2 * (0x1.612250759e95dp-33 + z * -0x1.ab8d96d125e6ep-41));
    high = ff_sum(r, cube * -0x1.55556p-3, &left);
    q = r * z2 * q - ((r - rh) * (z + rh * (r + rh)) * (1.0 / 6) - cube * 0x1.5555555555555p-24);
    return high + (left + (q + r_low * (1.0 - 0.5 * z)));
}

/* 1 - r^2 / 2 + r^4 Q(r^2). Error of r^4 Q: 2^-60. */
static double ff_cos_kernel(double r, double r_low) {
    double rh = ff_head(r), z = r * r, z2 = z * z, high, left, q;
    q = (0x1.5555555555555p-5 + z * -0x1.6c16c16c168cap-10) +
        z2 * ((0x1.a01a019f38349p-16 + z * -0x1.27e4fa02da51p-22) + z2 * (0x1.1eeb57c6838ebp-29 + z * -0x1.90737ad41864ep-37));
    high = ff_sum(1.0, -0.5 * rh * rh, &left);
    return high + (left + (z2 * q - (0.5 * (r - rh) * (r + rh) + r * r_low)));
}

/* The sine of |x| and so many quarter turns. */
static double ff_turned(double size, uint32_t quarter) {
    double r = size, r_low = 0.0, y;
    if (!(size < FF_INFINITY)) return FF_NAN;
    if (size > 0x1.921fb54442d18p-1) quarter += ff_quarters(size, &r, &r_low);
    y = quarter & 1 ? ff_cos_kernel(r, r_low) : ff_sin_kernel(r, r_low);
    return quarter & 2 ? -y : y;
}

static double ff_sin(double x) {
    double y = ff_turned(ff_size(x), 0);
    if (ff_size(x) < 0x1p-27) return x;
    return y == y && x < 0 ? -y : y;
}

static double ff_cos(double x) { return ff_turned(ff_size(x), 1); }

/* --- The normal distribution --- */

/* Phi(x) - 1/2 as a sum of two, for |x| up to 1.01. The polynomial: (Phi(x) - 1/2 - x / sqrt(2 pi)) / x^3 in x^2, error
 * 2^-62 of the sum. */
static double ff_ndtr_centre(double x, double *rest) {
    double z = x * x, xh = ff_head(x), q;
    q = -0x1.1058377e2ceep-4 + z * (0x1.46d042976910ep-7 + z * (-0x1.37403f6b98dabp-10 + z * (0x1.e42b0d4d37a11p-14 +
        z * (-0x1.3ce8f9f4e7772p-17 + z * (0x1.6589f8ff175efp-21 + z * (-0x1.621d5edaeaa5p-25 + z * (0x1.38127653e14e4p-29 +
        z * (-0x1.e7016fe491c31p-34 + z * 0x1.1fd3e954cc729p-38))))))));
    *rest = (x - xh) * 0x1.988453p-2 + x * 0x1.ea1b284687e5ap-29 + x * z * q;
    return xh * 0x1.988453p-2;
}

/* Phi(-t) / 2^k, 2^k as a product of two, and R(t) = exp(t^2 / 2) Phi(-t), for t from 1 to 38.6; t^2 is exact. The
 * polynomials: R(t) (t + c) in v = (t - b) / (t + c), errors 2^-54.5 and 2^-54.7 of it. */
static double ff_ndtr_tail(double t, double *scale, double *scale_too, double *ratio) {
    static const double near[16] = {
        0x1.1d2d9122f7b9cp0, -0x1.af05f523a8dc2p0, 0x1.fa17d3c4a7479p0, -0x1.ce0060dfa2acbp0, 0x1.3faacfcbf8566p0,
        -0x1.36ce0fe31acf3p-1, 0x1.4432799e0cbfcp-3, 0x1.5a326c21dc40fp-6, -0x1.0a93c9b280d94p-5, 0x1.3e492eac409a8p-8,
        0x1.4c335a7eeb54bp-8, -0x1.a61ff3fddbe22p-10, -0x1.d0f0cbbee9475p-11, 0x1.6751318e1f229p-12, 0.0, 0.0,
    };
    static const double far[16] = {
        0x1.1f25af900c24ep-1, -0x1.c14cf6d1eedd3p-3, 0x1.329c2316383bdp-4, -0x1.61b9f32a7a28dp-6, 0x1.44be3928f4158p-8,
        -0x1.95ec6a737806bp-11, 0x1.cc7a0db0b0b34p-16, 0x1.98fc4d90ef713p-16, -0x1.9f82e4268b61ap-18, -0x1.eeef7c19acf4dp-24,
        0x1.87ded7ad3ddc1p-22, -0x1.77dff1cd4b357p-25, -0x1.42e968c881ea6p-26, 0x1.538b730708008p-28, 0x1.f331ce9791893p-31,
        -0x1.ab62b795955f8p-32,
    };
    const double *coefficient = t < 4.0 ? near : far;
    double th = ff_head(t), below = t + (t < 4.0 ? 5.0 : 4.0), v = (t - (t < 4.0 ? 2.25 : 9.5)) / below, r = 0, high, low, left;
    uint32_t i;
    for (i = 16; i--;) r = r * v + coefficient[i];
    r /= below;
    high = ff_exp_parts(-0.5 * th * th, -0.5 * (t - th) * (t + th), &low, scale, scale_too);
    high = ff_sum(1.0, high, &left);
    *ratio = r;
    return r * high + r * (left + low);
}

static double ff_ndtr(double x) {
    double size = ff_size(x), high, low, left, scale, scale_too, ratio;
    if (size <= 1.0) {
        high = ff_ndtr_centre(x, &low);
        high = ff_sum(0.5, high, &left);
        return high + (left + low);
    }
    if (!(size < 38.6)) return x != x ? FF_NAN : x < 0 ? 0.0 : 1.0;
    high = ff_ndtr_tail(size, &scale, &scale_too, &ratio);
    high *= scale;
    high *= scale_too;
    return x < 0 ? high : 1.0 - high;
}

/* Two approximations, to 2^-24 and 2^-21, as in M. J. Wichura, "Algorithm AS 241: The percentage points of the normal
 * distribution" (1988), but with polynomials of our own, which meet the function at Chebyshev's points; then a step of
 * Halley's method, which triples their digits. */
static double ff_ndtri(double p) {
    double q, q_low, least = p < 0.5 ? p : 1.0 - p, x, high, low, step, scale, scale_too, ratio, v;
    if (!(p > 0 && p < 1.0)) return p == 0 ? -FF_INFINITY : p == 1.0 ? FF_INFINITY : FF_NAN;
    q = ff_sum(-0.5, p, &q_low);
    if (least >= 0.29) {
        v = q * q;
        x = q * (2.5066283467209312 + v * (2.6248534977391644 + v * (5.7870878115808875 + v * (14.774916519582138 + v * 68.447251987182739))));
    } else {
        x = ff_sqrt(-2.0 * ff_log(least));
        v = (x - 5.75) / (x + 4.0);
        x -= 0.47438564354134227 + v * (-0.53009357184102313 + v * (0.15371916149326298 + v * (-0.096508954771772126 +
             v * (0.03629866602590455 + v * (-0.026724525637309645 + v * (0.009071898552869077 + v * (-0.01107360629759673 +
             v * (0.0049593713611246516 + v * (0.00023703373645604737 + v * (-0.0014900904008274072 + v * -0.0068322007677753998))))))))));
        x = p < 0.5 ? -x : x;
    }
    if (ff_size(x) <= 1.005) {
        high = ff_ndtr_centre(x, &low);
        step = ((high - q) + (low - q_low)) * (0x1.40d931ff62706p+1 * ff_exp(0.5 * x * x));
    } else {
        high = ff_ndtr_tail(ff_size(x), &scale, &scale_too, &ratio);
        step = (high - least / scale / scale_too) / high * (ratio * 0x1.40d931ff62706p+1);
        step = p < 0.5 ? step : -step;
    }
    return x - step / (1.0 + 0.5 * x * step);
}

/* ------------------------------------------------------------------------------------------------------------------
 * 3  The format: sections, steps, nodes
 * ------------------------------------------------------------------------------------------------------------------ */

/* The header: the magic bytes, the version, the counts of registers and codes, then offset and count of each section. */
#define FF_SECTIONS 9
enum { FF_S_INPUTS, FF_S_OUTPUTS, FF_S_STEPS, FF_S_WORDS, FF_S_NUMBERS, FF_S_NODES, FF_S_LIMITS, FF_S_STRINGS, FF_S_TEXT };
static const uint32_t ff_section_item[FF_SECTIONS] = {sizeof(ff_port), sizeof(ff_port), 4, 4, 8, 16, 4, 4, 1};

typedef struct {
    uint8_t magic[8];
    uint32_t version, registers, codes, reserved;
    struct { uint64_t offset, count; } section[FF_SECTIONS];
} ff_header;

static const uint8_t ff_magic[8] = {'F', 'O', 'U', 'R', 'P', 'L', 'A', 'N'};

/* A node of a tree. Nodes lie in preorder: the left child of an inner node is the next one. */
typedef struct ff_node {
    union {
        double threshold; /* number slot: left where the number is not above it; code slot: where the code is this one
                             (FF_NODE_CODE) or is not (FF_NODE_OTHERS); leaf: its value, where that is one number */
        uint32_t set[2];  /* code slot: left where the code's bit is set in the words from set[0] on (FF_NODE_SET); leaf: which
                             values it has, where they are several; set[1] is 0 */
    } test;
    uint32_t right; /* the right child, counted from the tree's root; of a leaf the leaf itself */
    uint32_t flags;
} ff_node;
#define FF_NODE_SLOT 0x0fffffffu
#define FF_NODE_NAN_LEFT 0x10000000u /* number slot: NaN goes left */
#define FF_NODE_LEAF 0x20000000u
#define FF_NODE_CODE 0x40000000u
#define FF_NODE_OTHERS 0xc0000000u
#define FF_NODE_SET 0x80000000u
#define FF_NODE_KIND 0xc0000000u

#define FF_CODE 0x80000000u      /* in a list of slots: a code register */
#define FF_FOREST_FLOAT32 1u     /* sums are rounded to float32 after every tree */
#define FF_FOREST_FROM 2u        /* sums begin with registers instead of numbers */
#define FF_DEEPEST 4096u
#define FF_MOST_MASKED 127u     /* nodes of a tree of 64 leaves */
#define FF_LARGE (1u << 16)     /* nodes of large trees in a plan, that take more memory than caches have */
#define FF_MOST_LANES 512u
#define FF_MOST_NEIGHBOURS 4096u
#define FF_MOST_COUPLED 1024u
#define FF_COUPLINGS 100u /* rounds, or as many as there are classes */

enum ff_operation {
    FF_NUMBER = 1, /* dst input                                a column's numbers; NaN where one is missing */
    FF_TEXT,       /* code input string count                  the place of a text among strings; count: another, count + 1: missing */
    FF_MATCH,      /* code src numbers count                   the place among ascending numbers; count: another, count + 1: NaN */
    FF_SEARCH,     /* code src numbers count right             how many are below (right: not above) the number; count + 1: NaN */
    FF_RECODE,     /* code code words                          another code for each code */
    FF_LOOKUP,     /* dst code width numbers                   numbers for each code */
    FF_CONSTANT,   /* dst count numbers */
    FF_MAP,        /* dst count function words                 f(x) */
    FF_MAP_CONST,  /* dst count function words numbers         f(x, constant) */
    FF_MAP_TWO,    /* dst count function words words           f(x, y) */
    FF_SELECT,     /* dst count words words words              y where x is not 0, else z */
    FF_DOT,        /* dst outputs inputs words numbers         numbers: outputs for each input */
    FF_FOLD,       /* dst count function words                 one number of many */
    FF_ARGMAX,     /* code count words                         the first place of the largest */
    FF_INTERPOLATE,/* dst src xs ys count                      as numpy.interp */
    FF_FOREST,     /* dst outputs flags width slots words trees words values count init */
    FF_NEAREST,    /* dst k width inputs words rows metric power points targets nodes count bounds
                                                               the distances of the k nearest points, and their targets */
    FF_REFUSE,     /* count words kind string                  a row whose number is of that kind has no answer */
    FF_BAG,        /* bag input words                          what a text has of each n-gram; words: ff_setting */
    FF_BAG_MAP,    /* bag bag function                         f(x) of every entry */
    FF_BAG_CONST,  /* bag bag function numbers each            f(x, constant), one for all or (each) one a column */
    FF_BAG_ROW,    /* bag bag function src                     f(x, y) with a number of the row */
    FF_BAG_PICK,   /* bag bag words width                      another column for each, ascending; UINT32_MAX: none */
    FF_BAG_FOLD,   /* dst bag function float32 first           one number of a row's entries and a first one */
    FF_BAG_DOT,    /* dst outputs bag words numbers float32    numbers: outputs for each column; words: first sums, UINT32_MAX: 0 */
    FF_BAG_SPREAD, /* dst count bag words nan                  the number of some columns: words: which one is each */
    FF_MEDIAN,     /* dst count words numbers                  of numbers with weights the first that half of all is not above */
    FF_HASH,       /* dst input                                the hash of a text, or of an integer's digits; NaN where it is missing */
    FF_JOIN,       /* code count words words count             the place of the hash of numbers among ascending ones; count: another */
    FF_SINGLE,     /* dst input                                a column's numbers, rounded to float32 at once; NaN where one is missing */
    FF_DISTANCES,  /* dst rows inputs words metric power points   the distance of each point */
    FF_COUPLE,     /* dst classes words                        the probabilities of classes that those of their pairs fit */
    FF_OPERATIONS
};

/* The operands of each step, besides its first word. */
static const uint8_t ff_operands[FF_OPERATIONS] = {0, 2, 4, 4, 5, 3, 4, 3, 4, 5, 5, 5, 5, 4, 3, 5, 11, 13, 4, 3, 3, 5, 4, 4, 5, 6, 5, 4, 2, 5, 2, 7, 3};

enum ff_function {
    /* of one number */
    FF_NEGATE = 0, FF_ABS, FF_SQRT, FF_EXP, FF_EXPM1, FF_LOG, FF_LOG1P, FF_LOG2, FF_LOG10, FF_TANH, FF_SIGMOID, FF_SIN,
    FF_COS, FF_FLOOR, FF_CEIL, FF_ROUND32, FF_IS_NAN, FF_SIGN, FF_NDTR, FF_NDTRI, FF_CBRT, FF_RINT, FF_TRUNC,
    FF_ONES,
    /* of two */
    FF_ADD = 32, FF_SUB, FF_RSUB, FF_MUL, FF_DIV, FF_RDIV, FF_MIN, FF_MAX, FF_POW, FF_EQ, FF_NE, FF_LT, FF_LE, FF_GT,
    FF_GE, FF_IF_NAN, FF_MOD,
    FF_TWOS,
    /* of many */
    FF_SUM = 64, FF_PAIRWISE, FF_LEAST, FF_MOST, FF_SQUARES, FF_ABSOLUTES, FF_PRODUCT,
    FF_MANY
};

/* Distances: sums of squares, of magnitudes, the largest magnitude, sums of powers of them; and sums of squares by
 * products, as x² - 2xy + y². No root is drawn. */
enum ff_metric { FF_SQUARED, FF_MANHATTAN, FF_CHEBYSHEV, FF_MINKOWSKI, FF_PRODUCTS, FF_METRICS };
#define FF_BALLS 8u /* beside the metric of neighbours: nodes are balls */

enum ff_kind { FF_NOT_FINITE = 0, FF_A_NAN, FF_INFINITE, FF_ZERO, FF_KINDS };

/* ------------------------------------------------------------------------------------------------------------------
 * 4  Opening a plan: everything is checked, once
 * ------------------------------------------------------------------------------------------------------------------ */

static int ff_fail(ff_plan *plan, const char *what, uint64_t where) {
    char digits[24];
    size_t end = 0, count = 0;
    while (what[end] && end < FF_ERROR - 32) { plan->error[end] = what[end]; end++; }
    do { digits[count++] = (char)('0' + where % 10); where /= 10; } while (where);
    plan->error[end++] = ' ';
    while (count) plan->error[end++] = digits[--count];
    plan->error[end] = 0;
    return -1;
}

#define FF_CHECK(holds, what, where) do { if (!(holds)) return ff_fail(plan, what, where); } while (0)

static int ff_inside(uint64_t first, uint64_t count, uint64_t total) { return first <= total && count <= total - first; }

/* Registers are written in ascending order and read after they are written, so two counters are the whole check. */
typedef struct {
    uint32_t registers, codes;
    uint32_t dictionaries, forests;
    uint32_t slots, workspace;
    uint32_t bags, readers;
    uint32_t large; /* nodes of trees that must be walked */
    uint64_t work, most; /* what a row costs, roughly in operations, and what it may */
} ff_progress;

/* A plan's demands are in proportion to its bytes: steps may share arrays, so a small file could ask for any amount of
 * time and memory otherwise. No model that was compiled comes near these; one of 100 KB answers a row within 26 million
 * operations, and with a million registers. */
#define FF_WORK_A_BYTE 256u
#define FF_REGISTERS_A_BYTE 16u
#define FF_MOST_SCRATCH (32u << 20) /* bytes of registers, as long as a single row's need no more */
#define FF_MOST_WORKSPACE (1u << 30)

static uint64_t ff_times(uint64_t a, uint64_t b) { return a && b > (UINT64_MAX >> 3) / a ? UINT64_MAX >> 3 : a * b; }

static int ff_reads(const ff_plan *plan, const ff_progress *so_far, uint64_t word, uint64_t count) {
    uint64_t i;
    if (!ff_inside(word, count, plan->words)) return 0;
    for (i = 0; i < count; i++)
        if (plan->word[word + i] >= so_far->registers) return 0;
    return 1;
}

static int ff_writes(const ff_plan *plan, ff_progress *so_far, uint32_t dst, uint64_t count) {
    if (dst != so_far->registers || count == 0 || count > plan->registers - dst) return 0;
    so_far->registers += (uint32_t)count;
    return 1;
}

static int ff_writes_code(const ff_plan *plan, ff_progress *so_far, uint32_t dst, uint64_t limit) {
    const uint32_t *limits = plan->word + plan->words; /* see ff_open: the limits follow the words */
    if (dst != so_far->codes || dst >= plan->codes || limits[dst] != limit) return 0;
    so_far->codes++;
    return 1;
}

static uint32_t ff_limit(const ff_plan *plan, uint32_t code) { return (plan->word + plan->words)[code]; }

static int ff_ascending(const ff_plan *plan, uint64_t first, uint64_t count) {
    uint64_t i;
    if (!ff_inside(first, count, plan->numbers)) return 0;
    for (i = 0; i < count; i++)
        if (ff_is_nan(plan->number[first + i]) || (i && !(plan->number[first + i - 1] < plan->number[first + i]))) return 0;
    return 1;
}

static int ff_open_tree(const ff_plan *plan, const uint32_t *operand, uint32_t first, uint32_t count) {
    /* A tree in preorder is whole if the right children that are still due are met in the order last in, first out. */
    uint32_t due[FF_DEEPEST], depth = 0, i;
    uint32_t slots = operand[4];
    const uint32_t *slot = plan->word + operand[5];
    if (count == 0 || !ff_inside(first, count, plan->nodes)) return 0;
    for (i = 0; i < count; i++) {
        const ff_node *node = plan->node + first + i;
        if (node->flags & FF_NODE_LEAF) {
            if (node->flags != FF_NODE_LEAF || node->right != i) return 0;
            if (operand[3] > 1 && (node->test.set[0] >= operand[9] || node->test.set[1])) return 0;
            if (depth == 0) return i == count - 1;
            if (due[--depth] != i + 1) return 0;
            continue;
        }
        if (node->right <= i + 1 || node->right >= count || depth == FF_DEEPEST) return 0;
        if ((node->flags & FF_NODE_SLOT) >= slots) return 0;
        if (slot[node->flags & FF_NODE_SLOT] & FF_CODE) {
            uint32_t limit = ff_limit(plan, slot[node->flags & FF_NODE_SLOT] & ~FF_CODE);
            uint32_t kind = node->flags & FF_NODE_KIND;
            if (!kind || node->flags & FF_NODE_NAN_LEFT) return 0;
            if (kind != FF_NODE_SET && ff_is_nan(node->test.threshold)) return 0;
            if (kind == FF_NODE_SET && (node->test.set[1] || !ff_inside(node->test.set[0], ((uint64_t)limit + 31) / 32, plan->words))) return 0;
        } else if (ff_is_nan(node->test.threshold) || node->flags & FF_NODE_KIND) return 0;
        due[depth++] = node->right;
    }
    return 0;
}

static int ff_open_forest(ff_plan *plan, ff_progress *so_far, const uint32_t *operand, uint64_t where) {
    uint32_t outputs = operand[1], width = operand[3], slots = operand[4], trees = operand[6], i;
    const uint32_t *tree = plan->word + operand[7];
    uint64_t padded = ((uint64_t)trees + 15) / 16 * 16;
    FF_CHECK(operand[2] <= (FF_FOREST_FLOAT32 | FF_FOREST_FROM), "a forest has flags that are not known, at step", where);
    FF_CHECK(trees > 0 && slots <= FF_NODE_SLOT, "a forest has no trees, or too many slots, at step", where);
    FF_CHECK(width == 1 || width == outputs, "a forest's leaves are as wide as neither one nor all outputs, at step", where);
    FF_CHECK(ff_inside(operand[5], slots, plan->words), "a forest's slots are outside, at step", where);
    for (i = 0; i < slots; i++) {
        uint32_t source = plan->word[operand[5] + i];
        FF_CHECK(source & FF_CODE ? (source & ~FF_CODE) < so_far->codes : source < so_far->registers,
                 "a forest reads a register that is not written yet, at step", where);
    }
    FF_CHECK(ff_inside(operand[7], 3 * (uint64_t)trees, plan->words), "a forest's trees are outside, at step", where);
    FF_CHECK(ff_inside(operand[8], (uint64_t)operand[9] * width, plan->numbers), "a forest's values are outside, at step", where);
    FF_CHECK(operand[2] & FF_FOREST_FROM ? ff_reads(plan, so_far, operand[10], outputs) : ff_inside(operand[10], outputs, plan->numbers),
             "a forest's first sums are outside, at step", where);
    for (i = 0; i < trees; i++) {
        FF_CHECK(width > 1 || tree[3 * i + 2] < outputs, "a tree adds to an output that is not there: tree", i);
        so_far->work += tree[3 * i + 1];
        FF_CHECK(so_far->work <= so_far->most, "a row would cost too much for a plan of this size: tree", i);
        FF_CHECK(ff_open_tree(plan, operand, tree[3 * i], tree[3 * i + 1]), "not a tree in preorder, inside the plan: tree", i);
        if (tree[3 * i + 1] > FF_MOST_MASKED && so_far->large < FF_LARGE) so_far->large += tree[3 * i + 1];
    }
    FF_CHECK(ff_writes(plan, so_far, operand[0], outputs), "a forest writes elsewhere than to the next registers, at step", where);
    so_far->forests++;
    if (so_far->slots < (slots ? slots : 1)) so_far->slots = slots ? slots : 1;
    FF_CHECK(padded * 32 <= FF_MOST_WORKSPACE, "too many trees, at step", where);
    if (so_far->workspace < padded * 32) so_far->workspace = (uint32_t)(padded * 32);
    return 0;
}

/* The tree of neighbours: node i has the children 2i + 1 and 2i + 2; three words of each say where the points of a leaf
 * begin and end, and whether it is one. Leaves may not hold more points than there are, so that no row costs more. The
 * bounds are each node's least values and then each one's largest, or the middles of balls and then their radii. */
static int ff_open_neighbour_tree(const ff_plan *plan, uint32_t nodes, uint32_t count, uint32_t rows) {
    uint64_t points = 0;
    uint32_t i;
    if (count == 0 || count > (1u << 28) || !ff_inside(nodes, 3 * (uint64_t)count, plan->words)) return 0;
    for (i = 0; i < count; i++) {
        const uint32_t *node = plan->word + nodes + 3 * (uint64_t)i;
        if (node[2] > 1) return 0;
        if (!node[2]) {
            if (2 * i + 2 >= count) return 0;
            continue;
        }
        if (node[0] > node[1] || node[1] > rows) return 0;
        points += node[1] - node[0];
    }
    return points <= rows;
}

static int ff_open_nearest(ff_plan *plan, ff_progress *so_far, const uint32_t *a, uint64_t where) {
    uint32_t k = a[1], width = a[2], inputs = a[3], rows = a[5];
    uint64_t bytes = 12 * (uint64_t)k + 8 * (uint64_t)inputs;
    FF_CHECK(k > 0 && k <= rows && k <= FF_MOST_NEIGHBOURS, "neighbours: none, more than rows, or too many, at step", where);
    FF_CHECK((a[6] & ~FF_BALLS) < FF_METRICS && ff_inside(a[7], 2, plan->numbers), "a distance that is not known, at step", where);
    FF_CHECK(inputs < (1u << 24), "too many inputs, at step", where);
    FF_CHECK(ff_reads(plan, so_far, a[4], inputs), "reads a register that is not written yet, at step", where);
    FF_CHECK(ff_inside(a[8], (uint64_t)rows * inputs, plan->numbers) && ff_inside(a[9], (uint64_t)rows * width, plan->numbers),
             "neighbours are outside, at step", where);
    FF_CHECK(ff_open_neighbour_tree(plan, a[10], a[11], rows), "not a tree of neighbours, inside the plan, at step", where);
    FF_CHECK(ff_inside(a[12], a[11] < 2 ? 0 : ff_times(a[11], a[6] & FF_BALLS ? (uint64_t)inputs + 1 : 2 * (uint64_t)inputs), plan->numbers),
             "the bounds of neighbours are outside, at step", where);
    FF_CHECK(ff_writes(plan, so_far, a[0], k * ((uint64_t)width + 1)), "writes elsewhere than to the next registers, at step", where);
    if (so_far->workspace < bytes) so_far->workspace = (uint32_t)bytes;
    return 0;
}

static uint64_t ff_rounds(uint64_t classes) { return classes > FF_COUPLINGS ? classes : FF_COUPLINGS; }

static int ff_open_couple(ff_plan *plan, ff_progress *so_far, const uint32_t *a, uint64_t where) {
    uint64_t k = a[1], bytes = 8 * (2 * k * k + 2 * k);
    FF_CHECK(k > 1 && k <= FF_MOST_COUPLED, "too few or too many classes to be coupled, at step", where);
    FF_CHECK(ff_reads(plan, so_far, a[2], k * (k - 1) / 2), "reads a register that is not written yet, at step", where);
    FF_CHECK(ff_writes(plan, so_far, a[0], k), "writes elsewhere than to the next registers, at step", where);
    if (so_far->workspace < bytes) so_far->workspace = (uint32_t)bytes;
    return 0;
}

static int ff_open_distances(ff_plan *plan, ff_progress *so_far, const uint32_t *a, uint64_t where) {
    FF_CHECK(a[4] < FF_METRICS && a[5] < plan->numbers, "a distance that is not known, at step", where);
    FF_CHECK(ff_reads(plan, so_far, a[3], a[2]), "reads a register that is not written yet, at step", where);
    FF_CHECK(ff_inside(a[6], (uint64_t)a[1] * a[2], plan->numbers), "points are outside, at step", where);
    if (so_far->workspace < 8 * FF_MOST_LANES) so_far->workspace = 8 * FF_MOST_LANES;
    if (so_far->workspace < 8 * a[2]) so_far->workspace = 8 * a[2]; /* a[2] is below 2^24, or it would not be read */
    FF_CHECK(ff_writes(plan, so_far, a[0], a[1]), "writes elsewhere than to the next registers, at step", where);
    return 0;
}

/* A function of one (0), two (32) or many (64) numbers. */
static int ff_known_function(uint32_t function, uint32_t of) {
    return of == 0 ? function < FF_ONES : of == 32 ? function >= FF_ADD && function < FF_TWOS
                                                   : function >= FF_SUM && function < FF_MANY;
}

static int ff_open_bag_step(ff_plan *plan, ff_progress *so_far, uint32_t operation, const uint32_t *a, uint64_t where); /* section 8 */

static uint64_t ff_hash_at(const ff_plan *plan, uint32_t word, uint64_t place) {
    const uint32_t *half = plan->word + word + 2 * place;
    return (uint64_t)half[0] | (uint64_t)half[1] << 32;
}

/* What a step costs a row, or its validation and preparation, which is why dictionaries and slots weigh as they do.
 * Nothing of the operands is believed yet. */
static uint64_t ff_work(const ff_plan *plan, const ff_progress *so_far, uint32_t operation, const uint32_t *a) {
    switch (operation) {
    case FF_TEXT: return ff_times(a[3], 64);
    case FF_MATCH:
    case FF_SEARCH: return a[3];
    case FF_RECODE: return a[1] < so_far->codes ? ff_limit(plan, a[1]) : 0;
    case FF_LOOKUP: return a[2];
    case FF_DOT: return ff_times((uint64_t)a[1] + 1, (uint64_t)a[2] + 1);
    case FF_INTERPOLATE: return a[4];
    case FF_FOREST: return ff_times((uint64_t)a[6] + 16, (uint64_t)a[4] + 1) + a[1]; /* and its nodes: ff_open_forest */
    case FF_NEAREST: return ff_times((uint64_t)a[5] + a[11], (uint64_t)a[3] + 1) + ff_times(a[1], (uint64_t)a[2] + 64);
    case FF_DISTANCES: return ff_times((uint64_t)a[1] + 1, (uint64_t)a[2] + 1);
    case FF_COUPLE: return ff_times(ff_times(a[1], a[1]), ff_rounds(a[1]));
    case FF_MEDIAN: return ff_times(a[1], 32);
    case FF_JOIN: return (uint64_t)a[1] + a[4];
    case FF_REFUSE: return a[0];
    case FF_BAG_PICK: return a[1] < so_far->bags ? plan->bag_width[a[1]] : 0;
    case FF_BAG_DOT:
    case FF_BAG_SPREAD: return (uint64_t)a[1] + (a[2] < so_far->bags ? plan->bag_width[a[2]] : 0);
    case FF_CONSTANT:
    case FF_MAP:
    case FF_MAP_CONST:
    case FF_MAP_TWO:
    case FF_SELECT:
    case FF_FOLD:
    case FF_ARGMAX: return a[1];
    default: return 1;
    }
}

static int ff_open_step(ff_plan *plan, ff_progress *so_far, uint32_t operation, const uint32_t *a, uint64_t where) {
    static const char unread[] = "reads a register that is not written yet, at step";
    static const char unwritten[] = "writes elsewhere than to the next registers, at step";
    static const char outside[] = "its constants are outside or out of order, at step";
    static const char unknown[] = "a function that is not known, at step";
    uint64_t i;
    switch (operation) {
    case FF_NUMBER:
    case FF_SINGLE:
        FF_CHECK(a[1] < plan->inputs && plan->input[a[1]].type != FF_STRING, "no such input of numbers, at step", where);
        FF_CHECK(ff_writes(plan, so_far, a[0], 1), unwritten, where);
        return 0;
    case FF_TEXT:
        FF_CHECK(a[1] < plan->inputs && plan->input[a[1]].type == FF_STRING, "no such input of text, at step", where);
        FF_CHECK(ff_inside(a[2], a[3], plan->strings), outside, where);
        FF_CHECK(ff_writes_code(plan, so_far, a[0], (uint64_t)a[3] + 2), unwritten, where);
        so_far->dictionaries++;
        return 0;
    case FF_MATCH:
    case FF_SEARCH:
        FF_CHECK(a[1] < so_far->registers, unread, where);
        FF_CHECK(ff_ascending(plan, a[2], a[3]) && (operation == FF_MATCH || a[4] <= 1), outside, where);
        FF_CHECK(ff_writes_code(plan, so_far, a[0], (uint64_t)a[3] + 2), unwritten, where);
        return 0;
    case FF_RECODE: {
        uint32_t limit;
        FF_CHECK(a[1] < so_far->codes, unread, where);
        FF_CHECK(ff_inside(a[2], ff_limit(plan, a[1]), plan->words) && a[0] < plan->codes, outside, where);
        limit = ff_limit(plan, a[0]);
        for (i = 0; i < ff_limit(plan, a[1]); i++) FF_CHECK(plan->word[a[2] + i] < limit, outside, where);
        FF_CHECK(ff_writes_code(plan, so_far, a[0], limit), unwritten, where);
        return 0;
    }
    case FF_LOOKUP:
        FF_CHECK(a[1] < so_far->codes, unread, where);
        FF_CHECK(ff_inside(a[3], (uint64_t)ff_limit(plan, a[1]) * a[2], plan->numbers), outside, where);
        FF_CHECK(ff_writes(plan, so_far, a[0], a[2]), unwritten, where);
        return 0;
    case FF_CONSTANT:
        FF_CHECK(ff_inside(a[2], a[1], plan->numbers), outside, where);
        FF_CHECK(ff_writes(plan, so_far, a[0], a[1]), unwritten, where);
        return 0;
    case FF_MAP:
        FF_CHECK(ff_known_function(a[2], 0), unknown, where);
        FF_CHECK(ff_reads(plan, so_far, a[3], a[1]), unread, where);
        FF_CHECK(ff_writes(plan, so_far, a[0], a[1]), unwritten, where);
        return 0;
    case FF_MAP_CONST:
        FF_CHECK(ff_known_function(a[2], 32), unknown, where);
        FF_CHECK(ff_reads(plan, so_far, a[3], a[1]), unread, where);
        FF_CHECK(ff_inside(a[4], a[1], plan->numbers), outside, where);
        FF_CHECK(ff_writes(plan, so_far, a[0], a[1]), unwritten, where);
        return 0;
    case FF_MAP_TWO:
        FF_CHECK(ff_known_function(a[2], 32), unknown, where);
        FF_CHECK(ff_reads(plan, so_far, a[3], a[1]) && ff_reads(plan, so_far, a[4], a[1]), unread, where);
        FF_CHECK(ff_writes(plan, so_far, a[0], a[1]), unwritten, where);
        return 0;
    case FF_SELECT:
        FF_CHECK(ff_reads(plan, so_far, a[2], a[1]) && ff_reads(plan, so_far, a[3], a[1]) &&
                 ff_reads(plan, so_far, a[4], a[1]), unread, where);
        FF_CHECK(ff_writes(plan, so_far, a[0], a[1]), unwritten, where);
        return 0;
    case FF_DOT:
        FF_CHECK(ff_reads(plan, so_far, a[3], a[2]), unread, where);
        FF_CHECK(ff_inside(a[4], (uint64_t)a[1] * a[2], plan->numbers), outside, where);
        FF_CHECK(ff_writes(plan, so_far, a[0], a[1]), unwritten, where);
        return 0;
    case FF_FOLD:
        FF_CHECK(ff_known_function(a[2], 64) && a[1] > 0, unknown, where);
        FF_CHECK(ff_reads(plan, so_far, a[3], a[1]), unread, where);
        FF_CHECK(ff_writes(plan, so_far, a[0], 1), unwritten, where);
        return 0;
    case FF_ARGMAX:
        FF_CHECK(a[1] > 0 && ff_reads(plan, so_far, a[2], a[1]), unread, where);
        FF_CHECK(ff_writes_code(plan, so_far, a[0], a[1]), unwritten, where);
        return 0;
    case FF_INTERPOLATE:
        FF_CHECK(a[1] < so_far->registers, unread, where);
        FF_CHECK(a[4] > 0 && ff_inside(a[2], a[4], plan->numbers) && ff_inside(a[3], a[4], plan->numbers), outside, where);
        for (i = 0; i < a[4]; i++)
            FF_CHECK(!ff_is_nan(plan->number[a[2] + i]) && (!i || plan->number[a[2] + i - 1] <= plan->number[a[2] + i]),
                     outside, where);
        FF_CHECK(ff_writes(plan, so_far, a[0], 1), unwritten, where);
        return 0;
    case FF_FOREST: return ff_open_forest(plan, so_far, a, where);
    case FF_NEAREST: return ff_open_nearest(plan, so_far, a, where);
    case FF_DISTANCES: return ff_open_distances(plan, so_far, a, where);
    case FF_COUPLE: return ff_open_couple(plan, so_far, a, where);
    case FF_HASH:
        FF_CHECK(a[1] < plan->inputs && plan->input[a[1]].type != FF_FLOAT32 && plan->input[a[1]].type != FF_FLOAT64,
                 "no such input of text or integers, at step", where);
        FF_CHECK(ff_writes(plan, so_far, a[0], 1), unwritten, where);
        return 0;
    case FF_JOIN:
        FF_CHECK(ff_reads(plan, so_far, a[2], a[1]), unread, where);
        FF_CHECK(ff_inside(a[3], 2 * (uint64_t)a[4], plan->words), outside, where);
        for (i = 1; i < a[4]; i++) FF_CHECK(ff_hash_at(plan, a[3], i - 1) < ff_hash_at(plan, a[3], i), outside, where);
        FF_CHECK(ff_writes_code(plan, so_far, a[0], (uint64_t)a[4] + 1), unwritten, where);
        return 0;
    case FF_MEDIAN:
        FF_CHECK(a[1] > 0 && a[1] < (1u << 24) && ff_reads(plan, so_far, a[2], a[1]), unread, where);
        FF_CHECK(ff_inside(a[3], a[1], plan->numbers), outside, where);
        FF_CHECK(ff_writes(plan, so_far, a[0], 1), unwritten, where);
        if (so_far->workspace < 16 * a[1]) so_far->workspace = 16 * a[1];
        return 0;
    case FF_REFUSE:
        FF_CHECK(ff_reads(plan, so_far, a[1], a[0]), unread, where);
        FF_CHECK(a[2] < FF_KINDS && a[3] < plan->strings, outside, where);
        return 0;
    case FF_BAG:
    case FF_BAG_MAP:
    case FF_BAG_CONST:
    case FF_BAG_ROW:
    case FF_BAG_PICK:
    case FF_BAG_FOLD:
    case FF_BAG_DOT:
    case FF_BAG_SPREAD: return ff_open_bag_step(plan, so_far, operation, a, where);
    default: return ff_fail(plan, "an operation that is not known, at step", where);
    }
}

/* UTF-8 as Unicode defines it: no surrogates, nothing beyond the last code point, no longer form than the shortest. */
static int ff_is_utf8(const uint8_t *text, uint32_t length) {
    uint32_t at = 0, more, point, least;
    while (at < length) {
        uint8_t first = text[at++];
        if (first < 0x80) continue;
        if (first >= 0xc2 && first <= 0xdf) { more = 1; point = first & 0x1f; least = 0x80; }
        else if (first >= 0xe0 && first <= 0xef) { more = 2; point = first & 0x0f; least = 0x800; }
        else if (first >= 0xf0 && first <= 0xf4) { more = 3; point = first & 0x07; least = 0x10000; }
        else return 0;
        if (more > length - at) return 0;
        for (; more; more--, at++) {
            if ((text[at] & 0xc0) != 0x80) return 0;
            point = point << 6 | (text[at] & 0x3fu);
        }
        if (point < least || point > 0x10ffff || (point >= 0xd800 && point <= 0xdfff)) return 0;
    }
    return 1;
}

static int ff_open_sections(ff_plan *plan, size_t size) {
    ff_header header;
    const uint8_t *at[FF_SECTIONS];
    uint64_t i;
    FF_CHECK(((uintptr_t)plan->bytes & 7) == 0, "a plan must lie at an address that 8 divides; it lies at", (uintptr_t)plan->bytes);
    FF_CHECK(size >= sizeof header, "a plan is longer than its header; it has bytes:", size);
    ff_copy(&header, plan->bytes, sizeof header);
    for (i = 0; i < 8; i++) FF_CHECK(header.magic[i] == ff_magic[i], "these bytes are no plan: they differ at byte", i);
    FF_CHECK(header.version == FF_VERSION && header.reserved == 0, "a plan of another version than 1:", header.version);
    for (i = 0; i < FF_SECTIONS; i++) {
        uint64_t offset = header.section[i].offset, count = header.section[i].count;
        FF_CHECK(offset % (i == FF_S_LIMITS ? 4 : 8) == 0 && offset >= sizeof header && offset <= size, "a section begins outside the plan: section", i);
        FF_CHECK(count <= (size - offset) / ff_section_item[i] && count < UINT32_MAX, "a section ends outside the plan: section", i);
        at[i] = plan->bytes + offset;
    }
    FF_CHECK(header.section[FF_S_STRINGS].count > 0, "the offsets of strings lack their end; there are", 0);
    FF_CHECK(header.registers <= (1u << 24) && header.codes <= (1u << 24) &&
             header.registers / FF_REGISTERS_A_BYTE <= size && header.codes / FF_REGISTERS_A_BYTE <= size,
             "a plan has too many registers for its size:", header.registers);
    FF_CHECK(header.section[FF_S_LIMITS].count == header.codes &&
             header.section[FF_S_LIMITS].offset == header.section[FF_S_WORDS].offset + 4 * header.section[FF_S_WORDS].count,
             "the limits of codes must follow the words, one a code; there are", header.section[FF_S_LIMITS].count);
    plan->inputs = (uint32_t)header.section[FF_S_INPUTS].count;
    plan->outputs = (uint32_t)header.section[FF_S_OUTPUTS].count;
    plan->steps = (uint32_t)header.section[FF_S_STEPS].count;
    plan->words = (uint32_t)header.section[FF_S_WORDS].count;
    plan->numbers = header.section[FF_S_NUMBERS].count;
    plan->nodes = (uint32_t)header.section[FF_S_NODES].count;
    plan->strings = (uint32_t)header.section[FF_S_STRINGS].count - 1;
    plan->registers = header.registers;
    plan->codes = header.codes;
    plan->input = (const ff_port *)(const void *)at[FF_S_INPUTS];
    plan->output = (const ff_port *)(const void *)at[FF_S_OUTPUTS];
    plan->step = (const uint32_t *)(const void *)at[FF_S_STEPS];
    plan->word = (const uint32_t *)(const void *)at[FF_S_WORDS];
    plan->number = (const double *)(const void *)at[FF_S_NUMBERS];
    plan->node = (const ff_node *)(const void *)at[FF_S_NODES];
    plan->string = (const uint32_t *)(const void *)at[FF_S_STRINGS];
    plan->text = at[FF_S_TEXT];
    for (i = 0; i < plan->strings; i++) FF_CHECK(plan->string[i] <= plan->string[i + 1], "strings out of order: string", i);
    FF_CHECK(plan->string[plan->strings] <= header.section[FF_S_TEXT].count, "strings end outside the plan; there are", plan->strings);
    for (i = 0; i < plan->strings; i++)
        FF_CHECK(ff_is_utf8(plan->text + plan->string[i], plan->string[i + 1] - plan->string[i]), "a string is no UTF-8: string", i);
    for (i = 0; i < plan->inputs; i++)
        FF_CHECK(plan->input[i].type < FF_TYPES && plan->input[i].name < plan->strings, "an input of an unknown type: input", i);
    return 0;
}

static int ff_open_outputs(ff_plan *plan) {
    uint64_t i;
    FF_CHECK(plan->outputs > 0, "a plan must have outputs; it has", 0);
    for (i = 0; i < plan->outputs; i++) {
        const ff_port *port = plan->output + i;
        FF_CHECK(port->type < FF_TYPES && port->name < plan->strings, "an output of an unknown type: output", i);
        if (port->width) {
            FF_CHECK(port->type != FF_STRING, "an output of numbers must not be of strings: output", i);
            FF_CHECK(port->labels <= 1 && port->count == 0, "an output of numbers has labels: output", i);
            FF_CHECK(ff_inside(port->first, port->width, plan->registers), "an output that no step writes: output", i);
            continue;
        }
        FF_CHECK(port->first < plan->codes && ff_limit(plan, port->first) <= port->count, "a label that has no name: output", i);
        FF_CHECK(port->type == FF_STRING ? ff_inside(port->labels, port->count, plan->strings)
                 : port->type == FF_FLOAT32 || port->type == FF_FLOAT64 ? ff_inside(port->labels, port->count, plan->numbers)
                 : ff_inside(port->labels, 2 * (uint64_t)port->count, plan->words), "labels are outside: output", i);
    }
    return 0;
}

int ff_open(ff_plan *plan, const void *bytes, size_t size) {
    ff_progress so_far = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0};
    uint64_t at = 0;
    ff_fill(plan, 0, sizeof *plan);
    plan->bytes = (const uint8_t *)bytes;
    if (ff_open_sections(plan, size)) return -1;
    so_far.most = ff_times(size, FF_WORK_A_BYTE) + (1u << 20);
    while (at < plan->steps) {
        uint32_t operation = plan->step[at];
        FF_CHECK(operation > 0 && operation < FF_OPERATIONS, "an operation that is not known, at step", at);
        FF_CHECK(ff_operands[operation] < plan->steps - at, "a step is cut off, at step", at);
        so_far.work += ff_work(plan, &so_far, operation, plan->step + at + 1);
        FF_CHECK(so_far.work <= so_far.most, "a row would cost too much for a plan of this size, at step", at);
        if (ff_open_step(plan, &so_far, operation, plan->step + at + 1, at)) return -1;
        at += 1 + ff_operands[operation];
    }
    FF_CHECK(so_far.registers == plan->registers && so_far.codes == plan->codes, "registers that no step writes; written are", so_far.registers);
    if (ff_open_outputs(plan)) return -1;
    FF_CHECK(so_far.workspace <= FF_MOST_WORKSPACE, "a step needs too much memory; bytes:", so_far.workspace);
    plan->dictionaries = so_far.dictionaries;
    plan->forests = so_far.forests;
    plan->slots = so_far.slots;
    plan->bags = so_far.bags;
    plan->readers = so_far.readers;
    plan->workspace = (so_far.workspace + 63) / 64 * 64;
    /* Enough lanes to be worth a loop's start, few enough for registers to stay in the cache nearest to the processor.
     * A forest that no cache holds is read once for all lanes, so there it takes more of them. */
    {
        uint64_t bytes_a_lane = 8 * (uint64_t)plan->registers + 4 * (uint64_t)plan->codes + 4, most = 48u * 1024;
        plan->lanes = plan->bags ? 64 : FF_MOST_LANES;
        if (so_far.large >= FF_LARGE) {
            plan->lanes = plan->bags ? 256 : FF_MOST_LANES;
            most = 4096u * 1024;
        }
        while (plan->lanes > 16 && plan->lanes * bytes_a_lane > most) plan->lanes /= 2;
        bytes_a_lane += 8 * (uint64_t)plan->slots;
        while (plan->lanes > 1 && plan->lanes * bytes_a_lane > FF_MOST_SCRATCH) plan->lanes /= 2;
    }
    return 0;
}

const char *ff_string(const ff_plan *plan, uint32_t index, size_t *length) {
    *length = plan->string[index + 1] - plan->string[index];
    return (const char *)plan->text + plan->string[index];
}

const char *ff_label(const ff_plan *plan, uint32_t output, int32_t code, size_t *length) {
    return ff_string(plan, plan->output[output].labels + (uint32_t)code, length);
}

/* ------------------------------------------------------------------------------------------------------------------
 * 5  Dictionaries: text to code
 * ------------------------------------------------------------------------------------------------------------------ */

/* A hash table, open addressing. A text of up to eight bytes is its own key, so that one comparison tells. */
typedef struct {
    uint64_t key;    /* the bytes of a short text, the hash of a longer one */
    uint32_t length; /* UINT32_MAX: nothing here */
    uint32_t code;
} ff_entry;

typedef struct ff_dictionary {
    const ff_entry *entry;
    uint32_t mask, count, string;
} ff_dictionary;

static uint64_t ff_load64(const uint8_t *at) {
    uint64_t value;
    ff_copy(&value, at, 8); /* compilers make one load of it */
    return value;
}

static uint64_t ff_mix(uint64_t x) {
    x ^= x >> 32;
    x *= UINT64_C(0x9e3779b97f4a7c15);
    x ^= x >> 29;
    x *= UINT64_C(0xd6e8feb86659fd93);
    return x ^ x >> 32;
}

static uint64_t ff_key(const uint8_t *text, uint32_t length) {
    uint64_t key = 0;
    uint32_t i;
    if (length <= 8) {
        for (i = 0; i < length; i++) key |= (uint64_t)text[i] << 8 * i;
        return key;
    }
    for (i = 0; i + 8 <= length; i += 8) key = ff_mix(key ^ ff_load64(text + i));
    return ff_mix(key ^ ff_load64(text + length - 8) ^ length);
}

static int ff_same(const uint8_t *a, const uint8_t *b, uint32_t length) {
    while (length--) if (*a++ != *b++) return 0;
    return 1;
}

static uint32_t ff_code_of(const ff_plan *plan, const ff_dictionary *dictionary, const uint8_t *text, uint32_t length) {
    uint64_t key = ff_key(text, length);
    uint32_t at = (uint32_t)ff_mix(key + length) & dictionary->mask;
    for (;; at = (at + 1) & dictionary->mask) {
        const ff_entry *entry = dictionary->entry + at;
        if (entry->key == key && entry->length == length &&
            (length <= 8 || ff_same(text, plan->text + plan->string[dictionary->string + entry->code], length)))
            return entry->code;
        if (entry->length == UINT32_MAX) return dictionary->count;
    }
}

static int ff_prepare_dictionary(ff_plan *plan, ff_dictionary *dictionary, const uint32_t *operand, ff_allocate allocate,
                                 void *context) {
    uint32_t size = 4, i;
    ff_entry *entry;
    dictionary->string = operand[2];
    dictionary->count = operand[3];
    while (size < 2 * (uint64_t)dictionary->count + 1) size *= 2;
    dictionary->mask = size - 1;
    entry = (ff_entry *)allocate(context, size * sizeof *entry);
    FF_CHECK(entry, "no memory for a dictionary; bytes wanted:", size * sizeof *entry);
    for (i = 0; i < size; i++) { entry[i].key = 0; entry[i].length = UINT32_MAX; entry[i].code = 0; }
    dictionary->entry = entry;
    for (i = 0; i < dictionary->count; i++) {
        const uint8_t *text = plan->text + plan->string[dictionary->string + i];
        uint32_t length = plan->string[dictionary->string + i + 1] - plan->string[dictionary->string + i], at;
        if (ff_code_of(plan, dictionary, text, length) != dictionary->count) continue; /* twice: the first one holds */
        at = (uint32_t)ff_mix(ff_key(text, length) + length) & dictionary->mask;
        while (entry[at].length != UINT32_MAX) at = (at + 1) & dictionary->mask;
        entry[at].key = ff_key(text, length);
        entry[at].length = length;
        entry[at].code = i;
    }
    return 0;
}

/* ------------------------------------------------------------------------------------------------------------------
 * 6  Forests: tables of masks, and the walk
 *
 * A forest of small trees is computed after QuickScorer (Lucchese and others, SIGIR 2015): a tree's mask has a bit for
 * each leaf, a test that fails clears the bits of the leaves to its left, and the lowest bit that is left is the leaf.
 * Which tests of one column fail depends only on the rank of its number among their thresholds. So for each column
 * there is a table with a row of masks, one a tree, for every rank: the tests that fail, already combined. A row of
 * data then costs one row of each table, combined word by word, whatever the number of nodes. A number that is above no
 * threshold clears nothing, so its row is not read: of a hundred one-hot columns all but a few are skipped. A column of
 * codes (a category) has a row for every code in the same way, so one-hot columns need not even be made.
 *
 * Tables of many trees would not stay in the cache: trees come in groups, each with tables of its own. Where trees are
 * too large for masks, or columns too many, or there is no memory, trees are walked from root to leaf, several rows at
 * once. Either way leaves are added up in the order of the trees, so the bits are the same.
 * ------------------------------------------------------------------------------------------------------------------ */

typedef struct {
    uint32_t source;          /* the register, or the code register */
    uint32_t is_code;
    uint32_t count;           /* ranks: 0 to count, and count + 1 for NaN; codes: the limit */
    const double *thresholds; /* ascending, of a number */
} ff_slot;

typedef struct {
    uint32_t slot;
    const uint32_t *row; /* for each rank the row of the table; NULL where they are the same */
    const void *masks;   /* rows of `padded` masks */
} ff_table;

typedef struct {
    uint32_t first, trees, padded, tables;
    ff_table *table;
    const uint32_t *table_of; /* for each slot the table's place and 1, or 0 */
    const double *leaf;    /* padded × leaves, where a leaf is one number */
    const uint32_t *place; /* padded × leaves, where it is several: where they begin */
} ff_group;

typedef struct ff_forest {
    const uint32_t *operand;
    uint32_t bits; /* of a mask; 0 where trees are walked */
    uint32_t leaves, slots, groups;
    uint32_t has_names, has_sets; /* nodes that name a code, nodes on sets of codes */
    const uint8_t *steps;         /* of a walk, for each tree: how deep it is; FF_UNEVEN, FF_DEEP */
    ff_slot *slot;
    ff_group *group;
} ff_forest;

#define FF_TABLE_BYTES (384u * 1024) /* of one group: what a second-level cache holds beside other things */
#define FF_FEWEST_TREES 16u

static void ff_sort(double *value, uint32_t count) {
    /* Heapsort: no recursion, no worst case. */
    uint32_t start = count / 2, end = count;
    while (end > 1) {
        uint32_t root, child;
        double moved;
        if (start > 0) moved = value[--start];
        else { moved = value[--end]; value[end] = value[0]; }
        for (root = start; (child = 2 * root + 1) < end; root = child) {
            if (child + 1 < end && value[child] < value[child + 1]) child++;
            if (!(moved < value[child])) break;
            value[root] = value[child];
        }
        value[root] = moved;
    }
}

/* How many of ascending numbers are below x. */
static uint32_t ff_below(const double *value, uint32_t count, double x) {
    const double *base = value;
    while (count > 1) {
        uint32_t half = count / 2;
        base += base[half - 1] < x ? half : 0;
        count -= half;
    }
    return (uint32_t)(base - value) + (count == 1 && *base < x);
}

static uint32_t ff_not_above(const double *value, uint32_t count, double x) {
    const double *base = value;
    while (count > 1) {
        uint32_t half = count / 2;
        base += base[half - 1] <= x ? half : 0;
        count -= half;
    }
    return (uint32_t)(base - value) + (count == 1 && *base <= x);
}

/* Whether a code goes left at a node on a code slot. */
static uint32_t ff_code_left(const ff_plan *plan, const ff_node *node, uint32_t code) {
    if ((node->flags & FF_NODE_KIND) == FF_NODE_SET) return plan->word[node->test.set[0] + (code >> 5)] >> (code & 31) & 1;
    return (uint32_t)((double)code == node->test.threshold) ^ node->flags >> 31;
}

static const ff_node *ff_root(const ff_plan *plan, const ff_forest *forest, uint32_t tree, uint32_t *count) {
    const uint32_t *entry = plan->word + forest->operand[7] + 3 * (uint64_t)tree;
    *count = entry[1];
    return plan->node + entry[0];
}

static int ff_is_leaf(const ff_node *node) { return (node->flags & FF_NODE_LEAF) != 0; }

/* The most leaves of a tree, the inner nodes on each slot, and the steps that a walk takes: of each tree the mean depth of
 * its leaves, and one to see that all have arrived. */
static uint64_t ff_measure(const ff_plan *plan, ff_forest *forest, uint32_t *on_slot, uint64_t *inner) {
    uint32_t t, i, due[FF_DEEPEST];
    uint64_t steps = 0;
    forest->leaves = forest->has_names = forest->has_sets = 0;
    *inner = 0;
    for (t = 0; t < forest->operand[6]; t++) {
        uint32_t count, leaves = 0, depth = 0, pending = 0;
        uint64_t depths = 0;
        const ff_node *node = ff_root(plan, forest, t, &count);
        for (i = 0; i < count; i++) {
            forest->has_names |= node[i].flags & FF_NODE_CODE;
            forest->has_sets |= (node[i].flags & FF_NODE_KIND) == FF_NODE_SET;
            if (!ff_is_leaf(node + i)) {
                due[pending++] = ++depth;
                on_slot[node[i].flags & FF_NODE_SLOT]++;
                (*inner)++;
                continue;
            }
            leaves++;
            depths += depth;
            if (pending) depth = due[--pending];
        }
        if (leaves > forest->leaves) forest->leaves = leaves;
        steps += (depths + leaves - 1) / leaves + 1;
    }
    forest->bits = forest->leaves <= 8 ? 8 : forest->leaves <= 16 ? 16 : forest->leaves <= 32 ? 32 : forest->leaves <= 64 ? 64 : 0;
    return steps;
}

/* Whether masks are worth their reading. In sixteenths of a cycle, roughly, as measured: to look up a leaf costs 115, a
 * byte of masks 2, or 4 where they are so wide that a group's tables leave the first cache; to find out that a number is
 * above no threshold 32, and where there are few thresholds, that is what is found. A step of a walk costs 65. */
static int ff_worth_masks(const ff_forest *forest, const uint32_t *on_slot, uint64_t steps) {
    uint64_t trees = forest->operand[6], bytes = trees * (forest->bits / 8) * (forest->bits == 64 ? 4 : 2), cost = trees * 115;
    uint32_t s;
    for (s = 0; s < forest->slots; s++) {
        const ff_slot *slot = forest->slot + s;
        if (on_slot[s]) cost += 32 + (slot->is_code || slot->count >= 8 ? bytes : bytes * slot->count / 8);
    }
    return cost <= 65 * steps;
}

static int ff_gather_thresholds(ff_plan *plan, ff_forest *forest, const uint32_t *on_slot, ff_allocate allocate, void *context) {
    uint32_t s, t, i;
    for (s = 0; s < forest->slots; s++) {
        ff_slot *slot = forest->slot + s;
        double *thresholds;
        if (slot->is_code || !on_slot[s]) continue;
        thresholds = (double *)allocate(context, on_slot[s] * sizeof *thresholds);
        FF_CHECK(thresholds, "no memory for thresholds; bytes wanted:", on_slot[s] * sizeof *thresholds);
        slot->thresholds = thresholds;
        slot->count = 0;
    }
    for (t = 0; t < forest->operand[6]; t++) {
        uint32_t count;
        const ff_node *node = ff_root(plan, forest, t, &count);
        for (i = 0; i < count; i++) {
            ff_slot *slot = forest->slot + (node[i].flags & FF_NODE_SLOT);
            if (ff_is_leaf(node + i) || slot->is_code) continue;
            ((double *)slot->thresholds)[slot->count++] = node[i].test.threshold;
        }
    }
    for (s = 0; s < forest->slots; s++) {
        ff_slot *slot = forest->slot + s;
        double *thresholds = (double *)slot->thresholds;
        uint32_t kept = 0;
        if (slot->is_code || !on_slot[s]) continue;
        ff_sort(thresholds, slot->count);
        for (i = 0; i < slot->count; i++)
            if (!kept || thresholds[kept - 1] < thresholds[i]) thresholds[kept++] = thresholds[i];
        slot->count = kept;
    }
    return 0;
}

static uint64_t ff_rows_of(const ff_slot *slot, uint32_t on_slot, uint64_t trees, uint64_t all) {
    uint64_t rows = slot->is_code ? slot->count : (uint64_t)on_slot * trees / all + 1;
    if (!slot->is_code && rows > slot->count) rows = slot->count;
    return slot->is_code ? rows : rows + 2;
}

static uint64_t ff_table_bytes(const ff_forest *forest, const uint32_t *on_slot, uint64_t trees) {
    uint64_t bytes = 0;
    uint32_t s;
    for (s = 0; s < forest->slots; s++)
        if (on_slot[s]) bytes += ff_rows_of(forest->slot + s, on_slot[s], trees, forest->operand[6]) * ((trees + 15) / 16 * 16) * (forest->bits / 8);
    return bytes;
}

static void ff_and(void *masks, uint64_t at, uint32_t bits, uint64_t with) {
    if (bits == 8) ((uint8_t *)masks)[at] &= (uint8_t)with;
    else if (bits == 16) ((uint16_t *)masks)[at] &= (uint16_t)with;
    else if (bits == 32) ((uint32_t *)masks)[at] &= (uint32_t)with;
    else ((uint64_t *)masks)[at] &= with;
}

/* Which rows the table of one slot has in a group, and for each rank its row. Returns the rows, 0 where the group does
 * not test the slot. */
static uint32_t ff_group_rows(const ff_plan *plan, const ff_forest *forest, const ff_group *group, uint32_t s, uint32_t *row) {
    const ff_slot *slot = forest->slot + s;
    uint32_t t, i, rows = 0, tested = 0;
    for (i = 0; i < slot->count + 2 && !slot->is_code; i++) row[i] = 0;
    for (t = 0; t < group->trees; t++) {
        uint32_t count;
        const ff_node *node = ff_root(plan, forest, group->first + t, &count);
        for (i = 0; i < count; i++) {
            if (ff_is_leaf(node + i) || (node[i].flags & FF_NODE_SLOT) != s) continue;
            tested = 1;
            if (!slot->is_code) row[ff_below(slot->thresholds, slot->count, node[i].test.threshold) + 1] = 1;
        }
    }
    if (!tested) return 0;
    if (slot->is_code) return slot->count;
    for (i = 1; i <= slot->count; i++) { rows += row[i]; row[i] = rows; }
    row[slot->count + 1] = rows + 1;
    return rows + 2;
}

/* Clears in the tables of a group what the tests of one tree clear. */
static void ff_clear(const ff_plan *plan, const ff_forest *forest, const ff_group *group, uint32_t t, const uint32_t *table_of) {
    uint8_t before[128]; /* leaves before each node; a tree of at most 64 leaves has at most 127 nodes */
    uint32_t count, i, leaves = 0, code;
    const ff_node *node = ff_root(plan, forest, group->first + t, &count);
    for (i = 0; i < count; i++) { before[i] = (uint8_t)leaves; leaves += (uint32_t)ff_is_leaf(node + i); }
    for (i = 0; i < count; i++) {
        uint32_t s = node[i].flags & FF_NODE_SLOT, left, width;
        const ff_slot *slot = forest->slot + s;
        const ff_table *table;
        uint64_t keep;
        if (ff_is_leaf(node + i)) continue;
        table = group->table + table_of[s] - 1;
        left = before[i + 1];
        width = before[node[i].right] - left; /* at most 63: the right child has a leaf, too */
        keep = ~(((UINT64_C(1) << width) - 1) << left);
        if (slot->is_code) {
            for (code = 0; code < slot->count; code++)
                if (!ff_code_left(plan, node + i, code))
                    ff_and((void *)table->masks, (uint64_t)code * group->padded + t, forest->bits, keep);
            continue;
        }
        /* The row of the first rank above the threshold; those after it follow in ff_fill_group. */
        ff_and((void *)table->masks,
               (uint64_t)table->row[ff_below(slot->thresholds, slot->count, node[i].test.threshold) + 1] * group->padded + t,
               forest->bits, keep);
        if (!(node[i].flags & FF_NODE_NAN_LEFT))
            ff_and((void *)table->masks, (uint64_t)table->row[slot->count + 1] * group->padded + t, forest->bits, keep);
    }
}

static int ff_fill_leaves(ff_plan *plan, const ff_forest *forest, ff_group *group, ff_allocate allocate, void *context) {
    uint64_t places = (uint64_t)group->padded * forest->leaves;
    double *leaf = NULL;
    uint32_t *place = NULL, t, i;
    if (forest->operand[3] == 1) leaf = (double *)allocate(context, (size_t)places * sizeof *leaf);
    else place = (uint32_t *)allocate(context, (size_t)places * sizeof *place);
    FF_CHECK(leaf || place, "no memory for leaves; places wanted:", places);
    for (t = 0; t < group->trees; t++) {
        uint32_t count, leaves = 0;
        const ff_node *node = ff_root(plan, forest, group->first + t, &count);
        for (i = 0; i < count; i++) {
            uint64_t at = (uint64_t)t * forest->leaves + leaves;
            if (!ff_is_leaf(node + i)) continue;
            if (leaf) leaf[at] = node[i].test.threshold;
            else place[at] = forest->operand[8] + node[i].test.set[0] * forest->operand[3];
            leaves++;
        }
    }
    group->leaf = leaf;
    group->place = place;
    return 0;
}

static int ff_fill_group(ff_plan *plan, ff_forest *forest, ff_group *group, const uint32_t *on_slot, ff_allocate allocate,
                         void *context) {
    uint32_t s, t, i, *table_of = (uint32_t *)allocate(context, (forest->slots + 1u) * sizeof *table_of);
    group->table = (ff_table *)allocate(context, (forest->slots + 1u) * sizeof *group->table);
    FF_CHECK(table_of && group->table, "no memory for a forest's tables; slots:", forest->slots);
    group->padded = (group->trees + 15) / 16 * 16;
    group->tables = 0;
    group->table_of = table_of;
    for (s = 0; s < forest->slots; s++) {
        const ff_slot *slot = forest->slot + s;
        uint32_t rows, *row = NULL;
        void *masks;
        uint64_t bytes;
        table_of[s] = 0;
        if (!on_slot[s]) continue;
        if (!slot->is_code) {
            row = (uint32_t *)allocate(context, (slot->count + 2u) * sizeof *row);
            FF_CHECK(row, "no memory for a forest's ranks; wanted:", slot->count + 2u);
        }
        rows = ff_group_rows(plan, forest, group, s, row);
        if (!rows) continue;
        bytes = (uint64_t)rows * group->padded * (forest->bits / 8);
        masks = allocate(context, (size_t)bytes);
        FF_CHECK(masks, "no memory for a forest's tables; bytes wanted:", bytes);
        ff_fill(masks, 255, (size_t)bytes);
        group->table[group->tables].slot = s;
        group->table[group->tables].row = row;
        group->table[group->tables].masks = masks;
        table_of[s] = ++group->tables;
    }
    for (t = 0; t < group->trees; t++) ff_clear(plan, forest, group, t, table_of);
    for (i = 0; i < group->tables; i++) {
        const ff_table *table = group->table + i;
        const ff_slot *slot = forest->slot + table->slot;
        uint64_t words = (uint64_t)group->padded * (forest->bits / 8) / 8, row, word;
        uint64_t *masks = (uint64_t *)table->masks;
        if (slot->is_code) continue;
        for (row = 1; row + 1 <= table->row[slot->count]; row++) /* what a lower rank clears, a higher one clears too */
            for (word = 0; word < words; word++) masks[(row + 1) * words + word] &= masks[row * words + word];
    }
    return ff_fill_leaves(plan, forest, group, allocate, context);
}

static int ff_prepare_forest(ff_plan *plan, ff_forest *forest, const uint32_t *operand, ff_allocate allocate, void *context,
                             size_t *budget) {
    uint64_t inner, bytes, trees = operand[6], size, g, steps;
    uint32_t s, *on_slot;
    forest->operand = operand;
    forest->slots = operand[4];
    forest->groups = 0;
    on_slot = (uint32_t *)allocate(context, (forest->slots + 1u) * sizeof *on_slot);
    forest->slot = (ff_slot *)allocate(context, (forest->slots + 1u) * sizeof *forest->slot);
    FF_CHECK(on_slot && forest->slot, "no memory for a forest's slots:", forest->slots);
    for (s = 0; s < forest->slots; s++) {
        uint32_t source = plan->word[operand[5] + s];
        forest->slot[s].source = source & ~FF_CODE;
        forest->slot[s].is_code = (source & FF_CODE) != 0;
        forest->slot[s].count = source & FF_CODE ? ff_limit(plan, source & ~FF_CODE) : 0;
        forest->slot[s].thresholds = NULL;
        on_slot[s] = 0;
    }
    steps = ff_measure(plan, forest, on_slot, &inner);
    if (!forest->bits || inner * 8 > *budget) { forest->bits = 0; return 0; }
    if (ff_gather_thresholds(plan, forest, on_slot, allocate, context)) return -1;
    if (!ff_worth_masks(forest, on_slot, steps)) { forest->bits = 0; return 0; }
    for (size = trees; size > FF_FEWEST_TREES && ff_table_bytes(forest, on_slot, size) > FF_TABLE_BYTES;) size = (size + 1) / 2;
    bytes = inner * 8 + (trees + size - 1) / size * ff_table_bytes(forest, on_slot, size);
    if (bytes > *budget) { forest->bits = 0; return 0; }
    *budget -= (size_t)bytes;
    forest->groups = (uint32_t)((trees + size - 1) / size);
    forest->group = (ff_group *)allocate(context, forest->groups * sizeof *forest->group);
    FF_CHECK(forest->group, "no memory for a forest's groups:", forest->groups);
    for (g = 0; g < forest->groups; g++) {
        forest->group[g].first = (uint32_t)(g * size);
        forest->group[g].trees = (uint32_t)(trees - g * size < size ? trees - g * size : size);
        if (ff_fill_group(plan, forest, forest->group + g, on_slot, allocate, context)) return -1;
    }
    return 0;
}

static int ff_prepare_bags(ff_plan *plan, ff_allocate allocate, void *context); /* section 8 */

#define FF_UNEVEN 0u    /* the leaves of a tree lie at very different depths */
#define FF_DEEP 13u     /* it is this deep, or deeper */

/* How the rows of a call go down a tree. They do not wait for each other where the depths of its leaves differ by more
 * than five steps, as standard deviations are counted; all take as many steps as there are where those are few. */
static uint8_t ff_steps(const ff_node *node, uint32_t count) {
    uint32_t due[FF_DEEPEST], pending = 0, depth = 0, deepest = 1, i;
    uint64_t leaves = 0, sum = 0, squares = 0;
    for (i = 0; i < count; i++) {
        if (!ff_is_leaf(node + i)) { due[pending++] = ++depth; continue; }
        leaves++;
        sum += depth;
        squares += (uint64_t)depth * depth;
        if (depth > deepest) deepest = depth;
        if (pending) depth = due[--pending];
    }
    if (leaves * squares > sum * sum + 25 * leaves * leaves) return FF_UNEVEN;
    return (uint8_t)(deepest < FF_DEEP ? deepest : FF_DEEP);
}

static int ff_prepare_walk(ff_plan *plan, ff_forest *forest, ff_allocate allocate, void *context) {
    uint32_t t, count;
    uint8_t *steps = (uint8_t *)allocate(context, forest->operand[6]);
    FF_CHECK(steps, "no memory for a forest's trees:", forest->operand[6]);
    for (t = 0; t < forest->operand[6]; t++) {
        const ff_node *node = ff_root(plan, forest, t, &count);
        steps[t] = ff_steps(node, count);
    }
    forest->steps = steps;
    return 0;
}

int ff_prepare(ff_plan *plan, ff_allocate allocate, void *context, size_t budget) {
    uint32_t at = 0, dictionaries = 0, forests = 0;
    plan->dictionary = (ff_dictionary *)allocate(context, (plan->dictionaries + 1u) * sizeof *plan->dictionary);
    plan->forest = (ff_forest *)allocate(context, (plan->forests + 1u) * sizeof *plan->forest);
    FF_CHECK(plan->dictionary && plan->forest, "no memory for dictionaries and forests:", plan->dictionaries + plan->forests);
    for (; at < plan->steps; at += 1u + ff_operands[plan->step[at]]) {
        const uint32_t *operand = plan->step + at + 1;
        if (plan->step[at] == FF_TEXT) {
            if (ff_prepare_dictionary(plan, plan->dictionary + dictionaries++, operand, allocate, context)) return -1;
        } else if (plan->step[at] == FF_FOREST) {
            ff_forest *forest = plan->forest + forests++;
            if (ff_prepare_forest(plan, forest, operand, allocate, context, &budget)) return -1;
            if (!forest->bits && ff_prepare_walk(plan, forest, allocate, context)) return -1;
        }
    }
    return ff_prepare_bags(plan, allocate, context);
}

/* What a step works on: registers and codes of `lanes` rows. */
typedef struct {
    double *number;
    uint32_t *code;
    uint32_t *refused;
    uint32_t lanes; /* between two registers */
    uint32_t count; /* rows */
    uint8_t *workspace;
    const ff_column *columns;
    int64_t row; /* the first one's place in the call */
    struct ff_rows *bag;
} ff_block;

static double *ff_register(const ff_block *block, uint32_t index) { return block->number + (size_t)index * block->lanes; }
static uint32_t *ff_codes(const ff_block *block, uint32_t index) { return block->code + (size_t)index * block->lanes; }

/* What there is in a walk: numbers that are NaN, nodes that name a code, nodes on sets of codes. */
#define FF_NANS 1
#define FF_NAMES 2
#define FF_SETS 4
#define FF_ABREAST 8u /* rows that walk one tree together */
#define FF_TREES 16u  /* trees that one row walks together */
#define FF_STRIDE 4u  /* steps before it is looked who has arrived */

/* Two numbers at once, each computed as if alone; where a compiler has no such type, one. */
#if defined(__GNUC__)
typedef double ff_wide __attribute__((vector_size(16), aligned(8), may_alias));
#define FF_WIDTH 2u
#define FF_BOTH(X) {X, X}
#else
typedef double ff_wide;
#define FF_WIDTH 1u
#define FF_BOTH(X) X
#endif

#if defined(__GNUC__)
#define FF_PREFETCH(AT) __builtin_prefetch(AT)
#define FF_OPAQUE(VALUE) __asm__("" : "+r"(VALUE)) /* or a compiler sees a choice, and makes a branch of it */
#define FF_ALONE __attribute__((noinline))         /* or it has too few registers for all of it */
#else
#define FF_PREFETCH(AT) ((void)0)
#define FF_OPAQUE(VALUE) ((void)0)
#define FF_ALONE
#endif

/* One step of one walker: where it stands after it. Nothing here is a branch that a processor could guess wrong, and a
 * walker that has arrived stays, since to the right of a leaf is the leaf. */
static uint32_t ff_step(const ff_plan *plan, const ff_node *tree, const double *row, uint32_t here, int what) {
    const ff_node *node = tree + here;
    uint32_t flags = node->flags, left;
    double x = row[flags & FF_NODE_SLOT];
    left = (uint32_t)(x <= node->test.threshold);
    if (what & FF_NAMES) left = (left & ((uint32_t)(x >= node->test.threshold) | ~flags >> 30)) ^ flags >> 31;
    if (what & FF_NANS) left |= (uint32_t)(x != x) & flags >> 28;
    if (what & FF_SETS) {
        /* A code plus 2^52 has the code in its last bits. */
        uint32_t is_set = 0u - (flags >> 31 & ~flags >> 30 & 1), code = is_set & (uint32_t)ff_to_bits(x + 4503599627370496.0);
        uint32_t word = plan->word[(node->test.set[0] & is_set) + (code >> 5)];
        left = (left & ~is_set) | (word >> (code & 31) & is_set);
    }
    left = 0u - (left & ~flags >> 29 & 1);
    FF_OPAQUE(left);
    return ((here + 1) & left) | (node->right & ~left);
}

/* From the root to a leaf of one tree, for all rows, some of them abreast: the processor need not wait for one row's node
 * before it asks for another's. `leaf` becomes each row's leaf. With each row some more lines of the next tree are asked
 * for: memory is faster in a row than where rows happen to go. */
static void ff_walk_rows(const ff_plan *plan, const ff_node *tree, uint32_t steps, const double *cells, uint32_t slots,
                         uint32_t rows, uint32_t *leaf, uintptr_t ahead, uint32_t lines, int what) {
    uint32_t here[FF_ABREAST], lane, i, k, open;
    for (lane = 0; lane < rows; lane += FF_ABREAST) {
        const double *row = cells + (size_t)lane * slots;
        size_t next = rows - lane < FF_ABREAST ? 0 : slots; /* the last ones, if they are few, one by one below */
        if (!next) break;
        for (k = 0; k < FF_ABREAST * lines; k++, ahead += 64) FF_PREFETCH((const void *)ahead);
        for (i = 0; i < FF_ABREAST; i++) here[i] = 0;
        if (steps < FF_DEEP)
            for (k = 0; k < steps; k++)
                for (i = 0; i < FF_ABREAST; i++) here[i] = ff_step(plan, tree, row + i * next, here[i], what);
        else do {
            for (k = 0; k < 2; k++)
                for (i = 0; i < FF_ABREAST; i++) here[i] = ff_step(plan, tree, row + i * next, here[i], what);
            for (open = 0, i = 0; i < FF_ABREAST; i++) open |= ~tree[here[i]].flags & FF_NODE_LEAF;
        } while (open);
        for (i = 0; i < FF_ABREAST; i++) leaf[lane + i] = here[i];
    }
    for (; lane < rows; lane++)
        for (leaf[lane] = 0; !ff_is_leaf(tree + leaf[lane]);)
            leaf[lane] = ff_step(plan, tree, cells + (size_t)lane * slots, leaf[lane], what);
}

/* The same where leaves lie at very different depths: a row that arrives makes room for the next one. */
static void ff_walk_uneven(const ff_plan *plan, const ff_node *tree, const double *cells, uint32_t slots, uint32_t rows,
                           uint32_t *leaf, uintptr_t ahead, uint32_t lines, int what) {
    uint32_t here[FF_ABREAST], lane[FF_ABREAST], next = FF_ABREAST, walking = (1u << FF_ABREAST) - 1, i, k;
    const double *row[FF_ABREAST];
    for (i = 0; i < FF_ABREAST; i++) { here[i] = 0; lane[i] = i; row[i] = cells + (size_t)i * slots; }
    while (walking) {
        uint32_t arrived = 0;
        for (k = 0; k < FF_STRIDE; k++)
            for (i = 0; i < FF_ABREAST; i++) here[i] = ff_step(plan, tree, row[i], here[i], what);
        for (i = 0; i < FF_ABREAST; i++) arrived |= (tree[here[i]].flags >> 29 & 1) << i;
        for (arrived &= walking; arrived; arrived &= arrived - 1) {
            i = ff_lowest32(arrived);
            leaf[lane[i]] = here[i];
            for (k = 0; k < lines; k++, ahead += 64) FF_PREFETCH((const void *)ahead);
            if (next == rows) { walking &= ~(1u << i); continue; }
            here[i] = 0;
            lane[i] = next;
            row[i] = cells + (size_t)next++ * slots;
        }
    }
}

/* From the roots of some trees to a leaf of each, for one row. */
static void ff_walk_trees(const ff_plan *plan, const ff_node *const *tree, const double *row, uint32_t *at, int what) {
    uint32_t i, open;
    for (i = 0; i < FF_TREES; i++) at[i] = 0;
    do {
        for (i = 0; i < FF_TREES; i++) at[i] = ff_step(plan, tree[i], row, at[i], what);
        for (open = 0, i = 0; i < FF_TREES; i++) open |= ~tree[i][at[i]].flags & FF_NODE_LEAF;
    } while (open);
}

/* Functions of their own for what there is, so that a step has no more in it than it must. */
typedef struct {
    void (*rows)(const ff_plan *, const ff_node *, uint32_t, const double *, uint32_t, uint32_t, uint32_t *, uintptr_t, uint32_t);
    void (*uneven)(const ff_plan *, const ff_node *, const double *, uint32_t, uint32_t, uint32_t *, uintptr_t, uint32_t);
    void (*trees)(const ff_plan *, const ff_node *const *, const double *, uint32_t *);
} ff_walks;

#define FF_WALKS(NAME, WHAT)                                                                                            \
    static FF_ALONE void ff_rows_##NAME(const ff_plan *plan, const ff_node *tree, uint32_t steps, const double *cells,  \
                                        uint32_t slots, uint32_t rows, uint32_t *leaf, uintptr_t ahead, uint32_t lines) { \
        ff_walk_rows(plan, tree, steps, cells, slots, rows, leaf, ahead, lines, WHAT);                                  \
    }                                                                                                                   \
    static FF_ALONE void ff_uneven_##NAME(const ff_plan *plan, const ff_node *tree, const double *cells, uint32_t slots, \
                                          uint32_t rows, uint32_t *leaf, uintptr_t ahead, uint32_t lines) {             \
        ff_walk_uneven(plan, tree, cells, slots, rows, leaf, ahead, lines, WHAT);                                       \
    }                                                                                                                   \
    static FF_ALONE void ff_trees_##NAME(const ff_plan *plan, const ff_node *const *tree, const double *row, uint32_t *at) { \
        ff_walk_trees(plan, tree, row, at, WHAT);                                                                       \
    }

FF_WALKS(plain, 0)
FF_WALKS(nans, FF_NANS)
FF_WALKS(names, FF_NAMES)
FF_WALKS(names_nans, FF_NAMES | FF_NANS)
FF_WALKS(sets, FF_NAMES | FF_SETS)
FF_WALKS(sets_nans, FF_NAMES | FF_SETS | FF_NANS)

/* By what there is: NaN, names, sets. */
#define FF_ALL(NAME) {ff_rows_##NAME, ff_uneven_##NAME, ff_trees_##NAME}
static const ff_walks ff_walks_of[8] = {FF_ALL(plain), FF_ALL(nans), FF_ALL(names), FF_ALL(names_nans),
                                        FF_ALL(sets), FF_ALL(sets_nans), FF_ALL(sets), FF_ALL(sets_nans)};

/* The values of the leaves where rows arrived in a tree, added to their sums. */
static void ff_add_leaves(const ff_plan *plan, const uint32_t *operand, const ff_block *block, uint32_t tree, uint32_t lane,
                          uint32_t rows, const ff_node *root, const uint32_t *leaf) {
    uint32_t width = operand[3], single = operand[2] & FF_FOREST_FLOAT32, i, k;
    if (width == 1) {
        double *sum = ff_register(block, operand[0] + plan->word[operand[7] + 3 * (uint64_t)tree + 2]) + lane;
        if (single) for (i = 0; i < rows; i++) sum[i] = ff_round32(sum[i] + root[leaf[i]].test.threshold);
        else for (i = 0; i < rows; i++) sum[i] += root[leaf[i]].test.threshold;
        return;
    }
    for (i = 0; i < rows; i++) {
        const double *value = plan->number + operand[8] + (uint64_t)root[leaf[i]].test.set[0] * width;
        double *sum = ff_register(block, operand[0]) + lane + i;
        for (k = 0; k < width; k++, sum += block->lanes) *sum = single ? ff_round32(*sum + value[k]) : *sum + value[k];
    }
}

/* Lays the slots of each row side by side; returns whether one of them is NaN. */
static int ff_lay_cells(const ff_plan *plan, const uint32_t *a, const ff_block *block, double *cells) {
    const uint32_t *slot = plan->word + a[5];
    uint32_t slots = a[4] ? a[4] : 1, lane, s, nans = 0;
    cells[0] = 0; /* what leaves look at, though it does not matter */
    for (s = 0; s < a[4]; s++) {
        double *cell = cells + s;
        if (slot[s] & FF_CODE) {
            const uint32_t *code = ff_codes(block, slot[s] & ~FF_CODE);
            for (lane = 0; lane < block->count; lane++, cell += slots) *cell = (double)code[lane];
        } else {
            const double *number = ff_register(block, slot[s]);
            for (lane = 0; lane < block->count; lane++, cell += slots) {
                *cell = number[lane];
                nans |= (uint32_t)(number[lane] != number[lane]);
            }
        }
    }
    return nans ? FF_NANS : 0;
}

/* Walks all trees for few rows, row by row. */
static void ff_walk_few(const ff_plan *plan, const uint32_t *a, const ff_block *block, const double *cells, int has) {
    const uint32_t *entry = plan->word + a[7];
    uint32_t lane, t, i, at[FF_TREES];
    const ff_node *tree[FF_TREES];
    for (lane = 0; lane < block->count; lane++) {
        const double *row = cells + (size_t)lane * (a[4] ? a[4] : 1);
        for (t = 0; t < a[6]; t += FF_TREES) {
            for (i = 0; i < FF_TREES; i++) tree[i] = plan->node + entry[3 * (size_t)(t + i < a[6] ? t + i : t)];
            ff_walks_of[has].trees(plan, tree, row, at);
            for (i = 0; i < FF_TREES && t + i < a[6]; i++) ff_add_leaves(plan, a, block, t + i, lane, 1, tree[i], at + i);
        }
    }
}

/* Walks tree by tree for many rows, so that a tree is read once for all of them. */
static void ff_walk_many(const ff_plan *plan, const uint8_t *steps, const uint32_t *a, const ff_block *block,
                         const double *cells, int has) {
    const uint32_t *entry = plan->word + a[7];
    uint32_t t, leaf[FF_MOST_LANES], slots = a[4] ? a[4] : 1, rows = block->count;
    for (t = 0; t < a[6]; t++, entry += 3) {
        const ff_node *tree = plan->node + entry[0];
        uintptr_t ahead = 0;
        uint32_t lines = 0;
        if (t + 1 < a[6] && entry[4] / 320 <= rows) { /* only where rows go to a good part of it */
            ahead = (uintptr_t)(plan->node + entry[3]);
            lines = (entry[4] / (64 / (uint32_t)sizeof(ff_node)) + rows - 1) / rows;
        }
        if (steps[t] == FF_UNEVEN) ff_walks_of[has].uneven(plan, tree, cells, slots, rows, leaf, ahead, lines);
        else ff_walks_of[has].rows(plan, tree, steps[t], cells, slots, rows, leaf, ahead, lines);
        ff_add_leaves(plan, a, block, t, 0, rows, tree, leaf);
    }
}

/* What a row has in one slot: its rank there, or its code. */
typedef struct {
    uint32_t slot, rank;
} ff_found;

/* The leaves of some rows where there is one output: of four rows the sums need not wait for each other. */
#define FF_AS_IT_IS(X) (X)
#define FF_SUM_ROWS(LOWEST, ROUND)                                                                                           \
    {                                                                                                                        \
        double *out = ff_register(block, operand[0]) + lane;                                                                 \
        const double *leaf = group->leaf;                                                                                    \
        for (r = 0; r + FF_ROWS <= rows; r += FF_ROWS) {                                                                     \
            double s0 = out[0], s1 = out[1], s2 = out[2], s3 = out[3];                                                       \
            for (t = 0; t < group->trees; t++, leaf += forest->leaves) {                                                     \
                s0 = ROUND(s0 + leaf[LOWEST(masks[t])]);                                                                     \
                s1 = ROUND(s1 + leaf[LOWEST(masks[padded + t])]);                                                            \
                s2 = ROUND(s2 + leaf[LOWEST(masks[2 * padded + t])]);                                                        \
                s3 = ROUND(s3 + leaf[LOWEST(masks[3 * padded + t])]);                                                        \
            }                                                                                                                \
            out[0] = s0; out[1] = s1; out[2] = s2; out[3] = s3;                                                              \
        }                                                                                                                    \
        for (; r < rows; r++) {                                                                                              \
            double sum = out[r];                                                                                             \
            for (t = 0, leaf = group->leaf; t < group->trees; t++, leaf += forest->leaves)                                   \
                sum = ROUND(sum + leaf[LOWEST(masks[(size_t)r * padded + t])]);                                              \
            out[r] = sum;                                                                                                    \
        }                                                                                                                    \
    }

/* Four rows' masks of one group, combined and looked up; a function for each width of mask. */
#define FF_ROWS 4u
#define FF_MASKS(NAME, MASK, LOWEST)                                                                                         \
    static void NAME(const ff_plan *plan, const ff_forest *forest, const ff_group *group, const ff_block *block,             \
                     const ff_found *found, const uint32_t *founds, uint32_t lane, uint32_t rows) {                          \
        MASK *masks = (MASK *)(void *)block->workspace;                                                                      \
        const uint32_t *operand = forest->operand;                                                                           \
        uint32_t padded = group->padded, r, i, t;                                                                            \
        for (r = 0; r < rows; r++) {                                                                                         \
            const ff_found *each = found + (size_t)(lane + r) * forest->slots;                                               \
            const MASK *first = NULL;                                                                                        \
            MASK *mine = masks + (size_t)r * padded;                                                                         \
            uint32_t fresh = 1;                                                                                              \
            for (i = 0; i < founds[lane + r]; i++) {                                                                         \
                const ff_table *table = group->table + group->table_of[each[i].slot] - 1;                                    \
                const MASK *next;                                                                                            \
                if (!group->table_of[each[i].slot]) continue;                                                                \
                next = (const MASK *)table->masks + (size_t)(table->row ? table->row[each[i].rank] : each[i].rank) * padded; \
                if (!first) { first = next; continue; } /* two at a time */                                                  \
                if (fresh) for (t = 0; t < padded; t++) mine[t] = (MASK)(first[t] & next[t]);                                \
                else for (t = 0; t < padded; t++) mine[t] = (MASK)(mine[t] & first[t] & next[t]);                            \
                first = NULL;                                                                                                \
                fresh = 0;                                                                                                   \
            }                                                                                                                \
            if (first && fresh) for (t = 0; t < padded; t++) mine[t] = first[t];                                             \
            else if (first) for (t = 0; t < padded; t++) mine[t] = (MASK)(mine[t] & first[t]);                               \
            else if (fresh) for (t = 0; t < padded; t++) mine[t] = (MASK)~(MASK)0;                                           \
        }                                                                                                                    \
        if (group->leaf && operand[1] == 1) {                                                                                \
            if (operand[2] & FF_FOREST_FLOAT32) FF_SUM_ROWS(LOWEST, ff_round32)                                              \
            else FF_SUM_ROWS(LOWEST, FF_AS_IT_IS)                                                                            \
            return;                                                                                                          \
        }                                                                                                                    \
        for (r = 0; r < rows; r++)                                                                                           \
            ff_add_leaves_##MASK(plan, forest, group, block, masks + (size_t)r * padded, lane + r);                          \
    }

/* The leaves of one row where there are several outputs, or sums of float32. */
#define FF_LEAVES(MASK, LOWEST)                                                                                              \
    static void ff_add_leaves_##MASK(const ff_plan *plan, const ff_forest *forest, const ff_group *group,                    \
                                     const ff_block *block, const MASK *mask, uint32_t lane) {                               \
        const uint32_t *operand = forest->operand, *tree = plan->word + operand[7] + 3 * (size_t)group->first;               \
        uint32_t t, k, single = operand[2] & FF_FOREST_FLOAT32;                                                              \
        for (t = 0; t < group->trees; t++) {                                                                                 \
            size_t at = (size_t)t * forest->leaves + LOWEST(mask[t]);                                                        \
            if (group->leaf) {                                                                                               \
                double *sum = ff_register(block, operand[0] + tree[3 * t + 2]) + lane;                                       \
                *sum += group->leaf[at];                                                                                     \
                if (single) *sum = ff_round32(*sum);                                                                         \
                continue;                                                                                                    \
            }                                                                                                                \
            for (k = 0; k < operand[1]; k++) {                                                                               \
                double *sum = ff_register(block, operand[0] + k) + lane;                                                     \
                *sum += plan->number[group->place[at] + (size_t)k];                                                          \
                if (single) *sum = ff_round32(*sum);                                                                         \
            }                                                                                                                \
        }                                                                                                                    \
    }

FF_LEAVES(uint8_t, ff_lowest32)
FF_LEAVES(uint16_t, ff_lowest32)
FF_LEAVES(uint32_t, ff_lowest32)
FF_LEAVES(uint64_t, ff_lowest)
FF_MASKS(ff_masks8, uint8_t, ff_lowest32)
FF_MASKS(ff_masks16, uint16_t, ff_lowest32)
FF_MASKS(ff_masks32, uint32_t, ff_lowest32)
FF_MASKS(ff_masks64, uint64_t, ff_lowest)

/* The rank of every row's number, or its code, noted for the rows where it clears something. */
static void ff_find_ranks(const ff_forest *forest, uint32_t s, const ff_block *block, ff_found *found, uint32_t *founds) {
    const ff_slot *slot = forest->slot + s;
    const double *x, *threshold = slot->thresholds;
    uint32_t lane, rank, i;
    if (slot->is_code) {
        const uint32_t *code = ff_codes(block, slot->source);
        for (lane = 0; lane < block->count; lane++) {
            ff_found *next = found + (size_t)lane * forest->slots + founds[lane]++;
            next->slot = s;
            next->rank = code[lane];
        }
        return;
    }
    if (!threshold) return; /* no tree tests it */
    x = ff_register(block, slot->source);
    for (lane = 0; lane < block->count; lane++) {
        if (x[lane] <= threshold[0]) continue;
        if (x[lane] != x[lane]) rank = slot->count + 1;
        else if (slot->count > 4) rank = ff_below(threshold, slot->count, x[lane]);
        else for (rank = 1, i = 1; i < slot->count; i++) rank += threshold[i] < x[lane];
        {
            ff_found *next = found + (size_t)lane * forest->slots + founds[lane]++;
            next->slot = s;
            next->rank = rank;
        }
    }
}

static void ff_do_forest(const ff_plan *plan, const ff_forest *forest, const uint32_t *a, ff_block *block, uint32_t *rank) {
    uint32_t lane, k, s, g, founds[FF_MOST_LANES];
    ff_found *found = (ff_found *)(void *)rank;
    for (k = 0; k < a[1]; k++) {
        const double *first = a[2] & FF_FOREST_FROM ? ff_register(block, plan->word[a[10] + (uint64_t)k]) : plan->number + a[10] + (uint64_t)k;
        double *sum = ff_register(block, a[0] + k);
        for (lane = 0; lane < block->count; lane++) sum[lane] = first[a[2] & FF_FOREST_FROM ? lane : 0];
    }
    if (!forest->bits) {
        double *cells = (double *)(void *)rank;
        int has = ff_lay_cells(plan, a, block, cells) | (forest->has_names ? FF_NAMES : 0) | (forest->has_sets ? FF_SETS : 0);
        if (block->count < FF_ABREAST) ff_walk_few(plan, a, block, cells, has);
        else ff_walk_many(plan, forest->steps, a, block, cells, has);
        return;
    }
    for (lane = 0; lane < block->count; lane++) founds[lane] = 0;
    for (s = 0; s < forest->slots; s++) ff_find_ranks(forest, s, block, found, founds);
    for (g = 0; g < forest->groups; g++)
        for (lane = 0; lane < block->count; lane += FF_ROWS) {
            uint32_t rows = block->count - lane < FF_ROWS ? block->count - lane : FF_ROWS;
            const ff_group *group = forest->group + g;
            if (forest->bits == 8) ff_masks8(plan, forest, group, block, found, founds, lane, rows);
            else if (forest->bits == 16) ff_masks16(plan, forest, group, block, found, founds, lane, rows);
            else if (forest->bits == 32) ff_masks32(plan, forest, group, block, found, founds, lane, rows);
            else ff_masks64(plan, forest, group, block, found, founds, lane, rows);
        }
}

/* ------------------------------------------------------------------------------------------------------------------
 * 7  The other steps
 * ------------------------------------------------------------------------------------------------------------------ */

/* As NumPy: NaN wins, and of two equal numbers the first. */
static double ff_minimum(double x, double y) { return x < y || x != x ? x : y == y && !(y < x) ? x : y; }
static double ff_maximum(double x, double y) { return x > y || x != x ? x : y == y && !(y > x) ? x : y; }

static double ff_trunc(double x) {
    /* Beyond 2^52 every double is whole. Only |x| < 2^52 is converted, so no conversion overflows. */
    double whole;
    if (!(x > -4503599627370496.0 && x < 4503599627370496.0)) return x;
    whole = (double)(int64_t)x;
    return whole == 0 ? ff_from_bits(ff_to_bits(x) & UINT64_C(0x8000000000000000)) : whole;
}

static double ff_floor(double x) {
    double whole = ff_trunc(x);
    return whole > x ? whole - 1 : whole;
}

static double ff_rint(double x) {
    /* Adding and taking away 2^52 rounds to even, which is how the sum is rounded. */
    double big = 4503599627370496.0, size = x < 0 ? -x : x, whole;
    if (!(size < big)) return x;
    whole = (size + big) - big;
    return ff_from_bits(ff_to_bits(whole) | (ff_to_bits(x) & UINT64_C(0x8000000000000000)));
}

/* What is left of |x| after taking |y| away as often as it fits, with the sign of x: exact, by long division of the
 * whole mantissas, eleven bits at a time. */
static double ff_left_over(double x, double y) {
    const uint64_t infinite = UINT64_C(0x7ff0000000000000), whole = UINT64_C(0x0010000000000000);
    uint64_t sign = ff_to_bits(x) & UINT64_C(0x8000000000000000), a = ff_to_bits(x) ^ sign;
    uint64_t b = ff_to_bits(y) & UINT64_C(0x7fffffffffffffff), left, by;
    uint32_t above, exponent, shift;
    if (a >= infinite || b > infinite || b == 0) return FF_NAN;
    if (a < b) return x;
    above = (uint32_t)(a >> 52);
    exponent = (uint32_t)(b >> 52);
    left = above ? (a & (whole - 1)) | whole : a;
    by = exponent ? (b & (whole - 1)) | whole : b;
    above += !above;
    exponent += !exponent;
    for (left %= by; above > exponent && left; above -= shift) {
        shift = above - exponent < 11 ? above - exponent : 11;
        left = (left << shift) % by;
    }
    if (!left) return ff_from_bits(sign);
    while (left < whole && exponent > 1) { left <<= 1; exponent--; }
    return ff_from_bits(sign | (left < whole ? left : (uint64_t)exponent << 52 | (left & (whole - 1))));
}

/* As numpy.remainder: it has the sign of y. */
static double ff_mod(double x, double y) {
    double left = ff_left_over(x, y);
    if (left == 0) return ff_from_bits(ff_to_bits(y) & UINT64_C(0x8000000000000000));
    return (y < 0) != (left < 0) ? left + y : left;
}

static double ff_of_one(uint32_t function, double x) {
    switch (function) {
    case FF_NEGATE: return -x;
    case FF_ABS: return ff_from_bits(ff_to_bits(x) & UINT64_C(0x7fffffffffffffff));
    case FF_SQRT: return ff_sqrt(x);
    case FF_EXP: return ff_exp(x);
    case FF_EXPM1: return ff_expm1(x);
    case FF_LOG: return ff_log(x);
    case FF_LOG1P: return ff_log1p(x);
    case FF_LOG2: return ff_log2(x);
    case FF_LOG10: return ff_log10(x);
    case FF_TANH: return ff_tanh(x);
    case FF_SIGMOID: return ff_sigmoid(x);
    case FF_SIN: return ff_sin(x);
    case FF_COS: return ff_cos(x);
    case FF_FLOOR: return ff_floor(x);
    case FF_CEIL: return -ff_floor(-x);
    case FF_ROUND32: return ff_round32(x);
    case FF_IS_NAN: return x != x;
    case FF_SIGN: return x > 0 ? 1.0 : x < 0 ? -1.0 : x == 0 ? 0.0 : x;
    case FF_NDTR: return ff_ndtr(x);
    case FF_NDTRI: return ff_ndtri(x);
    case FF_CBRT: return ff_cbrt(x);
    case FF_RINT: return ff_rint(x);
    default: return ff_trunc(x);
    }
}

static double ff_of_two(uint32_t function, double x, double y) {
    switch (function) {
    case FF_ADD: return x + y;
    case FF_SUB: return x - y;
    case FF_RSUB: return y - x;
    case FF_MUL: return x * y;
    case FF_DIV: return x / y;
    case FF_RDIV: return y / x;
    case FF_MIN: return ff_minimum(x, y);
    case FF_MAX: return ff_maximum(x, y);
    case FF_POW: return ff_pow(x, y);
    case FF_EQ: return x == y;
    case FF_NE: return x != y;
    case FF_LT: return x < y;
    case FF_LE: return x <= y;
    case FF_GT: return x > y;
    case FF_GE: return x >= y;
    case FF_IF_NAN: return x == x ? x : y;
    default: return ff_mod(x, y);
    }
}

double ff_elementary(uint32_t function, double x, double y) {
    return function < FF_ONES ? ff_of_one(function, x) : function >= FF_ADD && function < FF_TWOS ? ff_of_two(function, x, y) : FF_NAN;
}

/* The functions that models are made of get a loop that a compiler can vectorise; the others go one by one. */
static void ff_do_map(uint32_t function, double *out, const double *x, uint32_t count) {
    uint32_t i;
    if (function == FF_ROUND32) for (i = 0; i < count; i++) out[i] = ff_round32(x[i]);
    else if (function == FF_SQRT) for (i = 0; i < count; i++) out[i] = ff_sqrt(x[i]);
    else if (function == FF_IS_NAN) for (i = 0; i < count; i++) out[i] = x[i] != x[i];
    else if (function == FF_NEGATE) for (i = 0; i < count; i++) out[i] = -x[i];
    else if (function == FF_EXP) for (i = 0; i < count; i++) out[i] = ff_exp(x[i]);
    else if (function == FF_LOG) for (i = 0; i < count; i++) out[i] = ff_log(x[i]);
    else if (function == FF_TANH) for (i = 0; i < count; i++) out[i] = ff_tanh(x[i]);
    else if (function == FF_SIGMOID) for (i = 0; i < count; i++) out[i] = ff_sigmoid(x[i]);
    else for (i = 0; i < count; i++) out[i] = ff_of_one(function, x[i]);
}

static void ff_do_map_const(uint32_t function, double *out, const double *x, double y, uint32_t count) {
    uint32_t i;
    if (function == FF_ADD) for (i = 0; i < count; i++) out[i] = x[i] + y;
    else if (function == FF_SUB) for (i = 0; i < count; i++) out[i] = x[i] - y;
    else if (function == FF_MUL) for (i = 0; i < count; i++) out[i] = x[i] * y;
    else if (function == FF_DIV) for (i = 0; i < count; i++) out[i] = x[i] / y;
    else if (function == FF_IF_NAN) for (i = 0; i < count; i++) out[i] = x[i] == x[i] ? x[i] : y;
    else if (function == FF_MAX) for (i = 0; i < count; i++) out[i] = ff_maximum(x[i], y);
    else for (i = 0; i < count; i++) out[i] = ff_of_two(function, x[i], y);
}

static void ff_do_map_two(uint32_t function, double *out, const double *x, const double *y, uint32_t count) {
    uint32_t i;
    if (function == FF_ADD) for (i = 0; i < count; i++) out[i] = x[i] + y[i];
    else if (function == FF_SUB) for (i = 0; i < count; i++) out[i] = x[i] - y[i];
    else if (function == FF_MUL) for (i = 0; i < count; i++) out[i] = x[i] * y[i];
    else if (function == FF_DIV) for (i = 0; i < count; i++) out[i] = x[i] / y[i];
    else for (i = 0; i < count; i++) out[i] = ff_of_two(function, x[i], y[i]);
}

static double ff_present(const uint8_t *present, int64_t row, double value) {
    return !present || (present[row >> 3] >> (row & 7) & 1) ? value : FF_NAN;
}

#define FF_READ(TYPE)                                                                                                  \
    do {                                                                                                               \
        const TYPE *values = (const TYPE *)column->values + first;                                                     \
        if (operation == FF_SINGLE) for (i = 0; i < block->count; i++) out[i] = (double)(float)values[i];              \
        else for (i = 0; i < block->count; i++) out[i] = (double)values[i];                                            \
    } while (0)

static void ff_do_number(const ff_plan *plan, uint32_t operation, const uint32_t *a, ff_block *block) {
    const ff_column *column = block->columns + a[1];
    double *out = ff_register(block, a[0]);
    int64_t first = column->first + block->row;
    uint32_t i;
    switch (plan->input[a[1]].type) {
    case FF_BOOL: {
        const uint8_t *bits = (const uint8_t *)column->values;
        for (i = 0; i < block->count; i++) out[i] = (double)(bits[(first + i) >> 3] >> ((first + i) & 7) & 1);
        break;
    }
    case FF_INT8: FF_READ(int8_t); break;
    case FF_INT16: FF_READ(int16_t); break;
    case FF_INT32: FF_READ(int32_t); break;
    case FF_INT64: FF_READ(int64_t); break;
    case FF_UINT8: FF_READ(uint8_t); break;
    case FF_UINT16: FF_READ(uint16_t); break;
    case FF_UINT32: FF_READ(uint32_t); break;
    case FF_UINT64: FF_READ(uint64_t); break;
    case FF_FLOAT32: FF_READ(float); break;
    default: FF_READ(double); break;
    }
    if (column->present)
        for (i = 0; i < block->count; i++) out[i] = ff_present(column->present, first + i, out[i]);
}

static void ff_do_text(const ff_plan *plan, const ff_dictionary *dictionary, const uint32_t *a, ff_block *block) {
    const ff_column *column = block->columns + a[1];
    const int32_t *offset = (const int32_t *)column->values;
    const uint8_t *text = (const uint8_t *)column->text;
    uint32_t *out = ff_codes(block, a[0]), i;
    for (i = 0; i < block->count; i++) {
        int64_t row = column->first + block->row + i;
        if (column->present && !(column->present[row >> 3] >> (row & 7) & 1)) out[i] = a[3] + 1;
        else out[i] = ff_code_of(plan, dictionary, text + offset[row], (uint32_t)(offset[row + 1] - offset[row]));
    }
}

/* The hash that CatBoost knows a category by: CityHash64, version 1 (Pike and Alakuijala, 2011), of which it keeps the
 * lower half. What follows is that hash of texts of up to 16, 32 and 64 bytes, and of longer ones. */
#define FF_CITY0 UINT64_C(0xc3a5c85c97cb3127)
#define FF_CITY1 UINT64_C(0xb492b66fbe98f273)
#define FF_CITY2 UINT64_C(0x9ae16a3b2f90404f)
#define FF_CITY3 UINT64_C(0xc949d7c7509e6557)
#define FF_CITY_PAIR UINT64_C(0x9ddfea08eb382d69)

static uint64_t ff_city_turn(uint64_t x, uint32_t bits) { return x >> bits | x << (64 - bits); } /* bits: 1 to 63 */
static uint64_t ff_city_fold(uint64_t x) { return x ^ x >> 47; }

static uint64_t ff_city_load32(const uint8_t *at) {
    return (uint64_t)at[0] | (uint64_t)at[1] << 8 | (uint64_t)at[2] << 16 | (uint64_t)at[3] << 24;
}

static uint64_t ff_city_pair(uint64_t low, uint64_t high) {
    uint64_t a = ff_city_fold((low ^ high) * FF_CITY_PAIR);
    return ff_city_fold((high ^ a) * FF_CITY_PAIR) * FF_CITY_PAIR;
}

static uint64_t ff_city_short(const uint8_t *text, uint32_t length) {
    uint64_t y, z;
    if (length > 8) {
        y = ff_load64(text + length - 8);
        return ff_city_pair(ff_load64(text), ff_city_turn(y + length, length)) ^ y;
    }
    if (length >= 4) return ff_city_pair(length + (ff_city_load32(text) << 3), ff_city_load32(text + length - 4));
    if (!length) return FF_CITY2;
    y = text[0] + ((uint64_t)text[length >> 1] << 8);
    z = length + ((uint64_t)text[length - 1] << 2);
    return ff_city_fold(y * FF_CITY2 ^ z * FF_CITY3) * FF_CITY2;
}

static void ff_city_half(uint64_t a, uint64_t z, const uint8_t *text, uint64_t *first, uint64_t *second) {
    uint64_t b = ff_city_turn(a + z, 52), c = ff_city_turn(a, 37);
    a += ff_load64(text);
    c += ff_city_turn(a, 7);
    a += ff_load64(text + 8);
    *first = a + z;
    *second = b + ff_city_turn(a, 31) + c;
}

static uint64_t ff_city_medium(const uint8_t *text, uint32_t length) {
    uint64_t first, second, third, fourth;
    if (length <= 32) {
        uint64_t a = ff_load64(text) * FF_CITY1, b = ff_load64(text + 8);
        uint64_t c = ff_load64(text + length - 8) * FF_CITY2, d = ff_load64(text + length - 16) * FF_CITY0;
        return ff_city_pair(ff_city_turn(a - b, 43) + ff_city_turn(c, 30) + d, a + ff_city_turn(b ^ FF_CITY3, 20) - c + length);
    }
    ff_city_half(ff_load64(text) + (length + ff_load64(text + length - 16)) * FF_CITY0, ff_load64(text + 24), text + 8,
                 &first, &second);
    ff_city_half(ff_load64(text + 16) + ff_load64(text + length - 32), ff_load64(text + length - 8), text + length - 24,
                 &third, &fourth);
    return ff_city_fold(ff_city_fold((first + fourth) * FF_CITY2 + (third + second) * FF_CITY0) * FF_CITY0 + second) * FF_CITY2;
}

static void ff_city_weak(const uint8_t *text, uint64_t a, uint64_t b, uint64_t *out) {
    uint64_t c;
    a += ff_load64(text);
    b = ff_city_turn(b + a + ff_load64(text + 24), 21);
    c = a;
    a += ff_load64(text + 8) + ff_load64(text + 16);
    b += ff_city_turn(a, 44);
    out[0] = a + ff_load64(text + 24);
    out[1] = b + c;
}

static uint64_t ff_city(const uint8_t *text, uint32_t length) {
    uint64_t x, y, z, v[2], w[2], moved;
    uint32_t left;
    if (length <= 16) return ff_city_short(text, length);
    if (length <= 64) return ff_city_medium(text, length);
    x = ff_load64(text);
    y = ff_load64(text + length - 16) ^ FF_CITY1;
    z = ff_load64(text + length - 56) ^ FF_CITY0;
    ff_city_weak(text + length - 64, length, y, v);
    ff_city_weak(text + length - 32, length * FF_CITY1, FF_CITY0, w);
    z += ff_city_fold(v[1]) * FF_CITY1;
    x = ff_city_turn(z + x, 39) * FF_CITY1;
    y = ff_city_turn(y, 33) * FF_CITY1;
    for (left = (length - 1) / 64; left; left--, text += 64) {
        x = ff_city_turn(x + y + v[0] + ff_load64(text + 16), 37) * FF_CITY1;
        y = ff_city_turn(y + v[1] + ff_load64(text + 48), 42) * FF_CITY1;
        x ^= w[1];
        y ^= v[0];
        z = ff_city_turn(z ^ w[0], 33);
        ff_city_weak(text, v[1] * FF_CITY1, x + w[0], v);
        ff_city_weak(text + 32, z + w[1], y, w);
        moved = z;
        z = x;
        x = moved;
    }
    return ff_city_pair(ff_city_pair(v[0], w[0]) + ff_city_fold(y) * FF_CITY1 + z, ff_city_pair(v[1], w[1]) + x);
}

/* An integer of an input, as it is written: at most 20 letters, from the returned place to the end. */
static uint32_t ff_city_digits(const ff_column *column, uint32_t type, int64_t row, uint8_t *out) {
    uint64_t size = 0;
    int64_t value = 0;
    uint32_t at = 20;
    switch (type) {
    case FF_BOOL: size = ((const uint8_t *)column->values)[row >> 3] >> (row & 7) & 1; break;
    case FF_INT8: value = ((const int8_t *)column->values)[row]; break;
    case FF_INT16: value = ((const int16_t *)column->values)[row]; break;
    case FF_INT32: value = ((const int32_t *)column->values)[row]; break;
    case FF_INT64: value = ((const int64_t *)column->values)[row]; break;
    case FF_UINT8: size = ((const uint8_t *)column->values)[row]; break;
    case FF_UINT16: size = ((const uint16_t *)column->values)[row]; break;
    case FF_UINT32: size = ((const uint32_t *)column->values)[row]; break;
    default: size = ((const uint64_t *)column->values)[row]; break;
    }
    if (value) size = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
    do { out[--at] = (uint8_t)('0' + size % 10); size /= 10; } while (size);
    if (value < 0) out[--at] = '-';
    return at;
}

static void ff_do_hash(const ff_plan *plan, const uint32_t *a, ff_block *block) {
    const ff_column *column = block->columns + a[1];
    uint32_t type = plan->input[a[1]].type, i;
    double *out = ff_register(block, a[0]);
    for (i = 0; i < block->count; i++) {
        int64_t row = column->first + block->row + i;
        uint8_t digits[20];
        uint32_t hash;
        if (column->present && !(column->present[row >> 3] >> (row & 7) & 1)) { out[i] = FF_NAN; continue; }
        if (type == FF_STRING) {
            const int32_t *offset = (const int32_t *)column->values + row;
            hash = (uint32_t)ff_city((const uint8_t *)column->text + offset[0], (uint32_t)(offset[1] - offset[0]));
        } else {
            uint32_t at = ff_city_digits(column, type, row, digits);
            hash = (uint32_t)ff_city(digits + at, 20 - at);
        }
        out[i] = (double)hash - (hash >> 31 ? 4294967296.0 : 0.0); /* signed, as CatBoost has it */
    }
}

/* The hash of whole numbers, each mixed with those before it as CatBoost mixes a combination of categories. */
#define FF_JOINED UINT64_C(0x4906ba494954cb65)

static void ff_do_join(const ff_plan *plan, const uint32_t *a, ff_block *block) {
    uint32_t *out = ff_codes(block, a[0]), i, j;
    for (i = 0; i < block->count; i++) {
        uint64_t hash = 0;
        uint32_t low = 0, high = a[4], known = 1;
        for (j = 0; j < a[1]; j++) {
            double x = ff_register(block, plan->word[a[2] + j])[i];
            known &= x > -9007199254740992.0 && x < 9007199254740992.0;
            hash = FF_JOINED * (hash + FF_JOINED * (known ? (uint64_t)(int64_t)x : 0));
        }
        while (low < high) {
            uint32_t middle = low + (high - low) / 2;
            if (ff_hash_at(plan, a[3], middle) < hash) low = middle + 1; else high = middle;
        }
        out[i] = known && low < a[4] && ff_hash_at(plan, a[3], low) == hash ? low : a[4];
    }
}

static void ff_do_find(const ff_plan *plan, uint32_t operation, const uint32_t *a, ff_block *block) {
    const double *x = ff_register(block, a[1]), *value = plan->number + a[2];
    uint32_t *out = ff_codes(block, a[0]), i;
    for (i = 0; i < block->count; i++) {
        uint32_t place;
        if (x[i] != x[i]) { out[i] = a[3] + 1; continue; }
        if (operation == FF_SEARCH) { out[i] = a[4] ? ff_not_above(value, a[3], x[i]) : ff_below(value, a[3], x[i]); continue; }
        place = ff_below(value, a[3], x[i]);
        out[i] = place < a[3] && value[place] == x[i] ? place : a[3];
    }
}

#define FF_OUTPUTS 4u         /* sums of a tile, */
#define FF_ROWS_OF (2 * FF_WIDTH) /* of so many rows each, */
#define FF_PANEL 256u         /* over so many inputs at a time: their weights are copied side by side */

/* What inputs add to the sums of a tile: products with weights, or the squares of the differences from them. The sums are
 * in registers of the processor, and each of them takes its inputs in their order. */
static void ff_tile(const ff_block *block, const uint32_t *source, uint32_t inputs, const double *panel, double *const *out,
                    uint32_t row, int is_square) {
    ff_wide s[FF_OUTPUTS][2];
    uint32_t j, k;
    for (k = 0; k < FF_OUTPUTS; k++) {
        s[k][0] = *(const ff_wide *)(const void *)(out[k] + row);
        s[k][1] = *(const ff_wide *)(const void *)(out[k] + row + FF_WIDTH);
    }
    for (j = 0; j < inputs; j++, panel += FF_OUTPUTS) {
        const double *x = ff_register(block, source[j]) + row;
        ff_wide x0 = *(const ff_wide *)(const void *)x, x1 = *(const ff_wide *)(const void *)(x + FF_WIDTH);
        for (k = 0; k < FF_OUTPUTS; k++) {
            ff_wide w = FF_BOTH(panel[k]);
            if (is_square) {
                ff_wide d0 = x0 - w, d1 = x1 - w;
                s[k][0] += d0 * d0;
                s[k][1] += d1 * d1;
            } else {
                s[k][0] += x0 * w;
                s[k][1] += x1 * w;
            }
        }
    }
    for (k = 0; k < FF_OUTPUTS; k++) {
        *(ff_wide *)(void *)(out[k] + row) = s[k][0];
        *(ff_wide *)(void *)(out[k] + row + FF_WIDTH) = s[k][1];
    }
}

static FF_ALONE void ff_product_tile(const ff_block *block, const uint32_t *source, uint32_t inputs, const double *panel,
                                     double *const *out, uint32_t row) {
    ff_tile(block, source, inputs, panel, out, row, 0);
}

static FF_ALONE void ff_square_tile(const ff_block *block, const uint32_t *source, uint32_t inputs, const double *panel,
                                    double *const *out, uint32_t row) {
    ff_tile(block, source, inputs, panel, out, row, 1);
}

/* Sums over inputs for the rows of a block, from zero on, each product or square rounded before it is added. Weight (j, k)
 * of input j for output k is j * by_input + k * by_output numbers behind the first one. */
static void ff_sums(ff_block *block, uint32_t to, uint32_t outputs, const uint32_t *source, uint32_t inputs,
                    const double *weight, size_t by_input, size_t by_output, int is_square) {
    uint32_t i, j, k, q, first, tiled = block->count / FF_ROWS_OF * FF_ROWS_OF;
    double panel[FF_OUTPUTS * FF_PANEL], *out[FF_OUTPUTS];
    for (k = 0; k < outputs; k++)
        for (i = 0; i < block->count; i++) ff_register(block, to + k)[i] = 0;
    for (k = 0; k < outputs; k += FF_OUTPUTS) {
        uint32_t few = outputs - k < FF_OUTPUTS ? outputs - k : FF_OUTPUTS;
        for (q = 0; q < FF_OUTPUTS; q++) out[q] = ff_register(block, to + k + (q < few ? q : 0));
        for (first = 0; first < inputs && few == FF_OUTPUTS && tiled; first += FF_PANEL) {
            uint32_t count = inputs - first < FF_PANEL ? inputs - first : FF_PANEL;
            for (j = 0; j < count; j++)
                for (q = 0; q < FF_OUTPUTS; q++) panel[j * FF_OUTPUTS + q] = weight[(first + j) * by_input + (k + q) * by_output];
            for (i = 0; i < tiled; i += FF_ROWS_OF) (is_square ? ff_square_tile : ff_product_tile)(block, source + first, count, panel, out, i);
        }
        for (q = 0; q < few; q++)
            for (j = 0; j < inputs; j++) {
                const double *x = ff_register(block, source[j]);
                double w = weight[j * by_input + (k + q) * by_output];
                for (i = few == FF_OUTPUTS ? tiled : 0; i < block->count; i++) {
                    double term = is_square ? x[i] - w : x[i];
                    out[q][i] += term * (is_square ? term : w);
                }
            }
    }
}

static void ff_do_dot(const ff_plan *plan, const uint32_t *a, ff_block *block) {
    const double *weight = plan->number + a[4];
    uint32_t k, j;
    if (block->lanes == 1) { /* registers lie side by side: all sums at once */
        double *out = ff_register(block, a[0]);
        for (k = 0; k < a[1]; k++) out[k] = 0;
        for (j = 0; j < a[2]; j++, weight += a[1]) {
            double x = *ff_register(block, plan->word[a[3] + j]);
            for (k = 0; k < a[1]; k++) out[k] += x * weight[k];
        }
        return;
    }
    ff_sums(block, a[0], a[1], plan->word + a[3], a[2], weight, a[1], 1, 0);
}

/* The sum of `count` numbers in the order of numpy.sum over a contiguous axis: eight sums side by side up to 128, and
 * halves beyond. Written from the description in NumPy's documentation of pairwise summation and held to it by tests. */
static double ff_pairwise(const ff_plan *plan, const ff_block *block, uint32_t word, uint32_t count, uint32_t lane) {
    const uint32_t *source = plan->word + word;
    uint32_t i, half;
    if (count < 8) {
        double sum = -0.0;
        for (i = 0; i < count; i++) sum += ff_register(block, source[i])[lane];
        return sum;
    }
    if (count <= 128) {
        double part[8], sum;
        for (i = 0; i < 8; i++) part[i] = ff_register(block, source[i])[lane];
        for (i = 8; i < count - count % 8; i++) part[i % 8] += ff_register(block, source[i])[lane];
        sum = ((part[0] + part[1]) + (part[2] + part[3])) + ((part[4] + part[5]) + (part[6] + part[7]));
        for (; i < count; i++) sum += ff_register(block, source[i])[lane];
        return sum;
    }
    half = count / 2 - count / 2 % 8;
    return ff_pairwise(plan, block, word, half, lane) + ff_pairwise(plan, block, word + half, count - half, lane);
}

static void ff_do_fold(const ff_plan *plan, const uint32_t *a, ff_block *block) {
    double *out = ff_register(block, a[0]);
    uint32_t i, j;
    if (a[2] == FF_PAIRWISE) {
        for (i = 0; i < block->count; i++) out[i] = ff_pairwise(plan, block, a[3], a[1], i);
        return;
    }
    for (j = 0; j < a[1]; j++) {
        const double *x = ff_register(block, plan->word[a[3] + j]);
        for (i = 0; i < block->count; i++) {
            double v = a[2] == FF_SQUARES ? x[i] * x[i] : a[2] == FF_ABSOLUTES ? ff_of_one(FF_ABS, x[i]) : x[i];
            if (j == 0) out[i] = v;
            else if (a[2] == FF_LEAST) out[i] = ff_minimum(out[i], v);
            else if (a[2] == FF_MOST) out[i] = ff_maximum(out[i], v);
            else if (a[2] == FF_PRODUCT) out[i] *= v;
            else out[i] += v;
        }
    }
}

static void ff_do_argmax(const ff_plan *plan, const uint32_t *a, ff_block *block) {
    uint32_t *out = ff_codes(block, a[0]), i, j;
    for (i = 0; i < block->count; i++) {
        double best = ff_register(block, plan->word[a[2]])[i];
        out[i] = 0;
        for (j = 1; j < a[1]; j++) {
            double x = ff_register(block, plan->word[a[2] + j])[i];
            if (x > best || (x != x && best == best)) { best = x; out[i] = j; }
        }
    }
}

static double ff_interpolate(const double *xs, const double *ys, uint32_t count, double x) {
    uint32_t at;
    double slope, y;
    if (x != x) return x;
    if (x > xs[count - 1]) return ys[count - 1];
    if (x < xs[0]) return ys[0];
    at = ff_not_above(xs, count, x) - 1;
    if (at == count - 1) return ys[at];
    if (xs[at] == x) return ys[at]; /* not past a knot: no slope, which may be infinite */
    slope = (ys[at + 1] - ys[at]) / (xs[at + 1] - xs[at]);
    y = slope * (x - xs[at]) + ys[at];
    if (y != y) y = slope * (x - xs[at + 1]) + ys[at + 1];
    if (y != y && ys[at] == ys[at + 1]) y = ys[at];
    return y;
}

/* What the difference of two numbers adds to a distance. */
static double ff_gap(uint32_t metric, double power, double gap) {
    if (metric == FF_SQUARED || metric == FF_PRODUCTS) return gap * gap;
    gap = ff_of_one(FF_ABS, gap);
    return metric == FF_MINKOWSKI ? ff_pow(gap, power) : gap;
}

/* The square of a distance, which rounding may have made negative; not a number counts as nothing, too. */
static double ff_by_products(double product, double here, double there) {
    double square = (-2.0 * product + here) + there;
    return square > 0 ? square : 0.0;
}

static double ff_apart(uint32_t metric, double power, const double *x, const double *y, uint32_t count) {
    double sum = 0;
    uint32_t j;
    if (metric == FF_SQUARED) {
        for (j = 0; j < count; j++) { double gap = x[j] - y[j]; sum += gap * gap; }
        return sum;
    }
    if (metric == FF_PRODUCTS) {
        double here = 0, there = 0;
        for (j = 0; j < count; j++) { sum += x[j] * y[j]; here += x[j] * x[j]; there += y[j] * y[j]; }
        return ff_by_products(sum, here, there);
    }
    for (j = 0; j < count; j++) {
        double gap = ff_gap(metric, power, x[j] - y[j]);
        if (metric != FF_CHEBYSHEV) sum += gap;
        else if (gap > sum || gap != gap) sum = gap;
    }
    return sum;
}

#define FF_FOUR 4u

/* The distances of four points that lie behind each other, whose sums do not wait for one another. `here` is the sum of
 * the squares of x, where the metric wants it. */
static void ff_apart_four(uint32_t metric, double power, const double *x, double here, const double *y, uint32_t count, double *out) {
    double sum[FF_FOUR] = {0, 0, 0, 0}, there[FF_FOUR] = {0, 0, 0, 0};
    uint32_t j, p;
    if (metric == FF_SQUARED) {
        for (j = 0; j < count; j++)
            for (p = 0; p < FF_FOUR; p++) { double gap = x[j] - y[(size_t)p * count + j]; sum[p] += gap * gap; }
    } else if (metric == FF_PRODUCTS) {
        for (j = 0; j < count; j++)
            for (p = 0; p < FF_FOUR; p++) {
                double z = y[(size_t)p * count + j];
                sum[p] += x[j] * z;
                there[p] += z * z;
            }
        for (p = 0; p < FF_FOUR; p++) sum[p] = ff_by_products(sum[p], here, there[p]);
    } else
        for (p = 0; p < FF_FOUR; p++) sum[p] = ff_apart(metric, power, x, y + (size_t)p * count, count);
    for (p = 0; p < FF_FOUR; p++) out[p] = sum[p];
}

static double ff_squares(const double *x, uint32_t count) {
    double sum = 0;
    uint32_t j;
    for (j = 0; j < count; j++) sum += x[j] * x[j];
    return sum;
}

/* The distances of one row, which is laid into the workspace. */
static void ff_distances_of_one(const ff_plan *plan, const uint32_t *a, ff_block *block) {
    const double *point = plan->number + a[6];
    double power = plan->number[a[5]], here, *x = (double *)(void *)block->workspace, *out = ff_register(block, a[0]);
    uint32_t row, j;
    for (j = 0; j < a[2]; j++) x[j] = *ff_register(block, plan->word[a[3] + j]);
    here = ff_squares(x, a[2]);
    for (row = 0; row + FF_FOUR <= a[1]; row += FF_FOUR, point += (size_t)FF_FOUR * a[2])
        ff_apart_four(a[4], power, x, here, point, a[2], out + row);
    for (; row < a[1]; row++, point += a[2]) out[row] = ff_apart(a[4], power, x, point, a[2]);
}

static void ff_do_distances(const ff_plan *plan, const uint32_t *a, ff_block *block) {
    const double *point = plan->number + a[6];
    const uint32_t *source = plan->word + a[3];
    double power = plan->number[a[5]], *here = (double *)(void *)block->workspace;
    uint32_t row, j, i;
    if (block->lanes == 1) { ff_distances_of_one(plan, a, block); return; }
    if (a[4] == FF_SQUARED || a[4] == FF_PRODUCTS) {
        ff_sums(block, a[0], a[1], source, a[2], point, 1, a[2], a[4] == FF_SQUARED);
        if (a[4] == FF_SQUARED) return;
        for (i = 0; i < block->count; i++) here[i] = 0;
        for (j = 0; j < a[2]; j++) {
            const double *x = ff_register(block, source[j]);
            for (i = 0; i < block->count; i++) here[i] += x[i] * x[i];
        }
        for (row = 0; row < a[1]; row++, point += a[2]) {
            double *out = ff_register(block, a[0] + row), there = ff_squares(point, a[2]);
            for (i = 0; i < block->count; i++) out[i] = ff_by_products(out[i], here[i], there);
        }
        return;
    }
    for (row = 0; row < a[1]; row++) {
        double *out = ff_register(block, a[0] + row);
        for (i = 0; i < block->count; i++) out[i] = 0;
        for (j = 0; j < a[2]; j++, point++) {
            const double *x = ff_register(block, source[j]);
            double y = *point;
            if (a[4] != FF_CHEBYSHEV)
                for (i = 0; i < block->count; i++) out[i] += ff_gap(a[4], power, x[i] - y);
            else
                for (i = 0; i < block->count; i++) { double gap = ff_gap(a[4], power, x[i] - y); if (gap > out[i] || gap != gap) out[i] = gap; }
        }
    }
}

/* The nearest points so far lie in a heap, the farthest of them first. Which of equally near ones stay, and in which
 * order they come out, is what scikit-learn's heap and its introsort (D. Musser, "Introspective Sorting and Selection
 * Algorithms", 1997; the pivot is the median of three) make of them. */
static void ff_put_nearest(double *distance, uint32_t *index, uint32_t count, double value, uint32_t row) {
    uint32_t at = 0, child;
    if (value >= distance[0]) return;
    while ((child = 2 * at + 1) < count) {
        if (child + 1 < count && !(distance[child] >= distance[child + 1])) child++;
        if (!(value < distance[child])) break;
        distance[at] = distance[child];
        index[at] = index[child];
        at = child;
    }
    distance[at] = value;
    index[at] = row;
}

static void ff_exchange(double *distance, uint32_t *index, uint32_t i, uint32_t j) {
    double value = distance[i];
    uint32_t row = index[i];
    distance[i] = distance[j];
    index[i] = index[j];
    distance[j] = value;
    index[j] = row;
}

static void ff_sink(double *distance, uint32_t *index, uint32_t root, uint32_t end) {
    for (;;) {
        uint32_t most = root, child = 2 * root + 1;
        if (child < end && distance[most] < distance[child]) most = child;
        if (child + 1 < end && distance[most] < distance[child + 1]) most = child + 1;
        if (most == root) return;
        ff_exchange(distance, index, root, most);
        root = most;
    }
}

static void ff_sort_by_heap(double *distance, uint32_t *index, uint32_t count) {
    uint32_t i;
    for (i = (count - 2) / 2 + 1; i > 0; i--) ff_sink(distance, index, i - 1, count);
    for (i = count - 1; i > 0; i--) {
        ff_exchange(distance, index, 0, i);
        ff_sink(distance, index, 0, i);
    }
}

static void ff_sort_by_insertion(double *distance, uint32_t *index, uint32_t count) {
    uint32_t i, j;
    for (i = 1; i < count; i++) {
        double value = distance[i];
        uint32_t row = index[i];
        for (j = i; j > 0 && distance[j - 1] > value; j--) { distance[j] = distance[j - 1]; index[j] = index[j - 1]; }
        distance[j] = value;
        index[j] = row;
    }
}

/* Splits at the median of the first, the middle and the last; returns its place. */
static uint32_t ff_split_nearest(double *distance, uint32_t *index, uint32_t count) {
    uint32_t last = count - 1, middle = count / 2, i = 1, j = count - 2;
    double pivot;
    if (distance[0] > distance[last]) ff_exchange(distance, index, 0, last);
    if (distance[last] > distance[middle]) {
        ff_exchange(distance, index, last, middle);
        if (distance[0] > distance[last]) ff_exchange(distance, index, 0, last);
    }
    for (pivot = distance[last];; i++, j--) {
        while (i <= j && distance[i] < pivot) i++;
        while (i <= j && distance[j] > pivot) j--;
        if (i >= j) break;
        ff_exchange(distance, index, i, j);
    }
    ff_exchange(distance, index, i, last);
    return i;
}

static void ff_sort_nearest(double *distance, uint32_t *index, uint32_t count) {
    struct { uint32_t first, count, depth; } due[32]; /* at most twice the logarithm of FF_MOST_NEIGHBOURS */
    uint32_t waiting = 1, most = 0, pivot;
    while (count >> (most + 1)) most++;
    due[0].first = 0;
    due[0].count = count;
    due[0].depth = 2 * most;
    while (waiting) {
        uint32_t first = due[--waiting].first, left = due[waiting].count, depth = due[waiting].depth;
        for (; left > 15 && depth; first += pivot + 1, left -= pivot + 1) {
            pivot = ff_split_nearest(distance + first, index + first, left);
            due[waiting].first = first;
            due[waiting].count = pivot;
            due[waiting++].depth = --depth;
        }
        (left > 15 ? ff_sort_by_heap : ff_sort_by_insertion)(distance + first, index + first, left);
    }
}

/* The least distance that a point of a node can have. */
static double ff_node_apart(const ff_plan *plan, const uint32_t *a, const double *query, uint32_t node) {
    const double *low = plan->number + a[12] + (size_t)node * a[3], *high = low + (size_t)a[11] * a[3];
    double sum = 0, power = plan->number[a[7]];
    uint32_t metric = a[6] & ~FF_BALLS, j;
    if (a[6] & FF_BALLS) {
        double radius = plan->number[a[12] + (size_t)a[11] * a[3] + node];
        sum = ff_apart(metric, power, query, low, a[3]);
        sum = (metric == FF_SQUARED || metric == FF_PRODUCTS ? ff_sqrt(sum) : metric == FF_MINKOWSKI ? ff_pow(sum, 1.0 / power) : sum) - radius;
        return ff_gap(metric, power, sum > 0 ? sum : 0.0);
    }
    for (j = 0; j < a[3]; j++) {
        double below = low[j] - query[j], above = query[j] - high[j];
        double gap = 0.5 * ((below + ff_of_one(FF_ABS, below)) + (above + ff_of_one(FF_ABS, above)));
        if (metric != FF_CHEBYSHEV) sum += ff_gap(metric, power, gap);
        else if (gap > sum) sum = gap;
    }
    return sum;
}

static void ff_find_nearest(const ff_plan *plan, const uint32_t *a, const double *query, double *distance, uint32_t *index) {
    struct { uint32_t node; double apart; } due[64]; /* a level of the tree leaves one waiting */
    uint32_t waiting = 1, metric = a[6] & ~FF_BALLS, row;
    double here = ff_squares(query, a[3]), power = plan->number[a[7]];
    due[0].node = 0;
    due[0].apart = 0;
    while (waiting) {
        uint32_t node = due[--waiting].node, left = 2 * node + 1, nearer;
        const uint32_t *word = plan->word + a[10] + 3 * (size_t)node;
        double one, other;
        if (due[waiting].apart > distance[0]) continue;
        if (word[2]) {
            const double *point = plan->number + a[8] + (size_t)word[0] * a[3];
            for (row = word[0]; row + FF_FOUR <= word[1]; row += FF_FOUR, point += (size_t)FF_FOUR * a[3]) {
                double apart[FF_FOUR];
                uint32_t p;
                ff_apart_four(metric, power, query, here, point, a[3], apart);
                for (p = 0; p < FF_FOUR; p++) ff_put_nearest(distance, index, a[1], apart[p], row + p);
            }
            for (; row < word[1]; row++, point += a[3])
                ff_put_nearest(distance, index, a[1], ff_apart(metric, power, query, point, a[3]), row);
            continue;
        }
        one = ff_node_apart(plan, a, query, left);
        other = ff_node_apart(plan, a, query, left + 1);
        nearer = one <= other ? left : left + 1;
        due[waiting].node = nearer == left ? left + 1 : left;
        due[waiting++].apart = nearer == left ? other : one;
        due[waiting].node = nearer;
        due[waiting++].apart = nearer == left ? one : other;
    }
}

static void ff_do_nearest(const ff_plan *plan, const uint32_t *a, ff_block *block) {
    uint32_t k = a[1], width = a[2], i, j, t;
    double *distance = (double *)(void *)block->workspace, *query = distance + k;
    uint32_t *index = (uint32_t *)(void *)(query + a[3]);
    for (i = 0; i < block->count; i++) {
        for (j = 0; j < a[3]; j++) query[j] = ff_register(block, plan->word[a[4] + j])[i];
        for (j = 0; j < k; j++) { distance[j] = plan->number[a[7] + 1u]; index[j] = 0; }
        ff_find_nearest(plan, a, query, distance, index);
        ff_sort_nearest(distance, index, k);
        for (j = 0; j < k; j++) {
            const double *target = plan->number + a[9] + (size_t)index[j] * width;
            ff_register(block, a[0] + j)[i] = distance[j];
            for (t = 0; t < width; t++) ff_register(block, a[0] + k + t * k + j)[i] = target[t];
        }
    }
}

/* Probabilities p that fit best those of pairs, r[i][j] of i against j, by T.-F. Wu, C.-J. Lin and R. Weng, "Probability
 * Estimates for Multi-class Classification by Pairwise Coupling", 2004, algorithm 2: where Q p is the same for all
 * classes, with Q[t][t] the sum of r[j][t]² and Q[t][j] = -r[j][t] r[t][j]. The order of operations, when it stops and
 * what it starts from are those of libsvm. */
static void ff_couple(double *r, double *q, double *product, double *p, uint32_t k) {
    uint32_t t, j, round;
    for (t = 0; t < k; t++) {
        double *row = q + (size_t)t * k;
        p[t] = 1.0 / k;
        row[t] = 0;
        for (j = 0; j < k; j++) {
            double against = r[(size_t)j * k + t];
            if (j == t) continue;
            row[t] += against * against;
            row[j] = j < t ? q[(size_t)j * k + t] : -against * r[(size_t)t * k + j];
        }
    }
    for (round = 0; round < ff_rounds(k); round++) {
        double all = 0, worst = 0;
        for (t = 0; t < k; t++) {
            product[t] = 0;
            for (j = 0; j < k; j++) product[t] += q[(size_t)t * k + j] * p[j];
            all += p[t] * product[t];
        }
        for (t = 0; t < k; t++) {
            double error = ff_of_one(FF_ABS, product[t] - all);
            if (error > worst) worst = error;
        }
        if (worst < 0.005 / k) return;
        for (t = 0; t < k; t++) {
            const double *row = q + (size_t)t * k;
            double step = (-product[t] + all) / row[t];
            p[t] += step;
            all = (all + step * (step * row[t] + 2 * product[t])) / (1 + step) / (1 + step);
            for (j = 0; j < k; j++) {
                product[j] = (product[j] + step * row[j]) / (1 + step);
                p[j] /= 1 + step;
            }
        }
    }
}

static void ff_do_couple(const ff_plan *plan, const uint32_t *a, ff_block *block) {
    uint32_t k = a[1], lane, i, j;
    double *r = (double *)(void *)block->workspace, *q = r + (size_t)k * k, *product = q + (size_t)k * k, *p = product + k;
    for (lane = 0; lane < block->count; lane++) {
        const uint32_t *source = plan->word + a[2];
        for (i = 0; i < k; i++)
            for (j = i + 1; j < k; j++) {
                double x = ff_register(block, *source++)[lane];
                r[(size_t)i * k + j] = x;
                r[(size_t)j * k + i] = 1 - x;
            }
        ff_couple(r, q, product, p, k);
        for (i = 0; i < k; i++) ff_register(block, a[0] + i)[lane] = p[i];
    }
}

/* The order of ascending numbers, NaN last and equal ones as they come: a merge sort from runs of one upwards. Returns
 * whichever of the two lists of places holds it. */
static const uint32_t *ff_order(const double *value, uint32_t count, uint32_t *from, uint32_t *to) {
    uint32_t run, i;
    for (i = 0; i < count; i++) from[i] = i;
    for (run = 1; run < count; run *= 2) {
        uint32_t start, *sorted = to;
        for (start = 0; start < count; start += 2 * run) {
            uint32_t left = start, middle = count - start < run ? count : start + run, right = middle;
            uint32_t end = count - middle < run ? count : middle + run;
            for (i = start; i < end; i++) {
                double x = left < middle ? value[from[left]] : 0, y = right < end ? value[from[right]] : 0;
                int take_right = left == middle || (right < end && (y < x || (x != x && y == y)));
                to[i] = take_right ? from[right++] : from[left++];
            }
        }
        to = from;
        from = sorted;
    }
    return from;
}

static void ff_do_median(const ff_plan *plan, const uint32_t *a, ff_block *block) {
    /* The weights are summed in the order of the numbers, from the least on. */
    double *value = (double *)(void *)block->workspace, *out = ff_register(block, a[0]);
    uint32_t *places = (uint32_t *)(void *)(value + a[1]), i, j;
    const double *weight = plan->number + a[3];
    for (i = 0; i < block->count; i++) {
        const uint32_t *order;
        double half = 0, sum = 0;
        uint32_t found = 0;
        for (j = 0; j < a[1]; j++) value[j] = ff_register(block, plan->word[a[2] + j])[i];
        order = ff_order(value, a[1], places, places + a[1]);
        for (j = 0; j < a[1]; j++) half = j ? half + weight[order[j]] : weight[order[j]];
        half *= 0.5;
        for (j = 0; j < a[1]; j++) {
            sum = j ? sum + weight[order[j]] : weight[order[j]];
            if (sum >= half) { found = j; break; }
        }
        out[i] = value[order[found]];
    }
}

static void ff_do_refuse(const ff_plan *plan, const uint32_t *a, ff_block *block) {
    uint32_t i, j;
    for (j = 0; j < a[0]; j++) {
        const double *x = ff_register(block, plan->word[a[1] + j]);
        for (i = 0; i < block->count; i++) {
            int is = a[2] == FF_NOT_FINITE ? !ff_is_finite(x[i]) : a[2] == FF_A_NAN ? ff_is_nan(x[i])
                     : a[2] == FF_INFINITE ? !ff_is_finite(x[i]) && !ff_is_nan(x[i]) : x[i] == 0;
            if (is && !block->refused[i]) block->refused[i] = a[3] + 1;
        }
    }
}

/* ------------------------------------------------------------------------------------------------------------------
 * 8  Bags: texts as rows of a sparse matrix
 *
 * A bag is a row of a sparse matrix: the columns that a text has something in, ascending, and a number for each. Bags
 * of a block of rows lie one after the other, so that vocabularies of a million terms cost what is found of them only.
 * There is room for every bag that can be alone; where bags of a block do not fit together, the block becomes shorter
 * and the rest of its rows come in the next one.
 *
 * A text is read once, code point by code point: folded (lower case, without accents), cut into tokens or characters,
 * and the n-grams looked up or hashed. What is a letter, and what its lower case is, stands in the plan: the tables are
 * those of the Python that packed the model. The hash is MurmurHash3 for 32 bits by Austin Appleby (public domain).
 * ------------------------------------------------------------------------------------------------------------------ */

#define FF_MOST_GRAMS 64u         /* the tokens, or characters, of an n-gram; a power of two */
#define FF_MOST_ENTRIES (1u << 22) /* of a row */
#define FF_PENDING 16384u /* n-grams that are sorted at once */
#define FF_BAG_USUAL 256u /* entries a row that there is room for in a full block */
#define FF_POINTS 0x110000u
#define FF_SIGMA_POINT 0x3a3u

/* What a text step says of texts, word by word; two words for a list are where it begins and how many it has. */
enum ff_setting {
    FF_T_ANALYZER,                 /* ff_analyzer */
    FF_T_LEAST, FF_T_MOST,         /* n of the n-grams */
    FF_T_FLAGS,                    /* ff_text_flag */
    FF_T_SHORTEST, FF_T_TALLEST,   /* characters of a token */
    FF_T_FOLD, FF_T_FOLDS,         /* pairs: a code point, ascending, and what it becomes, or FF_SEVERAL and a place in the tail */
    FF_T_TAIL, FF_T_TAILS,         /* how many, and that many code points */
    FF_T_TOKEN, FF_T_TOKENS,       /* pairs, first and last: the characters of a token */
    FF_T_WORD, FF_T_WORDS,         /* word characters, for the boundaries of words */
    FF_T_SPACE, FF_T_SPACES,       /* white space */
    FF_T_CASED, FF_T_CASEDS,       /* cased letters, but for those that are ignored for case */
    FF_T_IGNORED, FF_T_IGNOREDS,   /* what is ignored for case */
    FF_T_TERM, FF_T_WIDTH,         /* strings, the vocabulary; where n-grams are hashed, only how many columns */
    FF_T_STOP, FF_T_STOPS,         /* strings: tokens that are left out */
    FF_T_MISSING,                  /* a string that stands for a missing text; UINT32_MAX: a row without one is refused */
    FF_T_WHY, FF_T_MANY,           /* strings: why a row is refused that has no text, or too many different n-grams */
    FF_T_SETTINGS
};
enum ff_analyzer { FF_WORDS, FF_CHARACTERS, FF_WITHIN_WORDS };
enum ff_text_flag {
    FF_HASHED = 1,
    FF_SIGNED = 2,  /* a hash counts as 1 or -1 */
    FF_BINARY = 4,  /* whatever is there counts once */
    FF_SIGMA = 8,   /* a capital sigma becomes a final one at the end of a word */
    FF_ASCII = 16,  /* what is not folded and not ASCII is left out */
    FF_HANGUL = 32, /* Hangul syllables are decomposed */
    FF_BOUNDED = 64, /* a token must end where a word does */
    FF_TEXT_FLAGS = 127
};
#define FF_SEVERAL 0x80000000u

enum { FF_IS_TOKEN = 1, FF_IS_WORD = 2, FF_IS_SPACE = 4, FF_IS_CASED = 8, FF_IS_IGNORED = 16, FF_IS_SLOW = 128 };

/* A text step as it is prepared. */
typedef struct ff_reader {
    const uint32_t *setting;
    ff_dictionary terms, stops;
    const uint16_t *property_page, *fold_page; /* for each 256 code points: of `fold`, 0: they are what they were */
    const uint8_t *property;
    const uint32_t *fold;
    uint32_t longest;                 /* bytes of the longest term and stop word */
    uint8_t ascii[128], ascii_is[128]; /* what a byte is folded to, and what that is; FF_IS_SLOW where it is not one byte */
} ff_reader;

/* The bags of a block. */
typedef struct ff_rows {
    uint32_t *start, *column;
    double *value;
} ff_rows;

static int ff_ranges(const ff_plan *plan, uint32_t first, uint32_t count) {
    uint64_t i;
    if (!ff_inside(first, 2 * (uint64_t)count, plan->words)) return 0;
    for (i = 0; i < 2 * (uint64_t)count; i++)
        if (plan->word[first + i] >= FF_POINTS || (i && plan->word[first + i] < plan->word[first + i - 1] + (i % 2 == 0))) return 0;
    return 1;
}

static int ff_folds(const ff_plan *plan, const uint32_t *s) {
    const uint32_t *tail = plan->word + s[FF_T_TAIL];
    uint64_t i, j;
    if (!ff_inside(s[FF_T_FOLD], 2 * (uint64_t)s[FF_T_FOLDS], plan->words) || !ff_inside(s[FF_T_TAIL], s[FF_T_TAILS], plan->words)) return 0;
    for (i = 0; i < s[FF_T_FOLDS]; i++) {
        const uint32_t *pair = plan->word + s[FF_T_FOLD] + 2 * i;
        uint32_t place = pair[1] & ~FF_SEVERAL;
        if (pair[0] >= FF_POINTS || (i && pair[0] <= pair[-2])) return 0;
        if (!(pair[1] & FF_SEVERAL)) { if (place >= FF_POINTS) return 0; continue; }
        if (place >= s[FF_T_TAILS] || tail[place] >= s[FF_T_TAILS] - place) return 0;
        for (j = 1; j <= tail[place]; j++) if (tail[place + j] >= FF_POINTS) return 0;
    }
    return 1;
}

static uint32_t ff_longest(const ff_plan *plan, uint32_t first, uint32_t count) {
    uint32_t longest = 0, i;
    for (i = 0; i < count; i++) {
        uint32_t length = plan->string[first + i + 1] - plan->string[first + i];
        if (length > longest) longest = length;
    }
    return longest;
}

static uint64_t ff_room(uint32_t longest) { return (4 * (uint64_t)longest + 2048 + 7) / 8 * 8; }

static int ff_writes_bag(ff_plan *plan, ff_progress *so_far, uint32_t bag, uint32_t width, uint64_t where) {
    /* Into the next bag, or in the place of one of the same width. */
    uint32_t i;
    FF_CHECK(bag <= so_far->bags && bag < FF_MOST_BAGS, "writes elsewhere than to the next bag, at step", where);
    if (bag == so_far->bags) {
        uint64_t entries = width < FF_MOST_ENTRIES ? width : FF_MOST_ENTRIES;
        for (i = 0; i < bag; i++) entries += plan->bag_width[i] < FF_MOST_ENTRIES ? plan->bag_width[i] : FF_MOST_ENTRIES;
        FF_CHECK(entries <= 4 * FF_MOST_ENTRIES, "the bags of a row would take too much memory, at step", where);
        plan->bag_width[so_far->bags++] = width;
    }
    FF_CHECK(plan->bag_width[bag] == width, "writes to a bag of another width, at step", where);
    return 0;
}

static int ff_open_bag(ff_plan *plan, ff_progress *so_far, const uint32_t *a, uint64_t where) {
    static const char outside[] = "settings of a text are outside or out of order, at step";
    static const char unknown[] = "a setting of a text that is not known, at step";
    const uint32_t *s = plan->word + a[2];
    uint32_t terms, longest, stop;
    uint64_t workspace;
    FF_CHECK(a[1] < plan->inputs && plan->input[a[1]].type == FF_STRING, "no such input of text, at step", where);
    FF_CHECK(ff_inside(a[2], FF_T_SETTINGS, plan->words), outside, where);
    terms = s[FF_T_FLAGS] & FF_HASHED ? 0 : s[FF_T_WIDTH];
    FF_CHECK(s[FF_T_ANALYZER] <= FF_WITHIN_WORDS && s[FF_T_FLAGS] <= FF_TEXT_FLAGS, unknown, where);
    FF_CHECK(s[FF_T_LEAST] > 0 && s[FF_T_LEAST] <= s[FF_T_MOST] && s[FF_T_MOST] <= FF_MOST_GRAMS, unknown, where);
    FF_CHECK(s[FF_T_SHORTEST] > 0, unknown, where);
    FF_CHECK(ff_ranges(plan, s[FF_T_TOKEN], s[FF_T_TOKENS]) && ff_ranges(plan, s[FF_T_WORD], s[FF_T_WORDS]) &&
             ff_ranges(plan, s[FF_T_SPACE], s[FF_T_SPACES]) && ff_ranges(plan, s[FF_T_CASED], s[FF_T_CASEDS]) &&
             ff_ranges(plan, s[FF_T_IGNORED], s[FF_T_IGNOREDS]) && ff_folds(plan, s), outside, where);
    FF_CHECK(s[FF_T_WIDTH] > 0 && s[FF_T_WIDTH] <= (1u << 30), unknown, where);
    FF_CHECK(ff_inside(s[FF_T_TERM], terms, plan->strings) && ff_inside(s[FF_T_STOP], s[FF_T_STOPS], plan->strings), outside, where);
    FF_CHECK((s[FF_T_MISSING] == UINT32_MAX || s[FF_T_MISSING] < plan->strings) && s[FF_T_WHY] < plan->strings &&
             s[FF_T_MANY] < plan->strings, outside, where);
    longest = ff_longest(plan, s[FF_T_TERM], terms);
    stop = ff_longest(plan, s[FF_T_STOP], s[FF_T_STOPS]);
    if (longest < stop) longest = stop;
    FF_CHECK(longest <= (1u << 28), "a term is too long, at step", where);
    workspace = 8 * (uint64_t)FF_PENDING + ff_room(longest);
    if (so_far->workspace < workspace) so_far->workspace = (uint32_t)workspace;
    so_far->readers++;
    return ff_writes_bag(plan, so_far, a[0], s[FF_T_WIDTH], where);
}

static int ff_open_bag_step(ff_plan *plan, ff_progress *so_far, uint32_t operation, const uint32_t *a, uint64_t where) {
    static const char unread[] = "reads a bag or a register that is not written yet, at step";
    static const char unwritten[] = "writes elsewhere than to the next registers, at step";
    static const char outside[] = "its constants are outside or out of order, at step";
    static const char unknown[] = "a function that is not known, at step";
    uint32_t source = operation == FF_BAG_DOT || operation == FF_BAG_SPREAD ? a[2] : a[1], width, next = 0, i;
    if (operation == FF_BAG) return ff_open_bag(plan, so_far, a, where);
    FF_CHECK(source < so_far->bags, unread, where);
    width = plan->bag_width[source];
    switch (operation) {
    case FF_BAG_MAP:
        FF_CHECK(ff_known_function(a[2], 0), unknown, where);
        return ff_writes_bag(plan, so_far, a[0], width, where);
    case FF_BAG_CONST:
        FF_CHECK(ff_known_function(a[2], 32) && a[4] <= 1, unknown, where);
        FF_CHECK(ff_inside(a[3], a[4] ? width : 1, plan->numbers), outside, where);
        return ff_writes_bag(plan, so_far, a[0], width, where);
    case FF_BAG_ROW:
        FF_CHECK(ff_known_function(a[2], 32), unknown, where);
        FF_CHECK(a[3] < so_far->registers, unread, where);
        return ff_writes_bag(plan, so_far, a[0], width, where);
    case FF_BAG_PICK:
        FF_CHECK(a[0] == so_far->bags && a[3] > 0 && ff_inside(a[2], width, plan->words), outside, where);
        for (i = 0; i < width; i++) {
            uint32_t column = plan->word[a[2] + i];
            if (column == UINT32_MAX) continue;
            FF_CHECK(column >= next && column < a[3], outside, where);
            next = column + 1;
        }
        return ff_writes_bag(plan, so_far, a[0], a[3], where);
    case FF_BAG_FOLD:
        FF_CHECK(a[2] == FF_SUM || a[2] == FF_SQUARES || a[2] == FF_ABSOLUTES || a[2] == FF_LEAST || a[2] == FF_MOST, unknown, where);
        FF_CHECK(a[3] <= 1 && a[4] < so_far->registers, unread, where);
        FF_CHECK(ff_writes(plan, so_far, a[0], 1), unwritten, where);
        return 0;
    case FF_BAG_DOT: {
        uint64_t workspace = 8 * (uint64_t)a[1];
        FF_CHECK(a[5] <= 1 && ff_inside(a[4], (uint64_t)a[1] * width, plan->numbers), outside, where);
        FF_CHECK(a[3] == UINT32_MAX || ff_reads(plan, so_far, a[3], a[1]), unread, where);
        FF_CHECK(ff_writes(plan, so_far, a[0], a[1]), unwritten, where);
        if (so_far->workspace < workspace) so_far->workspace = (uint32_t)workspace;
        return 0;
    }
    default: /* FF_BAG_SPREAD */
        FF_CHECK(a[4] <= 1 && ff_inside(a[3], width, plan->words), outside, where);
        for (i = 0; i < width; i++) FF_CHECK(plan->word[a[3] + i] == UINT32_MAX || plan->word[a[3] + i] < a[1], outside, where);
        FF_CHECK(ff_writes(plan, so_far, a[0], a[1]), unwritten, where);
        return 0;
    }
}

/* Properties: a page of bytes for each 256 code points; pages that are the same all over are shared. */
static uint32_t ff_fill_properties(const ff_plan *plan, const uint32_t *s, uint16_t *page, uint8_t *property) {
    static const uint8_t list[5] = {FF_T_TOKEN, FF_T_WORD, FF_T_SPACE, FF_T_CASED, FF_T_IGNORED};
    uint32_t next[5] = {0, 0, 0, 0, 0}, same[32] = {0}, pages = 0, p, k, i;
    for (p = 0; p < FF_POINTS / 256; p++) {
        uint32_t all = 0, mixed = 0, low = p * 256, high = low + 255, at;
        for (k = 0; k < 5; k++) {
            const uint32_t *range = plan->word + s[list[k]], count = s[list[k] + 1];
            while (next[k] < count && range[2 * next[k] + 1] < low) next[k]++;
            if (next[k] == count || range[2 * next[k]] > high) continue;
            if (range[2 * next[k]] <= low && range[2 * next[k] + 1] >= high) all |= 1u << k;
            else mixed = 1;
        }
        at = mixed || !same[all] ? pages++ : same[all] - 1;
        if (!mixed) same[all] = at + 1;
        if (!property) continue;
        page[p] = (uint16_t)at;
        ff_fill(property + 256 * (size_t)at, (int)all, 256);
        for (k = 0; mixed && k < 5; k++) {
            const uint32_t *range = plan->word + s[list[k]], count = s[list[k] + 1];
            uint32_t r = next[k];
            for (; r < count && range[2 * r] <= high; r++)
                for (i = range[2 * r] < low ? low : range[2 * r]; i <= range[2 * r + 1] && i <= high; i++)
                    property[256 * (size_t)at + (i & 255)] |= (uint8_t)(1u << k);
        }
    }
    return pages;
}

static uint32_t ff_fold_of(const ff_reader *reader, uint32_t point) {
    uint32_t page = reader->fold_page[point >> 8];
    return page ? reader->fold[(size_t)(page - 1) * 256 + (point & 255)] : point;
}

static uint8_t ff_property_of(const ff_reader *reader, uint32_t point) {
    return reader->property[(size_t)reader->property_page[point >> 8] * 256 + (point & 255)];
}

static int ff_prepare_tables(ff_plan *plan, ff_reader *reader, ff_allocate allocate, void *context) {
    const uint32_t *s = reader->setting, *pair = plan->word + s[FF_T_FOLD];
    uint32_t properties = ff_fill_properties(plan, s, NULL, NULL), folds = 0, i, point;
    uint16_t *page = (uint16_t *)allocate(context, FF_POINTS / 256 * 2 * sizeof *page), *fold_page;
    uint8_t *property = (uint8_t *)allocate(context, 256 * (size_t)properties);
    uint32_t *fold;
    for (i = 0; i < s[FF_T_FOLDS]; i++) folds += i == 0 || pair[2 * i] >> 8 != pair[2 * i - 2] >> 8;
    fold = (uint32_t *)allocate(context, 1024 * (size_t)(folds + 1));
    FF_CHECK(page && property && fold, "no memory for tables of characters; pages wanted:", properties + folds);
    ff_fill(page, 0, FF_POINTS / 256 * 2 * sizeof *page);
    fold_page = page + FF_POINTS / 256;
    ff_fill_properties(plan, s, page, property);
    for (i = 0, folds = 0; i < s[FF_T_FOLDS]; i++) {
        uint32_t high = pair[2 * i] >> 8;
        if (!fold_page[high]) {
            fold_page[high] = (uint16_t)++folds;
            for (point = 0; point < 256; point++) fold[(size_t)(folds - 1) * 256 + point] = high << 8 | point;
        }
        fold[(size_t)(folds - 1) * 256 + (pair[2 * i] & 255)] = pair[2 * i + 1];
    }
    reader->property_page = page;
    reader->fold_page = fold_page;
    reader->property = property;
    reader->fold = fold;
    for (point = 0; point < 128; point++) {
        uint32_t to = ff_fold_of(reader, point);
        reader->ascii[point] = (uint8_t)to;
        reader->ascii_is[point] = to < 128 ? ff_property_of(reader, to) : FF_IS_SLOW;
    }
    return 0;
}

static int ff_prepare_bag(ff_plan *plan, ff_reader *reader, const uint32_t *a, ff_allocate allocate, void *context) {
    const uint32_t *s = plan->word + a[2];
    uint32_t hashed = s[FF_T_FLAGS] & FF_HASHED, operand[4] = {0, 0, 0, 0}, stop;
    reader->setting = s;
    operand[2] = s[FF_T_TERM];
    operand[3] = hashed ? 0 : s[FF_T_WIDTH];
    if (ff_prepare_dictionary(plan, &reader->terms, operand, allocate, context)) return -1;
    reader->longest = ff_longest(plan, operand[2], operand[3]);
    operand[2] = s[FF_T_STOP];
    operand[3] = s[FF_T_STOPS];
    if (ff_prepare_dictionary(plan, &reader->stops, operand, allocate, context)) return -1;
    stop = ff_longest(plan, operand[2], operand[3]);
    if (reader->longest < stop) reader->longest = stop;
    return ff_prepare_tables(plan, reader, allocate, context);
}

/* MurmurHash3 of bytes that come in parts. */
typedef struct {
    uint32_t hash, tail, length; /* tail: the last bytes, fewer than four */
} ff_murmur;

static uint32_t ff_turn(uint32_t x, uint32_t bits) { return x << bits | x >> (32 - bits); }
static uint32_t ff_scramble(uint32_t k) { return ff_turn(k * 0xcc9e2d51u, 15) * 0x1b873593u; }

static void ff_absorb(ff_murmur *to, const uint8_t *bytes, uint32_t count) {
    uint32_t hash = to->hash, tail = to->tail, length = to->length;
    while (count--) {
        tail |= (uint32_t)*bytes++ << 8 * (length & 3);
        if ((++length & 3) == 0) { hash = ff_turn(hash ^ ff_scramble(tail), 13) * 5 + 0xe6546b64u; tail = 0; }
    }
    to->hash = hash;
    to->tail = tail;
    to->length = length;
}

static uint32_t ff_murmured(const ff_murmur *of) {
    uint32_t hash = of->hash;
    if (of->length & 3) hash ^= ff_scramble(of->tail);
    hash ^= of->length;
    hash = (hash ^ hash >> 16) * 0x85ebca6bu;
    hash = (hash ^ hash >> 13) * 0xc2b2ae35u;
    return hash ^ hash >> 16;
}

/* The reading of one text. An n-gram is kept as its column times two, and one more where it counts as -1. */
typedef struct {
    const ff_plan *plan;
    const ff_reader *reader;
    uint32_t analyzer, least, most, flags, shortest, tallest, hashed;
    uint32_t keys, *key, *spare;  /* n-grams that are not counted yet */
    uint8_t *bytes;               /* what n-grams are cut from: the latest tokens with a space between, or characters */
    uint32_t used, room, token;   /* token: where the one that is read begins */
    uint32_t inside, over, spilt; /* in a token or word; one too long to be known; one of which a part is hashed already */
    uint32_t before, space;       /* whether a word character stood before the token; the white space that is held back */
    uint64_t characters, tokens;  /* of the token or window; before this token */
    uint32_t start[FF_MOST_GRAMS];
    ff_murmur state[FF_MOST_GRAMS], saved[FF_MOST_GRAMS];
    uint32_t *column, size, entries; /* the bag: how many it has, and may have */
    double *value;
    int full;
} ff_cutter;

#define FF_RING (FF_MOST_GRAMS - 1u)

static void ff_sort_keys(uint32_t *key, uint32_t *spare, uint32_t count, uint32_t most) {
    uint32_t *from = key, *to = spare, shift, i, j;
    if (count <= 48) {
        for (i = 1; i < count; i++) {
            uint32_t each = key[i];
            for (j = i; j && key[j - 1] > each; j--) key[j] = key[j - 1];
            key[j] = each;
        }
        return;
    }
    for (shift = 0; shift < 32 && most >> shift; shift += 8) {
        uint32_t place[256] = {0}, sum = 0, *other = from;
        for (i = 0; i < count; i++) place[from[i] >> shift & 255]++;
        for (i = 0; i < 256; i++) { uint32_t here = place[i]; place[i] = sum; sum += here; }
        for (i = 0; i < count; i++) to[place[from[i] >> shift & 255]++] = from[i];
        from = to;
        to = other;
    }
    if (from != key) ff_copy(key, from, (size_t)count * sizeof *key);
}

/* Counts the n-grams that are pending into the bag. */
static void ff_settle(ff_cutter *c) {
    uint32_t found = 0, fresh, i, j, out;
    int32_t *count = (int32_t *)(void *)c->spare;
    if (!c->keys || c->full) { c->keys = 0; return; }
    ff_sort_keys(c->key, c->spare, c->keys, 2 * (c->reader->setting[FF_T_WIDTH] - 1) + 1);
    for (i = 0; i < c->keys; i++) {
        uint32_t column = c->key[i] >> 1;
        int32_t sign = c->key[i] & 1 ? -1 : 1;
        if (found && c->key[found - 1] == column) count[found - 1] += sign;
        else { c->key[found] = column; count[found++] = sign; }
    }
    c->keys = 0;
    for (i = 0, j = 0, fresh = 0; i < found; i++) {
        while (j < c->size && c->column[j] < c->key[i]) j++;
        fresh += j == c->size || c->column[j] != c->key[i];
    }
    if (fresh > c->entries - c->size) { c->full = 1; return; }
    /* From the end on, so that nothing is overwritten that is still to be moved. */
    for (i = found, j = c->size, out = c->size + fresh, c->size = out; i; ) {
        if (j && c->column[j - 1] > c->key[i - 1]) { j--; out--; c->column[out] = c->column[j]; c->value[out] = c->value[j]; continue; }
        i--;
        out--;
        if (j && c->column[j - 1] == c->key[i]) { j--; c->value[out] = c->value[j] + count[i]; }
        else c->value[out] = count[i];
        c->column[out] = c->key[i];
    }
}

static void ff_add_key(ff_cutter *c, uint32_t key) {
    if (c->keys == FF_PENDING) ff_settle(c);
    c->key[c->keys++] = key;
}

static void ff_add_hash(ff_cutter *c, uint32_t hash) {
    /* The column is the hash's magnitude as a signed number; that of the smallest one is 2^31. */
    uint32_t negative = hash >> 31, magnitude = negative ? 0u - hash : hash;
    ff_add_key(c, magnitude % c->reader->setting[FF_T_WIDTH] * 2 + (c->flags & FF_SIGNED ? negative : 0));
}

static void ff_add_gram(ff_cutter *c, uint32_t from) {
    uint32_t length = c->used - from, code;
    if (c->hashed) {
        ff_murmur state = {0, 0, 0};
        ff_absorb(&state, c->bytes + from, length);
        ff_add_hash(c, ff_murmured(&state));
        return;
    }
    code = ff_code_of(c->plan, &c->reader->terms, c->bytes + from, length);
    if (code != c->reader->terms.count) ff_add_key(c, 2 * code);
}

static uint32_t ff_put(uint8_t *to, uint32_t point) {
    if (point < 0x80) { to[0] = (uint8_t)point; return 1; }
    if (point < 0x800) { to[0] = (uint8_t)(0xc0 | point >> 6); to[1] = (uint8_t)(0x80 | (point & 63)); return 2; }
    if (point < 0x10000) {
        to[0] = (uint8_t)(0xe0 | point >> 12);
        to[1] = (uint8_t)(0x80 | (point >> 6 & 63));
        to[2] = (uint8_t)(0x80 | (point & 63));
        return 3;
    }
    to[0] = (uint8_t)(0xf0 | point >> 18);
    to[1] = (uint8_t)(0x80 | (point >> 12 & 63));
    to[2] = (uint8_t)(0x80 | (point >> 6 & 63));
    to[3] = (uint8_t)(0x80 | (point & 63));
    return 4;
}

/* Drops the bytes before the last `kept` of so many starts, which are numbered anew. */
static void ff_slide(ff_cutter *c, uint64_t starts, uint32_t kept) {
    uint32_t from = kept ? c->start[(starts - kept) & FF_RING] : c->used, i;
    for (i = 0; i < kept; i++) c->spare[i] = c->start[(starts - kept + i) & FF_RING] - from;
    for (i = 0; i < kept; i++) c->start[i] = c->spare[i];
    for (i = from; i < c->used; i++) c->bytes[i - from] = c->bytes[i];
    c->used -= from;
}

static void ff_add_character(ff_cutter *c, uint32_t point) {
    uint32_t n;
    if (c->used + 4 > c->room) {
        uint32_t kept = (uint32_t)(c->characters < c->most ? c->characters : c->most);
        ff_slide(c, c->characters, kept);
        c->characters = kept;
    }
    c->start[c->characters++ & FF_RING] = c->used;
    c->used += ff_put(c->bytes + c->used, point);
    for (n = c->least; n <= c->most && n <= c->characters; n++) {
        uint32_t from = c->start[(c->characters - n) & FF_RING];
        if (!c->hashed && c->used - from > c->reader->longest) break; /* and so are all longer ones */
        ff_add_gram(c, from);
    }
}

/* Hashes what is there of a token, into the n-grams that began with earlier ones too. */
static void ff_spill(ff_cutter *c) {
    uint32_t kept = (uint32_t)(c->tokens < c->most - 1 ? c->tokens : c->most - 1), i;
    ff_murmur *own = c->state + (c->tokens & FF_RING);
    if (!c->spilt) {
        for (i = 1; i <= kept; i++) ff_absorb(c->state + ((c->tokens - i) & FF_RING), (const uint8_t *)" ", 1);
        own->hash = own->tail = own->length = 0;
        c->spilt = 1;
    }
    for (i = 0; i <= kept; i++) ff_absorb(c->state + ((c->tokens - i) & FF_RING), c->bytes, c->used);
    c->used = 0;
}

static void ff_begin_token(ff_cutter *c) {
    c->inside = 1;
    c->characters = 0;
    c->over = c->spilt = 0;
    if (c->hashed) c->used = 0;
    else if (c->used + c->reader->longest + 8 > c->room) {
        /* An n-gram that is longer than all terms is none, so what is older than that is done with. */
        uint32_t kept = (uint32_t)(c->tokens < c->most - 1 ? c->tokens : c->most - 1);
        while (kept && c->used - c->start[(c->tokens - kept) & FF_RING] > c->reader->longest) kept--;
        ff_slide(c, c->tokens, kept);
        c->tokens = kept;
    }
    c->token = c->used;
}

static void ff_grow_token(ff_cutter *c, uint32_t point) {
    c->characters++;
    if (c->over) return;
    if (c->hashed) {
        if (c->used + 4 > c->room) {
            if (!c->spilt) ff_copy(c->saved, c->state, sizeof c->state); /* it may turn out to be no token */
            ff_spill(c);
        }
    } else if (c->used - c->token > c->reader->longest) { c->over = 1; return; }
    c->used += ff_put(c->bytes + c->used, point);
}

static void ff_end_token(ff_cutter *c, uint32_t after) {
    const ff_dictionary *stops = &c->reader->stops;
    uint32_t n;
    int taken = c->characters >= c->shortest && c->characters <= c->tallest && !((c->flags & FF_BOUNDED) && (c->before || after));
    c->inside = 0;
    if (taken && !c->over && !c->spilt && stops->count)
        taken = ff_code_of(c->plan, stops, c->bytes + c->token, c->used - c->token) == stops->count;
    if (!taken) {
        c->used = c->token;
        if (c->spilt) ff_copy(c->state, c->saved, sizeof c->state);
        return;
    }
    if (c->hashed) {
        ff_spill(c);
        c->tokens++;
        for (n = c->least; n <= c->most && n <= c->tokens; n++) ff_add_hash(c, ff_murmured(c->state + ((c->tokens - n) & FF_RING)));
        return;
    }
    if (c->over) { c->tokens = 0; c->used = 0; return; } /* no term has it, nor any n-gram with it */
    c->start[c->tokens++ & FF_RING] = c->token;
    for (n = c->least; n <= c->most && n <= c->tokens; n++) {
        uint32_t from = c->start[(c->tokens - n) & FF_RING];
        if (c->used - from > c->reader->longest) break;
        ff_add_gram(c, from);
    }
    c->bytes[c->used++] = ' ';
}

/* The next code point of a text as it is folded. */
static void ff_take(ff_cutter *c, uint32_t point, uint32_t is) {
    switch (c->analyzer) {
    case FF_WORDS:
        if (is & FF_IS_TOKEN) {
            if (!c->inside) ff_begin_token(c);
            ff_grow_token(c, point);
            return;
        }
        if (c->inside) ff_end_token(c, is & FF_IS_WORD);
        c->before = is & FF_IS_WORD;
        return;
    case FF_CHARACTERS: /* of more than one white space there is one space */
        if (is & FF_IS_SPACE) { c->space = c->inside ? ' ' : point; c->inside = 1; return; }
        if (c->inside) { c->inside = 0; ff_add_character(c, c->space); }
        ff_add_character(c, point);
        return;
    default:
        if (!(is & FF_IS_SPACE)) {
            if (!c->inside) { c->inside = 1; c->characters = 0; c->used = 0; ff_add_character(c, ' '); }
            ff_add_character(c, point);
        } else if (c->inside) {
            c->inside = 0;
            ff_add_character(c, ' ');
            if (c->characters < c->least) ff_add_gram(c, 0); /* a short word counts once */
        }
    }
}

/* The code point at the start of UTF-8, and its bytes; 0xfffd for what is none. */
static uint32_t ff_point(const uint8_t *at, const uint8_t *end, uint32_t *bytes) {
    uint32_t lead = *at, more = lead >= 0xf0 ? 3u : lead >= 0xe0 ? 2u : 1u, point, i;
    *bytes = 1;
    if (lead < 0x80) return lead;
    if (lead < 0xc2 || lead > 0xf4 || (size_t)(end - at) <= more) return 0xfffd;
    point = lead & (0x3fu >> more);
    for (i = 1; i <= more; i++) {
        if ((at[i] & 0xc0) != 0x80) return 0xfffd;
        point = point << 6 | (at[i] & 63u);
    }
    if ((more == 2 && (point < 0x800 || (point >= 0xd800 && point < 0xe000))) || (more == 3 && (point < 0x10000 || point >= FF_POINTS))) return 0xfffd;
    *bytes = more + 1;
    return point;
}

/* Whether a capital sigma ends a word: a cased letter before, none after, what is ignored for case between. */
static int ff_final_sigma(const ff_reader *reader, const uint8_t *text, const uint8_t *at, const uint8_t *end) {
    const uint8_t *here = at;
    uint32_t bytes, is = FF_IS_IGNORED;
    while (here > text && (is & FF_IS_IGNORED)) {
        uint32_t back = 1;
        while (back < 4 && here - back > text && (here[-(int)back] & 0xc0) == 0x80) back++;
        here -= back;
        is = ff_property_of(reader, ff_point(here, at, &bytes));
    }
    if ((is & FF_IS_IGNORED) || !(is & FF_IS_CASED)) return 0;
    for (here = at + 2, is = FF_IS_IGNORED; here < end && (is & FF_IS_IGNORED); here += bytes) is = ff_property_of(reader, ff_point(here, end, &bytes));
    return (is & FF_IS_IGNORED) || !(is & FF_IS_CASED);
}

static void ff_take_folded(ff_cutter *c, uint32_t point) { ff_take(c, point, ff_property_of(c->reader, point)); }

static void ff_fold_and_take(ff_cutter *c, const uint8_t *text, const uint8_t *at, const uint8_t *end, uint32_t point) {
    const ff_reader *reader = c->reader;
    uint32_t to = ff_fold_of(reader, point), i;
    if (point == FF_SIGMA_POINT && (c->flags & FF_SIGMA)) { ff_take_folded(c, ff_final_sigma(reader, text, at, end) ? 0x3c2 : 0x3c3); return; }
    if ((c->flags & FF_HANGUL) && point >= 0xac00 && point <= 0xd7a3) {
        /* A syllable is its parts, by the Unicode Standard's arithmetic (3.12, Hangul syllable decomposition). */
        uint32_t place = point - 0xac00;
        ff_take_folded(c, 0x1100 + place / 588);
        ff_take_folded(c, 0x1161 + place % 588 / 28);
        if (place % 28) ff_take_folded(c, 0x11a7 + place % 28);
        return;
    }
    if (to & FF_SEVERAL) {
        const uint32_t *tail = c->plan->word + reader->setting[FF_T_TAIL] + (to & ~FF_SEVERAL);
        for (i = 1; i <= tail[0]; i++) ff_take_folded(c, tail[i]);
        return;
    }
    if (to == point && point >= 0x80 && (c->flags & FF_ASCII)) return;
    ff_take_folded(c, to);
}

static void ff_cut(ff_cutter *c, const uint8_t *text, uint32_t length) {
    const uint8_t *at = text, *end = text + length;
    const ff_reader *reader = c->reader;
    c->keys = c->used = c->inside = c->before = c->size = 0;
    c->characters = c->tokens = 0;
    c->full = 0;
    while (at < end && !c->full) {
        uint32_t bytes = 1, point = *at;
        if (point < 0x80 && reader->ascii_is[point] != FF_IS_SLOW) ff_take(c, reader->ascii[point], reader->ascii_is[point]);
        else {
            point = ff_point(at, end, &bytes);
            ff_fold_and_take(c, text, at, end, point);
        }
        at += bytes;
    }
    if (c->inside && c->analyzer == FF_WORDS) ff_end_token(c, 0);
    else if (c->inside && c->analyzer == FF_CHARACTERS) ff_add_character(c, c->space);
    else if (c->inside) ff_take(c, ' ', FF_IS_SPACE);
    ff_settle(c);
}

static uint32_t ff_entries(uint32_t width, uint32_t lanes) {
    uint32_t alone = width < FF_MOST_ENTRIES ? width : FF_MOST_ENTRIES, usual = (width < FF_BAG_USUAL ? width : FF_BAG_USUAL) * lanes;
    return alone < usual ? usual : alone;
}

static void ff_do_bag(const ff_plan *plan, const ff_reader *reader, const uint32_t *a, ff_block *block) {
    const ff_column *input = block->columns + a[1];
    const int32_t *offset = (const int32_t *)input->values;
    const uint32_t *s = reader->setting;
    const ff_rows *rows = block->bag + a[0];
    uint32_t capacity = ff_entries(plan->bag_width[a[0]], block->lanes), used = 0, i, k;
    ff_cutter c;
    c.plan = plan;
    c.reader = reader;
    c.analyzer = s[FF_T_ANALYZER];
    c.flags = s[FF_T_FLAGS];
    c.hashed = c.flags & FF_HASHED;
    c.least = s[FF_T_LEAST];
    c.most = s[FF_T_MOST];
    c.shortest = s[FF_T_SHORTEST];
    c.tallest = s[FF_T_TALLEST];
    c.key = (uint32_t *)(void *)block->workspace;
    c.spare = c.key + FF_PENDING;
    c.bytes = (uint8_t *)(c.spare + FF_PENDING);
    c.room = (uint32_t)ff_room(reader->longest);
    rows->start[0] = 0;
    for (i = 0; i < block->count; i++) {
        int64_t row = input->first + block->row + i;
        const uint8_t *text = (const uint8_t *)input->text + offset[row];
        uint32_t length = (uint32_t)(offset[row + 1] - offset[row]);
        if (input->present && !(input->present[row >> 3] >> (row & 7) & 1)) {
            length = 0;
            if (s[FF_T_MISSING] != UINT32_MAX) {
                text = plan->text + plan->string[s[FF_T_MISSING]];
                length = plan->string[s[FF_T_MISSING] + 1] - plan->string[s[FF_T_MISSING]];
            } else if (!block->refused[i]) block->refused[i] = s[FF_T_WHY] + 1;
        }
        c.column = rows->column + used;
        c.value = rows->value + used;
        c.entries = capacity - used;
        ff_cut(&c, text, length);
        if (c.full && i) { block->count = i; break; }
        if (c.full) {
            c.size = 0;
            if (!block->refused[i]) block->refused[i] = s[FF_T_MANY] + 1;
        }
        for (k = 0; (c.flags & FF_BINARY) && k < c.size; k++) c.value[k] = 1;
        used += c.size;
        rows->start[i + 1] = used;
    }
}

static void ff_do_bag_values(const ff_plan *plan, uint32_t operation, const uint32_t *a, ff_block *block) {
    const ff_rows *from = block->bag + a[1], *to = block->bag + a[0];
    uint32_t capacity = ff_entries(plan->bag_width[a[0]], block->lanes), i, k, kept = 0;
    for (i = 0; i < block->count; i++) {
        uint32_t first = from->start[i], last = from->start[i + 1];
        double y = operation == FF_BAG_ROW ? ff_register(block, a[3])[i] : 0;
        to->start[i] = kept;
        for (k = first; k < last; k++) {
            uint32_t column = from->column[k];
            double x = from->value[k];
            if (operation == FF_BAG_PICK) {
                column = plan->word[a[2] + (uint64_t)column];
                if (column == UINT32_MAX) continue;
            } else if (operation == FF_BAG_MAP) x = ff_of_one(a[2], x);
            else {
                if (operation == FF_BAG_CONST) y = plan->number[a[3] + (a[4] ? (uint64_t)column : 0)];
                x = a[2] == FF_MUL ? x * y : a[2] == FF_DIV ? x / y : ff_of_two(a[2], x, y);
            }
            if (kept == capacity) break;
            to->column[kept] = column;
            to->value[kept++] = x;
        }
        if (k < last) { block->count = i; break; } /* full, and so not by the first row */
    }
    if (i == block->count) to->start[i] = kept;
}

static void ff_do_bag_fold(const uint32_t *a, ff_block *block) {
    const ff_rows *bag = block->bag + a[1];
    double *out = ff_register(block, a[0]);
    const double *first = ff_register(block, a[4]);
    uint32_t i, k;
    for (i = 0; i < block->count; i++) {
        double sum = first[i];
        for (k = bag->start[i]; k < bag->start[i + 1]; k++) {
            double x = bag->value[k];
            if (a[2] == FF_SQUARES) x *= x;
            else if (a[2] == FF_ABSOLUTES) x = ff_of_one(FF_ABS, x);
            if (a[3]) x = ff_round32(x);
            sum = a[2] == FF_LEAST ? ff_minimum(sum, x) : a[2] == FF_MOST ? ff_maximum(sum, x) : sum + x;
        }
        out[i] = sum;
    }
}

static void ff_do_bag_dot(const ff_plan *plan, const uint32_t *a, ff_block *block) {
    const ff_rows *bag = block->bag + a[2];
    double *sum = (double *)(void *)block->workspace;
    uint32_t outputs = a[1], i, j, k;
    for (i = 0; i < block->count; i++) {
        for (j = 0; j < outputs; j++) sum[j] = a[3] == UINT32_MAX ? 0 : ff_register(block, plan->word[a[3] + j])[i];
        for (k = bag->start[i]; k < bag->start[i + 1]; k++) {
            const double *weight = plan->number + a[4] + (size_t)bag->column[k] * outputs;
            double x = bag->value[k];
            if (a[5]) for (j = 0; j < outputs; j++) sum[j] = ff_round32(sum[j] + ff_round32(x * weight[j]));
            else for (j = 0; j < outputs; j++) sum[j] += x * weight[j];
        }
        for (j = 0; j < outputs; j++) ff_register(block, a[0] + j)[i] = sum[j];
    }
}

static void ff_do_bag_spread(const ff_plan *plan, const uint32_t *a, ff_block *block) {
    const ff_rows *bag = block->bag + a[2];
    uint32_t i, k;
    for (k = 0; k < a[1]; k++) {
        double *out = ff_register(block, a[0] + k);
        for (i = 0; i < block->count; i++) out[i] = a[4] ? FF_NAN : 0.0;
    }
    for (i = 0; i < block->count; i++)
        for (k = bag->start[i]; k < bag->start[i + 1]; k++) {
            uint32_t to = plan->word[a[3] + (uint64_t)bag->column[k]];
            if (to != UINT32_MAX) ff_register(block, a[0] + to)[i] = bag->value[k];
        }
}

static void ff_do_bag_step(const ff_plan *plan, uint32_t operation, uint32_t reader, const uint32_t *a, ff_block *block) {
    switch (operation) {
    case FF_BAG: ff_do_bag(plan, plan->reader + reader, a, block); return;
    case FF_BAG_FOLD: ff_do_bag_fold(a, block); return;
    case FF_BAG_DOT: ff_do_bag_dot(plan, a, block); return;
    case FF_BAG_SPREAD: ff_do_bag_spread(plan, a, block); return;
    default: ff_do_bag_values(plan, operation, a, block); return;
    }
}

static int ff_prepare_bags(ff_plan *plan, ff_allocate allocate, void *context) {
    uint32_t at = 0, readers = 0;
    plan->reader = (ff_reader *)allocate(context, (plan->readers + 1u) * sizeof *plan->reader);
    FF_CHECK(plan->reader, "no memory for texts:", plan->readers);
    for (; at < plan->steps; at += 1u + ff_operands[plan->step[at]])
        if (plan->step[at] == FF_BAG && ff_prepare_bag(plan, plan->reader + readers++, plan->step + at + 1, allocate, context)) return -1;
    return 0;
}

static size_t ff_round_up(uint64_t bytes) { return (size_t)((bytes + 63) / 64 * 64); }

/* The bytes that bags of so many lanes take; where they are laid, if `rows` is not NULL. */
static size_t ff_lay_bags(const ff_plan *plan, uint32_t lanes, ff_rows *rows) {
    size_t used = ff_round_up(plan->bags * sizeof *rows);
    uint8_t *at = (uint8_t *)rows;
    uint32_t b;
    for (b = 0; b < plan->bags; b++) {
        uint64_t entries = ff_entries(plan->bag_width[b], lanes);
        if (rows) rows[b].start = (uint32_t *)(void *)(at + used);
        used += ff_round_up(4 * ((uint64_t)lanes + 1));
        if (rows) rows[b].column = (uint32_t *)(void *)(at + used);
        used += ff_round_up(4 * entries);
        if (rows) rows[b].value = (double *)(void *)(at + used);
        used += ff_round_up(8 * entries);
    }
    return used;
}

/* ------------------------------------------------------------------------------------------------------------------
 * 9  Predicting
 * ------------------------------------------------------------------------------------------------------------------ */

static int ff_in_a_row(const uint32_t *word, uint32_t count) {
    uint32_t k, gaps = 0;
    for (k = 1; k < count; k++) gaps |= word[k] - word[0] - k;
    return gaps == 0;
}

/* For one row registers lie side by side: numbers that were written one after the other are like many rows of one.
 * Returns whether that is so. */
static int ff_do_vectors_of_one(const ff_plan *plan, uint32_t operation, const uint32_t *a, ff_block *block) {
    const uint32_t *word = plan->word + a[3];
    const double *x = ff_register(block, *word);
    double *out = ff_register(block, a[0]);
    if (!ff_in_a_row(word, a[1])) return 0;
    if (operation == FF_MAP) ff_do_map(a[2], out, x, a[1]);
    else if (operation == FF_MAP_CONST) ff_do_map_two(a[2], out, x, plan->number + a[4], a[1]);
    else if (ff_in_a_row(plan->word + a[4], a[1])) ff_do_map_two(a[2], out, x, ff_register(block, plan->word[a[4]]), a[1]);
    else return 0;
    return 1;
}

static void ff_do_vectors(const ff_plan *plan, uint32_t operation, const uint32_t *a, ff_block *block) {
    uint32_t k, i;
    if (block->lanes == 1 && a[1] > 1 && (operation == FF_MAP || operation == FF_MAP_CONST || operation == FF_MAP_TWO) &&
        ff_do_vectors_of_one(plan, operation, a, block)) return;
    for (k = 0; k < a[1]; k++) {
        double *out = ff_register(block, a[0] + k);
        const double *x;
        if (operation == FF_CONSTANT) {
            for (i = 0; i < block->count; i++) out[i] = plan->number[a[2] + (uint64_t)k];
            continue;
        }
        x = ff_register(block, plan->word[(operation == FF_SELECT ? a[2] : a[3]) + k]);
        if (operation == FF_MAP) ff_do_map(a[2], out, x, block->count);
        else if (operation == FF_MAP_CONST) ff_do_map_const(a[2], out, x, plan->number[a[4] + (uint64_t)k], block->count);
        else if (operation == FF_MAP_TWO) ff_do_map_two(a[2], out, x, ff_register(block, plan->word[a[4] + k]), block->count);
        else {
            const double *yes = ff_register(block, plan->word[a[3] + k]), *no = ff_register(block, plan->word[a[4] + k]);
            for (i = 0; i < block->count; i++) out[i] = x[i] != 0 ? yes[i] : no[i];
        }
    }
}

static void ff_do_codes(const ff_plan *plan, uint32_t operation, const uint32_t *a, ff_block *block) {
    const uint32_t *code = ff_codes(block, a[1]);
    uint32_t i, k;
    if (operation == FF_RECODE) {
        for (i = 0; i < block->count; i++) ff_codes(block, a[0])[i] = plan->word[a[2] + code[i]];
        return;
    }
    for (k = 0; k < a[2]; k++) {
        double *out = ff_register(block, a[0] + k);
        const double *table = plan->number + a[3] + k;
        for (i = 0; i < block->count; i++) out[i] = table[(size_t)code[i] * a[2]];
    }
}

static void ff_do_steps(const ff_plan *plan, ff_block *block, uint32_t *rank) {
    uint32_t at, dictionary = 0, forest = 0, reader = 0, i;
    for (at = 0; at < plan->steps; at += 1u + ff_operands[plan->step[at]]) {
        uint32_t operation = plan->step[at];
        const uint32_t *a = plan->step + at + 1;
        switch (operation) {
        case FF_NUMBER:
        case FF_SINGLE: ff_do_number(plan, operation, a, block); break;
        case FF_TEXT: ff_do_text(plan, plan->dictionary + dictionary++, a, block); break;
        case FF_MATCH:
        case FF_SEARCH: ff_do_find(plan, operation, a, block); break;
        case FF_RECODE:
        case FF_LOOKUP: ff_do_codes(plan, operation, a, block); break;
        case FF_DOT: ff_do_dot(plan, a, block); break;
        case FF_FOLD: ff_do_fold(plan, a, block); break;
        case FF_ARGMAX: ff_do_argmax(plan, a, block); break;
        case FF_INTERPOLATE:
            for (i = 0; i < block->count; i++)
                ff_register(block, a[0])[i] = ff_interpolate(plan->number + a[2], plan->number + a[3], a[4], ff_register(block, a[1])[i]);
            break;
        case FF_FOREST: ff_do_forest(plan, plan->forest + forest++, a, block, rank); break;
        case FF_NEAREST: ff_do_nearest(plan, a, block); break;
        case FF_DISTANCES: ff_do_distances(plan, a, block); break;
        case FF_COUPLE: ff_do_couple(plan, a, block); break;
        case FF_MEDIAN: ff_do_median(plan, a, block); break;
        case FF_HASH: ff_do_hash(plan, a, block); break;
        case FF_JOIN: ff_do_join(plan, a, block); break;
        case FF_REFUSE: ff_do_refuse(plan, a, block); break;
        case FF_BAG: ff_do_bag_step(plan, operation, reader++, a, block); break;
        case FF_BAG_MAP:
        case FF_BAG_CONST:
        case FF_BAG_ROW:
        case FF_BAG_PICK:
        case FF_BAG_FOLD:
        case FF_BAG_DOT:
        case FF_BAG_SPREAD: ff_do_bag_step(plan, operation, 0, a, block); break;
        default: ff_do_vectors(plan, operation, a, block); break;
        }
    }
}

/* A number as it is given out. IEEE 754 leaves the sign and the payload of a NaN to the processor, so every NaN is one. */
static double ff_given(double x) { return x == x ? x : FF_NAN; }

static float ff_given32(double x) {
    union { uint32_t bits; float value; } nan;
    nan.bits = UINT32_C(0x7fc00000);
    return x == x ? (float)x : nan.value;
}

#define FF_WRITE_LABELS(TYPE)                                                                                          \
    for (i = 0; i < block->count; i++) {                                                                               \
        const uint32_t *word = plan->word + port->labels + 2 * (size_t)code[i];                                        \
        ((TYPE *)result)[block->row + i] = (TYPE)((uint64_t)word[0] | (uint64_t)word[1] << 32);                        \
    }                                                                                                                  \
    break

static void ff_write_labels(const ff_plan *plan, const ff_port *port, const ff_block *block, void *result) {
    const uint32_t *code = ff_codes(block, port->first);
    uint32_t i;
    switch (port->type) {
    case FF_STRING: for (i = 0; i < block->count; i++) ((int32_t *)result)[block->row + i] = (int32_t)code[i]; break;
    case FF_FLOAT32: for (i = 0; i < block->count; i++) ((float *)result)[block->row + i] = ff_given32(plan->number[port->labels + (uint64_t)code[i]]); break;
    case FF_FLOAT64: for (i = 0; i < block->count; i++) ((double *)result)[block->row + i] = ff_given(plan->number[port->labels + (uint64_t)code[i]]); break;
    case FF_BOOL: /* a byte a value, since two threads may write beside each other */
    case FF_INT8:
    case FF_UINT8: FF_WRITE_LABELS(uint8_t);
    case FF_INT16:
    case FF_UINT16: FF_WRITE_LABELS(uint16_t);
    case FF_INT32:
    case FF_UINT32: FF_WRITE_LABELS(uint32_t);
    default: FF_WRITE_LABELS(uint64_t);
    }
}

/* A number as an integer that a dtype of these bounds holds: what is beyond is the nearest, and NaN is 0. The bounds of 64
 * bits are no float64 themselves, but the powers of two next to them are. */
static int64_t ff_signed(double x, int64_t most) {
    double limit = (double)most + (most < INT64_MAX);
    return x != x ? 0 : x >= limit ? most : x < -limit ? -most - 1 : (int64_t)x;
}

static uint64_t ff_unsigned(double x, uint64_t most) {
    double limit = (double)most + (most < UINT64_MAX);
    return !(x > 0) ? 0 : x >= limit ? most : (uint64_t)x;
}

#define FF_WRITE_NUMBERS(TYPE, VALUE)                                                                                  \
    for (i = 0; i < block->count; i++) ((TYPE *)result)[at + (size_t)i * step] = VALUE;                                \
    break

static void ff_write_numbers(uint32_t type, const double *x, const ff_block *block, void *result, size_t at, size_t step) {
    uint32_t i;
    switch (type) {
    case FF_BOOL: FF_WRITE_NUMBERS(uint8_t, x[i] == x[i] && x[i] != 0);
    case FF_INT8: FF_WRITE_NUMBERS(int8_t, (int8_t)ff_signed(x[i], INT8_MAX));
    case FF_INT16: FF_WRITE_NUMBERS(int16_t, (int16_t)ff_signed(x[i], INT16_MAX));
    case FF_INT32: FF_WRITE_NUMBERS(int32_t, (int32_t)ff_signed(x[i], INT32_MAX));
    case FF_INT64: FF_WRITE_NUMBERS(int64_t, ff_signed(x[i], INT64_MAX));
    case FF_UINT8: FF_WRITE_NUMBERS(uint8_t, (uint8_t)ff_unsigned(x[i], UINT8_MAX));
    case FF_UINT16: FF_WRITE_NUMBERS(uint16_t, (uint16_t)ff_unsigned(x[i], UINT16_MAX));
    case FF_UINT32: FF_WRITE_NUMBERS(uint32_t, (uint32_t)ff_unsigned(x[i], UINT32_MAX));
    case FF_UINT64: FF_WRITE_NUMBERS(uint64_t, ff_unsigned(x[i], UINT64_MAX));
    case FF_FLOAT32: FF_WRITE_NUMBERS(float, ff_given32(x[i]));
    default: FF_WRITE_NUMBERS(double, ff_given(x[i]));
    }
}

static void ff_write(const ff_plan *plan, const ff_block *block, void *const *results) {
    uint32_t o, k;
    for (o = 0; o < plan->outputs; o++) {
        const ff_port *port = plan->output + o;
        if (!port->width) { ff_write_labels(plan, port, block, results[o]); continue; }
        for (k = 0; k < port->width; k++)
            ff_write_numbers(port->type, ff_register(block, port->first + k), block, results[o],
                             (size_t)block->row * port->width + k, port->width);
    }
}

static uint32_t ff_lanes(const ff_plan *plan, int64_t rows) { return rows < (int64_t)plan->lanes ? (uint32_t)(rows < 1 ? 1 : rows) : plan->lanes; }

size_t ff_scratch(const ff_plan *plan, int64_t rows) {
    uint64_t lanes = ff_lanes(plan, rows);
    return ff_round_up(8 * lanes * plan->registers) + ff_round_up(4 * lanes * plan->codes) + ff_round_up(4 * lanes) +
           ff_round_up(8 * lanes * plan->slots) + plan->workspace + (plan->bags ? ff_lay_bags(plan, (uint32_t)lanes, NULL) : 0);
}

int64_t ff_predict(const ff_plan *plan, const ff_column *columns, void *const *results, int64_t rows, uint32_t *refused,
                   void *scratch) {
    ff_block block;
    uint8_t *at = (uint8_t *)scratch;
    uint32_t *rank, i;
    int64_t without = 0;
    block.lanes = ff_lanes(plan, rows);
    block.columns = columns;
    block.number = (double *)(void *)at;
    at += ff_round_up(8 * (uint64_t)block.lanes * plan->registers);
    block.code = (uint32_t *)(void *)at;
    at += ff_round_up(4 * (uint64_t)block.lanes * plan->codes);
    block.refused = (uint32_t *)(void *)at;
    at += ff_round_up(4 * (uint64_t)block.lanes);
    rank = (uint32_t *)(void *)at;
    at += ff_round_up(8 * (uint64_t)block.lanes * plan->slots);
    block.workspace = at;
    block.bag = NULL;
    if (plan->bags) {
        block.bag = (ff_rows *)(void *)(at + plan->workspace);
        ff_lay_bags(plan, block.lanes, block.bag);
    }
    for (block.row = 0; block.row < rows; block.row += block.count) {
        block.count = rows - block.row < (int64_t)block.lanes ? (uint32_t)(rows - block.row) : block.lanes;
        for (i = 0; i < block.count; i++) block.refused[i] = 0;
        ff_do_steps(plan, &block, rank);
        ff_write(plan, &block, results);
        for (i = 0; i < block.count; i++) {
            without += block.refused[i] != 0;
            if (refused) refused[block.row + i] = block.refused[i];
        }
    }
    return without;
}
