// Attention of the query heads of one KV head over some of its keys, for one new token.
#pragma once

#include <algorithm>
#include <limits>
#include <memory>

#include "vectors.h"

namespace gqa {

constexpr float kNothing = -std::numeric_limits<float>::infinity();

// Rows of `dim` neighbouring elements, `stride` elements apart.
template <class T>
struct Rows {
  const T* first;
  int64_t stride;
  const T* operator[](int64_t i) const { return first + i * stride; }
  Rows from(int64_t i) const { return {first + i * stride, stride}; }
};

// Fetches rows from memory while others are used: as many at each of `steps` steps as are due, and
// each as a whole, because the hardware's own prefetching recognises that.
template <class T>
class Ahead {
 public:
  Ahead(Rows<T> rows, int count, int dim, int steps)
      : rows_(rows), count_(count), nbytes_(dim * sizeof(T)), steps_(steps) {}
  void step() {
    for (due_ += count_; due_ >= steps_; due_ -= steps_)
      if (next_ < count_) prefetch(rows_[next_++], nbytes_);
  }

 private:
  Rows<T> rows_;
  int count_, nbytes_, steps_, due_ = 0, next_ = 0;
};

// The result over some keys: outputs, the largest score and the sum of 2^(score - largest).
struct Partial {
  float* out;    // (heads, dim), not yet divided by total
  float* top;    // (heads,)
  float* total;  // (heads,)
};

constexpr int keys_at_once(int heads) { return kSums / heads; }
constexpr int pairs_at_once(int heads) { return std::min(kSums / heads / 2, 4); }

// Scores of H heads and keys_at_once(H) keys at a time: all running sums stay in registers, and
// each key is loaded once for H heads.
template <int W, int H, class T>
void score(const float* q, Rows<T> k, int keys, int dim, float* scores, int pitch,
           Ahead<T>& ahead) {
  constexpr int kKeys = keys_at_once(H);
  for (int t = 0; t < keys; t += kKeys) {
    ahead.step();
    const T* row[kKeys];
    for (int j = 0; j < kKeys; ++j) row[j] = k[std::min(t + j, keys - 1)];  // no row past the last
    Floats<W> sum[kSums] = {};
    for (int d = 0; d < dim; d += 2 * W) {
      Pair<W> key[kKeys];
      for (int j = 0; j < kKeys; ++j) {
        key[j] = load_pair<W>(row[j] + d);
        if (H > 1) pin<W>(key[j].first), pin<W>(key[j].second);
      }
      for (int h = 0; h < H; ++h) {
        Pair<W> query = load_pair<W>(q + h * dim + d);
        pin<W>(query.first), pin<W>(query.second);
        for (int j = 0; j < kKeys; ++j) sum[h * kKeys + j] += query.first * key[j].first;
        for (int j = 0; j < kKeys; ++j) sum[h * kKeys + j] += query.second * key[j].second;
      }
    }
    float flat[kSums];
    for (int i = 0; i < kSums; i += W) store<W>(sums<W>(sum + i), flat + i);
    for (int h = 0; h < H; ++h) std::memcpy(scores + h * pitch + t, flat + h * kKeys, kKeys * 4);
  }
}

// Turns one head's scores into weights 2^(score - top); returns by what earlier results shrink.
template <int W>
float weigh(float* scores, int keys, int padded, float* top, float* total) {
  std::fill(scores + keys, scores + padded, kNothing);
  Floats<W> most = fill<W>(*top);
  for (int t = 0; t < padded; t += W) most = larger<W>(most, load<W>(scores + t));
  float largest = *top;
  for (int i = 0; i < W; ++i) largest = std::max(largest, most[i]);
  const float shrink = power_of_two<4>(fill<4>(*top - largest))[0];
  Floats<W> sum = {};
  for (int t = 0; t < padded; t += W) {
    const Floats<W> weight = power_of_two<W>(load<W>(scores + t) - largest);
    store<W>(weight, scores + t);
    sum += weight;
  }
  float added = 0;
  for (int i = 0; i < W; ++i) added += sum[i];
  *total = *total * shrink + added;
  *top = largest;
  return shrink;
}

// Adds H heads' weighted values to 2 * C * W columns of their outputs.
template <int W, int H, int C, class T>
void add_columns(const float* weights, int pitch, const float* shrink, Rows<T> v, int keys,
                 float* out, int dim, Ahead<T>& ahead) {
  Floats<W> sum[H][2 * C];
  for (int h = 0; h < H; ++h)
    for (int c = 0; c < 2 * C; ++c) sum[h][c] = load<W>(out + h * dim + c * W) * shrink[h];
  for (int t = 0; t < keys; ++t) {
    ahead.step();
    Pair<W> value[C];
    for (int c = 0; c < C; ++c) {
      value[c] = load_pair<W>(v[t] + 2 * c * W);
      if (H > 1) pin<W>(value[c].first), pin<W>(value[c].second);
    }
    for (int h = 0; h < H; ++h) {
      Floats<W> weight = fill<W>(weights[h * pitch + t]);
      pin<W>(weight);
      for (int c = 0; c < C; ++c) {
        sum[h][2 * c] += weight * value[c].first;
        sum[h][2 * c + 1] += weight * value[c].second;
      }
    }
  }
  for (int h = 0; h < H; ++h)
    for (int c = 0; c < 2 * C; ++c) store<W>(sum[h][c], out + h * dim + c * W);
}

template <int W, int H, class T, int C = pairs_at_once(H)>
void add_values(const float* weights, int pitch, const float* shrink, Rows<T> v, int keys,
                float* out, int dim, Ahead<T>& ahead, int d = 0) {
  for (; d + 2 * C * W <= dim; d += 2 * C * W)
    add_columns<W, H, C, T>(weights, pitch, shrink, {v.first + d, v.stride}, keys, out + d, dim,
                            ahead);
  if constexpr (C > 1)
    add_values<W, H, T, C / 2>(weights, pitch, shrink, v, keys, out, dim, ahead, d);
}

// Keys in a block. Small ones keep memory busy all the time; with many heads, what is done once a
// block weighs more. K's and V's rows of one stay in the first cache level. All of it was measured.
template <class T>
int block_keys(int dim, int heads) {
  const int nbytes = std::clamp(4096 * heads, 8192, 32768);
  return std::clamp(nbytes / (dim * int(sizeof(T))) / 16 * 16, 16, 128);
}

// Calls run(first, H) for tiles of H = 4, 2 and 1 of the heads.
template <class F>
void for_tiles(int heads, F run) {
  int h = 0;
  for (; h + 4 <= heads; h += 4) run(h, std::integral_constant<int, 4>());
  if (heads - h >= 2) run(h, std::integral_constant<int, 2>()), h += 2;
  if (heads > h) run(h, std::integral_constant<int, 1>());
}

// Attention of `heads` queries of `dim` elements, scaled by log2(e) / sqrt(dim), over `keys` keys,
// block by block. V's rows are fetched while K's are used, and the next block's K while V's are.
template <int W, class T>
void attend(const float* q, int heads, int dim, Rows<T> k, Rows<T> v, int64_t keys,
            Partial result) {
  const int block = block_keys<T>(dim, heads);
  const std::unique_ptr<float[]> buffer(new float[heads * (block + 1)]);
  float* const scores = buffer.get();
  float* const shrink = scores + heads * block;
  std::fill_n(result.out, heads * dim, 0.0f);
  std::fill_n(result.top, heads, kNothing);
  std::fill_n(result.total, heads, 0.0f);
  for (int64_t start = 0; start < keys; start += block) {
    const int n = int(std::min<int64_t>(block, keys - start));
    const int following = int(std::min<int64_t>(block, keys - start - n));
    int score_steps = 0, value_steps = 0;
    for_tiles(heads, [&](int, auto tile) {
      score_steps += (n + keys_at_once(tile()) - 1) / keys_at_once(tile());
      value_steps += n * std::max(1, dim / (2 * W * pairs_at_once(tile())));
    });
    Ahead<T> values_ahead(v.from(start), n, dim, score_steps);
    Ahead<T> keys_ahead(k.from(start + n), following, dim, value_steps);
    for_tiles(heads, [&](int h, auto tile) {
      score<W, tile()>(q + h * dim, k.from(start), n, dim, scores + h * block, block,
                       values_ahead);
    });
    const int padded = (n + W - 1) / W * W;
    for (int h = 0; h < heads; ++h)
      shrink[h] = weigh<W>(scores + h * block, n, padded, result.top + h, result.total + h);
    for_tiles(heads, [&](int h, auto tile) {
      add_values<W, tile(), T>(scores + h * block, block, shrink + h, v.from(start), n,
                               result.out + h * dim, dim, keys_ahead);
    });
  }
}

}  // namespace gqa
