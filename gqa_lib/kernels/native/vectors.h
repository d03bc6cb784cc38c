// Vectors of W floats, in the extensions of C++ that GCC and Clang share. No instruction set's own
// functions are called, so that the same code compiles for all of them.
#pragma once

#include <cstdint>
#include <cstring>
#include <type_traits>
#include <utility>

namespace gqa {

#if defined(__AVX512F__)
constexpr int kLanes = 16;
#elif defined(__AVX__)
constexpr int kLanes = 8;
#else  // SSE, NEON
constexpr int kLanes = 4;
#endif

#if defined(__AVX512F__) || defined(__aarch64__)
constexpr int kSums = 16;  // running sums kept in registers: half of the 32 there are
#else
constexpr int kSums = 8;
#endif

template <int W>
struct Vector {
  typedef float Floats __attribute__((vector_size(W * 4)));
  typedef int32_t Ints __attribute__((vector_size(W * 4)));
};
template <int W>
using Floats = typename Vector<W>::Floats;
template <int W>
using Ints = typename Vector<W>::Ints;

struct BFloat16 {
  uint16_t bits;
};

inline float to_float(float x) { return x; }
inline float to_float(BFloat16 x) {
  const uint32_t bits = uint32_t(x.bits) << 16;
  float y;
  std::memcpy(&y, &bits, 4);
  return y;
}
inline void store(float x, float* to) { *to = x; }
inline void store(float x, BFloat16* to) {  // to the nearest, ties to even
  uint32_t bits;
  std::memcpy(&bits, &x, 4);
  to->bits = x != x ? 0x7fc0 : uint16_t((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
}

template <int W>
inline Floats<W> load(const float* p) {
  Floats<W> x;
  std::memcpy(&x, p, sizeof x);
  return x;
}

// Keeps x in a register: GCC would rather load it again for each use.
template <class V>
inline void pin(V& x) {
#if defined(__AVX__)
  asm("" : "+v"(x));
#elif defined(__aarch64__)
  asm("" : "+w"(x));
#endif
}

// 2 W neighbouring elements. Halves of one word go to different vectors, which takes a shift and a
// mask and no shuffle: the first vector has the elements of even index, the second the others.
template <int W>
struct Pair {
  Floats<W> first, second;
};
template <int W>
inline Pair<W> load_pair(const float* p) {
  return {load<W>(p), load<W>(p + W)};
}
template <int W>
inline Pair<W> load_pair(const BFloat16* p) {
  Ints<W> x;
  std::memcpy(&x, p, sizeof x);
  pin(x);
  return {(Floats<W>)(x << 16), (Floats<W>)(x & int32_t(0xffff0000))};
}
template <int W>
inline void store_pair(Pair<W> x, float* p) {
  std::memcpy(p, &x.first, sizeof x.first);
  std::memcpy(p + W, &x.second, sizeof x.second);
}
template <int W>
inline Ints<W> rounded(Floats<W> x) {  // to BFloat16 in the upper half, to the nearest, ties to even
  const Ints<W> bits = (Ints<W>)x;
  return x != x ? bits | 0x400000 : bits + 0x7fff + ((bits >> 16) & 1);
}
template <int W>
inline void store_pair(Pair<W> x, BFloat16* p) {
  const Ints<W> first = (rounded<W>(x.first) >> 16) & 0xffff;
  const Ints<W> both = first | (rounded<W>(x.second) & int32_t(0xffff0000));
  std::memcpy(p, &both, sizeof both);
}
// Where element i of a row goes when its pairs' vectors are written one after the other.
template <int W>
inline int64_t place(int64_t i, const float*) {
  return i;
}
template <int W>
inline int64_t place(int64_t i, const BFloat16*) {
  return i / (2 * W) * (2 * W) + i % 2 * W + i % (2 * W) / 2;
}

template <int W>
inline void store(Floats<W> x, float* p) {
  std::memcpy(p, &x, sizeof x);
}
template <int W>
inline Floats<W> fill(float x) {
  return Floats<W>{} + x;
}

// Lanes of two vectors: number i is lane i of the first, number W + i lane i of the second.
template <int W, int... lane>
inline Floats<W> pick(Floats<W> a, Floats<W> b) {
#if defined(__clang__)
  return __builtin_shufflevector(a, b, lane...);
#else
  return __builtin_shuffle(a, b, Ints<W>{lane...});
#endif
}

// In lanes without bit S, the sum of a's lanes l and l + S; in those with it, of b's l - S and l.
template <int S, int W, int... l>
inline Floats<W> sum_pairs(Floats<W> a, Floats<W> b, std::integer_sequence<int, l...>) {
  return pick<W, (l & S ? W + l : l)...>(a, b) +
         pick<W, (l & S ? W + (l ^ S) : (l ^ S))...>(a, b);
}

// The sums of W vectors, that of x[i] in lane i. Overwrites x.
template <int W, int S = W / 2>
inline Floats<W> sums(Floats<W>* x) {
  for (int i = 0; i < S; ++i)
    x[i] = sum_pairs<S, W>(x[i], x[i + S], std::make_integer_sequence<int, W>());
  if constexpr (S > 1) return sums<W, S / 2>(x);
  return x[0];
}

template <int W>
inline Floats<W> larger(Floats<W> a, Floats<W> b) {
  return a > b ? a : b;
}

// The largest lane, in all lanes.
template <int W, int S, int... l>
inline Floats<W> largest(Floats<W> x, std::integer_sequence<int, l...> lanes) {
  x = larger<W>(x, pick<W, (l ^ S)...>(x, x));
  if constexpr (S > 1) return largest<W, S / 2>(x, lanes);
  return x;
}
template <int W>
inline Floats<W> largest(Floats<W> x) {
  return largest<W, W / 2>(x, std::make_integer_sequence<int, W>());
}

// 2^x for x <= 0, zero below 2^-126; a NaN stays one. The Taylor series of 2^r for |r| <= 1/2 is
// off by less than 6e-9 after the seventh power.
template <int W>
inline Floats<W> power_of_two(Floats<W> x) {
  const Floats<W> lowest = fill<W>(-126.0f);
  const Ints<W> vanishes = x < lowest;
  x = vanishes ? lowest : x;
  const Floats<W> magic = fill<W>(12582912.0f);  // 1.5 * 2^23: adding it rounds to whole numbers
  const Floats<W> shifted = x + magic;
  const Floats<W> r = x - (shifted - magic);
  Floats<W> y = fill<W>(1.52527338e-5f);
  for (float c : {1.54035304e-4f, 1.33335581e-3f, 9.61812911e-3f, 5.55041087e-2f, 2.40226507e-1f,
                  6.93147181e-1f, 1.0f})
    y = y * r + c;
  // The low bits of shifted are x's whole part; moved to where a float has its exponent:
  y *= (Floats<W>)(((Ints<W>)shifted << 23) + (127 << 23));
  return vanishes ? Floats<W>{} : y;
}

// Calls run with the widest vectors that pairs of fill a row of `dim` elements exactly: those of 4 do
// for any multiple of 8.
template <class F>
void with_lanes(int64_t dim, F run) {
  if (dim % (2 * kLanes) == 0) return run(std::integral_constant<int, kLanes>());
  if (dim % 16 == 0) return run(std::integral_constant<int, kLanes < 8 ? kLanes : 8>());
  run(std::integral_constant<int, 4>());
}

inline void prefetch(const void* from, int64_t nbytes) {
  const char* p = static_cast<const char*>(from);
  for (int64_t i = 0; i < nbytes; i += 64) __builtin_prefetch(p + i);
}

}  // namespace gqa
