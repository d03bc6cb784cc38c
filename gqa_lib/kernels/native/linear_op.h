// torch.ops.gqa_native.linear: a matrix of weights times some tokens.
#pragma once

#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/linear.h>

#include <atomic>
#include <memory>

#include "amx.h"
#include "linear.h"
#include "plain.h"

namespace gqa {

constexpr int64_t kTaskBytes = 256 * 1024;  // of weights: a late thread costs little, a task less

// Tokens up to which these loops were faster than torch's way, which reads weights several times
// (float32) or lays them out anew first (bfloat16). Measured with AVX-512 and AMX alone.
constexpr int64_t kMostTokens = 16, kMostTokensHalf = 4;

// Whether bfloat16 weights are multiplied by tiles: for more tokens than the loops are good for.
inline bool by_tiles(int64_t tokens, const at::Tensor& weight) {
  return weight.scalar_type() == at::kBFloat16 && tokens > kMostTokensHalf && tokens <= 16 &&
         weight.size(1) % kTileDepth == 0 && weight.size(0) % kTileGroup == 0 && tiles_allowed();
}

inline bool few_tokens(const at::Tensor& x, const at::Tensor& weight,
                       const std::optional<at::Tensor>& bias) {
  if (weight.dim() != 2 || weight.size(1) % 8 != 0 || weight.size(1) == 0) return false;
  if (x.dim() == 0 || x.size(-1) != weight.size(1)) return false;
  const int64_t tokens = x.numel() / weight.size(1);
  const int64_t most = x.scalar_type() == at::kFloat ? kMostTokens : kMostTokensHalf;
  return (tokens <= most || by_tiles(tokens, weight)) && plain(x, x) && plain(weight, x) &&
         weight.is_contiguous() &&
         (!bias || (plain(*bias, x) && bias->is_contiguous() && bias->dim() == 1 &&
                    bias->size(0) == weight.size(0)));
}

// Calls run(first, M) for tiles of M = 8, 4, 2 and 1 of the tokens.
template <class F>
void for_tiles(int64_t tokens, F run) {
  int64_t m = 0;
  for (; m + 8 <= tokens; m += 8) run(m, std::integral_constant<int, 8>());
  if (tokens - m >= 4) run(m, std::integral_constant<int, 4>()), m += 4;
  if (tokens - m >= 2) run(m, std::integral_constant<int, 2>()), m += 2;
  if (tokens > m) run(m, std::integral_constant<int, 1>());
}

template <int W, class T>
void multiply_all(const at::Tensor& x, const at::Tensor& weight, const T* bias, at::Tensor& out) {
  const int64_t dim = x.size(-1), tokens = x.numel() / dim, rows = weight.size(0);
  const T* const from = static_cast<const T*>(x.const_data_ptr());
  const T* const weights = static_cast<const T*>(weight.const_data_ptr());
  T* const to = static_cast<T*>(out.data_ptr());
  const std::unique_ptr<float[]> wide(new float[tokens * dim]);
  for_tiles(tokens, [&](int64_t m, auto M) {
    interleave<W, M()>(from + m * dim, dim, wide.get() + m * dim);
  });
  const int64_t task = std::max<int64_t>(8, kTaskBytes / (dim * int64_t(sizeof(T))) / 8 * 8);
  const int64_t tasks = (rows + task - 1) / task;
  std::atomic<int64_t> next{0};
  at::parallel_for(0, std::min<int64_t>(tasks, at::get_num_threads()), 1, [&](int64_t, int64_t) {
    for (int64_t i; (i = next++) < tasks;) {
      const int64_t n = i * task, count = std::min(task, rows - n);
      for_tiles(tokens, [&](int64_t m, auto M) {
        multiply_rows<W, M()>(wide.get() + m * dim, dim, weights + n * dim, count,
                              to + m * rows + n, rows, bias ? bias + n : nullptr);
      });
    }
  });
}

// multiply_all by tiles.
inline void multiply_by_tiles(const at::Tensor& x, const at::Tensor& weight, const BFloat16* bias,
                              at::Tensor& out) {
  const int64_t dim = x.size(-1), tokens = x.numel() / dim, rows = weight.size(0);
  const BFloat16* const weights = static_cast<const BFloat16*>(weight.const_data_ptr());
  BFloat16* const to = static_cast<BFloat16*>(out.data_ptr());
  const std::unique_ptr<uint32_t[]> pairs(new uint32_t[tokens * dim / 2]);
  pair_up(static_cast<const BFloat16*>(x.const_data_ptr()), int(tokens), dim, pairs.get());
  const int64_t tasks = rows / kTileGroup;
  std::atomic<int64_t> next{0};
  at::parallel_for(0, std::min<int64_t>(tasks, at::get_num_threads()), 1, [&](int64_t, int64_t) {
    const Tiles tiles{int(tokens)};
    for (int64_t i; (i = next++) < tasks;) {
      const int64_t n = i * kTileGroup;
      tiles.multiply(pairs.get(), dim, weights + n * dim, to + n, rows, bias ? bias + n : nullptr);
    }
  });
}

// torch's linear layer. For a few tokens each weight is read once; without tiles a token's result is
// the same then, bit for bit, whichever tokens are multiplied along with it.
inline at::Tensor linear(const at::Tensor& tokens, const at::Tensor& weight,
                         const std::optional<at::Tensor>& bias) {
  if (!few_tokens(tokens, weight, bias)) return at::linear(tokens, weight, bias);
  const at::Tensor x = tokens.contiguous();
  auto sizes = x.sizes().vec();
  sizes.back() = weight.size(0);
  at::Tensor out = at::empty(sizes, x.options());
  if (out.numel() == 0) return out;
  const auto bias_as = [&](auto* type) {
    return bias ? static_cast<decltype(type)>(bias->const_data_ptr()) : nullptr;
  };
  const auto* const half = bias_as(static_cast<const BFloat16*>(nullptr));
  if (by_tiles(x.numel() / x.size(-1), weight))
    multiply_by_tiles(x, weight, half, out);
  else
    with_lanes(weight.size(1), [&](auto lanes) {
      if (x.scalar_type() == at::kFloat)
        multiply_all<lanes()>(x, weight, bias_as(static_cast<const float*>(nullptr)), out);
      else
        multiply_all<lanes()>(x, weight, half, out);
    });
  return out;
}

}  // namespace gqa
