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
// each as a whole, because the hardware's own prefetching recognises that. What is asked for while
// some 50 lines are on their way is dropped by the processor (Zen 5), so that less is gained by it
// than by score_and_add.
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
[[gnu::noinline]] void score(const float* q, Rows<T> k, int keys, int dim, float* scores,
                             int pitch, Ahead<T>& ahead) {
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
        if (H > 1) pin(key[j].first), pin(key[j].second);
      }
      for (int h = 0; h < H; ++h) {
        Pair<W> query = load_pair<W>(q + h * dim + d);
        pin(query.first), pin(query.second);
        for (int j = 0; j < kKeys; ++j) sum[h * kKeys + j] += query.first * key[j].first;
        for (int j = 0; j < kKeys; ++j) sum[h * kKeys + j] += query.second * key[j].second;
      }
    }
    float flat[kSums];
    for (int i = 0; i < kSums; i += W) store<W>(sums<W>(sum + i), flat + i);
    for (int h = 0; h < H; ++h) std::memcpy(scores + h * pitch + t, flat + h * kKeys, kKeys * 4);
  }
}

// Turns one head's scores into weights 2^(score - top), and shrinks by what the top has risen what
// was added up before. Each lane has a total of its own.
template <int W>
void weigh(float* scores, int keys, float* tops, float* totals, float* out, int dim) {
  const int padded = (keys + W - 1) / W * W;
  std::fill(scores + keys, scores + padded, kNothing);
  const Floats<W> before = load<W>(tops);
  Floats<W> top = before;
  for (int t = 0; t < padded; t += W) top = larger<W>(top, load<W>(scores + t));
  top = largest<W>(top);
  const Floats<W> shrink = power_of_two<W>(before - top);
  Floats<W> total = load<W>(totals) * shrink;
  for (int t = 0; t < padded; t += W) {
    const Floats<W> weight = power_of_two<W>(load<W>(scores + t) - top);
    store<W>(weight, scores + t);
    total += weight;
  }
  store<W>(top, tops);
  store<W>(total, totals);
  if (shrink[0] != 1.0f)
    for (int d = 0; d < dim; d += W) store<W>(load<W>(out + d) * shrink, out + d);
}

// Adds H heads' weighted values to 2 * C * W columns of their outputs.
template <int W, int H, int C, class T>
[[gnu::noinline]] void add_columns(const float* weights, int pitch, Rows<T> v, int keys,
                                   float* out, int dim, Ahead<T>& ahead) {
  Floats<W> sum[H][2 * C];
  for (int h = 0; h < H; ++h)
    for (int c = 0; c < 2 * C; ++c) sum[h][c] = load<W>(out + h * dim + c * W);
  for (int t = 0; t < keys; ++t) {
    ahead.step();
    Pair<W> value[C];
    for (int c = 0; c < C; ++c) {
      value[c] = load_pair<W>(v[t] + 2 * c * W);
      if (H > 1) pin(value[c].first), pin(value[c].second);
    }
    for (int h = 0; h < H; ++h) {
      Floats<W> weight = fill<W>(weights[h * pitch + t]);
      pin(weight);
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
void add_values(const float* weights, int pitch, Rows<T> v, int keys, float* out, int dim,
                Ahead<T>& ahead, int d = 0) {
  for (; d + 2 * C * W <= dim; d += 2 * C * W)
    add_columns<W, H, C, T>(weights, pitch, {v.first + d, v.stride}, keys, out + d, dim, ahead);
  if constexpr (C > 1)
    add_values<W, H, T, C / 2>(weights, pitch, v, keys, out, dim, ahead, d);
}

// For H heads and rows of C pairs, the scores of some keys and the weighted values of as many
// others. A row of each in turn, from first to last, is what the hardware's own prefetching follows
// best: it reads at up to 0.95 of a dot product's rate, and prefetching here would lower that. The
// loop must be short: unrolled, or inlined so that GCC keeps less in registers, it reads at 0.8 to
// 0.86.
template <int W, int H, int C, class T>
[[gnu::noinline]] void score_and_add(const float* q, Rows<T> k, float* scores,
                                     const float* weights, int pitch, Rows<T> v, int keys,
                                     float* out) {
  constexpr int dim = 2 * C * W;
  Floats<W> sum[H][2 * C];
  for (int h = 0; h < H; ++h)
    for (int c = 0; c < 2 * C; ++c) sum[h][c] = load<W>(out + h * dim + c * W);
  for (int t = 0; t < keys; t += W) {
    Floats<W> products[H][W];
#pragma GCC unroll 1
    for (int j = 0; j < W; ++j) {
      const T *const key_row = k[t + j], *const value_row = v[t + j];
      Floats<W> even[H] = {}, odd[H] = {};
      for (int c = 0; c < C; ++c) {
        const Pair<W> key = load_pair<W>(key_row + 2 * c * W);
        for (int h = 0; h < H; ++h) {
          const Pair<W> query = load_pair<W>(q + h * dim + 2 * c * W);
          even[h] += query.first * key.first;
          odd[h] += query.second * key.second;
        }
      }
      for (int h = 0; h < H; ++h) {
        products[h][j] = even[h] + odd[h];
        Floats<W> weight = fill<W>(weights[h * pitch + t + j]);
        pin(weight);
        for (int c = 0; c < C; ++c) {
          const Pair<W> value = load_pair<W>(value_row + 2 * c * W);
          sum[h][2 * c] += weight * value.first;
          sum[h][2 * c + 1] += weight * value.second;
        }
      }
    }
    for (int h = 0; h < H; ++h) store<W>(sums<W>(products[h]), scores + h * pitch + t);
  }
  for (int h = 0; h < H; ++h)
    for (int c = 0; c < 2 * C; ++c) store<W>(sum[h][c], out + h * dim + c * W);
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

// The lanes' totals of each head, put together.
template <int W>
void finish(const float* tops, const float* totals, int heads, Partial result) {
  for (int h = 0; h < heads; ++h) {
    result.top[h] = tops[h * W];
    result.total[h] = 0;
    for (int i = 0; i < W; ++i) result.total[h] += totals[h * W + i];
  }
}

// attend() for H heads and rows of C pairs: a block's values are added while the next is scored.
template <int W, int H, int C, class T>
void attend_row_by_row(const float* q, Rows<T> k, Rows<T> v, int64_t keys, Partial result) {
  constexpr int dim = 2 * C * W, block = 64;
  float buffer[2 * H * (block + W)];
  float *scores = buffer, *weights = scores + H * block;
  float *const tops = weights + H * block, *const totals = tops + H * W;
  std::fill_n(result.out, H * dim, 0.0f);
  std::fill_n(tops, H * W, kNothing);
  std::fill_n(totals, H * W, 0.0f);
  Ahead<T> nothing(k, 0, 0, 1);
  for (int64_t next = 0, start = 0; start < keys; start = next, next += block) {
    const int scored = int(std::clamp<int64_t>(keys - next, 0, block));
    const int added = int(std::min<int64_t>(keys - start, next - start));
    const int both = std::min(scored, added) / W * W;
    score_and_add<W, H, C>(q, k.from(next), scores, weights, block, v.from(start), both,
                           result.out);
    score<W, H>(q, k.from(next + both), scored - both, dim, scores + both, block, nothing);
    add_values<W, H, T>(weights + both, block, v.from(start + both), added - both, result.out,
                        dim, nothing);
    for (int h = 0; h < H && scored > 0; ++h)
      weigh<W>(scores + h * block, scored, tops + h * W, totals + h * W, result.out + h * dim,
               dim);
    std::swap(scores, weights);
  }
  finish<W>(tops, totals, H, result);
}

// Calls run(H, C) and returns true for one or two heads and rows of C pairs, if there are at most
// 16 sums. With AVX2 half of those lie in the first cache level, and it pays all the same.
template <int W, int H = 2, int C = 8, class F>
bool if_few(int heads, int dim, F run) {
  if constexpr (2 * H * C <= 16)
    if (heads == H && dim == 2 * C * W) {
      run(std::integral_constant<int, H>(), std::integral_constant<int, C>());
      return true;
    }
  if constexpr (C > 2) return if_few<W, H, C / 2>(heads, dim, run);
  if constexpr (H > 1) return if_few<W, H / 2>(heads, dim, run);
  return false;
}

// Attention of `heads` queries of `dim` elements, scaled by log2(e) / sqrt(dim), over `keys` keys,
// block by block. V's rows are fetched while K's are used, and the next block's K while V's are.
template <int W, class T>
void attend(const float* q, int heads, int dim, Rows<T> k, Rows<T> v, int64_t keys,
            Partial result) {
  if (if_few<W>(heads, dim, [&](auto H, auto C) {
        attend_row_by_row<W, H(), C()>(q, k, v, keys, result);
      }))
    return;
  const int block = block_keys<T>(dim, heads);
  const std::unique_ptr<float[]> buffer(new float[heads * (block + 2 * W)]);
  float* const scores = buffer.get();
  float *const tops = scores + heads * block, *const totals = tops + heads * W;
  std::fill_n(result.out, heads * dim, 0.0f);
  std::fill_n(tops, heads * W, kNothing);
  std::fill_n(totals, heads * W, 0.0f);
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
    for (int h = 0; h < heads; ++h)
      weigh<W>(scores + h * block, n, tops + h * W, totals + h * W, result.out + h * dim, dim);
    for_tiles(heads, [&](int h, auto tile) {
      add_values<W, tile(), T>(scores + h * block, block, v.from(start), n, result.out + h * dim,
                               dim, keys_ahead);
    });
  }
  finish<W>(tops, totals, heads, result);
}

}  // namespace gqa
