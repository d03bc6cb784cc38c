// A linear layer for a few tokens: each weight is read once, for all of them.
#pragma once

#include <algorithm>

#include "vectors.h"

namespace gqa {

// Rows of weights that take their turns in the same loop. Each product has one running sum.
constexpr int rows_at_once(int tokens) { return std::min(kSums / tokens, 4); }

// M tokens of `dim` elements as floats, next to each other what is multiplied with one pair of
// vectors of weights: rows of their own, a power of two apart, would drive each other out of the
// first cache level.
template <int W, int M, class T>
void interleave(const T* tokens, int64_t dim, float* to) {
  for (int64_t d = 0; d < dim; d += 2 * W)
    for (int m = 0; m < M; ++m, to += 2 * W) store_pair<W>(load_pair<W>(tokens + m * dim + d), to);
}

// The products of M tokens and R rows of `dim` weights, `apart` elements from each other: result[m *
// R + r]. What a product is does not depend on M or R.
template <int W, int M, int R, class T>
inline void multiply(const float* x, const T* weights, int64_t apart, int64_t dim, float* result) {
  constexpr int kPadded = (M * R + W - 1) / W * W;
  constexpr int kAhead = 1024 / sizeof(T);
  Floats<W> sum[kPadded] = {};
  for (int64_t d = 0; d < dim; d += 2 * W) {
    Pair<W> weight[R];
    for (int r = 0; r < R; ++r) {
      prefetch(weights + r * apart + d + kAhead, 2 * W * sizeof(T));
      weight[r] = load_pair<W>(weights + r * apart + d);
      if (M > 1) pin(weight[r].first), pin(weight[r].second);
    }
    for (int m = 0; m < M; ++m, x += 2 * W) {
      Pair<W> token = load_pair<W>(x);
      if (R > 1) pin(token.first), pin(token.second);
      for (int r = 0; r < R; ++r) sum[m * R + r] += token.first * weight[r].first;
      for (int r = 0; r < R; ++r) sum[m * R + r] += token.second * weight[r].second;
    }
  }
  float flat[kPadded];
  for (int i = 0; i < kPadded; i += W) store<W>(sums<W>(sum + i), flat + i);
  std::copy_n(flat, M * R, result);
}

// Some rows of weights times all tokens. The R that take their turns are far from each other: memory
// is then read in R streams that go on for as long as there are rows, which is up to a quarter faster
// than in R neighbours.
template <int W, int M, class T>
void multiply_rows(const float* x, int64_t dim, const T* weights, int64_t rows, T* out,
                   int64_t out_pitch, const T* bias) {
  constexpr int R = rows_at_once(M);
  const int64_t apart = rows / R;
  float result[M * R];
  const auto write = [&](int64_t n, int count) {
    for (int m = 0; m < M; ++m)
      for (int r = 0; r < count; ++r) {
        const int64_t row = n + r * apart;
        store(result[m * count + r] + (bias ? to_float(bias[row]) : 0.0f),
              out + m * out_pitch + row);
      }
  };
  for (int64_t n = 0; n < apart; ++n) {
    multiply<W, M, R>(x, weights + n * dim, apart * dim, dim, result);
    write(n, R);
  }
  for (int64_t n = apart * R; n < rows; ++n) {
    multiply<W, M, 1>(x, weights + n * dim, dim, dim, result);
    write(n, 1);
  }
}

}  // namespace gqa
