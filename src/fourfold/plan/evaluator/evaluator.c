/* Fourfold's evaluator: one C99 file. See evaluator.h for its use and docs/spec/plan.md for the format of a plan.
 *
 * Contents
 *     1  the processor that this needs, and small helpers
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
 * Nothing here calls a mathematical library. Several rows are computed side by side ("lanes"), so that a compiler may
 * vectorise. No operation mixes two lanes, so neither the number nor the order of rows changes an answer.
 *
 * Compile with -std=c99 -ffp-contract=off and without -ffast-math; on 32-bit x86 also with -msse2 -mfpmath=sse.
 */
#include "evaluator.h"

/* ------------------------------------------------------------------------------------------------------------------
 * 1  The processor that this needs, and small helpers
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

/* Return the double that has these bits. */
static double ff_from_bits(uint64_t bits) {
    union { uint64_t bits; double value; } both;
    both.bits = bits;
    return both.value;
}

/* Return the bits of a double. */
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

/* Copies of memcpy and memset: a device or a browser may have no C library. */
static void ff_memcpy(void *to, const void *from, size_t bytes) {
    unsigned char *out = (unsigned char *)to;
    const unsigned char *in = (const unsigned char *)from;
    while (bytes--) *out++ = *in++;
}

static void ff_memset(void *to, int value, size_t bytes) {
    unsigned char *out = (unsigned char *)to;
    while (bytes--) *out++ = (unsigned char)value;
}

/* Count the trailing zeros of a number that is not 0. */
static uint32_t ff_ctz64(uint64_t bits) {
#if defined(__GNUC__)
    return (uint32_t)__builtin_ctzll(bits);
#else
    uint32_t count = 0;
    if (!(bits & 0xffffffffu)) { count += 32; bits >>= 32; }
    if (!(bits & 0xffffu)) { count += 16; bits >>= 16; }
    if (!(bits & 0xffu)) { count += 8; bits >>= 8; }
    if (!(bits & 0xfu)) { count += 4; bits >>= 4; }
    if (!(bits & 0x3u)) { count += 2; bits >>= 2; }
    return count + !(bits & 1u);
#endif
}

static uint32_t ff_ctz32(uint32_t bits) {
#if defined(__GNUC__)
    return (uint32_t)__builtin_ctz(bits);
#else
    return ff_ctz64(bits);
#endif
}

/* ------------------------------------------------------------------------------------------------------------------
 * 2  Elementary functions
 * ------------------------------------------------------------------------------------------------------------------
 *
 * Each is a fixed order of operations that IEEE 754 defines. An argument that is NaN or outside the domain gives one
 * NaN (FF_NAN), because processors make NaNs with different signs. docs/spec/plan.md lists the errors, measured with
 * MPFR.
 *
 * Most values are an unevaluated sum of two doubles (x + x_low, or high + low) until the last addition, so nearly all
 * answers are the nearest double. The exact sums and products are those of T. J. Dekker, "A floating-point technique
 * for extending the available precision" (1971), with the upper 26 bits of a double kept by a mask instead of a
 * multiplication. `err` is the rounding error of such an operation. The polynomials are minimax, with coefficients
 * that are doubles, found for this file with Sollya's fpminimax (N. Brisebarre, S. Chevillard, "Efficient polynomial
 * L-infinity approximations", 2007); their errors, measured with 400 bits or more, stand beside them. FF_INLINE
 * functions have neither branches nor comparisons of doubles, because these would keep a compiler from vectorising:
 * masks select the special cases. */

#if defined(__GNUC__)
#define FF_INLINE static inline __attribute__((always_inline))
#else
#define FF_INLINE static inline
#endif

#define FF_ROUND_TO_INTEGER 0x1.8p52 /* adding and subtracting this rounds a number of at most 51 bits to an integer */
#define FF_LN2 0x1.62e42fefa3800p-1  /* ln 2 in 42 bits, so that its product with an exponent is exact; and the rest */
#define FF_LN2_LOW 0x1.ef35793c76730p-45
#define FF_SIGN_BIT UINT64_C(0x8000000000000000)

FF_INLINE double ff_upper_half(double x) { return ff_from_bits(ff_to_bits(x) & UINT64_C(0xfffffffff8000000)); }

static double ff_abs(double x) { return ff_from_bits(ff_to_bits(x) & ~FF_SIGN_BIT); }

/* Masks of 64 ones or zeros: is the sign bit set; are all bits 0; is x < y, where both are below 2^63. */
FF_INLINE uint64_t ff_sign_mask(uint64_t bits) { return 0 - (bits >> 63); }
FF_INLINE uint64_t ff_zero_mask(uint64_t bits) { return 0 - ((~bits & (bits - 1)) >> 63); }
FF_INLINE uint64_t ff_less_mask(uint64_t x, uint64_t y) { return 0 - ((x - y) >> 63); }

/* Return `if_true` where the mask is all ones, `if_false` where it is all zeros, without a branch. */
FF_INLINE double ff_select(uint64_t mask, double if_true, double if_false) {
    return ff_from_bits((ff_to_bits(if_true) & mask) | (ff_to_bits(if_false) & ~mask));
}

/* Return y, or NaN where x is NaN. */
FF_INLINE double ff_propagate_nan(double x, double y) {
    return ff_select(ff_less_mask(UINT64_C(0x7ff0000000000000), ff_to_bits(x) & ~FF_SIGN_BIT), FF_NAN, y);
}

/* Return the smaller of |x| and `limit`; `limit` where x is NaN. */
FF_INLINE double ff_clamp_abs(double x, double limit) {
    double size = ff_from_bits(ff_to_bits(x) & ~FF_SIGN_BIT);
    return ff_select(ff_less_mask(ff_to_bits(limit), ff_to_bits(size)), limit, size);
}

/* Dekker's Fast2Sum: x + y and the rounding error of this sum. |x| must not be smaller than |y|. */
FF_INLINE double ff_fast_two_sum(double x, double y, double *rest) {
    double sum = x + y;
    *rest = y - (sum - x);
    return sum;
}

/* Dekker's product: x * y and the rounding error of this product. */
FF_INLINE double ff_two_product(double x, double y, double *rest) {
    double product = x * y, x_high = ff_upper_half(x), y_high = ff_upper_half(y);
    double x_low = x - x_high, y_low = y - y_high;
    *rest = ((x_high * y_high - product) + x_high * y_low + x_low * y_high) + x_low * y_low;
    return product;
}

/* Split a finite x above 0 into m, from sqrt(1/2) to sqrt(2), and k, so that x = m 2^k. Returns m. */
FF_INLINE double ff_mantissa(double x, double *k) {
    uint64_t subnormal = ff_less_mask(ff_to_bits(x), UINT64_C(0x0010000000000000));
    uint64_t bits = ff_to_bits(x * ff_select(subnormal, 0x1p54, 1.0)) + UINT64_C(0x00095f619980c433);
    *k = ff_from_bits(bits >> 52 | UINT64_C(0x4330000000000000)) -
         ff_select(subnormal, 0x1p52 + 1077.0, 0x1p52 + 1023.0);
    return ff_from_bits((bits & UINT64_C(0x000fffffffffffff)) + UINT64_C(0x3fe6a09e667f3bcd));
}

/* Divide (x + x_low) by (y + y_low). Returns the upper half of the quotient's bits, and the rest. */
FF_INLINE double ff_quotient(double x, double x_low, double y, double y_low, double *rest) {
    double inverse = 1.0 / y, upper = ff_upper_half(x * inverse), y_high = ff_upper_half(y);
    *rest = (((x - upper * y_high) - upper * (y - y_high)) + (x_low - upper * y_low)) * inverse;
    return upper;
}

/* --- Roots --- */

#if !defined(FF_SOFTWARE_SQRT) && defined(__GNUC__) && defined(__SSE2__)
#define FF_SQRT_INSTRUCTION(root, x) __asm__("sqrtsd %1, %0" : "=x"(root) : "x"(x))
#elif !defined(FF_SOFTWARE_SQRT) && defined(__GNUC__) && defined(__aarch64__)
#define FF_SQRT_INSTRUCTION(root, x) __asm__("fsqrt %d0, %d1" : "=w"(root) : "w"(x))
#elif !defined(FF_SOFTWARE_SQRT) && defined(__GNUC__) && defined(__arm__) && !defined(__SOFTFP__) &&                   \
    defined(__ARM_FP) && (__ARM_FP & 8)
#define FF_SQRT_INSTRUCTION(root, x) __asm__("vsqrt.f64 %P0, %P1" : "=w"(root) : "w"(x))
#elif !defined(FF_SOFTWARE_SQRT) && defined(__GNUC__) && defined(__riscv_flen) && __riscv_flen >= 64
#define FF_SQRT_INSTRUCTION(root, x) __asm__("fsqrt.d %0, %1" : "=f"(root) : "f"(x))
#elif !defined(FF_SOFTWARE_SQRT) && defined(__wasm__)
#define FF_SQRT_INSTRUCTION(root, x) __asm__("local.get %1\n\tf64.sqrt\n\tlocal.set %0" : "=r"(root) : "r"(x))
#endif

/* Return the correctly rounded square root. Uses the processor's instruction, because a compiler's own sqrt may call
 * a library; without one, the digit-by-digit method in binary. */
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
    /* The root of m, from 1 to 4, to 53 bits and one more to round by. A root is never halfway between two doubles. */
    rest <<= 1;
    for (bit = UINT64_C(1) << 53; bit; bit >>= 1) {
        if (rest >= 2 * root + bit) { rest -= 2 * root + bit; root += bit; }
        rest <<= 1;
    }
    root = (root + 1) >> 1;
    return ff_from_bits(((uint64_t)((exponent + 1023) / 2 - up - 1) << 52) + root);
#endif
}

/* Return the cube root: a first approximation, rounded to 17 bits so that its cube is exact, then a series in the
 * relative error of this cube. */
static double ff_cbrt(double x) {
    static const double power[3] = {1.0, 0x1.428a2f98d728bp+0, 0x1.965fea53d6e3dp+0}; /* 2^(j/3) */
    double size = ff_abs(x), m, t, t3, cube, rest;
    uint64_t bits;
    uint32_t exponent, third, remainder;
    if (!(size > 0) || !ff_is_finite(x)) return x == x ? x : FF_NAN;
    bits = ff_to_bits(size < 0x1p-1022 ? size * 0x1p54 : size);
    exponent = (uint32_t)(bits >> 52) + 3 + (size < 0x1p-1022 ? 0 : 54); /* 3 * 360 at x = 1 */
    third = exponent / 3;
    remainder = exponent % 3;
    m = ff_from_bits((bits & UINT64_C(0x000fffffffffffff)) | UINT64_C(0x3ff0000000000000));
    /* error 2^-10.6, and 2^-32 after a step of Halley's method */
    t = (0x1.3e37071127369p-1 + m * (0x1.c1fd0c9504996p-2 + m * -0x1.ee22f68366386p-5)) * power[remainder];
    m = ff_from_bits(ff_to_bits(m) + ((uint64_t)remainder << 52));
    t3 = t * t * t;
    t = ff_from_bits(ff_to_bits(t * ((t3 + 2 * m) / (2 * t3 + m))) & UINT64_C(0xfffffff000000000));
    cube = t * t * t;
    rest = (m - cube) / cube;
    t += t * (rest * (1.0 / 3 + rest * (-1.0 / 9 + rest * (5.0 / 81 - rest * (10.0 / 243)))));
    t *= ff_from_bits((uint64_t)(third + 1023 - 360) << 52);
    return ff_from_bits(ff_to_bits(t) | (ff_to_bits(x) & FF_SIGN_BIT));
}

/* --- Powers of e --- */

/* expm1(r) as a sum of two, where x + x_low = k ln 2 + r (Cody-Waite reduction: W. J. Cody, W. Waite, "Software
 * Manual for the Elementary Functions", 1980), and 2^k as a product of two, so that it neither overflows nor
 * underflows; |x| < 2^10. The polynomial: (exp(r) - 1 - r - r^2 / 2) / r^3, error 2^-63.9 r^3. */
FF_INLINE double ff_exp_parts(double x, double x_low, double *rest, double *scale, double *scale2) {
    double shifted = x * 0x1.71547652b82fep+0 + FF_ROUND_TO_INTEGER, k_rounded = shifted - FF_ROUND_TO_INTEGER;
    double r, r_low, r_high, r2, q, half, sum, err;
    uint64_t k = ff_to_bits(shifted); /* its low bits are those of the rounded number */
    r = ff_fast_two_sum(x - k_rounded * FF_LN2, x_low - k_rounded * FF_LN2_LOW, &r_low);
    r_high = ff_upper_half(r);
    half = 0.5 * r_high * r_high;
    r2 = r * r;
    q = ((0x1.555555555555bp-3 + r * 0x1.555555555555ap-5) + r2 * (0x1.111111110ed96p-7 + r * 0x1.6c16c16c141fdp-10)) +
        r2 * r2 * (((0x1.a01a01b323cffp-13 + r * 0x1.a01a01b1ca83ap-16) +
                    r2 * (0x1.71ddf0d13071ep-19 + r * 0x1.27e4c32aa126ap-22)) +
                   r2 * r2 * (0x1.af6af032bfd38p-26 + r * 0x1.1f9922a8013dfp-29));
    sum = ff_fast_two_sum(r, half, &err);
    *rest = err + ((0.5 * (r - r_high) * (r + r_high) + (r_low + r_low * r)) + r * r2 * q);
    *scale = ff_from_bits(((k >> 1) + 1023) << 52);
    *scale2 = ff_from_bits((k - (k >> 1) + 1023) << 52);
    return sum;
}

/* Return exp(x + x_low) for |x| < 2^10, with overflow to infinity and gradual underflow. */
FF_INLINE double ff_exp_sum(double x, double x_low) {
    double low, err, scale, scale2, high = ff_exp_parts(x, x_low, &low, &scale, &scale2);
    high = ff_fast_two_sum(1.0, high, &err);
    return (high + (err + low)) * scale * scale2;
}

/* Return exp(x). */
FF_INLINE double ff_exp(double x) {
    double size = ff_clamp_abs(x, 800.0);
    return ff_propagate_nan(x, ff_exp_sum(ff_from_bits(ff_to_bits(size) | (ff_to_bits(x) & FF_SIGN_BIT)), 0.0));
}

/* Return exp(x) - 1, without cancellation near 0. */
static double ff_expm1(double x) {
    double low, err, high, scale, scale2;
    if (x == 0) return x;
    if (!(x < 60.0)) return ff_exp(x); /* 1 is below 2^-86 of exp(x) */
    if (x < -40.0) return -1.0;
    high = ff_exp_parts(x, 0.0, &low, &scale, &scale2);
    scale *= scale2;
    if (scale == 1.0) return high + low;
    high = ff_fast_two_sum(1.0, high, &err);
    high *= scale;
    low = (err + low) * scale;
    high = scale > 1.0 ? ff_fast_two_sum(high, -1.0, &err) : ff_fast_two_sum(-1.0, high, &err);
    return high + (err + low);
}

/* Return 1 / (1 + exp(-x)), computed as 1 / (1 + e) or e / (1 + e) with e = exp(-|x|). A small numerator is scaled
 * last, so that it does not underflow before. */
FF_INLINE double ff_sigmoid(double x) {
    double low, err, scale, scale2, high = ff_exp_parts(-ff_clamp_abs(x, 800.0), 0.0, &low, &scale, &scale2), y, y_low;
    uint64_t is_negative = ff_sign_mask(ff_to_bits(x));
    high = ff_fast_two_sum(1.0, high, &err);
    high = ff_fast_two_sum(high, err + low, &low); /* now low is small, as ff_quotient needs it */
    y = ff_fast_two_sum(1.0, high * scale * scale2, &y_low);
    y_low += low * scale * scale2;
    high = ff_quotient(ff_select(is_negative, high, 1.0), ff_select(is_negative, low, 0.0), y, y_low, &err);
    return ff_propagate_nan(x, (high + err) * ff_select(is_negative, scale, 1.0) * ff_select(is_negative, scale2, 1.0));
}

/* Return the hyperbolic tangent: (1 - e) / (1 + e) with e = exp(-2|x|) = 2^k (1 + high + low). */
FF_INLINE double ff_tanh(double x) {
    double low, err, scale, scale2, high = ff_exp_parts(-2.0 * ff_clamp_abs(x, 25.0), 0.0, &low, &scale, &scale2);
    double one_minus, one_minus_low, one_plus, one_plus_low, numerator, numerator_low, denominator, denominator_low;
    scale *= scale2;
    one_minus = ff_fast_two_sum(1.0, -scale, &one_minus_low);
    one_plus = ff_fast_two_sum(1.0, scale, &one_plus_low);
    high = ff_fast_two_sum(high * scale, low * scale, &low);
    numerator = ff_fast_two_sum(one_minus, -high, &numerator_low);
    denominator = ff_fast_two_sum(one_plus, high, &denominator_low);
    high = ff_quotient(numerator, numerator_low + (one_minus_low - low), denominator,
                       denominator_low + (one_plus_low + low), &err);
    return ff_propagate_nan(x, ff_from_bits(ff_to_bits(high + err) | (ff_to_bits(x) & FF_SIGN_BIT)));
}

/* --- Logarithms --- */

/* log(1 + f + f_low) as the sum of 2s, which has 26 bits, and a rest: it is 2 atanh(s + t) with s + t = f / (2 + f), as
 * in fdlibm. 1 + f is between sqrt(1/2) and sqrt(2). The polynomial: (2 atanh(s) - 2s) / s^3 in s^2, relative error
 * 2^-54, which is 2^-60 of the logarithm. */
FF_INLINE double ff_log_parts(double f, double f_low, double *rest) {
    double y_low, t, y = ff_fast_two_sum(2.0, f, &y_low), s = ff_quotient(f, f_low, y, y_low + f_low, &t);
    double q = s + t, z = q * q, z2 = z * z;
    double r = ((0x1.5555555555555p-1 + z * 0x1.9999999999d59p-2) +
                z2 * (0x1.249249242ee21p-2 + z * 0x1.c71c725c5dcbp-3)) +
               z2 * z2 * ((0x1.745cdb75b7c48p-3 + z * 0x1.3b21590f0e8b7p-3) +
                          z2 * (0x1.0f4a197e129e5p-3 + z * 0x1.1023891fe29eep-3));
    *rest = 2.0 * t + q * z * r;
    return 2.0 * s;
}

/* Return y, a logarithm of x. Replace it where x is not a finite number above 0: -infinity at 0, infinity at
 * infinity, else NaN. */
FF_INLINE double ff_log_special(double x, double y) {
    uint64_t bits = ff_to_bits(x), size = bits & ~FF_SIGN_BIT, infinite = UINT64_C(0x7ff0000000000000);
    y = ff_select(ff_sign_mask(bits) | ff_less_mask(infinite, size), FF_NAN, y);
    y = ff_select(ff_zero_mask(size), -FF_INFINITY, y);
    return ff_select(ff_zero_mask(bits ^ infinite), FF_INFINITY, y);
}

/* Return the natural logarithm. */
FF_INLINE double ff_log(double x) {
    double k, low, err, m = ff_mantissa(x, &k), high = ff_log_parts(m - 1.0, 0.0, &low);
    high = ff_fast_two_sum(k * FF_LN2, high, &err);
    return ff_log_special(x, high + (err + (low + k * FF_LN2_LOW)));
}

/* Return log(1 + x), accurate near 0. */
static double ff_log1p(double x) {
    double k, low, err, m, high, y = 1.0 + x, y_low;
    if (ff_abs(x) < 0x1p-54) return x;
    if (!(x > -1.0 && x < FF_INFINITY)) return x == -1.0 ? -FF_INFINITY : x > 0 ? x : FF_NAN;
    y_low = x < 1.0 ? x - (y - 1.0) : 1.0 - (y - x);
    m = ff_mantissa(y, &k);
    y_low = k < 60.0 ? y_low * ff_from_bits((uint64_t)(1023 - (int32_t)k) << 52) : 0.0;
    m = ff_fast_two_sum(m - 1.0, y_low, &err);
    high = ff_log_parts(m, err, &low);
    high = ff_fast_two_sum(k * FF_LN2, high, &err);
    return high + (err + (low + k * FF_LN2_LOW));
}

/* Return the logarithm to base 2; ff_log10, to base 10. log2(e) and log10(e) are each a sum of 26 bits and a rest, so
 * that the first product is exact. */
static double ff_log2(double x) {
    double k, low, err, m = ff_mantissa(x, &k), high = ff_log_parts(m - 1.0, 0.0, &low);
    low = low * 0x1.71547652b82fep+0 + high * 0x1.4ae0bf85ddf44p-26;
    high = ff_fast_two_sum(k, high * 0x1.71547600000p+0, &err);
    return ff_log_special(x, high + (err + low));
}

static double ff_log10(double x) {
    double k, low, err, m = ff_mantissa(x, &k), high = ff_log_parts(m - 1.0, 0.0, &low);
    low = (low * 0x1.bcb7b1526e50ep-2 + high * 0x1.49b9438ca9aaep-28) + k * 0x1.fef311f12b358p-46;
    high = ff_fast_two_sum(k * 0x1.34413509f7800p-2, high * 0x1.bcb7b10000000p-2, &err);
    return ff_log_special(x, high + (err + low));
}

/* --- Powers --- */

/* log(i / 32) for i from 23 on, each as two numbers: a multiple of 2^-42, whose sum with a multiple of FF_LN2 is
 * exact, and the rest. */
static const double ff_log_table[23][2] = {
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

/* log(x) as a sum of two numbers, relative error 2^-67; x must be finite and above 0. The polynomial: as in
 * ff_log_parts, for s below 2^-6.4, relative error 2^-53, which is 2^-68.6 of the logarithm. */
static double ff_log_accurate(double x, double *rest) {
    double k, m = ff_mantissa(x, &k), centre, f, y, y_low, s, t, q, z, high, err;
    uint32_t i = (uint32_t)(m * 32.0 + 0.5);
    centre = (double)i * 0.03125;
    f = m - centre;
    y = ff_fast_two_sum(2.0 * centre, f, &y_low);
    s = ff_quotient(f, 0.0, y, y_low, &t);
    q = s + t;
    z = q * q;
    z = q * z * (0x1.5555555555555p-1 + z * (0x1.99999999a4351p-2 + z * (0x1.2492466f55ab4p-2 +
                                                                         z * 0x1.c78b9af5f3778p-3)));
    high = ff_fast_two_sum(k * FF_LN2 + ff_log_table[i - 23][0], 2.0 * s, &err);
    return ff_fast_two_sum(high, err + ((2.0 * t + z) + (k * FF_LN2_LOW + ff_log_table[i - 23][1])), rest);
}

/* Return 2 for an even number, 1 for an odd one, 0 for one that is no integer. */
static uint32_t ff_parity(double y) {
    double size = ff_abs(y);
    uint64_t integer;
    if (!(size < 0x1p53)) return 2;
    integer = (uint64_t)size;
    return (double)integer != size ? 0 : integer & 1 ? 1 : 2;
}

/* Return x to the power of y. The special cases are those of C99, annex F.9.4.4. */
static double ff_pow(double x, double y) {
    double size = ff_abs(x), high, low, err;
    uint32_t parity = ff_parity(y);
    uint64_t sign = parity == 1 ? ff_to_bits(x) & FF_SIGN_BIT : 0;
    if (y == 0 || x == 1.0) return 1.0;
    if (x != x || y != y) return FF_NAN;
    if (size == 0 || size == FF_INFINITY)
        return ff_from_bits(ff_to_bits((size == 0) == (y < 0) ? FF_INFINITY : 0.0) | sign);
    if (size == 1.0 && parity) return sign ? -1.0 : 1.0;
    if (!ff_is_finite(y)) return (size < 1.0) == (y < 0) ? FF_INFINITY : 0.0;
    if (x < 0 && !parity) return FF_NAN;
    y = y > 0x1p64 ? 0x1p64 : y < -0x1p64 ? -0x1p64 : y; /* this overflows too: |log(x)| is at least 2^-54 */
    high = ff_log_accurate(size, &low);
    low *= y;
    high = ff_two_product(high, y, &err);
    if (!(ff_abs(high) < 800.0)) return ff_from_bits(ff_to_bits(high > 0 ? FF_INFINITY : 0.0) | sign);
    return ff_from_bits(ff_to_bits(ff_exp_sum(high, err + low)) | sign);
}

/* --- Sine and cosine --- */

/* The bits of 2 / pi, after 64 zeros. */
static const uint32_t ff_two_over_pi[39] = {
    0x00000000, 0x00000000, 0xa2f9836e, 0x4e441529, 0xfc2757d1, 0xf534ddc0, 0xdb629599, 0x3c439041, 0xfe5163ab,
    0xdebbc561, 0xb7246e3a, 0x424dd2e0, 0x06492eea, 0x09d1921c, 0xfe1deb1c, 0xb129a73e, 0xe88235f5, 0x2ebb4484,
    0xe99c7026, 0xb45f7e41, 0x3991d639, 0x835339f4, 0x9c845f8b, 0xbdf9283b, 0x1ff897ff, 0xde05980f, 0xef2f118b,
    0x5a0a6d1f, 0x6d367ecf, 0x27cb09b7, 0x4f463f66, 0x9e5fea2d, 0x7527bac7, 0xebe5f17b, 0x3d0739f7, 0x8a5292ea,
    0x6bfb5fb1, 0x1f8d5d08, 0x56033046,
};

/* Payne-Hanek reduction (M. Payne, R. Hanek, "Radian reduction for trigonometric functions", 1983): return the
 * multiple of pi / 2 that is nearest to x, modulo 4, and the remainder as a sum of two numbers. Of the product of x =
 * m 2^e with 2 / pi, only the bits from 2 down to 2^-190 are computed. No double is so near to a multiple of pi / 2
 * that fewer than 70 bits remain. */
static uint32_t ff_reduce_quarter_turns(double x, double *rest, double *rest_low) {
    uint64_t bits = ff_to_bits(x), carry = 0, m = (bits & UINT64_C(0x000fffffffffffff)) | UINT64_C(0x0010000000000000);
    uint32_t first_bit = (uint32_t)(bits >> 52 & 0x7ff) - 1013, factor[6], product[6], quarter, i;
    double high, low, err, scale = 0x1p-30;
    const uint32_t *source = ff_two_over_pi + first_bit / 32;
    for (i = 0; i < 6; i++)
        factor[i] = (uint32_t)((((uint64_t)source[i] << 32 | source[i + 1]) << first_bit % 32) >> 32);
    for (i = 6; i--; carry >>= 32) {
        carry += (m & 0xffffffffu) * factor[i];
        product[i] = (uint32_t)carry;
    }
    for (i = 5, carry = 0; i--; carry >>= 32) {
        carry += (m >> 32) * factor[i + 1] + product[i];
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
    high = ff_fast_two_sum((double)product[i], (double)product[i + 1] * 0x1p-32, &err);
    low = (low + err) * 0x1.921fb54442d18p+0 + high * 0x1.1a62633145c07p-54;
    high = ff_two_product(high, 0x1.921fb54442d18p+0, &err);
    high = ff_fast_two_sum(high, err + low, &err);
    *rest = high * scale;
    *rest_low = err * scale;
    return quarter;
}

/* Return the sine, for |r| up to pi / 4: r - r^3 / 6 + r^5 Q(r^2). The cube of the first 11 bits of r, times the
 * first bits of 1/6, is exact. Error of r^5 Q: 2^-64.7. */
static double ff_sin_kernel(double r, double r_low) {
    double r_high = ff_from_bits(ff_to_bits(r) & UINT64_C(0xfffffc0000000000)), cube = r_high * r_high * r_high;
    double z = r * r, z2 = z * z, high, err, q;
    q = (0x1.1111111111111p-7 + z * -0x1.a01a01a019ea5p-13) +
        z2 * ((0x1.71de3a5505aa8p-19 + z * -0x1.ae645526f4d4fp-26) +
              z2 * (0x1.612250759e95dp-33 + z * -0x1.ab8d96d125e6ep-41));
    high = ff_fast_two_sum(r, cube * -0x1.55556p-3, &err);
    q = r * z2 * q - ((r - r_high) * (z + r_high * (r + r_high)) * (1.0 / 6) - cube * 0x1.5555555555555p-24);
    return high + (err + (q + r_low * (1.0 - 0.5 * z)));
}

/* Return the cosine, for |r| up to pi / 4: 1 - r^2 / 2 + r^4 Q(r^2). Error of r^4 Q: 2^-60. */
static double ff_cos_kernel(double r, double r_low) {
    double r_high = ff_upper_half(r), z = r * r, z2 = z * z, high, err, q;
    q = (0x1.5555555555555p-5 + z * -0x1.6c16c16c168cap-10) +
        z2 * ((0x1.a01a019f38349p-16 + z * -0x1.27e4fa02da51p-22) +
              z2 * (0x1.1eeb57c6838ebp-29 + z * -0x1.90737ad41864ep-37));
    high = ff_fast_two_sum(1.0, -0.5 * r_high * r_high, &err);
    return high + (err + (z2 * q - (0.5 * (r - r_high) * (r + r_high) + r * r_low)));
}

/* Return the sine of `size` + `quarter` * pi / 2, for size >= 0. */
static double ff_sin_of_turns(double size, uint32_t quarter) {
    double r = size, r_low = 0.0, y;
    if (!(size < FF_INFINITY)) return FF_NAN;
    if (size > 0x1.921fb54442d18p-1) quarter += ff_reduce_quarter_turns(size, &r, &r_low);
    y = quarter & 1 ? ff_cos_kernel(r, r_low) : ff_sin_kernel(r, r_low);
    return quarter & 2 ? -y : y;
}

static double ff_sin(double x) {
    double y = ff_sin_of_turns(ff_abs(x), 0);
    if (ff_abs(x) < 0x1p-27) return x;
    return y == y && x < 0 ? -y : y;
}

static double ff_cos(double x) { return ff_sin_of_turns(ff_abs(x), 1); }

/* --- The normal distribution --- */

/* Phi(x) - 1/2 as a sum of two numbers, for |x| up to 1.01; Phi is the distribution function of the standard normal
 * distribution. The polynomial: (Phi(x) - 1/2 - x / sqrt(2 pi)) / x^3 in x^2, relative error 2^-62 of the sum. */
static double ff_ndtr_centre(double x, double *rest) {
    double z = x * x, x_high = ff_upper_half(x), q;
    q = -0x1.1058377e2ceep-4 + z * (0x1.46d042976910ep-7 + z * (-0x1.37403f6b98dabp-10 + z * (0x1.e42b0d4d37a11p-14 +
        z * (-0x1.3ce8f9f4e7772p-17 + z * (0x1.6589f8ff175efp-21 + z * (-0x1.621d5edaeaa5p-25 +
        z * (0x1.38127653e14e4p-29 + z * (-0x1.e7016fe491c31p-34 + z * 0x1.1fd3e954cc729p-38))))))));
    *rest = (x - x_high) * 0x1.988453p-2 + x * 0x1.ea1b284687e5ap-29 + x * z * q;
    return x_high * 0x1.988453p-2;
}

/* For t from 1 to 38.6: returns Phi(-t) / 2^k, and in *scale and *scale2 two factors of 2^k, and in *ratio
 * R(t) = exp(t^2 / 2) Phi(-t). t^2 is exact. The polynomials: R(t) (t + c) in v = (t - b) / (t + c), relative errors
 * 2^-54.5 and 2^-54.7. */
static double ff_ndtr_tail(double t, double *scale, double *scale2, double *ratio) {
    static const double near[16] = {
        0x1.1d2d9122f7b9cp0, -0x1.af05f523a8dc2p0, 0x1.fa17d3c4a7479p0, -0x1.ce0060dfa2acbp0, 0x1.3faacfcbf8566p0,
        -0x1.36ce0fe31acf3p-1, 0x1.4432799e0cbfcp-3, 0x1.5a326c21dc40fp-6, -0x1.0a93c9b280d94p-5, 0x1.3e492eac409a8p-8,
        0x1.4c335a7eeb54bp-8, -0x1.a61ff3fddbe22p-10, -0x1.d0f0cbbee9475p-11, 0x1.6751318e1f229p-12, 0.0, 0.0,
    };
    static const double far[16] = {
        0x1.1f25af900c24ep-1, -0x1.c14cf6d1eedd3p-3, 0x1.329c2316383bdp-4, -0x1.61b9f32a7a28dp-6, 0x1.44be3928f4158p-8,
        -0x1.95ec6a737806bp-11, 0x1.cc7a0db0b0b34p-16, 0x1.98fc4d90ef713p-16, -0x1.9f82e4268b61ap-18,
        -0x1.eeef7c19acf4dp-24, 0x1.87ded7ad3ddc1p-22, -0x1.77dff1cd4b357p-25, -0x1.42e968c881ea6p-26,
        0x1.538b730708008p-28, 0x1.f331ce9791893p-31, -0x1.ab62b795955f8p-32,
    };
    const double *coefficient = t < 4.0 ? near : far;
    double t_high = ff_upper_half(t), denominator = t + (t < 4.0 ? 5.0 : 4.0);
    double v = (t - (t < 4.0 ? 2.25 : 9.5)) / denominator, r = 0, high, low, err;
    uint32_t i;
    for (i = 16; i--;) r = r * v + coefficient[i];
    r /= denominator;
    high = ff_exp_parts(-0.5 * t_high * t_high, -0.5 * (t - t_high) * (t + t_high), &low, scale, scale2);
    high = ff_fast_two_sum(1.0, high, &err);
    *ratio = r;
    return r * high + r * (err + low);
}

/* Return Phi(x). */
static double ff_ndtr(double x) {
    double size = ff_abs(x), high, low, err, scale, scale2, ratio;
    if (size <= 1.0) {
        high = ff_ndtr_centre(x, &low);
        high = ff_fast_two_sum(0.5, high, &err);
        return high + (err + low);
    }
    if (!(size < 38.6)) return x != x ? FF_NAN : x < 0 ? 0.0 : 1.0;
    high = ff_ndtr_tail(size, &scale, &scale2, &ratio);
    high *= scale;
    high *= scale2;
    return x < 0 ? high : 1.0 - high;
}

/* Return the inverse of Phi at p. Two approximations, to 2^-24 and 2^-21, are followed by one step of Halley's
 * method, which triples the digits: as in M. J. Wichura, "Algorithm AS 241: The percentage points of the normal
 * distribution" (1988), but with our own polynomials, which interpolate the function at Chebyshev points. */
static double ff_ndtri(double p) {
    double q, q_low, tail = p < 0.5 ? p : 1.0 - p, x, high, low, step, scale, scale2, ratio, v;
    if (!(p > 0 && p < 1.0)) return p == 0 ? -FF_INFINITY : p == 1.0 ? FF_INFINITY : FF_NAN;
    q = ff_fast_two_sum(-0.5, p, &q_low);
    if (tail >= 0.29) {
        v = q * q;
        x = q * (2.5066283467209312 + v * (2.6248534977391644 + v * (5.7870878115808875 +
            v * (14.774916519582138 + v * 68.447251987182739))));
    } else {
        x = ff_sqrt(-2.0 * ff_log(tail));
        v = (x - 5.75) / (x + 4.0);
        x -= 0.47438564354134227 + v * (-0.53009357184102313 + v * (0.15371916149326298 + v * (-0.096508954771772126 +
             v * (0.03629866602590455 + v * (-0.026724525637309645 + v * (0.009071898552869077 +
             v * (-0.01107360629759673 + v * (0.0049593713611246516 + v * (0.00023703373645604737 +
             v * (-0.0014900904008274072 + v * -0.0068322007677753998))))))))));
        x = p < 0.5 ? -x : x;
    }
    if (ff_abs(x) <= 1.005) {
        high = ff_ndtr_centre(x, &low);
        step = ((high - q) + (low - q_low)) * (0x1.40d931ff62706p+1 * ff_exp(0.5 * x * x));
    } else {
        high = ff_ndtr_tail(ff_abs(x), &scale, &scale2, &ratio);
        step = (high - tail / scale / scale2) / high * (ratio * 0x1.40d931ff62706p+1);
        step = p < 0.5 ? step : -step;
    }
    return x - step / (1.0 + 0.5 * x * step);
}

/* ------------------------------------------------------------------------------------------------------------------
 * 3  The format: sections, steps, nodes
 * ------------------------------------------------------------------------------------------------------------------ */

/* The header: magic bytes, version, the numbers of registers and codes, then offset and count of each section. */
#define FF_SECTIONS 9
enum {
    FF_S_INPUTS, FF_S_OUTPUTS, FF_S_STEPS, FF_S_WORDS, FF_S_NUMBERS, FF_S_NODES, FF_S_LIMITS, FF_S_STRINGS, FF_S_TEXT
};
static const uint32_t ff_section_item[FF_SECTIONS] = {sizeof(ff_port), sizeof(ff_port), 4, 4, 8, 16, 4, 4, 1};

typedef struct {
    uint8_t magic[8];
    uint32_t version, registers, codes, reserved;
    struct { uint64_t offset, count; } section[FF_SECTIONS];
} ff_header;

static const uint8_t ff_magic[8] = {'F', 'O', 'U', 'R', 'P', 'L', 'A', 'N'};

/* A node of a tree. Nodes lie in preorder: the left child of an inner node is the next node. */
typedef struct ff_node {
    union {
        double threshold; /* number slot: left where the number is not above it; code slot: left where the code equals
                             it (FF_NODE_CODE) or differs from it (FF_NODE_OTHERS); leaf: its value, if one number */
        uint32_t set[2];  /* code slot: left where the code's bit is set in the words from set[0] on (FF_NODE_SET);
                             leaf: the index of its values, if they are several; set[1] is 0 */
    } test;
    uint32_t right; /* the index of the right child, from the tree's root; a leaf has its own index */
    uint32_t flags;
} ff_node;
#define FF_NODE_SLOT 0x0fffffffu
#define FF_NODE_NAN_LEFT 0x10000000u /* number slot: NaN goes left */
#define FF_NODE_LEAF 0x20000000u
#define FF_NODE_CODE 0x40000000u
#define FF_NODE_OTHERS 0xc0000000u
#define FF_NODE_SET 0x80000000u
#define FF_NODE_KIND 0xc0000000u

#define FF_CODE 0x80000000u       /* in a list of slots: a code register */
#define FF_FOREST_FLOAT32 1u      /* sums are rounded to float32 after every tree */
#define FF_FOREST_FROM 2u         /* sums begin with registers instead of numbers */
#define FF_MAX_DEPTH 4096u
#define FF_MAX_MASKED_NODES 127u  /* the nodes of a tree of 64 leaves */
#define FF_LARGE_NODES (1u << 16) /* so many nodes of large trees do not fit into a processor's caches */
#define FF_MAX_LANES 512u
#define FF_MAX_NEIGHBOURS 4096u
#define FF_MAX_COUPLED_CLASSES 1024u
#define FF_COUPLING_ROUNDS 100u   /* or the number of classes, if that is larger */

/* The steps of a plan, each followed by its operands. Below, a[0], a[1], … are the operands of a step in this order:
 * dst and code are the first register or the code register that it writes; words, numbers, strings are an index into
 * the section of that name. Where `words` stands after a count, the words there are the registers that it reads. */
enum ff_operation {
    FF_NUMBER = 1, /* dst input                             a column's numbers; NaN where one is missing */
    FF_TEXT,       /* code input string count               its index among strings; count: none; count + 1: missing */
    FF_MATCH,      /* code src numbers count                its index among numbers; count: none; count + 1: NaN */
    FF_SEARCH,     /* code src numbers count right          how many are below (right: not above) it; count + 1: NaN */
    FF_RECODE,     /* code code words                       another code for each code */
    FF_LOOKUP,     /* dst code width numbers                numbers for each code */
    FF_CONSTANT,   /* dst count numbers */
    FF_MAP,        /* dst count function words              f(x) */
    FF_MAP_CONST,  /* dst count function words numbers      f(x, constant) */
    FF_MAP_TWO,    /* dst count function words words        f(x, y) */
    FF_SELECT,     /* dst count words words words           y where x is not 0, else z */
    FF_DOT,        /* dst outputs inputs words numbers      numbers: outputs for each input */
    FF_FOLD,       /* dst count function words              one number from many */
    FF_ARGMAX,     /* code count words                      the first index of the largest */
    FF_INTERPOLATE,/* dst src xs ys count                   as numpy.interp */
    FF_FOREST,     /* dst outputs flags width slots words trees words values count init */
    FF_NEAREST,    /* dst k width inputs words rows metric power points targets nodes count bounds
                                                            the distances of the k nearest points, and their targets */
    FF_REFUSE,     /* count words kind string               refuses a row with a number of that kind */
    FF_BAG,        /* bag input words                       counts the n-grams of a text; words: ff_setting */
    FF_BAG_MAP,    /* bag bag function                      f(x) of every entry */
    FF_BAG_CONST,  /* bag bag function numbers each         f(x, constant); one constant, or (each) one per column */
    FF_BAG_ROW,    /* bag bag function src                  f(x, y) with the number of the row in src */
    FF_BAG_PICK,   /* bag bag words width                   a new column for each, ascending; UINT32_MAX: dropped */
    FF_BAG_FOLD,   /* dst bag function float32 first        one number from register `first` and a row's entries */
    FF_BAG_DOT,    /* dst outputs bag words numbers float32 weights by column; words: first sums; UINT32_MAX: 0
                                                            outputs numbers for each column; words: first sums */
    FF_BAG_SPREAD, /* dst count bag words nan               registers for columns; words: which; UINT32_MAX: none */
    FF_MEDIAN,     /* dst count words numbers               the first number where the weights reach half */
    FF_HASH,       /* dst input                             the hash of a text or of an integer's digits, or NaN */
    FF_JOIN,       /* code count words words count          the index of the hash of numbers; count: none */
    FF_SINGLE,     /* dst input                             as FF_NUMBER, rounded to float32 */
    FF_DISTANCES,  /* dst rows inputs words metric power points
                                                            the distance of each point */
    FF_COUPLE,     /* dst classes words                     class probabilities from those of pairs of classes */
    FF_OPERATIONS
};

/* The number of operands of each step. */
static const uint8_t ff_operands[FF_OPERATIONS] = {0, 2, 4, 4, 5, 3, 4, 3, 4, 5, 5, 5, 5, 4, 3, 5, 11,
                                                   13, 4, 3, 3, 5, 4, 4, 5, 6, 5, 4, 2, 5, 2, 7, 3};

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

/* Distances: the sum of squared differences, the sum of their magnitudes, the largest magnitude, the sum of powers of
 * magnitudes, and the sum of squares computed as x² - 2xy + y². No root is taken. */
enum ff_metric { FF_SQUARED, FF_MANHATTAN, FF_CHEBYSHEV, FF_MINKOWSKI, FF_PRODUCTS, FF_METRICS };
#define FF_BALLS 8u /* a flag beside the metric of FF_NEAREST: the nodes of the tree are balls, not boxes */

enum ff_kind { FF_NOT_FINITE = 0, FF_A_NAN, FF_INFINITE, FF_ZERO, FF_KINDS };

/* ------------------------------------------------------------------------------------------------------------------
 * 4  Opening a plan: everything is checked, once
 * ------------------------------------------------------------------------------------------------------------------ */

/* Write an error: the message, then the number. Returns -1. */
static int ff_fail(ff_plan *plan, const char *message, uint64_t number) {
    char digits[24];
    size_t end = 0, count = 0;
    while (message[end] && end < FF_ERROR_BYTES - 32) { plan->error[end] = message[end]; end++; }
    do { digits[count++] = (char)('0' + number % 10); number /= 10; } while (number);
    plan->error[end++] = ' ';
    while (count) plan->error[end++] = digits[--count];
    plan->error[end] = 0;
    return -1;
}

/* Fail with a message and a number, such as where the step is, unless the condition holds. */
#define FF_CHECK(holds, message, number) do { if (!(holds)) return ff_fail(plan, message, number); } while (0)

/* Return whether `count` items from `first` on are among `total` items. */
static int ff_in_range(uint64_t first, uint64_t count, uint64_t total) {
    return first <= total && count <= total - first;
}

#define FF_RECENT 64u /* a dictionary is built once for so many steps, one after the other, that have the same texts */

/* What the steps checked so far have written and need. Registers are written in ascending order, so two counters tell
 * which of them are written. */
typedef struct {
    uint32_t registers, codes;
    uint32_t dictionaries, forests;
    uint32_t slots, workspace;
    uint32_t bags, readers;
    uint32_t large_nodes; /* nodes of trees that are too large for masks */
    uint64_t cost, max_cost; /* the cost of a row, roughly in nanoseconds, and its limit */
    uint64_t text_cost;      /* the cost of a byte of text */
    uint64_t memory, max_memory; /* the bytes of what ff_prepare builds, without the tables of forests */
    const uint32_t *reading[FF_MAX_BAGS]; /* the settings of the steps that read texts */
    uint32_t string[FF_RECENT], count[FF_RECENT]; /* the latest dictionaries, in a ring */
} ff_totals;

/* A plan's time and memory are limited in proportion to its bytes: steps may share arrays, so without limits a small
 * file could ask for any amount. No compiled model comes near them. docs/spec/plan.md lists them. */
#define FF_MAX_COST_PER_BYTE 128u
#define FF_FREE_COST (1u << 20) /* a row may always cost so much */
#define FF_MAX_TEXT_COST 8192u
#define FF_MAX_MEMORY_PER_BYTE 64u
#define FF_FREE_MEMORY (16u << 20) /* ff_prepare may always use so much */
#define FF_MAX_ANSWER_PER_BYTE 16u
#define FF_FREE_ANSWER (64u << 10)
#define FF_MAX_REGISTERS_PER_BYTE 4u
#define FF_MAX_SCRATCH_BYTES (32u << 20) /* of registers; a single row may need more */
#define FF_MAX_WORKSPACE_BYTES (1u << 30)
#define FF_MAX_BLOCK_COST (UINT64_C(1) << 34) /* of all rows of a block, so that a call can be ended after seconds */

/* Multiply, and return less than 2^61, so that a few such products can be added. */
static uint64_t ff_saturating_mul(uint64_t a, uint64_t b) {
    return a && b > (UINT64_MAX >> 3) / a ? UINT64_MAX >> 3 : a * b;
}

/* Return whether the registers named by `count` words from `word` on are written already. */
static int ff_can_read(const ff_plan *plan, const ff_totals *totals, uint64_t word, uint64_t count) {
    uint64_t i;
    if (!ff_in_range(word, count, plan->words)) return 0;
    for (i = 0; i < count; i++)
        if (plan->word[word + i] >= totals->registers) return 0;
    return 1;
}

/* Note that a step writes `count` registers from `dst` on; return whether these are the next ones. */
static int ff_claim_registers(const ff_plan *plan, ff_totals *totals, uint32_t dst, uint64_t count) {
    if (dst != totals->registers || count == 0 || count > plan->registers - dst) return 0;
    totals->registers += (uint32_t)count;
    return 1;
}

/* Note that a step writes the code register `dst`; return whether it is the next one and has this limit. */
static int ff_claim_code(const ff_plan *plan, ff_totals *totals, uint32_t dst, uint64_t limit) {
    const uint32_t *limits = plan->word + plan->words; /* ff_open_sections: the limits follow the words */
    if (dst != totals->codes || dst >= plan->codes || limits[dst] != limit) return 0;
    totals->codes++;
    return 1;
}

/* Return whether one of the latest steps has the same dictionary. */
static int ff_has_dictionary(const ff_totals *totals, uint32_t string, uint32_t count) {
    uint32_t i, known = totals->dictionaries < FF_RECENT ? totals->dictionaries : FF_RECENT;
    for (i = 0; i < known; i++)
        if (totals->string[i] == string && totals->count[i] == count) return 1;
    return 0;
}

static const char too_much_memory[] = "tables would take too much memory for a plan of this size, at step";
static const char too_costly[] = "a row would cost too much for a plan of this size, at step";
static const char too_slow_text[] = "a byte of text would cost too much, at step";
#define FF_SLOT_BYTES 32u /* of a forest's slot, at most */

/* Return the bytes of the longest of these strings. */
static uint32_t ff_longest_string(const ff_plan *plan, uint32_t first, uint32_t count) {
    uint32_t longest = 0, i;
    for (i = 0; i < count; i++) {
        uint32_t length = plan->string[first + i + 1] - plan->string[first + i];
        if (length > longest) longest = length;
    }
    return longest;
}

/* Return the slots of a dictionary of so many texts, and the bytes that they take. */
static uint32_t ff_dictionary_slots(uint32_t count) {
    uint64_t slots = 4;
    while (slots < 2 * (uint64_t)count + 1) slots *= 2;
    return (uint32_t)slots;
}
static uint64_t ff_dictionary_bytes(uint32_t count) { return 16 * (uint64_t)ff_dictionary_slots(count); }

/* Return the limit of a code register: its codes are below it. */
static uint32_t ff_code_limit(const ff_plan *plan, uint32_t code) { return (plan->word + plan->words)[code]; }

/* Return whether these numbers exist, ascend strictly and are not NaN. */
static int ff_is_ascending(const ff_plan *plan, uint64_t first, uint64_t count) {
    uint64_t i;
    if (!ff_in_range(first, count, plan->numbers)) return 0;
    for (i = 0; i < count; i++)
        if (ff_is_nan(plan->number[first + i]) || (i && !(plan->number[first + i - 1] < plan->number[first + i])))
            return 0;
    return 1;
}

/* Return whether these nodes are one tree in preorder that reads only what exists. They are if the right children
 * that are still pending come in last-in, first-out order. */
static int ff_check_tree(const ff_plan *plan, const uint32_t *operand, uint32_t first, uint32_t count) {
    uint32_t pending[FF_MAX_DEPTH], pending_count = 0, i;
    uint32_t slots = operand[4];
    const uint32_t *slot = plan->word + operand[5];
    if (count == 0 || !ff_in_range(first, count, plan->nodes)) return 0;
    for (i = 0; i < count; i++) {
        const ff_node *node = plan->node + first + i;
        if (node->flags & FF_NODE_LEAF) {
            if (node->flags != FF_NODE_LEAF || node->right != i) return 0;
            if (operand[3] > 1 && (node->test.set[0] >= operand[9] || node->test.set[1])) return 0;
            if (pending_count == 0) return i == count - 1;
            if (pending[--pending_count] != i + 1) return 0;
            continue;
        }
        if (node->right <= i + 1 || node->right >= count || pending_count == FF_MAX_DEPTH) return 0;
        if ((node->flags & FF_NODE_SLOT) >= slots) return 0;
        if (slot[node->flags & FF_NODE_SLOT] & FF_CODE) {
            uint32_t limit = ff_code_limit(plan, slot[node->flags & FF_NODE_SLOT] & ~FF_CODE);
            uint32_t kind = node->flags & FF_NODE_KIND;
            if (!kind || node->flags & FF_NODE_NAN_LEFT) return 0;
            if (kind != FF_NODE_SET && ff_is_nan(node->test.threshold)) return 0;
            if (kind == FF_NODE_SET &&
                (node->test.set[1] || !ff_in_range(node->test.set[0], ((uint64_t)limit + 31) / 32, plan->words)))
                return 0;
        } else if (ff_is_nan(node->test.threshold) || node->flags & FF_NODE_KIND) return 0;
        pending[pending_count++] = node->right;
    }
    return 0;
}

/* Check a step FF_FOREST, and add up what it needs. */
static int ff_check_forest(ff_plan *plan, ff_totals *totals, const uint32_t *operand, uint64_t where) {
    uint32_t outputs = operand[1], width = operand[3], slots = operand[4], trees = operand[6], i;
    const uint32_t *tree = plan->word + operand[7];
    uint64_t padded = ((uint64_t)trees + 15) / 16 * 16;
    totals->memory += ff_saturating_mul(slots, sizeof(uint32_t) + FF_SLOT_BYTES) + trees;
    FF_CHECK(totals->memory <= totals->max_memory, too_much_memory, where);
    FF_CHECK(operand[2] <= (FF_FOREST_FLOAT32 | FF_FOREST_FROM), "a forest has flags that are not known, at step",
             where);
    FF_CHECK(trees > 0 && slots <= FF_NODE_SLOT, "a forest has no trees, or too many slots, at step", where);
    FF_CHECK(width == 1 || width == outputs, "a forest's leaves are as wide as neither one nor all outputs, at step",
             where);
    FF_CHECK(ff_in_range(operand[5], slots, plan->words), "a forest's slots are outside, at step", where);
    for (i = 0; i < slots; i++) {
        uint32_t source = plan->word[operand[5] + i];
        FF_CHECK(source & FF_CODE ? (source & ~FF_CODE) < totals->codes : source < totals->registers,
                 "a forest reads a register that is not written yet, at step", where);
    }
    FF_CHECK(ff_in_range(operand[7], 3 * (uint64_t)trees, plan->words), "a forest's trees are outside, at step", where);
    FF_CHECK(ff_in_range(operand[8], (uint64_t)operand[9] * width, plan->numbers),
             "a forest's values are outside, at step", where);
    FF_CHECK(operand[2] & FF_FOREST_FROM ? ff_can_read(plan, totals, operand[10], outputs)
                                         : ff_in_range(operand[10], outputs, plan->numbers),
             "a forest's first sums are outside, at step", where);
    for (i = 0; i < trees; i++) {
        FF_CHECK(width > 1 || tree[3 * i + 2] < outputs, "a tree adds to an output that is not there: tree", i);
        totals->cost += 4 * (uint64_t)tree[3 * i + 1];
        FF_CHECK(totals->cost <= totals->max_cost, "a row would cost too much for a plan of this size: tree", i);
        FF_CHECK(ff_check_tree(plan, operand, tree[3 * i], tree[3 * i + 1]),
                 "not a tree in preorder, inside the plan: tree", i);
        if (tree[3 * i + 1] > FF_MAX_MASKED_NODES && totals->large_nodes < FF_LARGE_NODES)
            totals->large_nodes += tree[3 * i + 1];
    }
    FF_CHECK(ff_claim_registers(plan, totals, operand[0], outputs),
             "a forest writes elsewhere than to the next registers, at step", where);
    totals->forests++;
    if (totals->slots < (slots ? slots : 1)) totals->slots = slots ? slots : 1;
    FF_CHECK(padded * 32 <= FF_MAX_WORKSPACE_BYTES, "too many trees, at step", where);
    if (totals->workspace < padded * 32) totals->workspace = (uint32_t)(padded * 32);
    return 0;
}

/* Check the tree of a nearest-neighbour search. Node i has the children 2i + 1 and 2i + 2. A node is three words:
 * where its points begin, where they end, and whether it is a leaf. All leaves together may hold no more points than
 * there are, which limits the cost of a row. The bounds are the least values of every node, then the largest values
 * of every node; or of balls the centres, then the radii. */
static int ff_check_neighbour_tree(const ff_plan *plan, uint32_t nodes, uint32_t count, uint32_t rows) {
    uint64_t points = 0;
    uint32_t i;
    if (count == 0 || count > (1u << 28) || !ff_in_range(nodes, 3 * (uint64_t)count, plan->words)) return 0;
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

/* Check a step FF_NEAREST, and note the workspace that it needs. */
static int ff_check_nearest(ff_plan *plan, ff_totals *totals, const uint32_t *a, uint64_t where) {
    uint32_t k = a[1], width = a[2], inputs = a[3], rows = a[5];
    uint64_t bytes = 12 * (uint64_t)k + 8 * (uint64_t)inputs;
    FF_CHECK(k > 0 && k <= rows && k <= FF_MAX_NEIGHBOURS, "neighbours: none, more than rows, or too many, at step",
             where);
    FF_CHECK((a[6] & ~FF_BALLS) < FF_METRICS && ff_in_range(a[7], 2, plan->numbers),
             "a distance that is not known, at step", where);
    FF_CHECK(inputs < (1u << 24), "too many inputs, at step", where);
    FF_CHECK(ff_can_read(plan, totals, a[4], inputs), "reads a register that is not written yet, at step", where);
    FF_CHECK(ff_in_range(a[8], (uint64_t)rows * inputs, plan->numbers) &&
                 ff_in_range(a[9], (uint64_t)rows * width, plan->numbers),
             "neighbours are outside, at step", where);
    FF_CHECK(ff_check_neighbour_tree(plan, a[10], a[11], rows), "not a tree of neighbours, inside the plan, at step",
             where);
    FF_CHECK(ff_in_range(a[12], a[11] < 2 ? 0 : ff_saturating_mul(a[11], a[6] & FF_BALLS ? (uint64_t)inputs + 1
                                                                                       : 2 * (uint64_t)inputs),
                         plan->numbers),
             "the bounds of neighbours are outside, at step", where);
    FF_CHECK(ff_claim_registers(plan, totals, a[0], k * ((uint64_t)width + 1)),
             "writes elsewhere than to the next registers, at step", where);
    if (totals->workspace < bytes) totals->workspace = (uint32_t)bytes;
    return 0;
}

/* Return the largest number of rounds of pairwise coupling. */
static uint64_t ff_coupling_rounds(uint64_t classes) {
    return classes > FF_COUPLING_ROUNDS ? classes : FF_COUPLING_ROUNDS;
}

/* Check a step FF_COUPLE, and note the workspace that it needs. */
static int ff_check_couple(ff_plan *plan, ff_totals *totals, const uint32_t *a, uint64_t where) {
    uint64_t k = a[1], bytes = 8 * (2 * k * k + 2 * k);
    FF_CHECK(k > 1 && k <= FF_MAX_COUPLED_CLASSES, "too few or too many classes to be coupled, at step", where);
    FF_CHECK(ff_can_read(plan, totals, a[2], k * (k - 1) / 2), "reads a register that is not written yet, at step",
             where);
    FF_CHECK(ff_claim_registers(plan, totals, a[0], k), "writes elsewhere than to the next registers, at step", where);
    if (totals->workspace < bytes) totals->workspace = (uint32_t)bytes;
    return 0;
}

/* Check a step FF_DISTANCES, and note the workspace that it needs. */
static int ff_check_distances(ff_plan *plan, ff_totals *totals, const uint32_t *a, uint64_t where) {
    FF_CHECK(a[4] < FF_METRICS && a[5] < plan->numbers, "a distance that is not known, at step", where);
    FF_CHECK(ff_can_read(plan, totals, a[3], a[2]), "reads a register that is not written yet, at step", where);
    FF_CHECK(ff_in_range(a[6], (uint64_t)a[1] * a[2], plan->numbers), "points are outside, at step", where);
    if (totals->workspace < 8 * FF_MAX_LANES) totals->workspace = 8 * FF_MAX_LANES;
    if (totals->workspace < 8 * a[2]) totals->workspace = 8 * a[2]; /* a[2] is below 2^24 */
    FF_CHECK(ff_claim_registers(plan, totals, a[0], a[1]), "writes elsewhere than to the next registers, at step",
             where);
    return 0;
}

/* Return whether this is a function of one number (arity 0), two numbers (32) or many (64). */
static int ff_is_function(uint32_t function, uint32_t arity) {
    return arity == 0 ? function < FF_ONES : arity == 32 ? function >= FF_ADD && function < FF_TWOS
                                                   : function >= FF_SUM && function < FF_MANY;
}

/* Note the memory and the cost of a dictionary. */
static int ff_note_dictionary(ff_plan *plan, ff_totals *totals, const uint32_t *a, uint64_t where) {
    if (!ff_has_dictionary(totals, a[2], a[3])) totals->memory += ff_dictionary_bytes(a[3]);
    FF_CHECK(totals->memory <= totals->max_memory, too_much_memory, where);
    totals->cost += ff_longest_string(plan, a[2], a[3]) / 8; /* longer texts are not read */
    FF_CHECK(totals->cost <= totals->max_cost, too_costly, where);
    totals->string[totals->dictionaries % FF_RECENT] = a[2];
    totals->count[totals->dictionaries++ % FF_RECENT] = a[3];
    return 0;
}

static int ff_check_bag_step(ff_plan *plan, ff_totals *totals, uint32_t operation, const uint32_t *a,
                             uint64_t where);                    /* section 8 */
static uint64_t ff_reading_cost(const ff_plan *plan, uint32_t word); /* section 8 */
static uint64_t ff_bag_entries(uint32_t width);                      /* section 8 */

/* Return the hash number `index` of those that begin at `word`, each of two words. */
static uint64_t ff_read_hash(const ff_plan *plan, uint32_t word, uint64_t index) {
    const uint32_t *words = plan->word + word + 2 * index;
    return (uint64_t)words[0] | (uint64_t)words[1] << 32;
}

/* Return what a function costs, for its worst argument. */
static uint64_t ff_function_cost(uint32_t function) {
    switch (function) {
    case FF_EXP:
    case FF_LOG:
    case FF_TANH:
    case FF_SIGMOID:
    case FF_SQRT: return 8;
    case FF_EXPM1:
    case FF_LOG1P:
    case FF_LOG2:
    case FF_LOG10:
    case FF_CBRT:
    case FF_NDTR: return 32;
    case FF_SIN:
    case FF_COS:
    case FF_NDTRI:
    case FF_POW: return 64;
    case FF_MOD: return 512;
    default: return 1;
    }
}

/* Return what one coordinate adds to the cost of a distance. */
static uint64_t ff_metric_cost(uint32_t metric) {
    return (metric & ~FF_BALLS) == FF_MINKOWSKI ? ff_function_cost(FF_POW) : 1;
}

/* Estimate what a step costs for a row, or for validation and preparation, if that is more: so dictionaries and slots
 * count. The operands are not checked yet. */
static uint64_t ff_step_cost(const ff_plan *plan, const ff_totals *totals, uint32_t operation, const uint32_t *a) {
    switch (operation) {
    case FF_TEXT: return ff_has_dictionary(totals, a[2], a[3]) ? FF_RECENT : 64 * (uint64_t)a[3] + FF_RECENT;
    case FF_MATCH:
    case FF_SEARCH: return a[3];
    case FF_RECODE: return a[1] < totals->codes ? ff_code_limit(plan, a[1]) : 0;
    case FF_LOOKUP: return a[2];
    case FF_DOT: return ff_saturating_mul((uint64_t)a[1] + 1, (uint64_t)a[2] + 1);
    case FF_INTERPOLATE: return a[4];
    case FF_FOREST:
        /* ff_check_forest adds nodes. Masks are used where they are faster than a walk (ff_masks_pay_off), but for
         * every group of 16 trees or more the slots are passed through. */
        return ff_saturating_mul((uint64_t)a[6] / 16 + 16, (uint64_t)a[4] + 1) + a[6] + a[1] +
               (a[3] > 1 ? ff_saturating_mul(a[6], a[3]) : 0);
    case FF_NEAREST: /* a point is compared, and may enter a heap of at most 2^12 */
        return ff_saturating_mul((uint64_t)a[5] + a[11], ff_saturating_mul(a[3], ff_metric_cost(a[6])) + 13) +
               ff_saturating_mul(a[1], (uint64_t)a[2] + 64);
    case FF_DISTANCES:
        return ff_saturating_mul((uint64_t)a[1] + 1, ff_saturating_mul(a[2], ff_metric_cost(a[4])) + 1);
    case FF_COUPLE: return ff_saturating_mul(ff_saturating_mul(a[1], a[1]), ff_coupling_rounds(a[1]));
    case FF_MEDIAN: return ff_saturating_mul(a[1], 32);
    case FF_JOIN: return (uint64_t)a[1] + a[4];
    case FF_REFUSE: return a[0];
    case FF_BAG_PICK: return a[1] < totals->bags ? plan->bag_width[a[1]] : 0;
    case FF_BAG: return ff_reading_cost(plan, a[2]);
    case FF_BAG_MAP:
    case FF_BAG_CONST:
    case FF_BAG_ROW:
        return ff_saturating_mul(a[1] < totals->bags ? ff_bag_entries(plan->bag_width[a[1]]) : 0,
                                 ff_function_cost(a[2]));
    case FF_BAG_FOLD: return a[1] < totals->bags ? ff_bag_entries(plan->bag_width[a[1]]) : 0;
    case FF_BAG_DOT:
        return ff_saturating_mul((uint64_t)a[1] + 1, a[2] < totals->bags ? ff_bag_entries(plan->bag_width[a[2]]) : 0);
    case FF_BAG_SPREAD: return (uint64_t)a[1] + (a[2] < totals->bags ? plan->bag_width[a[2]] : 0);
    case FF_MAP:
    case FF_MAP_CONST:
    case FF_MAP_TWO: return ff_saturating_mul(a[1], ff_function_cost(a[2]));
    case FF_CONSTANT:
    case FF_SELECT:
    case FF_FOLD:
    case FF_ARGMAX: return a[1];
    default: return 1;
    }
}

/* Check one step: it reads only what is written and what is in the plan, and writes the next registers. */
static int ff_check_step(ff_plan *plan, ff_totals *totals, uint32_t operation, const uint32_t *a, uint64_t where) {
    static const char unread[] = "reads a register that is not written yet, at step";
    static const char unwritten[] = "writes elsewhere than to the next registers, at step";
    static const char outside[] = "its constants are outside or out of order, at step";
    static const char unknown[] = "a function that is not known, at step";
    uint64_t i;
    switch (operation) {
    case FF_NUMBER:
    case FF_SINGLE:
        FF_CHECK(a[1] < plan->inputs && plan->input[a[1]].type != FF_STRING, "no such input of numbers, at step",
                 where);
        FF_CHECK(ff_claim_registers(plan, totals, a[0], 1), unwritten, where);
        return 0;
    case FF_TEXT:
        FF_CHECK(a[1] < plan->inputs && plan->input[a[1]].type == FF_STRING, "no such input of text, at step", where);
        FF_CHECK(ff_in_range(a[2], a[3], plan->strings), outside, where);
        FF_CHECK(ff_claim_code(plan, totals, a[0], (uint64_t)a[3] + 2), unwritten, where);
        return ff_note_dictionary(plan, totals, a, where);
    case FF_MATCH:
    case FF_SEARCH:
        FF_CHECK(a[1] < totals->registers, unread, where);
        FF_CHECK(ff_is_ascending(plan, a[2], a[3]) && (operation == FF_MATCH || a[4] <= 1), outside, where);
        FF_CHECK(ff_claim_code(plan, totals, a[0], (uint64_t)a[3] + 2), unwritten, where);
        return 0;
    case FF_RECODE: {
        uint32_t limit;
        FF_CHECK(a[1] < totals->codes, unread, where);
        FF_CHECK(ff_in_range(a[2], ff_code_limit(plan, a[1]), plan->words) && a[0] < plan->codes, outside, where);
        limit = ff_code_limit(plan, a[0]);
        for (i = 0; i < ff_code_limit(plan, a[1]); i++) FF_CHECK(plan->word[a[2] + i] < limit, outside, where);
        FF_CHECK(ff_claim_code(plan, totals, a[0], limit), unwritten, where);
        return 0;
    }
    case FF_LOOKUP:
        FF_CHECK(a[1] < totals->codes, unread, where);
        FF_CHECK(ff_in_range(a[3], (uint64_t)ff_code_limit(plan, a[1]) * a[2], plan->numbers), outside, where);
        FF_CHECK(ff_claim_registers(plan, totals, a[0], a[2]), unwritten, where);
        return 0;
    case FF_CONSTANT:
        FF_CHECK(ff_in_range(a[2], a[1], plan->numbers), outside, where);
        FF_CHECK(ff_claim_registers(plan, totals, a[0], a[1]), unwritten, where);
        return 0;
    case FF_MAP:
        FF_CHECK(ff_is_function(a[2], 0), unknown, where);
        FF_CHECK(ff_can_read(plan, totals, a[3], a[1]), unread, where);
        FF_CHECK(ff_claim_registers(plan, totals, a[0], a[1]), unwritten, where);
        return 0;
    case FF_MAP_CONST:
        FF_CHECK(ff_is_function(a[2], 32), unknown, where);
        FF_CHECK(ff_can_read(plan, totals, a[3], a[1]), unread, where);
        FF_CHECK(ff_in_range(a[4], a[1], plan->numbers), outside, where);
        FF_CHECK(ff_claim_registers(plan, totals, a[0], a[1]), unwritten, where);
        return 0;
    case FF_MAP_TWO:
        FF_CHECK(ff_is_function(a[2], 32), unknown, where);
        FF_CHECK(ff_can_read(plan, totals, a[3], a[1]) && ff_can_read(plan, totals, a[4], a[1]), unread, where);
        FF_CHECK(ff_claim_registers(plan, totals, a[0], a[1]), unwritten, where);
        return 0;
    case FF_SELECT:
        FF_CHECK(ff_can_read(plan, totals, a[2], a[1]) && ff_can_read(plan, totals, a[3], a[1]) &&
                 ff_can_read(plan, totals, a[4], a[1]), unread, where);
        FF_CHECK(ff_claim_registers(plan, totals, a[0], a[1]), unwritten, where);
        return 0;
    case FF_DOT:
        FF_CHECK(ff_can_read(plan, totals, a[3], a[2]), unread, where);
        FF_CHECK(ff_in_range(a[4], (uint64_t)a[1] * a[2], plan->numbers), outside, where);
        FF_CHECK(ff_claim_registers(plan, totals, a[0], a[1]), unwritten, where);
        return 0;
    case FF_FOLD:
        FF_CHECK(ff_is_function(a[2], 64) && a[1] > 0, unknown, where);
        FF_CHECK(ff_can_read(plan, totals, a[3], a[1]), unread, where);
        FF_CHECK(ff_claim_registers(plan, totals, a[0], 1), unwritten, where);
        return 0;
    case FF_ARGMAX:
        FF_CHECK(a[1] > 0 && ff_can_read(plan, totals, a[2], a[1]), unread, where);
        FF_CHECK(ff_claim_code(plan, totals, a[0], a[1]), unwritten, where);
        return 0;
    case FF_INTERPOLATE:
        FF_CHECK(a[1] < totals->registers, unread, where);
        FF_CHECK(a[4] > 0 && ff_in_range(a[2], a[4], plan->numbers) && ff_in_range(a[3], a[4], plan->numbers), outside,
                 where);
        for (i = 0; i < a[4]; i++)
            FF_CHECK(!ff_is_nan(plan->number[a[2] + i]) && (!i || plan->number[a[2] + i - 1] <= plan->number[a[2] + i]),
                     outside, where);
        FF_CHECK(ff_claim_registers(plan, totals, a[0], 1), unwritten, where);
        return 0;
    case FF_FOREST: return ff_check_forest(plan, totals, a, where);
    case FF_NEAREST: return ff_check_nearest(plan, totals, a, where);
    case FF_DISTANCES: return ff_check_distances(plan, totals, a, where);
    case FF_COUPLE: return ff_check_couple(plan, totals, a, where);
    case FF_HASH:
        FF_CHECK(a[1] < plan->inputs && plan->input[a[1]].type != FF_FLOAT32 && plan->input[a[1]].type != FF_FLOAT64,
                 "no such input of text or integers, at step", where);
        FF_CHECK(ff_claim_registers(plan, totals, a[0], 1), unwritten, where);
        FF_CHECK(++totals->text_cost <= FF_MAX_TEXT_COST, too_slow_text, where);
        return 0;
    case FF_JOIN:
        FF_CHECK(ff_can_read(plan, totals, a[2], a[1]), unread, where);
        FF_CHECK(ff_in_range(a[3], 2 * (uint64_t)a[4], plan->words), outside, where);
        for (i = 1; i < a[4]; i++)
            FF_CHECK(ff_read_hash(plan, a[3], i - 1) < ff_read_hash(plan, a[3], i), outside, where);
        FF_CHECK(ff_claim_code(plan, totals, a[0], (uint64_t)a[4] + 1), unwritten, where);
        return 0;
    case FF_MEDIAN:
        FF_CHECK(a[1] > 0 && a[1] < (1u << 24) && ff_can_read(plan, totals, a[2], a[1]), unread, where);
        FF_CHECK(ff_in_range(a[3], a[1], plan->numbers), outside, where);
        FF_CHECK(ff_claim_registers(plan, totals, a[0], 1), unwritten, where);
        if (totals->workspace < 16 * a[1]) totals->workspace = 16 * a[1];
        return 0;
    case FF_REFUSE:
        FF_CHECK(ff_can_read(plan, totals, a[1], a[0]), unread, where);
        FF_CHECK(a[2] < FF_KINDS && a[3] < plan->strings, outside, where);
        return 0;
    case FF_BAG:
    case FF_BAG_MAP:
    case FF_BAG_CONST:
    case FF_BAG_ROW:
    case FF_BAG_PICK:
    case FF_BAG_FOLD:
    case FF_BAG_DOT:
    case FF_BAG_SPREAD: return ff_check_bag_step(plan, totals, operation, a, where);
    default: return ff_fail(plan, "an operation that is not known, at step", where);
    }
}

/* Return whether a text is UTF-8 as Unicode defines it: no surrogates, no code point above the last, only shortest
 * forms. */
static int ff_is_utf8(const uint8_t *text, uint32_t length) {
    uint32_t at = 0, continuation, code_point, smallest;
    while (at < length) {
        uint8_t first = text[at++];
        if (first < 0x80) continue;
        if (first >= 0xc2 && first <= 0xdf) { continuation = 1; code_point = first & 0x1f; smallest = 0x80; }
        else if (first >= 0xe0 && first <= 0xef) { continuation = 2; code_point = first & 0x0f; smallest = 0x800; }
        else if (first >= 0xf0 && first <= 0xf4) { continuation = 3; code_point = first & 0x07; smallest = 0x10000; }
        else return 0;
        if (continuation > length - at) return 0;
        for (; continuation; continuation--, at++) {
            if ((text[at] & 0xc0) != 0x80) return 0;
            code_point = code_point << 6 | (text[at] & 0x3fu);
        }
        if (code_point < smallest || code_point > 0x10ffff || (code_point >= 0xd800 && code_point <= 0xdfff)) return 0;
    }
    return 1;
}

/* Check the header, find the sections, and check strings and inputs. */
static int ff_open_sections(ff_plan *plan, size_t size) {
    ff_header header;
    const uint8_t *at[FF_SECTIONS];
    uint64_t i;
    FF_CHECK(((uintptr_t)plan->bytes & 7) == 0, "a plan must lie at an address that 8 divides; it lies at",
             (uintptr_t)plan->bytes);
    FF_CHECK(size >= sizeof header, "a plan is longer than its header; it has bytes:", size);
    ff_memcpy(&header, plan->bytes, sizeof header);
    for (i = 0; i < 8; i++) FF_CHECK(header.magic[i] == ff_magic[i], "these bytes are no plan: they differ at byte", i);
    FF_CHECK(header.version == FF_VERSION && header.reserved == 0, "a plan of another version than 1:", header.version);
    for (i = 0; i < FF_SECTIONS; i++) {
        uint64_t offset = header.section[i].offset, count = header.section[i].count;
        FF_CHECK(offset % (i == FF_S_LIMITS ? 4 : 8) == 0 && offset >= sizeof header && offset <= size,
                 "a section begins outside the plan: section", i);
        FF_CHECK(count <= (size - offset) / ff_section_item[i] && count < UINT32_MAX,
                 "a section ends outside the plan: section", i);
        at[i] = plan->bytes + offset;
    }
    FF_CHECK(header.section[FF_S_STRINGS].count > 0, "the offsets of strings lack their end; there are", 0);
    FF_CHECK(header.registers <= (1u << 24) && header.codes <= (1u << 24) &&
             header.registers / FF_MAX_REGISTERS_PER_BYTE <= size && header.codes / FF_MAX_REGISTERS_PER_BYTE <= size,
             "a plan has too many registers for its size:", header.registers);
    FF_CHECK(header.section[FF_S_LIMITS].count == header.codes &&
                 header.section[FF_S_LIMITS].offset ==
                     header.section[FF_S_WORDS].offset + 4 * header.section[FF_S_WORDS].count,
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
    for (i = 0; i < plan->strings; i++)
        FF_CHECK(plan->string[i] <= plan->string[i + 1], "strings out of order: string", i);
    FF_CHECK(plan->string[plan->strings] <= header.section[FF_S_TEXT].count, "strings end outside the plan; there are",
             plan->strings);
    for (i = 0; i < plan->strings; i++)
        FF_CHECK(ff_is_utf8(plan->text + plan->string[i], plan->string[i + 1] - plan->string[i]),
                 "a string is no UTF-8: string", i);
    for (i = 0; i < plan->inputs; i++)
        FF_CHECK(plan->input[i].type < FF_TYPES && plan->input[i].name < plan->strings,
                 "an input of an unknown type: input", i);
    return 0;
}

/* Check that every output has a type, a name, and registers or labels, and that the answer to a row is no larger than a
 * multiple of the plan: outputs may share registers and labels. */
static int ff_check_outputs(ff_plan *plan, size_t size) {
    static const char too_large[] = "the answer to a row would be too large for a plan of this size: output";
    uint64_t i, checked = 0, answer = 0, max_answer = ff_saturating_mul(size, FF_MAX_ANSWER_PER_BYTE) + FF_FREE_ANSWER;
    FF_CHECK(plan->outputs > 0, "a plan must have outputs; it has", 0);
    for (i = 0; i < plan->outputs; i++) {
        const ff_port *port = plan->output + i;
        FF_CHECK(port->type < FF_TYPES && port->name < plan->strings, "an output of an unknown type: output", i);
        if (port->width) {
            FF_CHECK(port->type != FF_STRING, "an output of numbers must not be of strings: output", i);
            FF_CHECK(port->labels <= 1 && port->count == 0, "an output of numbers has labels: output", i);
            FF_CHECK(ff_in_range(port->first, port->width, plan->registers), "an output that no step writes: output",
                     i);
            answer += 8 * (uint64_t)port->width;
            FF_CHECK(answer <= max_answer, too_large, i);
            continue;
        }
        FF_CHECK(port->first < plan->codes && ff_code_limit(plan, port->first) <= port->count,
                 "a label that has no name: output", i);
        FF_CHECK(port->type == FF_STRING ? ff_in_range(port->labels, port->count, plan->strings)
                 : port->type == FF_FLOAT32 || port->type == FF_FLOAT64
                     ? ff_in_range(port->labels, port->count, plan->numbers)
                     : ff_in_range(port->labels, 2 * (uint64_t)port->count, plan->words),
                 "labels are outside: output", i);
        checked += port->count;
        FF_CHECK(checked <= max_answer, too_large, i);
        answer += 8 + (port->type == FF_STRING ? ff_longest_string(plan, port->labels, port->count) : 0);
        FF_CHECK(answer <= max_answer, too_large, i);
    }
    return 0;
}

int ff_open(ff_plan *plan, const void *bytes, size_t size) {
    ff_totals totals;
    uint64_t at = 0;
    ff_memset(plan, 0, sizeof *plan);
    ff_memset(&totals, 0, sizeof totals);
    plan->bytes = (const uint8_t *)bytes;
    if (ff_open_sections(plan, size)) return -1;
    totals.max_cost = ff_saturating_mul(size, FF_MAX_COST_PER_BYTE) + FF_FREE_COST;
    totals.max_memory = ff_saturating_mul(size, FF_MAX_MEMORY_PER_BYTE) + FF_FREE_MEMORY;
    while (at < plan->steps) {
        uint32_t operation = plan->step[at];
        FF_CHECK(operation > 0 && operation < FF_OPERATIONS, "an operation that is not known, at step", at);
        FF_CHECK(ff_operands[operation] < plan->steps - at, "a step is cut off, at step", at);
        totals.cost += ff_step_cost(plan, &totals, operation, plan->step + at + 1);
        FF_CHECK(totals.cost <= totals.max_cost, too_costly, at);
        if (ff_check_step(plan, &totals, operation, plan->step + at + 1, at)) return -1;
        at += 1 + ff_operands[operation];
    }
    FF_CHECK(totals.registers == plan->registers && totals.codes == plan->codes,
             "registers that no step writes; written are", totals.registers);
    if (ff_check_outputs(plan, size)) return -1;
    FF_CHECK(totals.workspace <= FF_MAX_WORKSPACE_BYTES, "a step needs too much memory; bytes:", totals.workspace);
    plan->dictionaries = totals.dictionaries;
    plan->forests = totals.forests;
    plan->slots = totals.slots;
    plan->bags = totals.bags;
    plan->readers = totals.readers;
    plan->workspace = (totals.workspace + 63) / 64 * 64;
    plan->row_cost = totals.cost;
    plan->text_cost = totals.text_cost;
    /* Enough lanes to make the start of a loop cheap, few enough to keep the registers in the first-level cache. A
     * forest that fits into no cache is read once for all lanes, so then there are more of them. */
    {
        uint64_t bytes_per_lane = 8 * (uint64_t)plan->registers + 4 * (uint64_t)plan->codes + 4, max_bytes = 48u * 1024;
        plan->lanes = plan->bags ? 64 : FF_MAX_LANES;
        if (totals.large_nodes >= FF_LARGE_NODES) {
            plan->lanes = plan->bags ? 256 : FF_MAX_LANES;
            max_bytes = 4096u * 1024;
        }
        while (plan->lanes > 16 && plan->lanes * bytes_per_lane > max_bytes) plan->lanes /= 2;
        bytes_per_lane += 8 * (uint64_t)plan->slots;
        while (plan->lanes > 1 && plan->lanes * bytes_per_lane > FF_MAX_SCRATCH_BYTES) plan->lanes /= 2;
        while (plan->lanes > 1 && ff_saturating_mul(plan->lanes, plan->row_cost) > FF_MAX_BLOCK_COST) plan->lanes /= 2;
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

/* A hash table with open addressing. A text of up to eight bytes is its own key, so one comparison is enough. */
typedef struct {
    uint64_t key;    /* the bytes of a short text, the hash of a longer one */
    uint32_t length; /* UINT32_MAX: empty */
    uint32_t code;
} ff_entry;

typedef struct ff_dictionary {
    const ff_entry *entry;
    uint32_t mask, count, string, longest; /* longest: in bytes */
} ff_dictionary;

/* Read eight bytes from any address. */
static uint64_t ff_load64(const uint8_t *at) {
    uint64_t value;
    ff_memcpy(&value, at, 8); /* compilers turn this into one load */
    return value;
}

/* Mix the bits of a hash: multiplications and shifts, each of which can be undone, so no two numbers collide. */
static uint64_t ff_mix64(uint64_t x) {
    x ^= x >> 32;
    x *= UINT64_C(0x9e3779b97f4a7c15);
    x ^= x >> 29;
    x *= UINT64_C(0xd6e8feb86659fd93);
    return x ^ x >> 32;
}

/* Return the key of a text: its bytes, or a hash of them if they are more than eight. */
static uint64_t ff_text_key(const uint8_t *text, uint32_t length) {
    uint64_t key = 0;
    uint32_t i;
    if (length <= 8) {
        for (i = 0; i < length; i++) key |= (uint64_t)text[i] << 8 * i;
        return key;
    }
    for (i = 0; i + 8 <= length; i += 8) key = ff_mix64(key ^ ff_load64(text + i));
    return ff_mix64(key ^ ff_load64(text + length - 8) ^ length);
}

static int ff_bytes_equal(const uint8_t *a, const uint8_t *b, uint32_t length) {
    while (length--) if (*a++ != *b++) return 0;
    return 1;
}

/* Return the code of a text, or the number of texts in the dictionary if it is not there. */
static uint32_t ff_find_code(const ff_plan *plan, const ff_dictionary *dictionary, const uint8_t *text,
                             uint32_t length) {
    uint64_t key = ff_text_key(text, length);
    uint32_t at = (uint32_t)ff_mix64(key + length) & dictionary->mask;
    for (;; at = (at + 1) & dictionary->mask) {
        const ff_entry *entry = dictionary->entry + at;
        if (entry->key == key && entry->length == length &&
            (length <= 8 || ff_bytes_equal(text, plan->text + plan->string[dictionary->string + entry->code], length)))
            return entry->code;
        if (entry->length == UINT32_MAX) return dictionary->count;
    }
}

/* The most entries without a gap between them. More than a hundred do not come about by chance: texts were chosen so
 * that they collide, and then a search would pass through all of them. */
#define FF_MAX_RUN 256u

/* Fail because texts collide. Returns -2. */
static int ff_fail_collision(ff_plan *plan, uint32_t string) {
    ff_fail(plan, "texts were chosen so that looking one up takes long: the strings from", string);
    return -2;
}

/* Build the hash table of a dictionary. operand[2] is its first string, operand[3] the number of strings. Returns 0, -1
 * if there is no memory, -2 if texts collide. */
static int ff_prepare_dictionary(ff_plan *plan, ff_dictionary *dictionary, const uint32_t *operand,
                                 ff_allocate allocate, void *context) {
    uint32_t size, i, run;
    ff_entry *entry;
    dictionary->string = operand[2];
    dictionary->count = operand[3];
    size = ff_dictionary_slots(dictionary->count);
    dictionary->mask = size - 1;
    dictionary->longest = ff_longest_string(plan, operand[2], operand[3]);
    entry = (ff_entry *)allocate(context, size * sizeof *entry);
    FF_CHECK(entry, "no memory for a dictionary; bytes wanted:", size * sizeof *entry);
    for (i = 0; i < size; i++) { entry[i].key = 0; entry[i].length = UINT32_MAX; entry[i].code = 0; }
    dictionary->entry = entry;
    for (i = 0; i < dictionary->count; i++) {
        const uint8_t *text = plan->text + plan->string[dictionary->string + i];
        uint32_t length = plan->string[dictionary->string + i + 1] - plan->string[dictionary->string + i], at;
        uint64_t key = ff_text_key(text, length);
        at = (uint32_t)ff_mix64(key + length) & dictionary->mask;
        for (run = 0; entry[at].length != UINT32_MAX; at = (at + 1) & dictionary->mask) {
            if (entry[at].key == key && entry[at].length == length &&
                (length <= 8 ||
                 ff_bytes_equal(text, plan->text + plan->string[dictionary->string + entry[at].code], length)))
                break; /* a duplicate */
            if (++run == FF_MAX_RUN) return ff_fail_collision(plan, dictionary->string);
        }
        if (entry[at].length != UINT32_MAX) continue;
        entry[at].key = key;
        entry[at].length = length;
        entry[at].code = i;
    }
    for (i = 0, run = 0; i < size; i++) {
        run = entry[i].length == UINT32_MAX ? 0 : run + 1;
        if (run == FF_MAX_RUN) return ff_fail_collision(plan, dictionary->string);
    }
    return 0;
}

/* ------------------------------------------------------------------------------------------------------------------
 * 6  Forests: tables of masks, and the walk
 *
 * Forests of small trees are computed after QuickScorer (Lucchese and others, SIGIR 2015). A tree has a mask with a bit
 * for each leaf. A test that fails clears the bits of the leaves to its left; the lowest bit that remains is the
 * leaf. Which tests of a column fail depends only on the rank of its number among their thresholds. So each column
 * has a table with a row for every rank, and a row has a mask for every tree: all tests that fail, already combined.
 * A row of data then reads one row of each table and combines them word by word, whatever the number of nodes. A
 * number that is above no threshold clears nothing, so its row is not read: of a hundred one-hot columns all but a
 * few are skipped. A column of codes (a category) has a row for every code in the same way, so it needs no one-hot
 * columns.
 *
 * The tables of many trees would not stay in the cache, so trees are divided into groups with tables of their own. If
 * trees are too large for masks, or columns are too many, or memory is short, trees are walked from root to leaf,
 * several rows at once. Both ways add leaves in the order of the trees, so the bits are the same.
 * ------------------------------------------------------------------------------------------------------------------ */

typedef struct {
    uint32_t source;          /* the register, or the code register */
    uint32_t is_code;
    uint32_t count;           /* ranks: 0 to count, and count + 1 for NaN; codes: the limit */
    const double *thresholds; /* ascending, of a number */
} ff_slot;

typedef struct {
    uint32_t slot;
    const uint32_t *row; /* for each rank its row of the table; NULL if rank and row are equal */
    const void *masks;   /* rows of `padded` masks */
} ff_table;

typedef struct {
    uint32_t first, trees, padded, tables;
    ff_table *table;
    const uint32_t *table_of; /* for each slot the index of its table plus 1, or 0 */
    const double *leaf;       /* padded × leaves numbers, if a leaf has one number */
    const uint32_t *value_at; /* padded × leaves indices of numbers, if it has several */
} ff_group;

typedef struct ff_forest {
    const uint32_t *operand;
    uint32_t bits; /* of a mask; 0 if trees are walked */
    uint32_t leaves, slots, groups;
    uint32_t has_codes, has_code_sets; /* nodes that test one code, nodes that test a set */
    const uint8_t *steps;              /* for a walk: the depth of each tree, or FF_UNEVEN, FF_DEEP */
    ff_slot *slot;
    ff_group *group;
} ff_forest;

#define FF_MAX_TABLE_BYTES (384u * 1024) /* of one group: they fit into a second-level cache */
#define FF_MIN_GROUP_TREES 16u

/* Sort numbers. Heapsort needs no recursion and has no bad case. */
static void ff_heapsort(double *values, uint32_t count) {
    uint32_t start = count / 2, end = count;
    while (end > 1) {
        uint32_t root, child;
        double value;
        if (start > 0) value = values[--start];
        else { value = values[--end]; values[end] = values[0]; }
        for (root = start; (child = 2 * root + 1) < end; root = child) {
            if (child + 1 < end && values[child] < values[child + 1]) child++;
            if (!(value < values[child])) break;
            values[root] = values[child];
        }
        values[root] = value;
    }
}

/* Return how many of the ascending numbers are below x. */
static uint32_t ff_lower_bound(const double *values, uint32_t count, double x) {
    const double *base = values;
    while (count > 1) {
        uint32_t half = count / 2;
        base += base[half - 1] < x ? half : 0;
        count -= half;
    }
    return (uint32_t)(base - values) + (count == 1 && *base < x);
}

/* Return how many of the ascending numbers are not above x. */
static uint32_t ff_upper_bound(const double *values, uint32_t count, double x) {
    const double *base = values;
    while (count > 1) {
        uint32_t half = count / 2;
        base += base[half - 1] <= x ? half : 0;
        count -= half;
    }
    return (uint32_t)(base - values) + (count == 1 && *base <= x);
}

/* Return whether a code goes left at a node on a code slot. */
static uint32_t ff_code_goes_left(const ff_plan *plan, const ff_node *node, uint32_t code) {
    if ((node->flags & FF_NODE_KIND) == FF_NODE_SET)
        return plan->word[node->test.set[0] + (code >> 5)] >> (code & 31) & 1;
    return (uint32_t)((double)code == node->test.threshold) ^ node->flags >> 31;
}

/* Return the root of a tree, and the number of its nodes. */
static const ff_node *ff_tree_root(const ff_plan *plan, const ff_forest *forest, uint32_t tree, uint32_t *count) {
    const uint32_t *entry = plan->word + forest->operand[7] + 3 * (uint64_t)tree;
    *count = entry[1];
    return plan->node + entry[0];
}

static int ff_is_leaf(const ff_node *node) { return (node->flags & FF_NODE_LEAF) != 0; }

/* Measure the trees: the most leaves of a tree, and the inner nodes on each slot. Returns the steps of a walk: for
 * each tree the mean depth of its leaves, and one step more to see that all rows have arrived. */
static uint64_t ff_measure_trees(const ff_plan *plan, ff_forest *forest, uint32_t *on_slot, uint64_t *inner) {
    uint32_t t, i, pending[FF_MAX_DEPTH];
    uint64_t steps = 0;
    forest->leaves = forest->has_codes = forest->has_code_sets = 0;
    *inner = 0;
    for (t = 0; t < forest->operand[6]; t++) {
        uint32_t count, leaves = 0, depth = 0, pending_count = 0;
        uint64_t depths = 0;
        const ff_node *node = ff_tree_root(plan, forest, t, &count);
        for (i = 0; i < count; i++) {
            forest->has_codes |= node[i].flags & FF_NODE_CODE;
            forest->has_code_sets |= (node[i].flags & FF_NODE_KIND) == FF_NODE_SET;
            if (!ff_is_leaf(node + i)) {
                pending[pending_count++] = ++depth;
                on_slot[node[i].flags & FF_NODE_SLOT]++;
                (*inner)++;
                continue;
            }
            leaves++;
            depths += depth;
            if (pending_count) depth = pending[--pending_count];
        }
        if (leaves > forest->leaves) forest->leaves = leaves;
        steps += (depths + leaves - 1) / leaves + 1;
    }
    forest->bits = forest->leaves <= 8 ? 8 : forest->leaves <= 16 ? 16
                   : forest->leaves <= 32 ? 32 : forest->leaves <= 64 ? 64 : 0;
    return steps;
}

/* Return whether masks are faster than a walk. Costs are measured, in about sixteenths of a cycle. Masks: 115 to look
 * up a leaf; 2 for a byte of masks, or 4 if they are so wide that a group's tables leave the first-level cache; 32 to
 * find that a number is above no threshold, which is likely where thresholds are few. A walk: 65 for a step. */
static int ff_masks_pay_off(const ff_forest *forest, const uint32_t *on_slot, uint64_t steps) {
    uint64_t trees = forest->operand[6], bytes = trees * (forest->bits / 8) * (forest->bits == 64 ? 4 : 2),
             cost = trees * 115;
    uint32_t s;
    for (s = 0; s < forest->slots; s++) {
        const ff_slot *slot = forest->slot + s;
        if (on_slot[s]) cost += 32 + (slot->is_code || slot->count >= 8 ? bytes : bytes * slot->count / 8);
    }
    return cost <= 65 * steps;
}

/* Collect the thresholds of each number slot, sorted and without duplicates. */
static int ff_gather_thresholds(ff_plan *plan, ff_forest *forest, const uint32_t *on_slot, ff_allocate allocate,
                                void *context) {
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
        const ff_node *node = ff_tree_root(plan, forest, t, &count);
        for (i = 0; i < count; i++) {
            ff_slot *slot = forest->slot + (node[i].flags & FF_NODE_SLOT);
            if (ff_is_leaf(node + i) || slot->is_code) continue;
            ((double *)slot->thresholds)[slot->count++] = node[i].test.threshold;
        }
    }
    for (s = 0; s < forest->slots; s++) {
        ff_slot *slot = forest->slot + s;
        double *thresholds = (double *)slot->thresholds;
        uint32_t unique = 0;
        if (slot->is_code || !on_slot[s]) continue;
        ff_heapsort(thresholds, slot->count);
        for (i = 0; i < slot->count; i++)
            if (!unique || thresholds[unique - 1] < thresholds[i]) thresholds[unique++] = thresholds[i];
        slot->count = unique;
    }
    return 0;
}

/* Estimate the rows of a slot's table in a group of `trees` trees. */
static uint64_t ff_table_rows(const ff_slot *slot, uint32_t on_slot, uint64_t trees, uint64_t all) {
    uint64_t rows = slot->is_code ? slot->count : (uint64_t)on_slot * trees / all + 1;
    if (!slot->is_code && rows > slot->count) rows = slot->count;
    return slot->is_code ? rows : rows + 2;
}

/* Estimate the bytes of all tables of a group of `trees` trees. */
static uint64_t ff_table_bytes(const ff_forest *forest, const uint32_t *on_slot, uint64_t trees) {
    uint64_t bytes = 0;
    uint32_t s;
    for (s = 0; s < forest->slots; s++)
        if (on_slot[s])
            bytes += ff_table_rows(forest->slot + s, on_slot[s], trees, forest->operand[6]) * ((trees + 15) / 16 * 16) *
                     (forest->bits / 8);
    return bytes;
}

/* Clear bits of the mask at an index, for any width of mask. */
static void ff_and_mask(void *masks, uint64_t at, uint32_t bits, uint64_t keep) {
    if (bits == 8) ((uint8_t *)masks)[at] &= (uint8_t)keep;
    else if (bits == 16) ((uint16_t *)masks)[at] &= (uint16_t)keep;
    else if (bits == 32) ((uint32_t *)masks)[at] &= (uint32_t)keep;
    else ((uint64_t *)masks)[at] &= keep;
}

/* Find which rows the table of slot `s` has in a group, and the row of each rank. Returns the number of rows, 0 if
 * the group does not test the slot. */
static uint32_t ff_group_rows(const ff_plan *plan, const ff_forest *forest, const ff_group *group, uint32_t s,
                              uint32_t *row) {
    const ff_slot *slot = forest->slot + s;
    uint32_t t, i, rows = 0, tested = 0;
    for (i = 0; i < slot->count + 2 && !slot->is_code; i++) row[i] = 0;
    for (t = 0; t < group->trees; t++) {
        uint32_t count;
        const ff_node *node = ff_tree_root(plan, forest, group->first + t, &count);
        for (i = 0; i < count; i++) {
            if (ff_is_leaf(node + i) || (node[i].flags & FF_NODE_SLOT) != s) continue;
            tested = 1;
            if (!slot->is_code) row[ff_lower_bound(slot->thresholds, slot->count, node[i].test.threshold) + 1] = 1;
        }
    }
    if (!tested) return 0;
    if (slot->is_code) return slot->count;
    for (i = 1; i <= slot->count; i++) { rows += row[i]; row[i] = rows; }
    row[slot->count + 1] = rows + 1;
    return rows + 2;
}

/* Clear in the tables of a group the bits that the tests of one tree clear. */
static void ff_clear_masks(const ff_plan *plan, const ff_forest *forest, const ff_group *group, uint32_t t,
                           const uint32_t *table_of) {
    uint8_t before[128]; /* the leaves before each node; a tree of 64 leaves has 127 nodes */
    uint32_t count, i, leaves = 0, code;
    const ff_node *node = ff_tree_root(plan, forest, group->first + t, &count);
    for (i = 0; i < count; i++) { before[i] = (uint8_t)leaves; leaves += (uint32_t)ff_is_leaf(node + i); }
    for (i = 0; i < count; i++) {
        uint32_t s = node[i].flags & FF_NODE_SLOT, left, width;
        const ff_slot *slot = forest->slot + s;
        const ff_table *table;
        uint64_t keep;
        if (ff_is_leaf(node + i)) continue;
        table = group->table + table_of[s] - 1;
        left = before[i + 1];
        width = before[node[i].right] - left; /* at most 63, because the right child has a leaf, too */
        keep = ~(((UINT64_C(1) << width) - 1) << left);
        if (slot->is_code) {
            for (code = 0; code < slot->count; code++)
                if (!ff_code_goes_left(plan, node + i, code))
                    ff_and_mask((void *)table->masks, (uint64_t)code * group->padded + t, forest->bits, keep);
            continue;
        }
        /* The row of the first rank above the threshold. ff_fill_group does the rows after it. */
        ff_and_mask((void *)table->masks,
                    (uint64_t)table->row[ff_lower_bound(slot->thresholds, slot->count, node[i].test.threshold) + 1] *
                    group->padded + t, forest->bits, keep);
        if (!(node[i].flags & FF_NODE_NAN_LEFT))
            ff_and_mask((void *)table->masks, (uint64_t)table->row[slot->count + 1] * group->padded + t, forest->bits,
                        keep);
    }
}

/* Copy the values of a group's leaves, or where they begin, tree by tree. */
static int ff_fill_leaves(ff_plan *plan, const ff_forest *forest, ff_group *group, ff_allocate allocate,
                          void *context) {
    uint64_t leaf_count = (uint64_t)group->padded * forest->leaves;
    double *leaf = NULL;
    uint32_t *value_at = NULL, t, i;
    if (forest->operand[3] == 1) leaf = (double *)allocate(context, (size_t)leaf_count * sizeof *leaf);
    else value_at = (uint32_t *)allocate(context, (size_t)leaf_count * sizeof *value_at);
    FF_CHECK(leaf || value_at, "no memory for leaves; places wanted:", leaf_count);
    for (t = 0; t < group->trees; t++) {
        uint32_t count, leaves = 0;
        const ff_node *node = ff_tree_root(plan, forest, group->first + t, &count);
        for (i = 0; i < count; i++) {
            uint64_t at = (uint64_t)t * forest->leaves + leaves;
            if (!ff_is_leaf(node + i)) continue;
            if (leaf) leaf[at] = node[i].test.threshold;
            else value_at[at] = forest->operand[8] + node[i].test.set[0] * forest->operand[3];
            leaves++;
        }
    }
    group->leaf = leaf;
    group->value_at = value_at;
    return 0;
}

/* Build the tables of a group of trees. */
static int ff_fill_group(ff_plan *plan, ff_forest *forest, ff_group *group, const uint32_t *on_slot,
                         ff_allocate allocate, void *context) {
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
        ff_memset(masks, 255, (size_t)bytes);
        group->table[group->tables].slot = s;
        group->table[group->tables].row = row;
        group->table[group->tables].masks = masks;
        table_of[s] = ++group->tables;
    }
    for (t = 0; t < group->trees; t++) ff_clear_masks(plan, forest, group, t, table_of);
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

/* Build the tables of a forest, if masks are possible, fast and within the budget. Otherwise forest->bits becomes 0. */
static int ff_prepare_forest(ff_plan *plan, ff_forest *forest, const uint32_t *operand, ff_allocate allocate,
                             void *context, size_t *budget) {
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
        forest->slot[s].count = source & FF_CODE ? ff_code_limit(plan, source & ~FF_CODE) : 0;
        forest->slot[s].thresholds = NULL;
        on_slot[s] = 0;
    }
    steps = ff_measure_trees(plan, forest, on_slot, &inner);
    if (!forest->bits || inner * 8 > *budget) { forest->bits = 0; return 0; }
    if (ff_gather_thresholds(plan, forest, on_slot, allocate, context)) return -1;
    if (!ff_masks_pay_off(forest, on_slot, steps)) { forest->bits = 0; return 0; }
    for (size = trees; size > FF_MIN_GROUP_TREES && ff_table_bytes(forest, on_slot, size) > FF_MAX_TABLE_BYTES;)
        size = (size + 1) / 2;
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

#define FF_UNEVEN 0u /* the depths of the tree's leaves differ much */
#define FF_DEEP 13u  /* the tree is this deep, or deeper */

/* Decide how rows walk down a tree together. They do not wait for each other if the depths of its leaves differ by
 * more than five steps (their standard deviation): FF_UNEVEN. Otherwise they take the same number of steps: the depth
 * of the tree if it is below FF_DEEP. */
static uint8_t ff_walk_steps(const ff_node *node, uint32_t count) {
    uint32_t pending[FF_MAX_DEPTH], pending_count = 0, depth = 0, deepest = 1, i;
    uint64_t leaves = 0, sum = 0, squares = 0;
    for (i = 0; i < count; i++) {
        if (!ff_is_leaf(node + i)) { pending[pending_count++] = ++depth; continue; }
        leaves++;
        sum += depth;
        squares += (uint64_t)depth * depth;
        if (depth > deepest) deepest = depth;
        if (pending_count) depth = pending[--pending_count];
    }
    if (leaves * squares > sum * sum + 25 * leaves * leaves) return FF_UNEVEN;
    return (uint8_t)(deepest < FF_DEEP ? deepest : FF_DEEP);
}

/* Decide for each tree of a forest how rows walk down it. */
static int ff_prepare_walk(ff_plan *plan, ff_forest *forest, ff_allocate allocate, void *context) {
    uint32_t t, count;
    uint8_t *steps = (uint8_t *)allocate(context, forest->operand[6]);
    FF_CHECK(steps, "no memory for a forest's trees:", forest->operand[6]);
    for (t = 0; t < forest->operand[6]; t++) {
        const ff_node *node = ff_tree_root(plan, forest, t, &count);
        steps[t] = ff_walk_steps(node, count);
    }
    forest->steps = steps;
    return 0;
}

/* Take the dictionary of one of the latest steps that has the same texts; return whether there is one. */
static int ff_share_dictionary(const ff_plan *plan, ff_dictionary *dictionary, const uint32_t *operand) {
    const ff_dictionary *other = dictionary;
    while (other > plan->dictionary && dictionary - other < (int)FF_RECENT) {
        other--;
        if (other->string != operand[2] || other->count != operand[3]) continue;
        *dictionary = *other;
        return 1;
    }
    return 0;
}

int ff_prepare(ff_plan *plan, ff_allocate allocate, void *context, size_t budget) {
    uint32_t at = 0, dictionaries = 0, forests = 0;
    plan->dictionary = (ff_dictionary *)allocate(context, (plan->dictionaries + 1u) * sizeof *plan->dictionary);
    plan->forest = (ff_forest *)allocate(context, (plan->forests + 1u) * sizeof *plan->forest);
    FF_CHECK(plan->dictionary && plan->forest,
             "no memory for dictionaries and forests:", plan->dictionaries + plan->forests);
    for (; at < plan->steps; at += 1u + ff_operands[plan->step[at]]) {
        const uint32_t *operand = plan->step + at + 1;
        if (plan->step[at] == FF_TEXT) {
            ff_dictionary *dictionary = plan->dictionary + dictionaries++;
            int status = ff_share_dictionary(plan, dictionary, operand)
                             ? 0 : ff_prepare_dictionary(plan, dictionary, operand, allocate, context);
            if (status) return status;
        } else if (plan->step[at] == FF_FOREST) {
            ff_forest *forest = plan->forest + forests++;
            if (ff_prepare_forest(plan, forest, operand, allocate, context, &budget)) return -1;
            if (!forest->bits && ff_prepare_walk(plan, forest, allocate, context)) return -1;
        }
    }
    return ff_prepare_bags(plan, allocate, context);
}

/* The data that a step works on: registers and codes of `lanes` rows. */
typedef struct {
    double *number;
    uint32_t *code;
    uint32_t *refused;
    uint32_t lanes; /* the distance between two registers */
    uint32_t count; /* rows */
    uint8_t *workspace;
    const ff_column *columns;
    int64_t row; /* the index of the first row in the call */
    struct ff_bag_rows *bag;
} ff_block;

/* Return a register: a number for each row of the block. ff_codes: a code for each row. */
static double *ff_register(const ff_block *block, uint32_t index) {
    return block->number + (size_t)index * block->lanes;
}
static uint32_t *ff_codes(const ff_block *block, uint32_t index) { return block->code + (size_t)index * block->lanes; }

/* What a walk must handle: NaN among the numbers, nodes that test one code, nodes that test a set of codes. */
#define FF_NANS 1
#define FF_CODES 2
#define FF_SETS 4
#define FF_ROWS_ABREAST 8u    /* rows that walk one tree together */
#define FF_TREES_ABREAST 16u  /* trees that one row walks together */
#define FF_STEPS_PER_CHECK 4u /* steps between two checks for rows that have arrived */

/* Two numbers that are computed at once, each as if alone; one number, if the compiler has no vector type. */
#if defined(__GNUC__)
typedef double ff_vector __attribute__((vector_size(16), aligned(8), may_alias));
#define FF_VECTOR_WIDTH 2u
#define FF_BROADCAST(X) {X, X}
#else
typedef double ff_vector;
#define FF_VECTOR_WIDTH 1u
#define FF_BROADCAST(X) X
#endif

#if defined(__GNUC__)
#define FF_PREFETCH(AT) __builtin_prefetch(AT)
#define FF_OPAQUE(VALUE) __asm__("" : "+r"(VALUE)) /* hides a choice, which a compiler would turn into a branch */
#define FF_NOINLINE __attribute__((noinline))      /* inlined, it would need too many registers */
#else
#define FF_PREFETCH(AT) ((void)0)
#define FF_OPAQUE(VALUE) ((void)0)
#define FF_NOINLINE
#endif

/* Return the node after one step. Nothing here is a branch that a processor could mispredict. A walker at a leaf
 * stays there, because the right child of a leaf is the leaf. */
static uint32_t ff_walk_step(const ff_plan *plan, const ff_node *tree, const double *row, uint32_t here, int content) {
    const ff_node *node = tree + here;
    uint32_t flags = node->flags, left;
    double x = row[flags & FF_NODE_SLOT];
    left = (uint32_t)(x <= node->test.threshold);
    if (content & FF_CODES) left = (left & ((uint32_t)(x >= node->test.threshold) | ~flags >> 30)) ^ flags >> 31;
    if (content & FF_NANS) left |= (uint32_t)(x != x) & flags >> 28;
    if (content & FF_SETS) {
        /* A code plus 2^52 has the code in its last bits. */
        uint32_t is_set = 0u - (flags >> 31 & ~flags >> 30 & 1),
                 code = is_set & (uint32_t)ff_to_bits(x + 4503599627370496.0);
        uint32_t word = plan->word[(node->test.set[0] & is_set) + (code >> 5)];
        left = (left & ~is_set) | (word >> (code & 31) & is_set);
    }
    left = 0u - (left & ~flags >> 29 & 1);
    FF_OPAQUE(left);
    return ((here + 1) & left) | (node->right & ~left);
}

/* Walk all rows from the root of one tree to a leaf, several abreast: the processor need not wait for one row's node
 * before it loads another's. `leaf` receives each row's leaf. With each row some cache lines of the next tree are
 * prefetched, because memory is faster in sequence than in the random order of a walk. */
static void ff_walk_rows(const ff_plan *plan, const ff_node *tree, uint32_t steps, const double *cells, uint32_t slots,
                         uint32_t rows, uint32_t *leaf, uintptr_t ahead, uint32_t lines, int content) {
    uint32_t here[FF_ROWS_ABREAST], lane, i, k, unfinished;
    for (lane = 0; lane < rows; lane += FF_ROWS_ABREAST) {
        const double *row = cells + (size_t)lane * slots;
        size_t row_stride = rows - lane < FF_ROWS_ABREAST ? 0 : slots; /* a last few rows are done one by one below */
        if (!row_stride) break;
        for (k = 0; k < FF_ROWS_ABREAST * lines; k++, ahead += 64) FF_PREFETCH((const void *)ahead);
        for (i = 0; i < FF_ROWS_ABREAST; i++) here[i] = 0;
        if (steps < FF_DEEP)
            for (k = 0; k < steps; k++)
                for (i = 0; i < FF_ROWS_ABREAST; i++)
                    here[i] = ff_walk_step(plan, tree, row + i * row_stride, here[i], content);
        else do {
            for (k = 0; k < 2; k++)
                for (i = 0; i < FF_ROWS_ABREAST; i++)
                    here[i] = ff_walk_step(plan, tree, row + i * row_stride, here[i], content);
            for (unfinished = 0, i = 0; i < FF_ROWS_ABREAST; i++) unfinished |= ~tree[here[i]].flags & FF_NODE_LEAF;
        } while (unfinished);
        for (i = 0; i < FF_ROWS_ABREAST; i++) leaf[lane + i] = here[i];
    }
    for (; lane < rows; lane++)
        for (leaf[lane] = 0; !ff_is_leaf(tree + leaf[lane]);)
            leaf[lane] = ff_walk_step(plan, tree, cells + (size_t)lane * slots, leaf[lane], content);
}

/* Do the same for a tree whose leaves lie at very different depths: a row that arrives is replaced by the next row. */
static void ff_walk_uneven(const ff_plan *plan, const ff_node *tree, const double *cells, uint32_t slots, uint32_t rows,
                           uint32_t *leaf, uintptr_t ahead, uint32_t lines, int content) {
    uint32_t here[FF_ROWS_ABREAST], lane[FF_ROWS_ABREAST], i, k;
    uint32_t next = FF_ROWS_ABREAST, walking = (1u << FF_ROWS_ABREAST) - 1;
    const double *row[FF_ROWS_ABREAST];
    for (i = 0; i < FF_ROWS_ABREAST; i++) { here[i] = 0; lane[i] = i; row[i] = cells + (size_t)i * slots; }
    while (walking) {
        uint32_t arrived = 0;
        for (k = 0; k < FF_STEPS_PER_CHECK; k++)
            for (i = 0; i < FF_ROWS_ABREAST; i++) here[i] = ff_walk_step(plan, tree, row[i], here[i], content);
        for (i = 0; i < FF_ROWS_ABREAST; i++) arrived |= (tree[here[i]].flags >> 29 & 1) << i;
        for (arrived &= walking; arrived; arrived &= arrived - 1) {
            i = ff_ctz32(arrived);
            leaf[lane[i]] = here[i];
            for (k = 0; k < lines; k++, ahead += 64) FF_PREFETCH((const void *)ahead);
            if (next == rows) { walking &= ~(1u << i); continue; }
            here[i] = 0;
            lane[i] = next;
            row[i] = cells + (size_t)next++ * slots;
        }
    }
}

/* Walk one row from the roots of several trees to a leaf of each. */
static void ff_walk_trees(const ff_plan *plan, const ff_node *const *tree, const double *row, uint32_t *at,
                          int content) {
    uint32_t i, unfinished;
    for (i = 0; i < FF_TREES_ABREAST; i++) at[i] = 0;
    do {
        for (i = 0; i < FF_TREES_ABREAST; i++) at[i] = ff_walk_step(plan, tree[i], row, at[i], content);
        for (unfinished = 0, i = 0; i < FF_TREES_ABREAST; i++) unfinished |= ~tree[i][at[i]].flags & FF_NODE_LEAF;
    } while (unfinished);
}

/* One set of functions for each content, so that a step tests only what can occur. */
typedef struct {
    void (*rows)(const ff_plan *, const ff_node *, uint32_t, const double *, uint32_t, uint32_t, uint32_t *, uintptr_t,
                 uint32_t);
    void (*uneven)(const ff_plan *, const ff_node *, const double *, uint32_t, uint32_t, uint32_t *, uintptr_t,
                   uint32_t);
    void (*trees)(const ff_plan *, const ff_node *const *, const double *, uint32_t *);
} ff_walk_functions;

#define FF_DEFINE_WALKS(NAME, CONTENT)                                                                                 \
    static FF_NOINLINE void ff_rows_##NAME(const ff_plan *plan, const ff_node *tree, uint32_t steps,                   \
                                           const double *cells, uint32_t slots, uint32_t rows, uint32_t *leaf,         \
                                           uintptr_t ahead, uint32_t lines) {                                          \
        ff_walk_rows(plan, tree, steps, cells, slots, rows, leaf, ahead, lines, CONTENT);                              \
    }                                                                                                                  \
    static FF_NOINLINE void ff_uneven_##NAME(const ff_plan *plan, const ff_node *tree, const double *cells,            \
                                             uint32_t slots, uint32_t rows, uint32_t *leaf, uintptr_t ahead,           \
                                             uint32_t lines) {                                                         \
        ff_walk_uneven(plan, tree, cells, slots, rows, leaf, ahead, lines, CONTENT);                                   \
    }                                                                                                                  \
    static FF_NOINLINE void ff_trees_##NAME(const ff_plan *plan, const ff_node *const *tree, const double *row,        \
                                            uint32_t *at) {                                                            \
        ff_walk_trees(plan, tree, row, at, CONTENT);                                                                   \
    }

FF_DEFINE_WALKS(plain, 0)
FF_DEFINE_WALKS(nans, FF_NANS)
FF_DEFINE_WALKS(codes, FF_CODES)
FF_DEFINE_WALKS(codes_nans, FF_CODES | FF_NANS)
FF_DEFINE_WALKS(sets, FF_CODES | FF_SETS)
FF_DEFINE_WALKS(sets_nans, FF_CODES | FF_SETS | FF_NANS)

/* Indexed by the content: FF_NANS, FF_CODES, FF_SETS. */
#define FF_WALK_FUNCTIONS(NAME) {ff_rows_##NAME, ff_uneven_##NAME, ff_trees_##NAME}
static const ff_walk_functions ff_walks_by_content[8] = {
    FF_WALK_FUNCTIONS(plain), FF_WALK_FUNCTIONS(nans), FF_WALK_FUNCTIONS(codes), FF_WALK_FUNCTIONS(codes_nans),
    FF_WALK_FUNCTIONS(sets), FF_WALK_FUNCTIONS(sets_nans), FF_WALK_FUNCTIONS(sets), FF_WALK_FUNCTIONS(sets_nans),
};

/* Add the values of the leaves where rows arrived in a tree to the sums of these rows. */
static void ff_add_leaves(const ff_plan *plan, const uint32_t *operand, const ff_block *block, uint32_t tree,
                          uint32_t lane, uint32_t rows, const ff_node *root, const uint32_t *leaf) {
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

/* Copy the slots of each row side by side; return FF_NANS if one of them is NaN. */
static int ff_lay_cells(const ff_plan *plan, const uint32_t *a, const ff_block *block, double *cells) {
    const uint32_t *slot = plan->word + a[5];
    uint32_t slots = a[4] ? a[4] : 1, lane, s, nans = 0;
    cells[0] = 0; /* a leaf reads this, and ignores it */
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

/* Walk all trees row by row, for a few rows. */
static void ff_walk_few(const ff_plan *plan, const uint32_t *a, const ff_block *block, const double *cells,
                        int content) {
    const uint32_t *entry = plan->word + a[7];
    uint32_t lane, t, i, at[FF_TREES_ABREAST];
    const ff_node *tree[FF_TREES_ABREAST];
    for (lane = 0; lane < block->count; lane++) {
        const double *row = cells + (size_t)lane * (a[4] ? a[4] : 1);
        for (t = 0; t < a[6]; t += FF_TREES_ABREAST) {
            for (i = 0; i < FF_TREES_ABREAST; i++) tree[i] = plan->node + entry[3 * (size_t)(t + i < a[6] ? t + i : t)];
            ff_walks_by_content[content].trees(plan, tree, row, at);
            for (i = 0; i < FF_TREES_ABREAST && t + i < a[6]; i++)
                ff_add_leaves(plan, a, block, t + i, lane, 1, tree[i], at + i);
        }
    }
}

/* Walk all rows tree by tree, for many rows, so that a tree is read once for all of them. */
static void ff_walk_many(const ff_plan *plan, const uint8_t *steps, const uint32_t *a, const ff_block *block,
                         const double *cells, int content) {
    const uint32_t *entry = plan->word + a[7];
    uint32_t t, leaf[FF_MAX_LANES], slots = a[4] ? a[4] : 1, rows = block->count;
    for (t = 0; t < a[6]; t++, entry += 3) {
        const ff_node *tree = plan->node + entry[0];
        uintptr_t ahead = 0;
        uint32_t lines = 0;
        if (t + 1 < a[6] && entry[4] / 320 <= rows) { /* only if the rows visit a good part of it */
            ahead = (uintptr_t)(plan->node + entry[3]);
            lines = (entry[4] / (64 / (uint32_t)sizeof(ff_node)) + rows - 1) / rows;
        }
        if (steps[t] == FF_UNEVEN)
            ff_walks_by_content[content].uneven(plan, tree, cells, slots, rows, leaf, ahead, lines);
        else ff_walks_by_content[content].rows(plan, tree, steps[t], cells, slots, rows, leaf, ahead, lines);
        ff_add_leaves(plan, a, block, t, 0, rows, tree, leaf);
    }
}

/* The rank of a row's number in one slot, or its code. */
typedef struct {
    uint32_t slot, rank;
} ff_slot_rank;

/* Add the leaves of some rows, where there is one output. The sums of four rows do not wait for each other. A sum that
 * is rounded to float32 after every tree is a float: of `(double)(float)(sum + leaf)` in a loop gcc 12 makes vectors
 * that are not rounded, with AVX2. What the sums begin with may be no float. */
#define FF_SUM_ROWS(LOWEST, SUM)                                                                                       \
    {                                                                                                                  \
        double *out = ff_register(block, operand[0]) + lane;                                                           \
        const double *leaf = group->leaf;                                                                              \
        for (r = 0; r + FF_MASK_ROWS <= rows; r += FF_MASK_ROWS) {                                                     \
            SUM s0 = (SUM)(out[0] + leaf[LOWEST(masks[0])]);                                                           \
            SUM s1 = (SUM)(out[1] + leaf[LOWEST(masks[padded])]);                                                      \
            SUM s2 = (SUM)(out[2] + leaf[LOWEST(masks[2 * padded])]);                                                  \
            SUM s3 = (SUM)(out[3] + leaf[LOWEST(masks[3 * padded])]);                                                  \
            for (t = 1, leaf += forest->leaves; t < group->trees; t++, leaf += forest->leaves) {                       \
                s0 = (SUM)(s0 + leaf[LOWEST(masks[t])]);                                                               \
                s1 = (SUM)(s1 + leaf[LOWEST(masks[padded + t])]);                                                      \
                s2 = (SUM)(s2 + leaf[LOWEST(masks[2 * padded + t])]);                                                  \
                s3 = (SUM)(s3 + leaf[LOWEST(masks[3 * padded + t])]);                                                  \
            }                                                                                                          \
            out[0] = (double)s0; out[1] = (double)s1; out[2] = (double)s2; out[3] = (double)s3;                        \
        }                                                                                                              \
        for (; r < rows; r++) {                                                                                        \
            SUM sum = (SUM)(out[r] + group->leaf[LOWEST(masks[(size_t)r * padded])]);                                  \
            for (t = 1, leaf = group->leaf + forest->leaves; t < group->trees; t++, leaf += forest->leaves)            \
                sum = (SUM)(sum + leaf[LOWEST(masks[(size_t)r * padded + t])]);                                        \
            out[r] = (double)sum;                                                                                      \
        }                                                                                                              \
    }

/* Combine the masks of up to four rows in one group, and add their leaves; a function for each width of mask. */
#define FF_MASK_ROWS 4u
#define FF_DEFINE_MASKS(NAME, MASK, LOWEST)                                                                            \
    static void NAME(const ff_plan *plan, const ff_forest *forest, const ff_group *group, const ff_block *block,       \
                     const ff_slot_rank *ranks, const uint32_t *rank_counts, uint32_t lane, uint32_t rows) {           \
        MASK *masks = (MASK *)(void *)block->workspace;                                                                \
        const uint32_t *operand = forest->operand;                                                                     \
        uint32_t padded = group->padded, r, i, t;                                                                      \
        for (r = 0; r < rows; r++) {                                                                                   \
            const ff_slot_rank *row_ranks = ranks + (size_t)(lane + r) * forest->slots;                                \
            const MASK *first = NULL;                                                                                  \
            MASK *combined = masks + (size_t)r * padded;                                                               \
            uint32_t is_empty = 1;                                                                                     \
            for (i = 0; i < rank_counts[lane + r]; i++) {                                                              \
                const ff_table *table = group->table + group->table_of[row_ranks[i].slot] - 1;                         \
                const MASK *next;                                                                                      \
                if (!group->table_of[row_ranks[i].slot]) continue;                                                     \
                next = (const MASK *)table->masks + (size_t)(table->row ? table->row[row_ranks[i].rank]                \
                                                                        : row_ranks[i].rank) * padded;                 \
                if (!first) { first = next; continue; } /* two tables at a time */                                     \
                if (is_empty) for (t = 0; t < padded; t++) combined[t] = (MASK)(first[t] & next[t]);                   \
                else for (t = 0; t < padded; t++) combined[t] = (MASK)(combined[t] & first[t] & next[t]);              \
                first = NULL;                                                                                          \
                is_empty = 0;                                                                                          \
            }                                                                                                          \
            if (first && is_empty) for (t = 0; t < padded; t++) combined[t] = first[t];                                \
            else if (first) for (t = 0; t < padded; t++) combined[t] = (MASK)(combined[t] & first[t]);                 \
            else if (is_empty) for (t = 0; t < padded; t++) combined[t] = (MASK)~(MASK)0;                              \
        }                                                                                                              \
        if (group->leaf && operand[1] == 1) {                                                                          \
            if (operand[2] & FF_FOREST_FLOAT32) FF_SUM_ROWS(LOWEST, float)                                             \
            else FF_SUM_ROWS(LOWEST, double)                                                                           \
            return;                                                                                                    \
        }                                                                                                              \
        for (r = 0; r < rows; r++)                                                                                     \
            ff_add_leaves_##MASK(plan, forest, group, block, masks + (size_t)r * padded, lane + r);                    \
    }

/* Add the leaves of one row, where there are several outputs or several values to a leaf. */
#define FF_DEFINE_ADD_LEAVES(MASK, LOWEST)                                                                             \
    static void ff_add_leaves_##MASK(const ff_plan *plan, const ff_forest *forest, const ff_group *group,              \
                                     const ff_block *block, const MASK *mask, uint32_t lane) {                         \
        const uint32_t *operand = forest->operand, *tree = plan->word + operand[7] + 3 * (size_t)group->first;         \
        uint32_t t, k, single = operand[2] & FF_FOREST_FLOAT32;                                                        \
        for (t = 0; t < group->trees; t++) {                                                                           \
            size_t at = (size_t)t * forest->leaves + LOWEST(mask[t]);                                                  \
            if (group->leaf) {                                                                                         \
                double *sum = ff_register(block, operand[0] + tree[3 * t + 2]) + lane;                                 \
                *sum += group->leaf[at];                                                                               \
                if (single) *sum = ff_round32(*sum);                                                                   \
                continue;                                                                                              \
            }                                                                                                          \
            for (k = 0; k < operand[1]; k++) {                                                                         \
                double *sum = ff_register(block, operand[0] + k) + lane;                                               \
                *sum += plan->number[group->value_at[at] + (size_t)k];                                                 \
                if (single) *sum = ff_round32(*sum);                                                                   \
            }                                                                                                          \
        }                                                                                                              \
    }

FF_DEFINE_ADD_LEAVES(uint8_t, ff_ctz32)
FF_DEFINE_ADD_LEAVES(uint16_t, ff_ctz32)
FF_DEFINE_ADD_LEAVES(uint32_t, ff_ctz32)
FF_DEFINE_ADD_LEAVES(uint64_t, ff_ctz64)
FF_DEFINE_MASKS(ff_masks8, uint8_t, ff_ctz32)
FF_DEFINE_MASKS(ff_masks16, uint16_t, ff_ctz32)
FF_DEFINE_MASKS(ff_masks32, uint32_t, ff_ctz32)
FF_DEFINE_MASKS(ff_masks64, uint64_t, ff_ctz64)

/* Find the rank of every row's number in a slot, or its code. Note it only if it clears a bit of a mask. */
static void ff_find_ranks(const ff_forest *forest, uint32_t s, const ff_block *block, ff_slot_rank *ranks,
                          uint32_t *rank_counts) {
    const ff_slot *slot = forest->slot + s;
    const double *x, *threshold = slot->thresholds;
    uint32_t lane, rank, i;
    if (slot->is_code) {
        const uint32_t *code = ff_codes(block, slot->source);
        for (lane = 0; lane < block->count; lane++) {
            ff_slot_rank *next = ranks + (size_t)lane * forest->slots + rank_counts[lane]++;
            next->slot = s;
            next->rank = code[lane];
        }
        return;
    }
    if (!threshold) return; /* no tree tests this slot */
    x = ff_register(block, slot->source);
    for (lane = 0; lane < block->count; lane++) {
        if (x[lane] <= threshold[0]) continue;
        if (x[lane] != x[lane]) rank = slot->count + 1;
        else if (slot->count > 4) rank = ff_lower_bound(threshold, slot->count, x[lane]);
        else for (rank = 1, i = 1; i < slot->count; i++) rank += threshold[i] < x[lane];
        {
            ff_slot_rank *next = ranks + (size_t)lane * forest->slots + rank_counts[lane]++;
            next->slot = s;
            next->rank = rank;
        }
    }
}

/* Compute a forest, by masks or by walking its trees. */
static void ff_run_forest(const ff_plan *plan, const ff_forest *forest, const uint32_t *a, ff_block *block,
                          uint32_t *workspace) {
    uint32_t lane, k, s, g, rank_counts[FF_MAX_LANES];
    ff_slot_rank *ranks = (ff_slot_rank *)(void *)workspace;
    for (k = 0; k < a[1]; k++) {
        const double *first = a[2] & FF_FOREST_FROM ? ff_register(block, plan->word[a[10] + (uint64_t)k])
                                                    : plan->number + a[10] + (uint64_t)k;
        double *sum = ff_register(block, a[0] + k);
        for (lane = 0; lane < block->count; lane++) sum[lane] = first[a[2] & FF_FOREST_FROM ? lane : 0];
    }
    if (!forest->bits) {
        double *cells = (double *)(void *)workspace;
        int content = ff_lay_cells(plan, a, block, cells) | (forest->has_codes ? FF_CODES : 0) |
                      (forest->has_code_sets ? FF_SETS : 0);
        if (block->count < FF_ROWS_ABREAST) ff_walk_few(plan, a, block, cells, content);
        else ff_walk_many(plan, forest->steps, a, block, cells, content);
        return;
    }
    for (lane = 0; lane < block->count; lane++) rank_counts[lane] = 0;
    for (s = 0; s < forest->slots; s++) ff_find_ranks(forest, s, block, ranks, rank_counts);
    for (g = 0; g < forest->groups; g++)
        for (lane = 0; lane < block->count; lane += FF_MASK_ROWS) {
            uint32_t rows = block->count - lane < FF_MASK_ROWS ? block->count - lane : FF_MASK_ROWS;
            const ff_group *group = forest->group + g;
            if (forest->bits == 8) ff_masks8(plan, forest, group, block, ranks, rank_counts, lane, rows);
            else if (forest->bits == 16) ff_masks16(plan, forest, group, block, ranks, rank_counts, lane, rows);
            else if (forest->bits == 32) ff_masks32(plan, forest, group, block, ranks, rank_counts, lane, rows);
            else ff_masks64(plan, forest, group, block, ranks, rank_counts, lane, rows);
        }
}

/* ------------------------------------------------------------------------------------------------------------------
 * 7  The other steps
 * ------------------------------------------------------------------------------------------------------------------ */

/* As in NumPy: NaN wins, and of two equal numbers the first. */
static double ff_minimum(double x, double y) { return x < y || x != x ? x : y == y && !(y < x) ? x : y; }
static double ff_maximum(double x, double y) { return x > y || x != x ? x : y == y && !(y > x) ? x : y; }

/* Round towards zero. From 2^52 on every double is an integer; only smaller ones are converted, so none overflows. */
static double ff_trunc(double x) {
    double integer;
    if (!(x > -4503599627370496.0 && x < 4503599627370496.0)) return x;
    integer = (double)(int64_t)x;
    return integer == 0 ? ff_from_bits(ff_to_bits(x) & UINT64_C(0x8000000000000000)) : integer;
}

static double ff_floor(double x) {
    double integer = ff_trunc(x);
    return integer > x ? integer - 1 : integer;
}

/* Round to the nearest integer, halves to even: adding 2^52 rounds so, subtracting it is exact. */
static double ff_rint(double x) {
    double two_52 = 4503599627370496.0, magnitude = x < 0 ? -x : x, integer;
    if (!(magnitude < two_52)) return x;
    integer = (magnitude + two_52) - two_52;
    return ff_from_bits(ff_to_bits(integer) | (ff_to_bits(x) & UINT64_C(0x8000000000000000)));
}

/* Return the remainder of x / y with the sign of x, as fmod in C. Exact: long division of the mantissas, 11 bits at a
 * time. */
static double ff_fmod(double x, double y) {
    const uint64_t infinite = UINT64_C(0x7ff0000000000000), implicit_bit = UINT64_C(0x0010000000000000);
    uint64_t sign = ff_to_bits(x) & UINT64_C(0x8000000000000000), a = ff_to_bits(x) ^ sign;
    uint64_t b = ff_to_bits(y) & UINT64_C(0x7fffffffffffffff), remainder, divisor;
    uint32_t exponent, divisor_exponent, shift;
    if (a >= infinite || b > infinite || b == 0) return FF_NAN;
    if (a < b) return x;
    exponent = (uint32_t)(a >> 52);
    divisor_exponent = (uint32_t)(b >> 52);
    remainder = exponent ? (a & (implicit_bit - 1)) | implicit_bit : a;
    divisor = divisor_exponent ? (b & (implicit_bit - 1)) | implicit_bit : b;
    exponent += !exponent;
    divisor_exponent += !divisor_exponent;
    for (remainder %= divisor; exponent > divisor_exponent && remainder; exponent -= shift) {
        shift = exponent - divisor_exponent < 11 ? exponent - divisor_exponent : 11;
        remainder = (remainder << shift) % divisor;
    }
    if (!remainder) return ff_from_bits(sign);
    while (remainder < implicit_bit && divisor_exponent > 1) { remainder <<= 1; divisor_exponent--; }
    return ff_from_bits(sign | (remainder < implicit_bit ? remainder
                                : (uint64_t)divisor_exponent << 52 | (remainder & (implicit_bit - 1))));
}

/* Return the remainder of x / y with the sign of y, as numpy.remainder. */
static double ff_remainder(double x, double y) {
    double remainder = ff_fmod(x, y);
    if (remainder == 0) return ff_from_bits(ff_to_bits(y) & UINT64_C(0x8000000000000000));
    return (y < 0) != (remainder < 0) ? remainder + y : remainder;
}

/* Compute a function of one number. */
static double ff_unary(uint32_t function, double x) {
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

/* Compute a function of two numbers. */
static double ff_binary(uint32_t function, double x, double y) {
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
    default: return ff_remainder(x, y);
    }
}

double ff_elementary(uint32_t function, double x, double y) {
    return function < FF_ONES ? ff_unary(function, x)
           : function >= FF_ADD && function < FF_TWOS ? ff_binary(function, x, y) : FF_NAN;
}

/* Apply a function of one number to many. The functions that models use most have a loop that a compiler can
 * vectorise. */
static void ff_map(uint32_t function, double *out, const double *x, uint32_t count) {
    uint32_t i;
    if (function == FF_ROUND32) for (i = 0; i < count; i++) out[i] = ff_round32(x[i]);
    else if (function == FF_SQRT) for (i = 0; i < count; i++) out[i] = ff_sqrt(x[i]);
    else if (function == FF_IS_NAN) for (i = 0; i < count; i++) out[i] = x[i] != x[i];
    else if (function == FF_NEGATE) for (i = 0; i < count; i++) out[i] = -x[i];
    else if (function == FF_EXP) for (i = 0; i < count; i++) out[i] = ff_exp(x[i]);
    else if (function == FF_LOG) for (i = 0; i < count; i++) out[i] = ff_log(x[i]);
    else if (function == FF_TANH) for (i = 0; i < count; i++) out[i] = ff_tanh(x[i]);
    else if (function == FF_SIGMOID) for (i = 0; i < count; i++) out[i] = ff_sigmoid(x[i]);
    else for (i = 0; i < count; i++) out[i] = ff_unary(function, x[i]);
}

/* Apply a function of two numbers to many numbers and a constant. */
static void ff_map_const(uint32_t function, double *out, const double *x, double y, uint32_t count) {
    uint32_t i;
    if (function == FF_ADD) for (i = 0; i < count; i++) out[i] = x[i] + y;
    else if (function == FF_SUB) for (i = 0; i < count; i++) out[i] = x[i] - y;
    else if (function == FF_MUL) for (i = 0; i < count; i++) out[i] = x[i] * y;
    else if (function == FF_DIV) for (i = 0; i < count; i++) out[i] = x[i] / y;
    else if (function == FF_IF_NAN) for (i = 0; i < count; i++) out[i] = x[i] == x[i] ? x[i] : y;
    else if (function == FF_MAX) for (i = 0; i < count; i++) out[i] = ff_maximum(x[i], y);
    else for (i = 0; i < count; i++) out[i] = ff_binary(function, x[i], y);
}

/* Apply a function of two numbers to two arrays. */
static void ff_map_two(uint32_t function, double *out, const double *x, const double *y, uint32_t count) {
    uint32_t i;
    if (function == FF_ADD) for (i = 0; i < count; i++) out[i] = x[i] + y[i];
    else if (function == FF_SUB) for (i = 0; i < count; i++) out[i] = x[i] - y[i];
    else if (function == FF_MUL) for (i = 0; i < count; i++) out[i] = x[i] * y[i];
    else if (function == FF_DIV) for (i = 0; i < count; i++) out[i] = x[i] / y[i];
    else for (i = 0; i < count; i++) out[i] = ff_binary(function, x[i], y[i]);
}

/* Return the value, or NaN if the row is missing. */
static double ff_value_or_nan(const uint8_t *present, int64_t row, double value) {
    return !present || (present[row >> 3] >> (row & 7) & 1) ? value : FF_NAN;
}

#define FF_READ_NUMBERS(TYPE)                                                                                          \
    do {                                                                                                               \
        const TYPE *values = (const TYPE *)column->values + first;                                                     \
        if (operation == FF_SINGLE) for (i = 0; i < block->count; i++) out[i] = (double)(float)values[i];              \
        else for (i = 0; i < block->count; i++) out[i] = (double)values[i];                                            \
    } while (0)

/* Read an input of numbers into a register. */
static void ff_run_number(const ff_plan *plan, uint32_t operation, const uint32_t *a, ff_block *block) {
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
    case FF_INT8: FF_READ_NUMBERS(int8_t); break;
    case FF_INT16: FF_READ_NUMBERS(int16_t); break;
    case FF_INT32: FF_READ_NUMBERS(int32_t); break;
    case FF_INT64: FF_READ_NUMBERS(int64_t); break;
    case FF_UINT8: FF_READ_NUMBERS(uint8_t); break;
    case FF_UINT16: FF_READ_NUMBERS(uint16_t); break;
    case FF_UINT32: FF_READ_NUMBERS(uint32_t); break;
    case FF_UINT64: FF_READ_NUMBERS(uint64_t); break;
    case FF_FLOAT32: FF_READ_NUMBERS(float); break;
    default: FF_READ_NUMBERS(double); break;
    }
    if (column->present)
        for (i = 0; i < block->count; i++) out[i] = ff_value_or_nan(column->present, first + i, out[i]);
}

/* Read an input of texts into a code register. */
static void ff_run_text(const ff_plan *plan, const ff_dictionary *dictionary, const uint32_t *a, ff_block *block) {
    const ff_column *column = block->columns + a[1];
    const int32_t *offset = (const int32_t *)column->values;
    const uint8_t *text = (const uint8_t *)column->text;
    uint32_t *out = ff_codes(block, a[0]), i;
    for (i = 0; i < block->count; i++) {
        int64_t row = column->first + block->row + i;
        uint32_t length = (uint32_t)(offset[row + 1] - offset[row]);
        if (column->present && !(column->present[row >> 3] >> (row & 7) & 1)) out[i] = a[3] + 1;
        else if (length > dictionary->longest) out[i] = a[3]; /* not read, however long it is */
        else out[i] = ff_find_code(plan, dictionary, text + offset[row], length);
    }
}

/* CatBoost identifies a category by the lower half of CityHash64, version 1 (G. Pike and J. Alakuijala, 2011). The
 * functions below are named after those of CityHash: for texts of 0 to 16, 17 to 64, and more bytes. */
#define FF_CITY_K0 UINT64_C(0xc3a5c85c97cb3127)
#define FF_CITY_K1 UINT64_C(0xb492b66fbe98f273)
#define FF_CITY_K2 UINT64_C(0x9ae16a3b2f90404f)
#define FF_CITY_K3 UINT64_C(0xc949d7c7509e6557)
#define FF_CITY_MUL UINT64_C(0x9ddfea08eb382d69)

static uint64_t ff_city_rotate(uint64_t x, uint32_t bits) { return x >> bits | x << (64 - bits); } /* bits: 1 to 63 */
static uint64_t ff_city_shift_mix(uint64_t x) { return x ^ x >> 47; }

static uint64_t ff_city_load32(const uint8_t *at) {
    return (uint64_t)at[0] | (uint64_t)at[1] << 8 | (uint64_t)at[2] << 16 | (uint64_t)at[3] << 24;
}

static uint64_t ff_city_hash_len16(uint64_t low, uint64_t high) {
    uint64_t a = ff_city_shift_mix((low ^ high) * FF_CITY_MUL);
    return ff_city_shift_mix((high ^ a) * FF_CITY_MUL) * FF_CITY_MUL;
}

static uint64_t ff_city_hash_len0to16(const uint8_t *text, uint32_t length) {
    uint64_t y, z;
    if (length > 8) {
        y = ff_load64(text + length - 8);
        return ff_city_hash_len16(ff_load64(text), ff_city_rotate(y + length, length)) ^ y;
    }
    if (length >= 4) return ff_city_hash_len16(length + (ff_city_load32(text) << 3), ff_city_load32(text + length - 4));
    if (!length) return FF_CITY_K2;
    y = text[0] + ((uint64_t)text[length >> 1] << 8);
    z = length + ((uint64_t)text[length - 1] << 2);
    return ff_city_shift_mix(y * FF_CITY_K2 ^ z * FF_CITY_K3) * FF_CITY_K2;
}

/* Mix half of a text of 33 to 64 bytes. */
static void ff_city_mix_half(uint64_t a, uint64_t z, const uint8_t *text, uint64_t *first, uint64_t *second) {
    uint64_t b = ff_city_rotate(a + z, 52), c = ff_city_rotate(a, 37);
    a += ff_load64(text);
    c += ff_city_rotate(a, 7);
    a += ff_load64(text + 8);
    *first = a + z;
    *second = b + ff_city_rotate(a, 31) + c;
}

static uint64_t ff_city_hash_len17to64(const uint8_t *text, uint32_t length) {
    uint64_t first, second, third, fourth;
    if (length <= 32) {
        uint64_t a = ff_load64(text) * FF_CITY_K1, b = ff_load64(text + 8);
        uint64_t c = ff_load64(text + length - 8) * FF_CITY_K2, d = ff_load64(text + length - 16) * FF_CITY_K0;
        return ff_city_hash_len16(ff_city_rotate(a - b, 43) + ff_city_rotate(c, 30) + d,
                                  a + ff_city_rotate(b ^ FF_CITY_K3, 20) - c + length);
    }
    ff_city_mix_half(ff_load64(text) + (length + ff_load64(text + length - 16)) * FF_CITY_K0, ff_load64(text + 24),
                     text + 8, &first, &second);
    ff_city_mix_half(ff_load64(text + 16) + ff_load64(text + length - 32), ff_load64(text + length - 8),
                     text + length - 24, &third, &fourth);
    return ff_city_shift_mix(
               ff_city_shift_mix((first + fourth) * FF_CITY_K2 + (third + second) * FF_CITY_K0) * FF_CITY_K0 + second) *
           FF_CITY_K2;
}

/* Mix 32 bytes with two seeds; not a good hash on its own (WeakHashLen32WithSeeds). */
static void ff_city_weak_hash_len32(const uint8_t *text, uint64_t a, uint64_t b, uint64_t *out) {
    uint64_t c;
    a += ff_load64(text);
    b = ff_city_rotate(b + a + ff_load64(text + 24), 21);
    c = a;
    a += ff_load64(text + 8) + ff_load64(text + 16);
    b += ff_city_rotate(a, 44);
    out[0] = a + ff_load64(text + 24);
    out[1] = b + c;
}

static uint64_t ff_city_hash64(const uint8_t *text, uint32_t length) {
    uint64_t x, y, z, v[2], w[2], moved;
    uint32_t left;
    if (length <= 16) return ff_city_hash_len0to16(text, length);
    if (length <= 64) return ff_city_hash_len17to64(text, length);
    x = ff_load64(text);
    y = ff_load64(text + length - 16) ^ FF_CITY_K1;
    z = ff_load64(text + length - 56) ^ FF_CITY_K0;
    ff_city_weak_hash_len32(text + length - 64, length, y, v);
    ff_city_weak_hash_len32(text + length - 32, length * FF_CITY_K1, FF_CITY_K0, w);
    z += ff_city_shift_mix(v[1]) * FF_CITY_K1;
    x = ff_city_rotate(z + x, 39) * FF_CITY_K1;
    y = ff_city_rotate(y, 33) * FF_CITY_K1;
    for (left = (length - 1) / 64; left; left--, text += 64) {
        x = ff_city_rotate(x + y + v[0] + ff_load64(text + 16), 37) * FF_CITY_K1;
        y = ff_city_rotate(y + v[1] + ff_load64(text + 48), 42) * FF_CITY_K1;
        x ^= w[1];
        y ^= v[0];
        z = ff_city_rotate(z ^ w[0], 33);
        ff_city_weak_hash_len32(text, v[1] * FF_CITY_K1, x + w[0], v);
        ff_city_weak_hash_len32(text + 32, z + w[1], y, w);
        moved = z;
        z = x;
        x = moved;
    }
    return ff_city_hash_len16(ff_city_hash_len16(v[0], w[0]) + ff_city_shift_mix(y) * FF_CITY_K1 + z,
                              ff_city_hash_len16(v[1], w[1]) + x);
}

/* Write an integer of an input in decimal, right-aligned into 20 bytes; return the index of its first character. */
static uint32_t ff_format_integer(const ff_column *column, uint32_t type, int64_t row, uint8_t *out) {
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

/* Compute the hash of a text, or of an integer's digits. */
static void ff_run_hash(const ff_plan *plan, const uint32_t *a, ff_block *block) {
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
            hash = (uint32_t)ff_city_hash64((const uint8_t *)column->text + offset[0],
                                            (uint32_t)(offset[1] - offset[0]));
        } else {
            uint32_t at = ff_format_integer(column, type, row, digits);
            hash = (uint32_t)ff_city_hash64(digits + at, 20 - at);
        }
        out[i] = (double)hash - (hash >> 31 ? 4294967296.0 : 0.0); /* signed, as in CatBoost */
    }
}

/* The multiplier with which CatBoost hashes a combination of categories. */
#define FF_JOIN_MULTIPLIER UINT64_C(0x4906ba494954cb65)

/* Hash several integers, each mixed with those before it as CatBoost does, and search for the hash. */
static void ff_run_join(const ff_plan *plan, const uint32_t *a, ff_block *block) {
    uint32_t *out = ff_codes(block, a[0]), i, j;
    for (i = 0; i < block->count; i++) {
        uint64_t hash = 0;
        uint32_t low = 0, high = a[4], is_integer = 1;
        for (j = 0; j < a[1]; j++) {
            double x = ff_register(block, plan->word[a[2] + j])[i];
            is_integer &= x > -9007199254740992.0 && x < 9007199254740992.0;
            hash = FF_JOIN_MULTIPLIER * (hash + FF_JOIN_MULTIPLIER * (is_integer ? (uint64_t)(int64_t)x : 0));
        }
        while (low < high) {
            uint32_t middle = low + (high - low) / 2;
            if (ff_read_hash(plan, a[3], middle) < hash) low = middle + 1; else high = middle;
        }
        out[i] = is_integer && low < a[4] && ff_read_hash(plan, a[3], low) == hash ? low : a[4];
    }
}

/* Search for a register's number among ascending numbers. */
static void ff_run_find(const ff_plan *plan, uint32_t operation, const uint32_t *a, ff_block *block) {
    const double *x = ff_register(block, a[1]), *values = plan->number + a[2];
    uint32_t *out = ff_codes(block, a[0]), i;
    for (i = 0; i < block->count; i++) {
        uint32_t index;
        if (x[i] != x[i]) { out[i] = a[3] + 1; continue; }
        if (operation == FF_SEARCH) {
            out[i] = a[4] ? ff_upper_bound(values, a[3], x[i]) : ff_lower_bound(values, a[3], x[i]);
            continue;
        }
        index = ff_lower_bound(values, a[3], x[i]);
        out[i] = index < a[3] && values[index] == x[i] ? index : a[3];
    }
}

#define FF_TILE_OUTPUTS 4u                 /* a tile: so many sums, */
#define FF_TILE_ROWS (2 * FF_VECTOR_WIDTH) /* for so many rows each, */
#define FF_PANEL_INPUTS 256u               /* over so many inputs at a time, whose weights are copied side by side */

/* Add to the sums of a tile what some inputs contribute: products with weights, or squared differences from them. The
 * sums stay in the processor's registers, and each adds its inputs in order. */
static void ff_add_tile(const ff_block *block, const uint32_t *source, uint32_t inputs, const double *panel,
                        double *const *out, uint32_t row, int is_square) {
    ff_vector sum[FF_TILE_OUTPUTS][2];
    uint32_t j, k;
    for (k = 0; k < FF_TILE_OUTPUTS; k++) {
        sum[k][0] = *(const ff_vector *)(const void *)(out[k] + row);
        sum[k][1] = *(const ff_vector *)(const void *)(out[k] + row + FF_VECTOR_WIDTH);
    }
    for (j = 0; j < inputs; j++, panel += FF_TILE_OUTPUTS) {
        const double *x = ff_register(block, source[j]) + row;
        ff_vector x0 = *(const ff_vector *)(const void *)x,
                  x1 = *(const ff_vector *)(const void *)(x + FF_VECTOR_WIDTH);
        for (k = 0; k < FF_TILE_OUTPUTS; k++) {
            ff_vector w = FF_BROADCAST(panel[k]);
            if (is_square) {
                ff_vector d0 = x0 - w, d1 = x1 - w;
                sum[k][0] += d0 * d0;
                sum[k][1] += d1 * d1;
            } else {
                sum[k][0] += x0 * w;
                sum[k][1] += x1 * w;
            }
        }
    }
    for (k = 0; k < FF_TILE_OUTPUTS; k++) {
        *(ff_vector *)(void *)(out[k] + row) = sum[k][0];
        *(ff_vector *)(void *)(out[k] + row + FF_VECTOR_WIDTH) = sum[k][1];
    }
}

static FF_NOINLINE void ff_add_product_tile(const ff_block *block, const uint32_t *source, uint32_t inputs,
                                            const double *panel, double *const *out, uint32_t row) {
    ff_add_tile(block, source, inputs, panel, out, row, 0);
}

static FF_NOINLINE void ff_add_square_tile(const ff_block *block, const uint32_t *source, uint32_t inputs,
                                           const double *panel, double *const *out, uint32_t row) {
    ff_add_tile(block, source, inputs, panel, out, row, 1);
}

/* Sum over inputs for the rows of a block, starting from zero; each product or square is rounded before it is added.
 * The weight of input j for output k is at weight[j * by_input + k * by_output]. */
static void ff_sum_inputs(ff_block *block, uint32_t first_output, uint32_t outputs, const uint32_t *source,
                          uint32_t inputs, const double *weight, size_t by_input, size_t by_output, int is_square) {
    uint32_t i, j, k, q, first, tiled = block->count / FF_TILE_ROWS * FF_TILE_ROWS;
    double panel[FF_TILE_OUTPUTS * FF_PANEL_INPUTS], *out[FF_TILE_OUTPUTS];
    for (k = 0; k < outputs; k++)
        for (i = 0; i < block->count; i++) ff_register(block, first_output + k)[i] = 0;
    for (k = 0; k < outputs; k += FF_TILE_OUTPUTS) {
        uint32_t count = outputs - k < FF_TILE_OUTPUTS ? outputs - k : FF_TILE_OUTPUTS;
        for (q = 0; q < FF_TILE_OUTPUTS; q++) out[q] = ff_register(block, first_output + k + (q < count ? q : 0));
        for (first = 0; first < inputs && count == FF_TILE_OUTPUTS && tiled; first += FF_PANEL_INPUTS) {
            uint32_t panel_inputs = inputs - first < FF_PANEL_INPUTS ? inputs - first : FF_PANEL_INPUTS;
            for (j = 0; j < panel_inputs; j++)
                for (q = 0; q < FF_TILE_OUTPUTS; q++)
                    panel[j * FF_TILE_OUTPUTS + q] = weight[(first + j) * by_input + (k + q) * by_output];
            for (i = 0; i < tiled; i += FF_TILE_ROWS)
                (is_square ? ff_add_square_tile
                           : ff_add_product_tile)(block, source + first, panel_inputs, panel, out, i);
        }
        for (q = 0; q < count; q++)
            for (j = 0; j < inputs; j++) {
                const double *x = ff_register(block, source[j]);
                double w = weight[j * by_input + (k + q) * by_output];
                for (i = count == FF_TILE_OUTPUTS ? tiled : 0; i < block->count; i++) {
                    double term = is_square ? x[i] - w : x[i];
                    out[q][i] += term * (is_square ? term : w);
                }
            }
    }
}

/* Multiply the inputs by a matrix of weights. */
static void ff_run_dot(const ff_plan *plan, const uint32_t *a, ff_block *block) {
    const double *weight = plan->number + a[4];
    uint32_t k, j;
    if (block->lanes == 1) { /* registers lie side by side, so all sums are computed at once */
        double *out = ff_register(block, a[0]);
        for (k = 0; k < a[1]; k++) out[k] = 0;
        for (j = 0; j < a[2]; j++, weight += a[1]) {
            double x = *ff_register(block, plan->word[a[3] + j]);
            for (k = 0; k < a[1]; k++) out[k] += x * weight[k];
        }
        return;
    }
    ff_sum_inputs(block, a[0], a[1], plan->word + a[3], a[2], weight, a[1], 1, 0);
}

/* Sum `count` numbers in the order of numpy.sum over a contiguous axis (pairwise summation): eight sums side by side
 * for up to 128 numbers, halves for more. Written after NumPy's documentation; tests compare it with NumPy. */
static double ff_pairwise_sum(const ff_plan *plan, const ff_block *block, uint32_t word, uint32_t count,
                              uint32_t lane) {
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
    return ff_pairwise_sum(plan, block, word, half, lane) +
           ff_pairwise_sum(plan, block, word + half, count - half, lane);
}

/* Reduce several registers to one: a sum, minimum, maximum or product. */
static void ff_run_fold(const ff_plan *plan, const uint32_t *a, ff_block *block) {
    double *out = ff_register(block, a[0]);
    uint32_t i, j;
    if (a[2] == FF_PAIRWISE) {
        for (i = 0; i < block->count; i++) out[i] = ff_pairwise_sum(plan, block, a[3], a[1], i);
        return;
    }
    for (j = 0; j < a[1]; j++) {
        const double *x = ff_register(block, plan->word[a[3] + j]);
        for (i = 0; i < block->count; i++) {
            double v = a[2] == FF_SQUARES ? x[i] * x[i] : a[2] == FF_ABSOLUTES ? ff_unary(FF_ABS, x[i]) : x[i];
            if (j == 0) out[i] = v;
            else if (a[2] == FF_LEAST) out[i] = ff_minimum(out[i], v);
            else if (a[2] == FF_MOST) out[i] = ff_maximum(out[i], v);
            else if (a[2] == FF_PRODUCT) out[i] *= v;
            else out[i] += v;
        }
    }
}

/* Find the first register with the largest number; NaN is the largest. */
static void ff_run_argmax(const ff_plan *plan, const uint32_t *a, ff_block *block) {
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

/* Interpolate linearly, as numpy.interp. */
static double ff_interpolate(const double *xs, const double *ys, uint32_t count, double x) {
    uint32_t at;
    double slope, y;
    if (x != x) return x;
    if (x > xs[count - 1]) return ys[count - 1];
    if (x < xs[0]) return ys[0];
    at = ff_upper_bound(xs, count, x) - 1;
    if (at == count - 1) return ys[at];
    if (xs[at] == x) return ys[at]; /* exactly at a knot, where the slope may be infinite */
    slope = (ys[at + 1] - ys[at]) / (xs[at + 1] - xs[at]);
    y = slope * (x - xs[at]) + ys[at];
    if (y != y) y = slope * (x - xs[at + 1]) + ys[at + 1];
    if (y != y && ys[at] == ys[at + 1]) y = ys[at];
    return y;
}

/* Return what the difference of two coordinates adds to a distance. */
static double ff_distance_term(uint32_t metric, double power, double difference) {
    if (metric == FF_SQUARED || metric == FF_PRODUCTS) return difference * difference;
    difference = ff_unary(FF_ABS, difference);
    return metric == FF_MINKOWSKI ? ff_pow(difference, power) : difference;
}

/* Return x² - 2xy + y². Rounding may make it negative; then, and if it is NaN, the result is 0. */
static double ff_squared_distance(double product, double x_norm, double y_norm) {
    double distance = (-2.0 * product + x_norm) + y_norm;
    return distance > 0 ? distance : 0.0;
}

/* Return the distance of two points, without the final root. */
static double ff_distance(uint32_t metric, double power, const double *x, const double *y, uint32_t count) {
    double sum = 0;
    uint32_t j;
    if (metric == FF_SQUARED) {
        for (j = 0; j < count; j++) { double term = x[j] - y[j]; sum += term * term; }
        return sum;
    }
    if (metric == FF_PRODUCTS) {
        double x_norm = 0, y_norm = 0;
        for (j = 0; j < count; j++) { sum += x[j] * y[j]; x_norm += x[j] * x[j]; y_norm += y[j] * y[j]; }
        return ff_squared_distance(sum, x_norm, y_norm);
    }
    for (j = 0; j < count; j++) {
        double term = ff_distance_term(metric, power, x[j] - y[j]);
        if (metric != FF_CHEBYSHEV) sum += term;
        else if (term > sum || term != term) sum = term;
    }
    return sum;
}

#define FF_POINTS_ABREAST 4u

/* Compute the distances from x to four adjacent points, whose sums do not wait for each other. `x_norm` is the sum of
 * the squares of x, if the metric needs it. */
static void ff_distance_four(uint32_t metric, double power, const double *x, double x_norm, const double *y,
                             uint32_t count, double *out) {
    double sum[FF_POINTS_ABREAST] = {0, 0, 0, 0}, y_norm[FF_POINTS_ABREAST] = {0, 0, 0, 0};
    uint32_t j, p;
    if (metric == FF_SQUARED) {
        for (j = 0; j < count; j++)
            for (p = 0; p < FF_POINTS_ABREAST; p++) {
                double difference = x[j] - y[(size_t)p * count + j];
                sum[p] += difference * difference;
            }
    } else if (metric == FF_PRODUCTS) {
        for (j = 0; j < count; j++)
            for (p = 0; p < FF_POINTS_ABREAST; p++) {
                double z = y[(size_t)p * count + j];
                sum[p] += x[j] * z;
                y_norm[p] += z * z;
            }
        for (p = 0; p < FF_POINTS_ABREAST; p++) sum[p] = ff_squared_distance(sum[p], x_norm, y_norm[p]);
    } else
        for (p = 0; p < FF_POINTS_ABREAST; p++) sum[p] = ff_distance(metric, power, x, y + (size_t)p * count, count);
    for (p = 0; p < FF_POINTS_ABREAST; p++) out[p] = sum[p];
}

/* Return the sum of squares. */
static double ff_squared_norm(const double *x, uint32_t count) {
    double sum = 0;
    uint32_t j;
    for (j = 0; j < count; j++) sum += x[j] * x[j];
    return sum;
}

/* Compute the distances of one row, which is copied to the workspace. */
static void ff_run_distances_one_row(const ff_plan *plan, const uint32_t *a, ff_block *block) {
    const double *point = plan->number + a[6];
    double power = plan->number[a[5]], x_norm, *x = (double *)(void *)block->workspace, *out = ff_register(block, a[0]);
    uint32_t row, j;
    for (j = 0; j < a[2]; j++) x[j] = *ff_register(block, plan->word[a[3] + j]);
    x_norm = ff_squared_norm(x, a[2]);
    for (row = 0; row + FF_POINTS_ABREAST <= a[1]; row += FF_POINTS_ABREAST, point += (size_t)FF_POINTS_ABREAST * a[2])
        ff_distance_four(a[4], power, x, x_norm, point, a[2], out + row);
    for (; row < a[1]; row++, point += a[2]) out[row] = ff_distance(a[4], power, x, point, a[2]);
}

/* Compute the distance of each row to each point. */
static void ff_run_distances(const ff_plan *plan, const uint32_t *a, ff_block *block) {
    const double *point = plan->number + a[6];
    const uint32_t *source = plan->word + a[3];
    double power = plan->number[a[5]], *x_norm = (double *)(void *)block->workspace;
    uint32_t row, j, i;
    if (block->lanes == 1) { ff_run_distances_one_row(plan, a, block); return; }
    if (a[4] == FF_SQUARED || a[4] == FF_PRODUCTS) {
        ff_sum_inputs(block, a[0], a[1], source, a[2], point, 1, a[2], a[4] == FF_SQUARED);
        if (a[4] == FF_SQUARED) return;
        for (i = 0; i < block->count; i++) x_norm[i] = 0;
        for (j = 0; j < a[2]; j++) {
            const double *x = ff_register(block, source[j]);
            for (i = 0; i < block->count; i++) x_norm[i] += x[i] * x[i];
        }
        for (row = 0; row < a[1]; row++, point += a[2]) {
            double *out = ff_register(block, a[0] + row), point_norm = ff_squared_norm(point, a[2]);
            for (i = 0; i < block->count; i++) out[i] = ff_squared_distance(out[i], x_norm[i], point_norm);
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
                for (i = 0; i < block->count; i++) out[i] += ff_distance_term(a[4], power, x[i] - y);
            else
                for (i = 0; i < block->count; i++) {
                    double term = ff_distance_term(a[4], power, x[i] - y);
                    if (term > out[i] || term != term) out[i] = term;
                }
        }
    }
}

/* Offer a point to the max-heap of the nearest points so far, whose root is the farthest. The heap and the introsort
 * (D. Musser, "Introspective Sorting and Selection Algorithms", 1997; the pivot is the median of three) follow
 * scikit-learn's, so that of equally near points the same remain, in the same order. */
static void ff_heap_push(double *distance, uint32_t *index, uint32_t count, double value, uint32_t row) {
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

static void ff_swap_pairs(double *distance, uint32_t *index, uint32_t i, uint32_t j) {
    double value = distance[i];
    uint32_t row = index[i];
    distance[i] = distance[j];
    index[i] = index[j];
    distance[j] = value;
    index[j] = row;
}

/* Move the root of a heap down to its place. */
static void ff_sift_down(double *distance, uint32_t *index, uint32_t root, uint32_t end) {
    for (;;) {
        uint32_t largest = root, child = 2 * root + 1;
        if (child < end && distance[largest] < distance[child]) largest = child;
        if (child + 1 < end && distance[largest] < distance[child + 1]) largest = child + 1;
        if (largest == root) return;
        ff_swap_pairs(distance, index, root, largest);
        root = largest;
    }
}

/* Sort the pairs (distance, index) by distance. */
static void ff_heapsort_pairs(double *distance, uint32_t *index, uint32_t count) {
    uint32_t i;
    for (i = (count - 2) / 2 + 1; i > 0; i--) ff_sift_down(distance, index, i - 1, count);
    for (i = count - 1; i > 0; i--) {
        ff_swap_pairs(distance, index, 0, i);
        ff_sift_down(distance, index, 0, i);
    }
}

/* Sort a few pairs by distance. */
static void ff_insertion_sort_pairs(double *distance, uint32_t *index, uint32_t count) {
    uint32_t i, j;
    for (i = 1; i < count; i++) {
        double value = distance[i];
        uint32_t row = index[i];
        for (j = i; j > 0 && distance[j - 1] > value; j--) { distance[j] = distance[j - 1]; index[j] = index[j - 1]; }
        distance[j] = value;
        index[j] = row;
    }
}

/* Partition around the median of the first, the middle and the last distance. Returns the index of the pivot. */
static uint32_t ff_partition_pairs(double *distance, uint32_t *index, uint32_t count) {
    uint32_t last = count - 1, middle = count / 2, i = 1, j = count - 2;
    double pivot;
    if (distance[0] > distance[last]) ff_swap_pairs(distance, index, 0, last);
    if (distance[last] > distance[middle]) {
        ff_swap_pairs(distance, index, last, middle);
        if (distance[0] > distance[last]) ff_swap_pairs(distance, index, 0, last);
    }
    for (pivot = distance[last];; i++, j--) {
        while (i <= j && distance[i] < pivot) i++;
        while (i <= j && distance[j] > pivot) j--;
        if (i >= j) break;
        ff_swap_pairs(distance, index, i, j);
    }
    ff_swap_pairs(distance, index, i, last);
    return i;
}

/* Sort the pairs by distance: quicksort, with heapsort for bad cases and insertion sort for short runs. */
static void ff_introsort_pairs(double *distance, uint32_t *index, uint32_t count) {
    struct { uint32_t first, count, depth; } pending[32]; /* at most twice the logarithm of FF_MAX_NEIGHBOURS */
    uint32_t pending_count = 1, log2_count = 0, pivot;
    while (count >> (log2_count + 1)) log2_count++;
    pending[0].first = 0;
    pending[0].count = count;
    pending[0].depth = 2 * log2_count;
    while (pending_count) {
        uint32_t first = pending[--pending_count].first, remaining = pending[pending_count].count,
                 depth = pending[pending_count].depth;
        for (; remaining > 15 && depth; first += pivot + 1, remaining -= pivot + 1) {
            pivot = ff_partition_pairs(distance + first, index + first, remaining);
            pending[pending_count].first = first;
            pending[pending_count].count = pivot;
            pending[pending_count++].depth = --depth;
        }
        (remaining > 15 ? ff_heapsort_pairs : ff_insertion_sort_pairs)(distance + first, index + first, remaining);
    }
}

/* Return the smallest distance from the query to any point that a node's box or ball may contain. */
static double ff_node_min_distance(const ff_plan *plan, const uint32_t *a, const double *query, uint32_t node) {
    const double *low = plan->number + a[12] + (size_t)node * a[3], *high = low + (size_t)a[11] * a[3];
    double distance = 0, power = plan->number[a[7]];
    uint32_t metric = a[6] & ~FF_BALLS, j;
    if (a[6] & FF_BALLS) {
        double radius = plan->number[a[12] + (size_t)a[11] * a[3] + node];
        distance = ff_distance(metric, power, query, low, a[3]);
        distance = (metric == FF_SQUARED || metric == FF_PRODUCTS ? ff_sqrt(distance)
                    : metric == FF_MINKOWSKI ? ff_pow(distance, 1.0 / power) : distance) - radius;
        return ff_distance_term(metric, power, distance > 0 ? distance : 0.0);
    }
    for (j = 0; j < a[3]; j++) {
        double under = low[j] - query[j], over = query[j] - high[j];
        double gap = 0.5 * ((under + ff_unary(FF_ABS, under)) + (over + ff_unary(FF_ABS, over)));
        if (metric != FF_CHEBYSHEV) distance += ff_distance_term(metric, power, gap);
        else if (gap > distance) distance = gap;
    }
    return distance;
}

/* Search the tree for the points nearest to the query. */
static void ff_find_nearest(const ff_plan *plan, const uint32_t *a, const double *query, double *distance,
                            uint32_t *index) {
    struct { uint32_t node; double distance; } pending[64]; /* each level of the tree leaves one node pending */
    uint32_t pending_count = 1, metric = a[6] & ~FF_BALLS, row;
    double query_norm = ff_squared_norm(query, a[3]), power = plan->number[a[7]];
    pending[0].node = 0;
    pending[0].distance = 0;
    while (pending_count) {
        uint32_t node = pending[--pending_count].node, left = 2 * node + 1, nearer;
        const uint32_t *word = plan->word + a[10] + 3 * (size_t)node;
        double left_distance, right_distance;
        if (pending[pending_count].distance > distance[0]) continue;
        if (word[2]) {
            const double *point = plan->number + a[8] + (size_t)word[0] * a[3];
            for (row = word[0]; row + FF_POINTS_ABREAST <= word[1];
                 row += FF_POINTS_ABREAST, point += (size_t)FF_POINTS_ABREAST * a[3]) {
                double distances[FF_POINTS_ABREAST];
                uint32_t p;
                ff_distance_four(metric, power, query, query_norm, point, a[3], distances);
                for (p = 0; p < FF_POINTS_ABREAST; p++) ff_heap_push(distance, index, a[1], distances[p], row + p);
            }
            for (; row < word[1]; row++, point += a[3])
                ff_heap_push(distance, index, a[1], ff_distance(metric, power, query, point, a[3]), row);
            continue;
        }
        left_distance = ff_node_min_distance(plan, a, query, left);
        right_distance = ff_node_min_distance(plan, a, query, left + 1);
        nearer = left_distance <= right_distance ? left : left + 1;
        pending[pending_count].node = nearer == left ? left + 1 : left;
        pending[pending_count++].distance = nearer == left ? right_distance : left_distance;
        pending[pending_count].node = nearer;
        pending[pending_count++].distance = nearer == left ? left_distance : right_distance;
    }
}

/* Find the nearest points of each row, and write their distances and targets. */
static void ff_run_nearest(const ff_plan *plan, const uint32_t *a, ff_block *block) {
    uint32_t k = a[1], width = a[2], i, j, target_index;
    double *distance = (double *)(void *)block->workspace, *query = distance + k;
    uint32_t *index = (uint32_t *)(void *)(query + a[3]);
    for (i = 0; i < block->count; i++) {
        for (j = 0; j < a[3]; j++) query[j] = ff_register(block, plan->word[a[4] + j])[i];
        for (j = 0; j < k; j++) { distance[j] = plan->number[a[7] + 1u]; index[j] = 0; }
        ff_find_nearest(plan, a, query, distance, index);
        ff_introsort_pairs(distance, index, k);
        for (j = 0; j < k; j++) {
            const double *target = plan->number + a[9] + (size_t)index[j] * width;
            ff_register(block, a[0] + j)[i] = distance[j];
            for (target_index = 0; target_index < width; target_index++)
                ff_register(block, a[0] + k + target_index * k + j)[i] = target[target_index];
        }
    }
}

/* Compute class probabilities p from pairwise probabilities, r[i][j] of class i against class j: algorithm 2 of T.-F.
 * Wu, C.-J. Lin and R. Weng, "Probability Estimates for Multi-class Classification by Pairwise Coupling" (2004). It
 * seeks p for which all elements of Q p are equal, with Q[t][t] the sum of r[j][t]² and Q[t][j] = -r[j][t] r[t][j].
 * The start, the order of operations and the stopping rule are those of libsvm. */
static void ff_couple_pairs(double *r, double *q, double *product, double *p, uint32_t k) {
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
    for (round = 0; round < ff_coupling_rounds(k); round++) {
        double mean = 0, largest_error = 0;
        for (t = 0; t < k; t++) {
            product[t] = 0;
            for (j = 0; j < k; j++) product[t] += q[(size_t)t * k + j] * p[j];
            mean += p[t] * product[t];
        }
        for (t = 0; t < k; t++) {
            double error = ff_unary(FF_ABS, product[t] - mean);
            if (error > largest_error) largest_error = error;
        }
        if (largest_error < 0.005 / k) return;
        for (t = 0; t < k; t++) {
            const double *row = q + (size_t)t * k;
            double step = (-product[t] + mean) / row[t];
            p[t] += step;
            mean = (mean + step * (step * row[t] + 2 * product[t])) / (1 + step) / (1 + step);
            for (j = 0; j < k; j++) {
                product[j] = (product[j] + step * row[j]) / (1 + step);
                p[j] /= 1 + step;
            }
        }
    }
}

/* Compute the class probabilities of each row. */
static void ff_run_couple(const ff_plan *plan, const uint32_t *a, ff_block *block) {
    uint32_t k = a[1], lane, i, j;
    double *r = (double *)(void *)block->workspace, *q = r + (size_t)k * k, *product = q + (size_t)k * k,
           *p = product + k;
    for (lane = 0; lane < block->count; lane++) {
        const uint32_t *source = plan->word + a[2];
        for (i = 0; i < k; i++)
            for (j = i + 1; j < k; j++) {
                double x = ff_register(block, *source++)[lane];
                r[(size_t)i * k + j] = x;
                r[(size_t)j * k + i] = 1 - x;
            }
        ff_couple_pairs(r, q, product, p, k);
        for (i = 0; i < k; i++) ff_register(block, a[0] + i)[lane] = p[i];
    }
}

/* Return the indices that sort the numbers: stable, NaN last. A bottom-up merge sort; the result is in one of the two
 * arrays of indices. */
static const uint32_t *ff_merge_argsort(const double *value, uint32_t count, uint32_t *from, uint32_t *to) {
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

/* Compute the weighted median of each row's numbers. Weights are summed in ascending order of the numbers. */
static void ff_run_median(const ff_plan *plan, const uint32_t *a, ff_block *block) {
    double *value = (double *)(void *)block->workspace, *out = ff_register(block, a[0]);
    uint32_t *order_space = (uint32_t *)(void *)(value + a[1]), i, j;
    const double *weight = plan->number + a[3];
    for (i = 0; i < block->count; i++) {
        const uint32_t *order;
        double half = 0, sum = 0;
        uint32_t median = 0;
        for (j = 0; j < a[1]; j++) value[j] = ff_register(block, plan->word[a[2] + j])[i];
        order = ff_merge_argsort(value, a[1], order_space, order_space + a[1]);
        for (j = 0; j < a[1]; j++) half = j ? half + weight[order[j]] : weight[order[j]];
        half *= 0.5;
        for (j = 0; j < a[1]; j++) {
            sum = j ? sum + weight[order[j]] : weight[order[j]];
            if (sum >= half) { median = j; break; }
        }
        out[i] = value[order[median]];
    }
}

/* Mark the rows that have a number of the given kind as refused; the first reason stays. */
static void ff_run_refuse(const ff_plan *plan, const uint32_t *a, ff_block *block) {
    uint32_t i, j;
    for (j = 0; j < a[0]; j++) {
        const double *x = ff_register(block, plan->word[a[1] + j]);
        for (i = 0; i < block->count; i++) {
            int matches = a[2] == FF_NOT_FINITE ? !ff_is_finite(x[i]) : a[2] == FF_A_NAN ? ff_is_nan(x[i])
                     : a[2] == FF_INFINITE ? !ff_is_finite(x[i]) && !ff_is_nan(x[i]) : x[i] == 0;
            if (matches && !block->refused[i]) block->refused[i] = a[3] + 1;
        }
    }
}

/* ------------------------------------------------------------------------------------------------------------------
 * 8  Bags: texts as rows of a sparse matrix
 *
 * A bag is a row of a sparse matrix: the columns that are not zero, ascending, and a number for each. The bags of a
 * block of rows lie one after the other, so of a vocabulary of a million terms only those in the texts cost anything.
 * There is memory for the largest possible bag of one row. If the bags of a block do not fit together, the block
 * becomes shorter, and its other rows come in the next block.
 *
 * A text is read once, code point by code point: it is folded (lower case, without accents) and split into tokens or
 * characters, and the n-grams are looked up or hashed. The plan has the tables of letters and of lower case: those of
 * the Python that packed the model. The hash is the 32-bit MurmurHash3 by Austin Appleby (public domain).
 * ------------------------------------------------------------------------------------------------------------------ */

#define FF_MAX_NGRAM_LENGTH 64u       /* in tokens or characters; a power of two */
#define FF_MAX_BAG_ENTRIES (1u << 22) /* of a row */
#define FF_MIN_PENDING_NGRAMS 16384u  /* so many are sorted together, or a quarter of what a row can have */
#define FF_TYPICAL_BAG_ENTRIES 256u   /* a full block has memory for so many entries a row */
#define FF_CODE_POINTS 0x110000u
#define FF_CAPITAL_SIGMA 0x3a3u

/* The settings of a text step, one word each. The two words of a list are where it begins and its length. */
enum ff_setting {
    FF_T_ANALYZER,                   /* ff_analyzer */
    FF_T_MIN_N, FF_T_MAX_N,          /* the smallest and the largest n of the n-grams */
    FF_T_FLAGS,                      /* ff_text_flag */
    FF_T_MIN_LENGTH, FF_T_MAX_LENGTH, /* of a token, in characters */
    FF_T_FOLD, FF_T_FOLDS,           /* pairs, ascending: a code point and its replacement, or FF_FOLD_MANY and an
                                        index into the tail */
    FF_T_TAIL, FF_T_TAILS,           /* runs of code points, each after its length */
    FF_T_TOKEN, FF_T_TOKENS,         /* ranges, first and last: the characters of a token */
    FF_T_WORD, FF_T_WORDS,           /* word characters, for the boundaries of words */
    FF_T_SPACE, FF_T_SPACES,         /* white space */
    FF_T_CASED, FF_T_CASEDS,         /* cased letters, except those that are case-ignorable */
    FF_T_IGNORED, FF_T_IGNOREDS,     /* case-ignorable code points */
    FF_T_TERM, FF_T_WIDTH,           /* strings, the vocabulary; if n-grams are hashed, only the number of columns */
    FF_T_STOP, FF_T_STOPS,           /* strings: tokens that are left out */
    FF_T_MISSING,                    /* the string that replaces a missing text; UINT32_MAX: the row is refused */
    FF_T_MISSING_WHY, FF_T_FULL_WHY, /* strings: why a row is refused: no text, too many n-grams */
    FF_T_SETTINGS
};
enum ff_analyzer { FF_WORDS, FF_CHARACTERS, FF_WITHIN_WORDS };
enum ff_text_flag {
    FF_HASHED = 1,
    FF_SIGNED = 2,   /* a hash counts as 1 or -1 */
    FF_BINARY = 4,   /* an n-gram counts once */
    FF_SIGMA = 8,    /* a capital sigma becomes a final one at the end of a word */
    FF_ASCII = 16,   /* a code point that is not ASCII, and that folding does not change, is left out */
    FF_HANGUL = 32,  /* Hangul syllables are decomposed */
    FF_BOUNDED = 64, /* a token must begin and end at the boundary of a word */
    FF_TEXT_FLAGS = 127
};
#define FF_FOLD_MANY 0x80000000u

enum { FF_IS_TOKEN = 1, FF_IS_WORD = 2, FF_IS_SPACE = 4, FF_IS_CASED = 8, FF_IS_IGNORED = 16, FF_IS_SLOW = 128 };

/* A prepared text step. */
typedef struct ff_reader {
    const uint32_t *setting;
    ff_dictionary terms, stops;
    const uint16_t *property_page, *fold_page; /* for each 256 code points their page; of `fold`, 0: unchanged */
    const uint8_t *property; /* FF_IS_TOKEN and so on */
    const uint32_t *fold;
    uint32_t longest;                  /* in bytes: the longest term or stop word */
    uint8_t ascii[128], ascii_is[128]; /* a byte's folded byte and its properties; FF_IS_SLOW: it is not one byte */
} ff_reader;

/* A bag for each row of a block: row i has the entries from start[i] to start[i + 1]. */
typedef struct ff_bag_rows {
    uint32_t *start, *column;
    double *value;
} ff_bag_rows;

/* Return whether these words are ranges of code points, ascending and disjoint. */
static int ff_are_ranges(const ff_plan *plan, uint32_t first, uint32_t count) {
    uint64_t i;
    if (!ff_in_range(first, 2 * (uint64_t)count, plan->words)) return 0;
    for (i = 0; i < 2 * (uint64_t)count; i++)
        if (plan->word[first + i] >= FF_CODE_POINTS ||
            (i && plan->word[first + i] < plan->word[first + i - 1] + (i % 2 == 0)))
            return 0;
    return 1;
}

/* Return whether the tables of folding are in order and inside the plan. */
static int ff_are_folds(const ff_plan *plan, const uint32_t *s) {
    const uint32_t *tail = plan->word + s[FF_T_TAIL];
    uint64_t i, j;
    if (!ff_in_range(s[FF_T_FOLD], 2 * (uint64_t)s[FF_T_FOLDS], plan->words) ||
        !ff_in_range(s[FF_T_TAIL], s[FF_T_TAILS], plan->words))
        return 0;
    for (i = 0; i < s[FF_T_FOLDS]; i++) {
        const uint32_t *pair = plan->word + s[FF_T_FOLD] + 2 * i;
        uint32_t index = pair[1] & ~FF_FOLD_MANY;
        if (pair[0] >= FF_CODE_POINTS || (i && pair[0] <= pair[-2])) return 0;
        if (!(pair[1] & FF_FOLD_MANY)) { if (index >= FF_CODE_POINTS) return 0; continue; }
        if (index >= s[FF_T_TAILS] || tail[index] >= s[FF_T_TAILS] - index) return 0;
        /* In Unicode the longest are 18 code points for one of three bytes. */
        if (tail[index] > (pair[0] < 0x80 ? 8u : pair[0] < 0x800 ? 16u : 24u)) return 0;
        for (j = 1; j <= tail[index]; j++) if (tail[index + j] >= FF_CODE_POINTS) return 0;
    }
    return 1;
}

/* Return whether one of these ranges holds a code point. */
static int ff_has_code_point(const ff_plan *plan, uint32_t first, uint32_t count, uint32_t code_point) {
    const uint32_t *range = plan->word + first;
    uint32_t i;
    for (i = 0; i < count; i++)
        if (range[2 * (uint64_t)i] <= code_point && code_point <= range[2 * (uint64_t)i + 1]) return 1;
    return 0;
}

/* Return the most entries of a row in a bag of so many columns. */
static uint64_t ff_bag_entries(uint32_t width) { return width < FF_MAX_BAG_ENTRIES ? width : FF_MAX_BAG_ENTRIES; }

/* Return the room for n-grams that are not counted yet. Each time that it is full a bag is passed through. */
static uint32_t ff_pending_room(uint32_t width) {
    uint32_t quarter = (uint32_t)ff_bag_entries(width) / 4;
    return quarter < FF_MIN_PENDING_NGRAMS ? FF_MIN_PENDING_NGRAMS : quarter;
}

/* Estimate what it costs to check and prepare the settings of a text, which are not checked yet. */
static uint64_t ff_reading_cost(const ff_plan *plan, uint32_t word) {
    static const uint8_t lists[6] = {FF_T_TOKENS, FF_T_WORDS, FF_T_SPACES, FF_T_CASEDS, FF_T_IGNOREDS, FF_T_TAILS};
    const uint32_t *s = plan->word + word;
    uint64_t cost = 1u << 15; /* the pages of characters */
    uint32_t k;
    if (!ff_in_range(word, FF_T_SETTINGS, plan->words)) return 0;
    for (k = 0; k < 6; k++) cost += 4 * (uint64_t)s[lists[k]];
    cost += 32 * (uint64_t)s[FF_T_FOLDS] + 64 * ((uint64_t)s[FF_T_STOPS] + 1);
    return cost + (s[FF_T_FLAGS] & FF_HASHED ? 0 : 64 * (uint64_t)s[FF_T_WIDTH]);
}

/* Return what a byte of text costs in one reading: of characters, the bytes of all n-grams that end with it; of words,
 * one more n-gram that it belongs to for each length. */
static uint64_t ff_reading_text_cost(const uint32_t *s) {
    uint64_t n = s[FF_T_MAX_N], below = s[FF_T_MIN_N] - 1;
    return 16 + (s[FF_T_ANALYZER] == FF_WORDS && s[FF_T_FLAGS] & FF_HASHED ? 2 * n
                 : (n * (n + 1) - below * (below + 1)) / (s[FF_T_ANALYZER] == FF_WORDS ? 8 : 2));
}

/* Return whether two readings have the same tables of characters. */
static int ff_have_same_tables(const uint32_t *s, const uint32_t *other) {
    uint32_t k;
    for (k = FF_T_FOLD; k < FF_T_TERM; k++)
        if (s[k] != other[k]) return 0;
    return 1;
}

static uint32_t ff_fill_properties(const ff_plan *plan, const uint32_t *s, uint16_t *page, uint8_t *property);

/* Return the pages of a reading's folded code points. */
static uint32_t ff_count_fold_pages(const ff_plan *plan, const uint32_t *s) {
    const uint32_t *pair = plan->word + s[FF_T_FOLD];
    uint32_t pages = 0;
    uint64_t i;
    for (i = 0; i < s[FF_T_FOLDS]; i++) pages += i == 0 || pair[2 * i] >> 8 != pair[2 * i - 2] >> 8;
    return pages;
}

/* Note the memory and the cost of a reading. */
static int ff_note_reading(ff_plan *plan, ff_totals *totals, const uint32_t *s, uint64_t where) {
    uint32_t k = 0;
    uint64_t bytes;
    while (k < totals->readers && !ff_have_same_tables(s, totals->reading[k])) k++;
    if (k == totals->readers) {
        bytes = 4 * (FF_CODE_POINTS / 256) + 1024 * ((uint64_t)ff_count_fold_pages(plan, s) + 1) +
                256 * (uint64_t)ff_fill_properties(plan, s, NULL, NULL);
        totals->memory += bytes;
        totals->cost += bytes / 4;
    }
    totals->memory += ff_dictionary_bytes(s[FF_T_FLAGS] & FF_HASHED ? 0 : s[FF_T_WIDTH]) +
                      ff_dictionary_bytes(s[FF_T_STOPS]);
    FF_CHECK(totals->memory <= totals->max_memory, too_much_memory, where);
    FF_CHECK(totals->cost <= totals->max_cost, too_costly, where);
    totals->text_cost += ff_reading_text_cost(s);
    FF_CHECK(totals->text_cost <= FF_MAX_TEXT_COST, too_slow_text, where);
    totals->reading[totals->readers++] = s;
    return 0;
}

/* Return the size of the buffer for tokens and n-grams. */
static uint64_t ff_buffer_bytes(uint32_t longest) { return (4 * (uint64_t)longest + 2048 + 7) / 8 * 8; }

/* Note that a step writes a bag: the next one, or over an existing one of the same width. */
static int ff_claim_bag(ff_plan *plan, ff_totals *totals, uint32_t bag, uint32_t width, uint64_t where) {
    uint32_t i;
    FF_CHECK(bag <= totals->bags && bag < FF_MAX_BAGS, "writes elsewhere than to the next bag, at step", where);
    if (bag == totals->bags) {
        uint64_t entries = ff_bag_entries(width);
        for (i = 0; i < bag; i++) entries += ff_bag_entries(plan->bag_width[i]);
        FF_CHECK(entries <= 4 * FF_MAX_BAG_ENTRIES, "the bags of a row would take too much memory, at step", where);
        plan->bag_width[totals->bags++] = width;
    }
    FF_CHECK(plan->bag_width[bag] == width, "writes to a bag of another width, at step", where);
    return 0;
}

/* Check a step FF_BAG and its settings. */
static int ff_check_bag(ff_plan *plan, ff_totals *totals, const uint32_t *a, uint64_t where) {
    static const char outside[] = "settings of a text are outside or out of order, at step";
    static const char unknown[] = "a setting of a text that is not known, at step";
    const uint32_t *s = plan->word + a[2];
    uint32_t terms, longest, longest_stop;
    uint64_t workspace;
    FF_CHECK(a[1] < plan->inputs && plan->input[a[1]].type == FF_STRING, "no such input of text, at step", where);
    FF_CHECK(ff_in_range(a[2], FF_T_SETTINGS, plan->words), outside, where);
    terms = s[FF_T_FLAGS] & FF_HASHED ? 0 : s[FF_T_WIDTH];
    FF_CHECK(s[FF_T_ANALYZER] <= FF_WITHIN_WORDS && s[FF_T_FLAGS] <= FF_TEXT_FLAGS, unknown, where);
    FF_CHECK(s[FF_T_MIN_N] > 0 && s[FF_T_MIN_N] <= s[FF_T_MAX_N] && s[FF_T_MAX_N] <= FF_MAX_NGRAM_LENGTH, unknown,
             where);
    FF_CHECK(s[FF_T_MIN_LENGTH] > 0, unknown, where);
    FF_CHECK(ff_are_ranges(plan, s[FF_T_TOKEN], s[FF_T_TOKENS]) && ff_are_ranges(plan, s[FF_T_WORD], s[FF_T_WORDS]) &&
             ff_are_ranges(plan, s[FF_T_SPACE], s[FF_T_SPACES]) && ff_are_ranges(plan, s[FF_T_CASED], s[FF_T_CASEDS]) &&
             ff_are_ranges(plan, s[FF_T_IGNORED], s[FF_T_IGNOREDS]) && ff_are_folds(plan, s), outside, where);
    /* Otherwise a text of sigmas alone would be read once for each of them. */
    FF_CHECK(!(s[FF_T_FLAGS] & FF_SIGMA) ||
                 !ff_has_code_point(plan, s[FF_T_IGNORED], s[FF_T_IGNOREDS], FF_CAPITAL_SIGMA), outside, where);
    FF_CHECK(s[FF_T_WIDTH] > 0 && s[FF_T_WIDTH] <= (1u << 30), unknown, where);
    FF_CHECK(ff_in_range(s[FF_T_TERM], terms, plan->strings) && ff_in_range(s[FF_T_STOP], s[FF_T_STOPS], plan->strings),
             outside, where);
    FF_CHECK((s[FF_T_MISSING] == UINT32_MAX || s[FF_T_MISSING] < plan->strings) &&
                 s[FF_T_MISSING_WHY] < plan->strings && s[FF_T_FULL_WHY] < plan->strings,
             outside, where);
    longest = ff_longest_string(plan, s[FF_T_TERM], terms);
    longest_stop = ff_longest_string(plan, s[FF_T_STOP], s[FF_T_STOPS]);
    if (longest < longest_stop) longest = longest_stop;
    FF_CHECK(longest <= (1u << 28), "a term is too long, at step", where);
    workspace = 8 * (uint64_t)ff_pending_room(s[FF_T_WIDTH]) + ff_buffer_bytes(longest);
    if (totals->workspace < workspace) totals->workspace = (uint32_t)workspace;
    FF_CHECK(a[0] == totals->bags && a[0] < FF_MAX_BAGS, "writes elsewhere than to the next bag, at step", where);
    if (ff_note_reading(plan, totals, s, where)) return -1;
    return ff_claim_bag(plan, totals, a[0], s[FF_T_WIDTH], where);
}

/* Check a step that works on bags. */
static int ff_check_bag_step(ff_plan *plan, ff_totals *totals, uint32_t operation, const uint32_t *a, uint64_t where) {
    static const char unread[] = "reads a bag or a register that is not written yet, at step";
    static const char unwritten[] = "writes elsewhere than to the next registers, at step";
    static const char outside[] = "its constants are outside or out of order, at step";
    static const char unknown[] = "a function that is not known, at step";
    uint32_t source = operation == FF_BAG_DOT || operation == FF_BAG_SPREAD ? a[2] : a[1], width, next = 0, i;
    if (operation == FF_BAG) return ff_check_bag(plan, totals, a, where);
    FF_CHECK(source < totals->bags, unread, where);
    width = plan->bag_width[source];
    switch (operation) {
    case FF_BAG_MAP:
        FF_CHECK(ff_is_function(a[2], 0), unknown, where);
        return ff_claim_bag(plan, totals, a[0], width, where);
    case FF_BAG_CONST:
        FF_CHECK(ff_is_function(a[2], 32) && a[4] <= 1, unknown, where);
        FF_CHECK(ff_in_range(a[3], a[4] ? width : 1, plan->numbers), outside, where);
        return ff_claim_bag(plan, totals, a[0], width, where);
    case FF_BAG_ROW:
        FF_CHECK(ff_is_function(a[2], 32), unknown, where);
        FF_CHECK(a[3] < totals->registers, unread, where);
        return ff_claim_bag(plan, totals, a[0], width, where);
    case FF_BAG_PICK:
        FF_CHECK(a[0] == totals->bags && a[3] > 0 && ff_in_range(a[2], width, plan->words), outside, where);
        for (i = 0; i < width; i++) {
            uint32_t column = plan->word[a[2] + i];
            if (column == UINT32_MAX) continue;
            FF_CHECK(column >= next && column < a[3], outside, where);
            next = column + 1;
        }
        return ff_claim_bag(plan, totals, a[0], a[3], where);
    case FF_BAG_FOLD:
        FF_CHECK(a[2] == FF_SUM || a[2] == FF_SQUARES || a[2] == FF_ABSOLUTES || a[2] == FF_LEAST || a[2] == FF_MOST,
                 unknown, where);
        FF_CHECK(a[3] <= 1 && a[4] < totals->registers, unread, where);
        FF_CHECK(ff_claim_registers(plan, totals, a[0], 1), unwritten, where);
        return 0;
    case FF_BAG_DOT: {
        uint64_t workspace = 8 * (uint64_t)a[1];
        FF_CHECK(a[5] <= 1 && ff_in_range(a[4], (uint64_t)a[1] * width, plan->numbers), outside, where);
        FF_CHECK(a[3] == UINT32_MAX || ff_can_read(plan, totals, a[3], a[1]), unread, where);
        FF_CHECK(ff_claim_registers(plan, totals, a[0], a[1]), unwritten, where);
        if (totals->workspace < workspace) totals->workspace = (uint32_t)workspace;
        return 0;
    }
    default: /* FF_BAG_SPREAD */
        FF_CHECK(a[4] <= 1 && ff_in_range(a[3], width, plan->words), outside, where);
        for (i = 0; i < width; i++)
            FF_CHECK(plan->word[a[3] + i] == UINT32_MAX || plan->word[a[3] + i] < a[1], outside, where);
        FF_CHECK(ff_claim_registers(plan, totals, a[0], a[1]), unwritten, where);
        return 0;
    }
}

/* Fill the tables of properties: a page of bytes for each 256 code points; uniform pages are shared. Returns the number
 * of pages; only counts them if `property` is NULL. */
static uint32_t ff_fill_properties(const ff_plan *plan, const uint32_t *s, uint16_t *page, uint8_t *property) {
    static const uint8_t settings[5] = {FF_T_TOKEN, FF_T_WORD, FF_T_SPACE, FF_T_CASED, FF_T_IGNORED};
    uint32_t next[5] = {0, 0, 0, 0, 0}, uniform_page[32] = {0}, pages = 0, p, k, i;
    for (p = 0; p < FF_CODE_POINTS / 256; p++) {
        uint32_t whole_page = 0, is_mixed = 0, low = p * 256, high = low + 255, page_index;
        for (k = 0; k < 5; k++) {
            const uint32_t *range = plan->word + s[settings[k]], count = s[settings[k] + 1];
            while (next[k] < count && range[2 * next[k] + 1] < low) next[k]++;
            if (next[k] == count || range[2 * next[k]] > high) continue;
            if (range[2 * next[k]] <= low && range[2 * next[k] + 1] >= high) whole_page |= 1u << k;
            else is_mixed = 1;
        }
        page_index = is_mixed || !uniform_page[whole_page] ? pages++ : uniform_page[whole_page] - 1;
        if (!is_mixed) uniform_page[whole_page] = page_index + 1;
        if (!property) continue;
        page[p] = (uint16_t)page_index;
        ff_memset(property + 256 * (size_t)page_index, (int)whole_page, 256);
        for (k = 0; is_mixed && k < 5; k++) {
            const uint32_t *range = plan->word + s[settings[k]], count = s[settings[k] + 1];
            uint32_t r = next[k];
            for (; r < count && range[2 * r] <= high; r++)
                for (i = range[2 * r] < low ? low : range[2 * r]; i <= range[2 * r + 1] && i <= high; i++)
                    property[256 * (size_t)page_index + (i & 255)] |= (uint8_t)(1u << k);
        }
    }
    return pages;
}

/* Return what a code point is folded to, or FF_FOLD_MANY and an index into the tail. */
static uint32_t ff_fold_of(const ff_reader *reader, uint32_t code_point) {
    uint32_t page = reader->fold_page[code_point >> 8];
    return page ? reader->fold[(size_t)(page - 1) * 256 + (code_point & 255)] : code_point;
}

/* Return the properties of a code point. */
static uint8_t ff_property_of(const ff_reader *reader, uint32_t code_point) {
    return reader->property[(size_t)reader->property_page[code_point >> 8] * 256 + (code_point & 255)];
}

/* Build the tables that fold code points and give their properties. */
static int ff_prepare_tables(ff_plan *plan, ff_reader *reader, ff_allocate allocate, void *context) {
    const uint32_t *s = reader->setting, *pair = plan->word + s[FF_T_FOLD];
    uint32_t properties = ff_fill_properties(plan, s, NULL, NULL), folds, i, point;
    uint16_t *page = (uint16_t *)allocate(context, FF_CODE_POINTS / 256 * 2 * sizeof *page), *fold_page;
    uint8_t *property = (uint8_t *)allocate(context, 256 * (size_t)properties);
    uint32_t *fold;
    folds = ff_count_fold_pages(plan, s);
    fold = (uint32_t *)allocate(context, 1024 * (size_t)(folds + 1));
    FF_CHECK(page && property && fold, "no memory for tables of characters; pages wanted:", properties + folds);
    ff_memset(page, 0, FF_CODE_POINTS / 256 * 2 * sizeof *page);
    fold_page = page + FF_CODE_POINTS / 256;
    ff_fill_properties(plan, s, page, property);
    for (i = 0, folds = 0; i < s[FF_T_FOLDS]; i++) {
        uint32_t page_index = pair[2 * i] >> 8;
        if (!fold_page[page_index]) {
            fold_page[page_index] = (uint16_t)++folds;
            for (point = 0; point < 256; point++) fold[(size_t)(folds - 1) * 256 + point] = page_index << 8 | point;
        }
        fold[(size_t)(folds - 1) * 256 + (pair[2 * i] & 255)] = pair[2 * i + 1];
    }
    reader->property_page = page;
    reader->fold_page = fold_page;
    reader->property = property;
    reader->fold = fold;
    for (point = 0; point < 128; point++) {
        uint32_t folded = ff_fold_of(reader, point);
        reader->ascii[point] = (uint8_t)folded;
        reader->ascii_is[point] = folded < 128 ? ff_property_of(reader, folded) : FF_IS_SLOW;
    }
    return 0;
}

/* Build the dictionaries and tables of a text step. */
static int ff_prepare_bag(ff_plan *plan, ff_reader *reader, const uint32_t *a, ff_allocate allocate, void *context) {
    const uint32_t *s = plan->word + a[2];
    uint32_t hashed = s[FF_T_FLAGS] & FF_HASHED, operand[4] = {0, 0, 0, 0};
    const ff_reader *other = plan->reader;
    int status;
    reader->setting = s;
    operand[2] = s[FF_T_TERM];
    operand[3] = hashed ? 0 : s[FF_T_WIDTH];
    status = ff_prepare_dictionary(plan, &reader->terms, operand, allocate, context);
    if (status) return status;
    reader->longest = reader->terms.longest;
    operand[2] = s[FF_T_STOP];
    operand[3] = s[FF_T_STOPS];
    status = ff_prepare_dictionary(plan, &reader->stops, operand, allocate, context);
    if (status) return status;
    if (reader->longest < reader->stops.longest) reader->longest = reader->stops.longest;
    while (other != reader && !ff_have_same_tables(s, other->setting)) other++;
    if (other == reader) return ff_prepare_tables(plan, reader, allocate, context);
    reader->property_page = other->property_page;
    reader->fold_page = other->fold_page;
    reader->property = other->property;
    reader->fold = other->fold;
    ff_memcpy(reader->ascii, other->ascii, sizeof reader->ascii);
    ff_memcpy(reader->ascii_is, other->ascii_is, sizeof reader->ascii_is);
    return 0;
}

/* The state of MurmurHash3, for bytes that come in parts. */
typedef struct {
    uint32_t hash, tail, length; /* tail: the last bytes, fewer than four */
} ff_murmur;

static uint32_t ff_rotate_left(uint32_t x, uint32_t bits) { return x << bits | x >> (32 - bits); }
static uint32_t ff_murmur_scramble(uint32_t k) { return ff_rotate_left(k * 0xcc9e2d51u, 15) * 0x1b873593u; }

/* Add bytes to the hash. */
static void ff_murmur_update(ff_murmur *state, const uint8_t *bytes, uint32_t count) {
    uint32_t hash = state->hash, tail = state->tail, length = state->length;
    while (count--) {
        tail |= (uint32_t)*bytes++ << 8 * (length & 3);
        if ((++length & 3) == 0) {
            hash = ff_rotate_left(hash ^ ff_murmur_scramble(tail), 13) * 5 + 0xe6546b64u;
            tail = 0;
        }
    }
    state->hash = hash;
    state->tail = tail;
    state->length = length;
}

/* Return the hash of the bytes so far. */
static uint32_t ff_murmur_finish(const ff_murmur *state) {
    uint32_t hash = state->hash;
    if (state->length & 3) hash ^= ff_murmur_scramble(state->tail);
    hash ^= state->length;
    hash = (hash ^ hash >> 16) * 0x85ebca6bu;
    hash = (hash ^ hash >> 13) * 0xc2b2ae35u;
    return hash ^ hash >> 16;
}

/* The reading of one text. A pending n-gram is twice its column, plus 1 where it counts as -1. */
typedef struct {
    const ff_plan *plan;
    const ff_reader *reader;
    uint32_t analyzer, min_n, max_n, flags, min_length, max_length, hashed;
    uint32_t pending_count, pending_limit, *pending, *spare; /* n-grams that are not counted yet, as many as are counted
                                                                together; as much memory to sort them */
    uint8_t *buffer;              /* the text of n-grams: the latest tokens, each followed by a space, or characters */
    uint32_t used, capacity;      /* bytes of the buffer */
    uint32_t token_start;         /* where the current token begins in the buffer */
    uint32_t is_inside;           /* inside a token or word; for FF_CHARACTERS: in white space */
    uint32_t is_too_long;         /* the token is longer than every term */
    uint32_t is_partly_hashed;    /* the token did not fit into the buffer: its beginning is hashed already */
    uint32_t after_word;          /* a word character stood before the token */
    uint32_t held_space;          /* white space that is held back */
    uint64_t characters, tokens;  /* characters of the token or of the window; tokens before this one */
    uint32_t starts[FF_MAX_NGRAM_LENGTH];                                     /* a ring: where each n-gram begins */
    ff_murmur states[FF_MAX_NGRAM_LENGTH], saved_states[FF_MAX_NGRAM_LENGTH]; /* a ring: the hash of each n-gram */
    uint32_t *column, entries, max_entries; /* the bag */
    double *value;
    int is_full;
} ff_tokenizer;

#define FF_RING_MASK (FF_MAX_NGRAM_LENGTH - 1u)

/* Sort keys of at most `max_key`: by insertion if they are few, else by a radix sort, from the lowest byte on. */
static void ff_radix_sort(uint32_t *keys, uint32_t *spare, uint32_t count, uint32_t max_key) {
    uint32_t *from = keys, *to = spare, shift, i, j;
    if (count <= 48) {
        for (i = 1; i < count; i++) {
            uint32_t key = keys[i];
            for (j = i; j && keys[j - 1] > key; j--) keys[j] = keys[j - 1];
            keys[j] = key;
        }
        return;
    }
    for (shift = 0; shift < 32 && max_key >> shift; shift += 8) {
        uint32_t offsets[256] = {0}, sum = 0, *other = from;
        for (i = 0; i < count; i++) offsets[from[i] >> shift & 255]++;
        for (i = 0; i < 256; i++) { uint32_t digit_count = offsets[i]; offsets[i] = sum; sum += digit_count; }
        for (i = 0; i < count; i++) to[offsets[from[i] >> shift & 255]++] = from[i];
        from = to;
        to = other;
    }
    if (from != keys) ff_memcpy(keys, from, (size_t)count * sizeof *keys);
}

/* Count the pending n-grams and add them to the bag. */
static void ff_count_pending(ff_tokenizer *t) {
    uint32_t distinct = 0, fresh, i, j, out;
    int32_t *count = (int32_t *)(void *)t->spare;
    if (!t->pending_count || t->is_full) { t->pending_count = 0; return; }
    ff_radix_sort(t->pending, t->spare, t->pending_count, 2 * (t->reader->setting[FF_T_WIDTH] - 1) + 1);
    for (i = 0; i < t->pending_count; i++) {
        uint32_t column = t->pending[i] >> 1;
        int32_t sign = t->pending[i] & 1 ? -1 : 1;
        if (distinct && t->pending[distinct - 1] == column) count[distinct - 1] += sign;
        else { t->pending[distinct] = column; count[distinct++] = sign; }
    }
    t->pending_count = 0;
    for (i = 0, j = 0, fresh = 0; i < distinct; i++) {
        while (j < t->entries && t->column[j] < t->pending[i]) j++;
        fresh += j == t->entries || t->column[j] != t->pending[i];
    }
    if (fresh > t->max_entries - t->entries) { t->is_full = 1; return; }
    /* Merge from the end, so that no entry is overwritten before it has moved. */
    for (i = distinct, j = t->entries, out = t->entries + fresh, t->entries = out; i; ) {
        if (j && t->column[j - 1] > t->pending[i - 1]) {
            j--;
            out--;
            t->column[out] = t->column[j];
            t->value[out] = t->value[j];
            continue;
        }
        i--;
        out--;
        if (j && t->column[j - 1] == t->pending[i]) { j--; t->value[out] = t->value[j] + count[i]; }
        else t->value[out] = count[i];
        t->column[out] = t->pending[i];
    }
}

/* Add an n-gram to the pending ones. */
static void ff_add_key(ff_tokenizer *t, uint32_t key) {
    if (t->pending_count == t->pending_limit) {
        ff_count_pending(t);
        /* The more a bag has, the less often it is passed through: so the time of a long text is in proportion to it. */
        t->pending_limit = t->entries / 4 < FF_MIN_PENDING_NGRAMS ? FF_MIN_PENDING_NGRAMS : t->entries / 4;
    }
    t->pending[t->pending_count++] = key;
}

/* Add a hashed n-gram. Its column comes from the magnitude of the hash as a signed number; that of the smallest is
 * 2^31. */
static void ff_add_hash(ff_tokenizer *t, uint32_t hash) {
    uint32_t negative = hash >> 31, magnitude = negative ? 0u - hash : hash;
    ff_add_key(t, magnitude % t->reader->setting[FF_T_WIDTH] * 2 + (t->flags & FF_SIGNED ? negative : 0));
}

/* Add the n-gram from this byte to the end of the buffer. */
static void ff_add_ngram(ff_tokenizer *t, uint32_t from) {
    uint32_t length = t->used - from, code;
    if (t->hashed) {
        ff_murmur state = {0, 0, 0};
        ff_murmur_update(&state, t->buffer + from, length);
        ff_add_hash(t, ff_murmur_finish(&state));
        return;
    }
    code = ff_find_code(t->plan, &t->reader->terms, t->buffer + from, length);
    if (code != t->reader->terms.count) ff_add_key(t, 2 * code);
}

/* Write a code point as UTF-8. Returns the number of bytes. */
static uint32_t ff_utf8_encode(uint8_t *out, uint32_t code_point) {
    if (code_point < 0x80) { out[0] = (uint8_t)code_point; return 1; }
    if (code_point < 0x800) {
        out[0] = (uint8_t)(0xc0 | code_point >> 6);
        out[1] = (uint8_t)(0x80 | (code_point & 63));
        return 2;
    }
    if (code_point < 0x10000) {
        out[0] = (uint8_t)(0xe0 | code_point >> 12);
        out[1] = (uint8_t)(0x80 | (code_point >> 6 & 63));
        out[2] = (uint8_t)(0x80 | (code_point & 63));
        return 3;
    }
    out[0] = (uint8_t)(0xf0 | code_point >> 18);
    out[1] = (uint8_t)(0x80 | (code_point >> 12 & 63));
    out[2] = (uint8_t)(0x80 | (code_point >> 6 & 63));
    out[3] = (uint8_t)(0x80 | (code_point & 63));
    return 4;
}

/* Drop the bytes before the last `kept` of `start_count` starts, and renumber these. */
static void ff_drop_before(ff_tokenizer *t, uint64_t start_count, uint32_t kept) {
    uint32_t from = kept ? t->starts[(start_count - kept) & FF_RING_MASK] : t->used, i;
    for (i = 0; i < kept; i++) t->spare[i] = t->starts[(start_count - kept + i) & FF_RING_MASK] - from;
    for (i = 0; i < kept; i++) t->starts[i] = t->spare[i];
    for (i = from; i < t->used; i++) t->buffer[i - from] = t->buffer[i];
    t->used -= from;
}

/* Add a character to the window, and all n-grams that end with it. */
static void ff_add_character(ff_tokenizer *t, uint32_t code_point) {
    uint32_t n;
    if (t->used + 4 > t->capacity) {
        uint32_t kept = (uint32_t)(t->characters < t->max_n ? t->characters : t->max_n);
        ff_drop_before(t, t->characters, kept);
        t->characters = kept;
    }
    t->starts[t->characters++ & FF_RING_MASK] = t->used;
    t->used += ff_utf8_encode(t->buffer + t->used, code_point);
    for (n = t->min_n; n <= t->max_n && n <= t->characters; n++) {
        uint32_t from = t->starts[(t->characters - n) & FF_RING_MASK];
        if (!t->hashed && t->used - from > t->reader->longest) break; /* all longer n-grams are too long, too */
        ff_add_ngram(t, from);
    }
}

/* Hash what the buffer has of a token, also into the n-grams that began with earlier tokens. */
static void ff_hash_token_part(ff_tokenizer *t) {
    uint32_t kept = (uint32_t)(t->tokens < t->max_n - 1 ? t->tokens : t->max_n - 1), i;
    ff_murmur *own = t->states + (t->tokens & FF_RING_MASK);
    if (!t->is_partly_hashed) {
        for (i = 1; i <= kept; i++)
            ff_murmur_update(t->states + ((t->tokens - i) & FF_RING_MASK), (const uint8_t *)" ", 1);
        own->hash = own->tail = own->length = 0;
        t->is_partly_hashed = 1;
    }
    for (i = 0; i <= kept; i++) ff_murmur_update(t->states + ((t->tokens - i) & FF_RING_MASK), t->buffer, t->used);
    t->used = 0;
}

/* Begin a token, and make room for it in the buffer. */
static void ff_begin_token(ff_tokenizer *t) {
    t->is_inside = 1;
    t->characters = 0;
    t->is_too_long = t->is_partly_hashed = 0;
    if (t->hashed) t->used = 0;
    else if (t->used + t->reader->longest + 8 > t->capacity) {
        /* An n-gram that is longer than every term cannot match, so older bytes are not needed. */
        uint32_t kept = (uint32_t)(t->tokens < t->max_n - 1 ? t->tokens : t->max_n - 1);
        while (kept && t->used - t->starts[(t->tokens - kept) & FF_RING_MASK] > t->reader->longest) kept--;
        ff_drop_before(t, t->tokens, kept);
        t->tokens = kept;
    }
    t->token_start = t->used;
}

/* Add a code point to the current token. */
static void ff_grow_token(ff_tokenizer *t, uint32_t code_point) {
    t->characters++;
    if (t->is_too_long) return;
    if (t->hashed) {
        if (t->used + 4 > t->capacity) {
            if (!t->is_partly_hashed) ff_memcpy(t->saved_states, t->states, sizeof t->states); /* if it is rejected */
            ff_hash_token_part(t);
        }
    } else if (t->used - t->token_start > t->reader->longest) { t->is_too_long = 1; return; }
    t->used += ff_utf8_encode(t->buffer + t->used, code_point);
}

/* End the current token. If it has the right length and is no stop word, add all n-grams that end with it. */
static void ff_end_token(ff_tokenizer *t, uint32_t after) {
    const ff_dictionary *stops = &t->reader->stops;
    uint32_t n;
    int is_taken = t->characters >= t->min_length && t->characters <= t->max_length &&
                   !((t->flags & FF_BOUNDED) && (t->after_word || after));
    t->is_inside = 0;
    if (is_taken && !t->is_too_long && !t->is_partly_hashed && stops->count)
        is_taken = ff_find_code(t->plan, stops, t->buffer + t->token_start, t->used - t->token_start) == stops->count;
    if (!is_taken) {
        t->used = t->token_start;
        if (t->is_partly_hashed) ff_memcpy(t->states, t->saved_states, sizeof t->states);
        return;
    }
    if (t->hashed) {
        ff_hash_token_part(t);
        t->tokens++;
        for (n = t->min_n; n <= t->max_n && n <= t->tokens; n++)
            ff_add_hash(t, ff_murmur_finish(t->states + ((t->tokens - n) & FF_RING_MASK)));
        return;
    }
    if (t->is_too_long) { t->tokens = 0; t->used = 0; return; } /* no term contains this token */
    t->starts[t->tokens++ & FF_RING_MASK] = t->token_start;
    for (n = t->min_n; n <= t->max_n && n <= t->tokens; n++) {
        uint32_t from = t->starts[(t->tokens - n) & FF_RING_MASK];
        if (t->used - from > t->reader->longest) break;
        ff_add_ngram(t, from);
    }
    t->buffer[t->used++] = ' ';
}

/* Take the next folded code point of a text. */
static void ff_add_code_point(ff_tokenizer *t, uint32_t code_point, uint32_t properties) {
    switch (t->analyzer) {
    case FF_WORDS:
        if (properties & FF_IS_TOKEN) {
            if (!t->is_inside) ff_begin_token(t);
            ff_grow_token(t, code_point);
            return;
        }
        if (t->is_inside) ff_end_token(t, properties & FF_IS_WORD);
        t->after_word = properties & FF_IS_WORD;
        return;
    case FF_CHARACTERS: /* several white spaces become one space */
        if (properties & FF_IS_SPACE) { t->held_space = t->is_inside ? ' ' : code_point; t->is_inside = 1; return; }
        if (t->is_inside) { t->is_inside = 0; ff_add_character(t, t->held_space); }
        ff_add_character(t, code_point);
        return;
    default:
        if (!(properties & FF_IS_SPACE)) {
            if (!t->is_inside) { t->is_inside = 1; t->characters = 0; t->used = 0; ff_add_character(t, ' '); }
            ff_add_character(t, code_point);
        } else if (t->is_inside) {
            t->is_inside = 0;
            ff_add_character(t, ' ');
            if (t->characters < t->min_n) ff_add_ngram(t, 0); /* a short word counts once */
        }
    }
}

/* Return the first code point of UTF-8 and its length in bytes; 0xfffd, of one byte, where the UTF-8 is invalid. */
static uint32_t ff_utf8_decode(const uint8_t *at, const uint8_t *end, uint32_t *bytes) {
    uint32_t lead = *at, continuation = lead >= 0xf0 ? 3u : lead >= 0xe0 ? 2u : 1u, code_point, i;
    *bytes = 1;
    if (lead < 0x80) return lead;
    if (lead < 0xc2 || lead > 0xf4 || (size_t)(end - at) <= continuation) return 0xfffd;
    code_point = lead & (0x3fu >> continuation);
    for (i = 1; i <= continuation; i++) {
        if ((at[i] & 0xc0) != 0x80) return 0xfffd;
        code_point = code_point << 6 | (at[i] & 63u);
    }
    if ((continuation == 2 && (code_point < 0x800 || (code_point >= 0xd800 && code_point < 0xe000))) ||
        (continuation == 3 && (code_point < 0x10000 || code_point >= FF_CODE_POINTS)))
        return 0xfffd;
    *bytes = continuation + 1;
    return code_point;
}

/* Return whether a capital sigma is a final one: a cased letter before it and none after it, not counting
 * case-ignorable code points (Unicode, Final_Sigma). */
static int ff_is_final_sigma(const ff_reader *reader, const uint8_t *text, const uint8_t *at, const uint8_t *end) {
    const uint8_t *cursor = at;
    uint32_t bytes, properties = FF_IS_IGNORED;
    while (cursor > text && (properties & FF_IS_IGNORED)) {
        uint32_t back = 1;
        while (back < 4 && cursor - back > text && (cursor[-(int)back] & 0xc0) == 0x80) back++;
        cursor -= back;
        properties = ff_property_of(reader, ff_utf8_decode(cursor, at, &bytes));
    }
    if ((properties & FF_IS_IGNORED) || !(properties & FF_IS_CASED)) return 0;
    for (cursor = at + 2, properties = FF_IS_IGNORED; cursor < end && (properties & FF_IS_IGNORED); cursor += bytes)
        properties = ff_property_of(reader, ff_utf8_decode(cursor, end, &bytes));
    return (properties & FF_IS_IGNORED) || !(properties & FF_IS_CASED);
}

static void ff_add_folded(ff_tokenizer *t, uint32_t code_point) {
    ff_add_code_point(t, code_point, ff_property_of(t->reader, code_point));
}

/* Fold a code point that the table of ASCII does not handle, and add the result. */
static void ff_fold_and_add(ff_tokenizer *t, const uint8_t *text, const uint8_t *at, const uint8_t *end,
                            uint32_t code_point) {
    const ff_reader *reader = t->reader;
    uint32_t folded = ff_fold_of(reader, code_point), i;
    if (code_point == FF_CAPITAL_SIGMA && (t->flags & FF_SIGMA)) {
        ff_add_folded(t, ff_is_final_sigma(reader, text, at, end) ? 0x3c2 : 0x3c3);
        return;
    }
    if ((t->flags & FF_HANGUL) && code_point >= 0xac00 && code_point <= 0xd7a3) {
        /* The Unicode Standard, 3.12: Hangul syllable decomposition. */
        uint32_t index = code_point - 0xac00;
        ff_add_folded(t, 0x1100 + index / 588);
        ff_add_folded(t, 0x1161 + index % 588 / 28);
        if (index % 28) ff_add_folded(t, 0x11a7 + index % 28);
        return;
    }
    if (folded & FF_FOLD_MANY) {
        const uint32_t *tail = t->plan->word + reader->setting[FF_T_TAIL] + (folded & ~FF_FOLD_MANY);
        for (i = 1; i <= tail[0]; i++) ff_add_folded(t, tail[i]);
        return;
    }
    if (folded == code_point && code_point >= 0x80 && (t->flags & FF_ASCII)) return;
    ff_add_folded(t, folded);
}

/* Split a text into n-grams and count them into the bag. */
static void ff_tokenize(ff_tokenizer *t, const uint8_t *text, uint32_t length) {
    const uint8_t *at = text, *end = text + length;
    const ff_reader *reader = t->reader;
    t->pending_count = t->used = t->is_inside = t->after_word = t->entries = 0;
    t->pending_limit = FF_MIN_PENDING_NGRAMS;
    t->characters = t->tokens = 0;
    t->is_full = 0;
    while (at < end && !t->is_full) {
        uint32_t bytes = 1, point = *at;
        if (point < 0x80 && reader->ascii_is[point] != FF_IS_SLOW)
            ff_add_code_point(t, reader->ascii[point], reader->ascii_is[point]);
        else {
            point = ff_utf8_decode(at, end, &bytes);
            ff_fold_and_add(t, text, at, end, point);
        }
        at += bytes;
    }
    if (t->is_inside && t->analyzer == FF_WORDS) ff_end_token(t, 0);
    else if (t->is_inside && t->analyzer == FF_CHARACTERS) ff_add_character(t, t->held_space);
    else if (t->is_inside) ff_add_code_point(t, ' ', FF_IS_SPACE);
    ff_count_pending(t);
}

/* Return how many entries a bag has memory for in a block of so many lanes. */
static uint32_t ff_bag_capacity(uint32_t width, uint32_t lanes) {
    uint32_t one_bag = width < FF_MAX_BAG_ENTRIES ? width : FF_MAX_BAG_ENTRIES;
    uint32_t typical = (width < FF_TYPICAL_BAG_ENTRIES ? width : FF_TYPICAL_BAG_ENTRIES) * lanes;
    return one_bag < typical ? typical : one_bag;
}

/* Turn the texts of a block into bags. */
static void ff_run_bag(const ff_plan *plan, const ff_reader *reader, const uint32_t *a, ff_block *block) {
    const ff_column *input = block->columns + a[1];
    const int32_t *offset = (const int32_t *)input->values;
    const uint32_t *s = reader->setting;
    const ff_bag_rows *rows = block->bag + a[0];
    uint32_t capacity = ff_bag_capacity(plan->bag_width[a[0]], block->lanes), used = 0, i, k;
    ff_tokenizer t;
    t.plan = plan;
    t.reader = reader;
    t.analyzer = s[FF_T_ANALYZER];
    t.flags = s[FF_T_FLAGS];
    t.hashed = t.flags & FF_HASHED;
    t.min_n = s[FF_T_MIN_N];
    t.max_n = s[FF_T_MAX_N];
    t.min_length = s[FF_T_MIN_LENGTH];
    t.max_length = s[FF_T_MAX_LENGTH];
    t.pending = (uint32_t *)(void *)block->workspace;
    t.spare = t.pending + ff_pending_room(s[FF_T_WIDTH]);
    t.buffer = (uint8_t *)(t.spare + ff_pending_room(s[FF_T_WIDTH]));
    t.capacity = (uint32_t)ff_buffer_bytes(reader->longest);
    rows->start[0] = 0;
    for (i = 0; i < block->count; i++) {
        int64_t row = input->first + block->row + i;
        const uint8_t *text = (const uint8_t *)input->text + offset[row];
        uint32_t length = (uint32_t)(offset[row + 1] - offset[row]);
        if (plan->stop && *plan->stop) { block->count = 0; return; }
        if (input->present && !(input->present[row >> 3] >> (row & 7) & 1)) {
            length = 0;
            if (s[FF_T_MISSING] != UINT32_MAX) {
                text = plan->text + plan->string[s[FF_T_MISSING]];
                length = plan->string[s[FF_T_MISSING] + 1] - plan->string[s[FF_T_MISSING]];
            } else if (!block->refused[i]) block->refused[i] = s[FF_T_MISSING_WHY] + 1;
        }
        t.column = rows->column + used;
        t.value = rows->value + used;
        t.max_entries = capacity - used;
        ff_tokenize(&t, text, length);
        if (t.is_full && i) { block->count = i; break; }
        if (t.is_full) {
            t.entries = 0;
            if (!block->refused[i]) block->refused[i] = s[FF_T_FULL_WHY] + 1;
        }
        for (k = 0; (t.flags & FF_BINARY) && k < t.entries; k++) t.value[k] = 1;
        used += t.entries;
        rows->start[i + 1] = used;
    }
}

/* Compute another bag from a bag: new values for its entries, or other columns. */
static void ff_run_bag_values(const ff_plan *plan, uint32_t operation, const uint32_t *a, ff_block *block) {
    const ff_bag_rows *from = block->bag + a[1], *to = block->bag + a[0];
    uint32_t capacity = ff_bag_capacity(plan->bag_width[a[0]], block->lanes), i, k, kept = 0;
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
            } else if (operation == FF_BAG_MAP) x = ff_unary(a[2], x);
            else {
                if (operation == FF_BAG_CONST) y = plan->number[a[3] + (a[4] ? (uint64_t)column : 0)];
                x = a[2] == FF_MUL ? x * y : a[2] == FF_DIV ? x / y : ff_binary(a[2], x, y);
            }
            if (kept == capacity) break;
            to->column[kept] = column;
            to->value[kept++] = x;
        }
        if (k < last) { block->count = i; break; } /* full; the first row alone always fits */
    }
    if (i == block->count) to->start[i] = kept;
}

/* Reduce each row's entries to one number. */
static void ff_run_bag_fold(const uint32_t *a, ff_block *block) {
    const ff_bag_rows *bag = block->bag + a[1];
    double *out = ff_register(block, a[0]);
    const double *first = ff_register(block, a[4]);
    uint32_t i, k;
    for (i = 0; i < block->count; i++) {
        double sum = first[i];
        for (k = bag->start[i]; k < bag->start[i + 1]; k++) {
            double x = bag->value[k];
            if (a[2] == FF_SQUARES) x *= x;
            else if (a[2] == FF_ABSOLUTES) x = ff_unary(FF_ABS, x);
            if (a[3]) x = ff_round32(x);
            sum = a[2] == FF_LEAST ? ff_minimum(sum, x) : a[2] == FF_MOST ? ff_maximum(sum, x) : sum + x;
        }
        out[i] = sum;
    }
}

/* Multiply each bag by a matrix of weights. */
static void ff_run_bag_dot(const ff_plan *plan, const uint32_t *a, ff_block *block) {
    const ff_bag_rows *bag = block->bag + a[2];
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

/* Write some columns of a bag to registers. */
static void ff_run_bag_spread(const ff_plan *plan, const uint32_t *a, ff_block *block) {
    const ff_bag_rows *bag = block->bag + a[2];
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

/* Compute a step that works on bags. */
static void ff_run_bag_step(const ff_plan *plan, uint32_t operation, uint32_t reader, const uint32_t *a,
                            ff_block *block) {
    switch (operation) {
    case FF_BAG: ff_run_bag(plan, plan->reader + reader, a, block); return;
    case FF_BAG_FOLD: ff_run_bag_fold(a, block); return;
    case FF_BAG_DOT: ff_run_bag_dot(plan, a, block); return;
    case FF_BAG_SPREAD: ff_run_bag_spread(plan, a, block); return;
    default: ff_run_bag_values(plan, operation, a, block); return;
    }
}

/* Prepare all text steps of a plan. */
static int ff_prepare_bags(ff_plan *plan, ff_allocate allocate, void *context) {
    uint32_t at = 0, readers = 0;
    int status = 0;
    plan->reader = (ff_reader *)allocate(context, (plan->readers + 1u) * sizeof *plan->reader);
    FF_CHECK(plan->reader, "no memory for texts:", plan->readers);
    for (; !status && at < plan->steps; at += 1u + ff_operands[plan->step[at]])
        if (plan->step[at] == FF_BAG)
            status = ff_prepare_bag(plan, plan->reader + readers++, plan->step + at + 1, allocate, context);
    return status;
}

/* Round up to a multiple of 64 bytes, the size of a cache line. */
static size_t ff_round_up(uint64_t bytes) { return (size_t)((bytes + 63) / 64 * 64); }

/* Return the bytes that the bags of so many lanes take. Also lay them out from `rows` on, if that is not NULL. */
static size_t ff_lay_bags(const ff_plan *plan, uint32_t lanes, ff_bag_rows *rows) {
    size_t used = ff_round_up(plan->bags * sizeof *rows);
    uint8_t *base = (uint8_t *)rows;
    uint32_t b;
    for (b = 0; b < plan->bags; b++) {
        uint64_t entries = ff_bag_capacity(plan->bag_width[b], lanes);
        if (rows) rows[b].start = (uint32_t *)(void *)(base + used);
        used += ff_round_up(4 * ((uint64_t)lanes + 1));
        if (rows) rows[b].column = (uint32_t *)(void *)(base + used);
        used += ff_round_up(4 * entries);
        if (rows) rows[b].value = (double *)(void *)(base + used);
        used += ff_round_up(8 * entries);
    }
    return used;
}

/* ------------------------------------------------------------------------------------------------------------------
 * 9  Predicting
 * ------------------------------------------------------------------------------------------------------------------ */

/* Return whether these words count up by one. */
static int ff_are_consecutive(const uint32_t *word, uint32_t count) {
    uint32_t k, gaps = 0;
    for (k = 1; k < count; k++) gaps |= word[k] - word[0] - k;
    return gaps == 0;
}

/* Map the registers of a single row as if they were many rows of one register: they lie side by side. Returns 0 if the
 * registers do not follow one another. */
static int ff_run_vectors_one_row(const ff_plan *plan, uint32_t operation, const uint32_t *a, ff_block *block) {
    const uint32_t *word = plan->word + a[3];
    const double *x = ff_register(block, *word);
    double *out = ff_register(block, a[0]);
    if (!ff_are_consecutive(word, a[1])) return 0;
    if (operation == FF_MAP) ff_map(a[2], out, x, a[1]);
    else if (operation == FF_MAP_CONST) ff_map_two(a[2], out, x, plan->number + a[4], a[1]);
    else if (ff_are_consecutive(plan->word + a[4], a[1]))
        ff_map_two(a[2], out, x, ff_register(block, plan->word[a[4]]), a[1]);
    else return 0;
    return 1;
}

/* Compute a step that maps registers one by one. */
static void ff_run_vectors(const ff_plan *plan, uint32_t operation, const uint32_t *a, ff_block *block) {
    uint32_t k, i;
    if (block->lanes == 1 && a[1] > 1 &&
        (operation == FF_MAP || operation == FF_MAP_CONST || operation == FF_MAP_TWO) &&
        ff_run_vectors_one_row(plan, operation, a, block))
        return;
    for (k = 0; k < a[1]; k++) {
        double *out = ff_register(block, a[0] + k);
        const double *x;
        if (operation == FF_CONSTANT) {
            for (i = 0; i < block->count; i++) out[i] = plan->number[a[2] + (uint64_t)k];
            continue;
        }
        x = ff_register(block, plan->word[(operation == FF_SELECT ? a[2] : a[3]) + k]);
        if (operation == FF_MAP) ff_map(a[2], out, x, block->count);
        else if (operation == FF_MAP_CONST) ff_map_const(a[2], out, x, plan->number[a[4] + (uint64_t)k], block->count);
        else if (operation == FF_MAP_TWO)
            ff_map_two(a[2], out, x, ff_register(block, plan->word[a[4] + k]), block->count);
        else {
            const double *if_true = ff_register(block, plan->word[a[3] + k]),
                         *if_false = ff_register(block, plan->word[a[4] + k]);
            for (i = 0; i < block->count; i++) out[i] = x[i] != 0 ? if_true[i] : if_false[i];
        }
    }
}

/* Look up words or numbers by codes. */
static void ff_run_codes(const ff_plan *plan, uint32_t operation, const uint32_t *a, ff_block *block) {
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

/* Compute all steps for a block of rows. */
static void ff_run_steps(const ff_plan *plan, ff_block *block, uint32_t *rank) {
    uint32_t at, dictionary = 0, forest = 0, reader = 0, i;
    for (at = 0; at < plan->steps; at += 1u + ff_operands[plan->step[at]]) {
        uint32_t operation = plan->step[at];
        const uint32_t *a = plan->step + at + 1;
        switch (operation) {
        case FF_NUMBER:
        case FF_SINGLE: ff_run_number(plan, operation, a, block); break;
        case FF_TEXT: ff_run_text(plan, plan->dictionary + dictionary++, a, block); break;
        case FF_MATCH:
        case FF_SEARCH: ff_run_find(plan, operation, a, block); break;
        case FF_RECODE:
        case FF_LOOKUP: ff_run_codes(plan, operation, a, block); break;
        case FF_DOT: ff_run_dot(plan, a, block); break;
        case FF_FOLD: ff_run_fold(plan, a, block); break;
        case FF_ARGMAX: ff_run_argmax(plan, a, block); break;
        case FF_INTERPOLATE:
            for (i = 0; i < block->count; i++)
                ff_register(block, a[0])[i] = ff_interpolate(plan->number + a[2], plan->number + a[3], a[4],
                                                             ff_register(block, a[1])[i]);
            break;
        case FF_FOREST: ff_run_forest(plan, plan->forest + forest++, a, block, rank); break;
        case FF_NEAREST: ff_run_nearest(plan, a, block); break;
        case FF_DISTANCES: ff_run_distances(plan, a, block); break;
        case FF_COUPLE: ff_run_couple(plan, a, block); break;
        case FF_MEDIAN: ff_run_median(plan, a, block); break;
        case FF_HASH: ff_run_hash(plan, a, block); break;
        case FF_JOIN: ff_run_join(plan, a, block); break;
        case FF_REFUSE: ff_run_refuse(plan, a, block); break;
        case FF_BAG: ff_run_bag_step(plan, operation, reader++, a, block); break;
        case FF_BAG_MAP:
        case FF_BAG_CONST:
        case FF_BAG_ROW:
        case FF_BAG_PICK:
        case FF_BAG_FOLD:
        case FF_BAG_DOT:
        case FF_BAG_SPREAD: ff_run_bag_step(plan, operation, 0, a, block); break;
        default: ff_run_vectors(plan, operation, a, block); break;
        }
    }
}

/* Return x, or the one NaN of all results: IEEE 754 leaves the sign and the payload of a NaN to the processor. */
static double ff_canonical_nan(double x) { return x == x ? x : FF_NAN; }

static float ff_canonical_nan32(double x) {
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

/* Write the labels of an output. */
static void ff_write_labels(const ff_plan *plan, const ff_port *port, const ff_block *block, void *result) {
    const uint32_t *code = ff_codes(block, port->first);
    uint32_t i;
    switch (port->type) {
    case FF_STRING: for (i = 0; i < block->count; i++) ((int32_t *)result)[block->row + i] = (int32_t)code[i]; break;
    case FF_FLOAT32:
        for (i = 0; i < block->count; i++)
            ((float *)result)[block->row + i] = ff_canonical_nan32(plan->number[port->labels + (uint64_t)code[i]]);
        break;
    case FF_FLOAT64:
        for (i = 0; i < block->count; i++)
            ((double *)result)[block->row + i] = ff_canonical_nan(plan->number[port->labels + (uint64_t)code[i]]);
        break;
    case FF_BOOL: /* a byte each, because two threads may write neighbours */
    case FF_INT8:
    case FF_UINT8: FF_WRITE_LABELS(uint8_t);
    case FF_INT16:
    case FF_UINT16: FF_WRITE_LABELS(uint16_t);
    case FF_INT32:
    case FF_UINT32: FF_WRITE_LABELS(uint32_t);
    default: FF_WRITE_LABELS(uint64_t);
    }
}

/* Convert to an integer of at most `max`; saturates, and NaN becomes 0. The largest integers of 64 bits are not
 * float64, but the powers of two after them are. */
static int64_t ff_to_signed(double x, int64_t max) {
    double limit = (double)max + (max < INT64_MAX);
    return x != x ? 0 : x >= limit ? max : x < -limit ? -max - 1 : (int64_t)x;
}

static uint64_t ff_to_unsigned(double x, uint64_t max) {
    double limit = (double)max + (max < UINT64_MAX);
    return !(x > 0) ? 0 : x >= limit ? max : (uint64_t)x;
}

#define FF_WRITE_NUMBERS(TYPE, VALUE)                                                                                  \
    for (i = 0; i < block->count; i++) ((TYPE *)result)[at + (size_t)i * step] = VALUE;                                \
    break

/* Write one register of an output, every `step` values. */
static void ff_write_numbers(uint32_t type, const double *x, const ff_block *block, void *result, size_t at,
                             size_t step) {
    uint32_t i;
    switch (type) {
    case FF_BOOL: FF_WRITE_NUMBERS(uint8_t, x[i] == x[i] && x[i] != 0);
    case FF_INT8: FF_WRITE_NUMBERS(int8_t, (int8_t)ff_to_signed(x[i], INT8_MAX));
    case FF_INT16: FF_WRITE_NUMBERS(int16_t, (int16_t)ff_to_signed(x[i], INT16_MAX));
    case FF_INT32: FF_WRITE_NUMBERS(int32_t, (int32_t)ff_to_signed(x[i], INT32_MAX));
    case FF_INT64: FF_WRITE_NUMBERS(int64_t, ff_to_signed(x[i], INT64_MAX));
    case FF_UINT8: FF_WRITE_NUMBERS(uint8_t, (uint8_t)ff_to_unsigned(x[i], UINT8_MAX));
    case FF_UINT16: FF_WRITE_NUMBERS(uint16_t, (uint16_t)ff_to_unsigned(x[i], UINT16_MAX));
    case FF_UINT32: FF_WRITE_NUMBERS(uint32_t, (uint32_t)ff_to_unsigned(x[i], UINT32_MAX));
    case FF_UINT64: FF_WRITE_NUMBERS(uint64_t, ff_to_unsigned(x[i], UINT64_MAX));
    case FF_FLOAT32: FF_WRITE_NUMBERS(float, ff_canonical_nan32(x[i]));
    default: FF_WRITE_NUMBERS(double, ff_canonical_nan(x[i]));
    }
}

/* Write the results of a block. */
static void ff_write_outputs(const ff_plan *plan, const ff_block *block, void *const *results) {
    uint32_t o, k;
    for (o = 0; o < plan->outputs; o++) {
        const ff_port *port = plan->output + o;
        if (!port->width) { ff_write_labels(plan, port, block, results[o]); continue; }
        for (k = 0; k < port->width; k++)
            ff_write_numbers(port->type, ff_register(block, port->first + k), block, results[o],
                             (size_t)block->row * port->width + k, port->width);
    }
}

/* Return the lanes for a call of so many rows. */
static uint32_t ff_lane_count(const ff_plan *plan, int64_t rows) {
    return rows < (int64_t)plan->lanes ? (uint32_t)(rows < 1 ? 1 : rows) : plan->lanes;
}

size_t ff_scratch(const ff_plan *plan, int64_t rows) {
    uint64_t lanes = ff_lane_count(plan, rows);
    return ff_round_up(8 * lanes * plan->registers) + ff_round_up(4 * lanes * plan->codes) + ff_round_up(4 * lanes) +
           ff_round_up(8 * lanes * plan->slots) + plan->workspace +
           (plan->bags ? ff_lay_bags(plan, (uint32_t)lanes, NULL) : 0);
}

int64_t ff_predict(const ff_plan *plan, const ff_column *columns, void *const *results, int64_t rows, uint32_t *refused,
                   void *scratch) {
    ff_block block;
    uint8_t *at = (uint8_t *)scratch;
    uint32_t *rank, i, wanted, limit;
    int64_t refusals = 0;
    block.lanes = ff_lane_count(plan, rows);
    limit = block.lanes;
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
        block.bag = (ff_bag_rows *)(void *)(at + plan->workspace);
        ff_lay_bags(plan, block.lanes, block.bag);
    }
    for (block.row = 0; block.row < rows; block.row += block.count) {
        if (plan->stop && *plan->stop) return -1;
        wanted = rows - block.row < (int64_t)limit ? (uint32_t)(rows - block.row) : limit;
        block.count = wanted;
        for (i = 0; i < block.count; i++) block.refused[i] = 0;
        ff_run_steps(plan, &block, rank);
        if (!block.count) return -1; /* ended while a text was read */
        /* If not all rows fitted, do not compute many again that will not fit either. */
        limit = block.count < wanted ? block.count : limit < block.lanes - limit ? 2 * limit : block.lanes;
        ff_write_outputs(plan, &block, results);
        for (i = 0; i < block.count; i++) {
            refusals += block.refused[i] != 0;
            if (refused) refused[block.row + i] = block.refused[i];
        }
    }
    return refusals;
}
